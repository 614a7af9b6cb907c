// The sidecar's side of the holder, ochopod-holder (holder_main.c): process 1 of a container in
// which the workload's PID namespace lives.
#pragma once

// Asks the holder of `tether` (name of an abstract socket without the leading NUL) to end the exec
// `id` (36 characters of a uuid). Never blocks; what fails is logged. After holder_end_exec_through
// another process is told to do so over fd (a SOCK_SEQPACKET), where holder_serve does it; this one
// needs no unix socket then.
void holder_end_exec(const char *tether, const char *id);
void holder_end_exec_through(int fd);
void holder_serve(int fd, const char *tether); // one message; ends the process on a bad one
