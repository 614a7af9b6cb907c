// A port of 127.0.0.1 for what a test starts.
#pragma once

// Below the kernel's range for whoever connects (ip_local_port_range): of that one, some other
// test's connection may have taken it before we listen, or while a server is being started again.
// Each caller on this machine gets another one, as tests/lib/ports.py says.
int free_port(void);
