// Names to addresses, blocking: for a thread that may wait. Looked up here, or, once names_use was
// called, by another process, so that whoever parses the network need not open the files that say
// how, nor speak with name servers. Any thread.
#pragma once

// Literals, as getaddrinfo orders them; NULL-ended, text_list_free. NULL: none was found.
char **names_find(const char *host);

void names_use(int fd); // a SOCK_SEQPACKET to a process in names_serve; before threads
// That process: forks a child for each name, so that one that hangs holds up nobody. Never returns;
// ends with the asker.
_Noreturn void names_serve(int fd);
