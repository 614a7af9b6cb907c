// The other role of our binary: process 1 of a container without mounts, in which the workload's
// PID namespace lives. It stays connected to the tether, an abstract socket that the sidecar's init
// holds in the shared network namespace; when that end closes, it exits and the kernel ends
// everything in the namespace. On its own abstract socket "<tether>.holder" it takes one command,
// from peers outside the namespace only (SO_PEERCRED pid 0): end the processes that carry
// OCHOPOD_EXEC=<id> in their environment (an engine exec outlives its caller). Reaps. Parses
// nothing else.
#pragma once
// Exit status. tether: name of the abstract socket without the leading NUL.
int holder_main(const char *tether);

// The sidecar's side: asks the holder of `tether` to end the exec `id` (36 characters of a uuid).
// Never blocks; what fails is logged.
void holder_end_exec(const char *tether, const char *id);
