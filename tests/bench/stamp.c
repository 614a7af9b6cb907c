// A workload that says when it came to life: its first act is a line with CLOCK_BOOTTIME in
// nanoseconds, appended to the file that argv names. Then it sleeps until it is killed. Static and
// alone in its image, so that what is measured is the engine and whoever asked it to start us.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    signal(SIGTERM, _exit); // as process 1 nothing else would end it
    if (argc > 1) {
        char line[32];
        int len = snprintf(line, sizeof line, "%lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
        int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, line, (size_t)len) != len) {
            perror(argv[1]);
            return 1;
        }
        close(fd);
    }
    for (;;)
        pause();
}
