// What an intruder would try in one of our processes, and which of them may do it: shared by the
// unit test of the sandbox, which tries it in children, and by the attacked build (attacked.c), in
// which the real processes of a real sidecar do.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum attack_step {
    OPENS_A_FILE,
    READS_A_SECRET,
    READS_THE_STATE,
    READS_THE_HOSTS, // of the files that say who is asked for addresses
    WRITES_A_FILE,
    MAKES_A_DEVICE,
    UNIX_SOCKET,
    WIDE_UNIX_SOCKET, // a family of 64 bits, of which the kernel reads 32
    TCP_SOCKET,
    LISTENS,
    RAW_SOCKET,
    DATAGRAM_PAIR,
    RECONNECTS_A_PAIR,
    HOLDS_A_FOLDER, // a descriptor of one, left over
    HOLDS_THE_ENGINE,
    SIGNALS_INIT,
    READS_INITS_WORDS, // which all may see who see files
    READS_INITS_ENVIRONMENT,
    READS_INITS_MEMORY, // by its file
    TAKES_A_DESCRIPTOR, // of init
    MAKES_CODE,
    BECOMES_ROOT,
    BECOMES_ANOTHER,
    TAKES_A_GROUP,
    TAKES_A_CAPABILITY,
    // What ends the process where it is refused.
    EXECUTES,
    EXECUTES_MEMORY,
    FORKS,
    OLD_FORKS, // by the number that glibc does not use any more
    OLD_CALLS, // of 32 bits, whose numbers mean something else
    TRACES,
    READS_A_SIBLING,
    MOUNTS,
    MOUNTS_ANEW, // by the calls that came later
    TAKES_A_TREE,
    CHANGES_ROOT,
    MAKES_A_NAMESPACE,
    FORKS_A_NAMESPACE,
    FORKS_IT_UNSEEN, // clone3, whose flags no filter sees
    ENTERS_A_NAMESPACE,
    OPENS_BY_HANDLE,
    LOADS_A_PROGRAM, // bpf
    RINGS,           // io_uring, whose work no filter sees
    TAKES_A_KEY,
    STEPS
};
extern const char *const attack_step_names[STEPS];

enum attack_outcome {
    ATTACK_NONE,
    ATTACK_BEGUN,   // and not come back from
    ATTACK_DONE,    // it works
    ATTACK_REFUSED, // EPERM, EACCES and the like
    ATTACK_OTHER,   // fails for another reason: the step itself is wrong
    ATTACK_ENDED    // by a signal that says so: SIGSYS
};
extern const char *const attack_outcome_names[];

// What the steps are aimed at.
struct attack_aim {
    pid_t init;         // whose memory and descriptors are wanted
    const char *file;   // of everybody
    const char *secret; // of root alone
    const char *state;  // the pod's
    const char *socket; // somebody listens there; abstract when it begins with @
};

// ATTACK_DONE, ATTACK_REFUSED or ATTACK_OTHER, unless it ends the process or makes it another.
enum attack_outcome attack_take(enum attack_step step, const struct attack_aim *aim);
// How a process that was at it ended.
enum attack_outcome attack_ended(int wait_status);

// Whether that is what the sandbox promises, for steps that are the process's own business (bits of
// `may`) and for the others.
bool attack_is_right(enum attack_step step, uint64_t may, enum attack_outcome outcome);
#define ATTACK(step) (UINT64_C(1) << (step))

// What each process may when all its filters are on.
#define ATTACK_WORKER (ATTACK(TCP_SOCKET))
#define ATTACK_BROKER (ATTACK(UNIX_SOCKET) | ATTACK(HOLDS_THE_ENGINE))
#define ATTACK_NAMES  (ATTACK(READS_THE_HOSTS) | ATTACK(TCP_SOCKET) | ATTACK(FORKS))
#define ATTACK_SEES                                                                                \
    (ATTACK(OPENS_A_FILE) | ATTACK(READS_A_SECRET) | ATTACK(READS_THE_STATE) |                     \
     ATTACK(READS_THE_HOSTS) | ATTACK(READS_INITS_WORDS))
// Root, as the files that it renders have owners; it writes below the targets alone.
#define ATTACK_JOB (ATTACK_SEES | ATTACK(SIGNALS_INIT))
// So does what a hook executes, which is the user's own.
#define ATTACK_RUNNER                                                                              \
    (ATTACK_SEES | ATTACK(WRITES_A_FILE) | ATTACK(DATAGRAM_PAIR) | ATTACK(SIGNALS_INIT) |          \
     ATTACK(MAKES_CODE) | ATTACK(BECOMES_ROOT) | ATTACK(EXECUTES) | ATTACK(EXECUTES_MEMORY) |      \
     ATTACK(FORKS) | ATTACK(OLD_FORKS))
#define ATTACK_PORTAL (ATTACK_RUNNER | ATTACK(TCP_SOCKET) | ATTACK(LISTENS))
