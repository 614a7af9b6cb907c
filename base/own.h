// Scope release. A variable declared with auto_x is released when its scope ends; take_ptr moves it
// out, so that short functions have no release lines at all.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void own_free(void *p) {
    free(*(void **)p);
}
static inline void own_close(const int *fd) {
    if (*fd >= 0)
        close(*fd);
}
static inline void own_fclose(FILE **f) {
    if (*f)
        fclose(*f);
}
static inline void *own_take(void *p) {
    void **where = p;
    void *it = *where;
    *where = NULL;
    return it;
}
static inline int own_take_fd(int *fd) {
    int it = *fd;
    *fd = -1;
    return it;
}

#define auto_free   __attribute__((cleanup(own_free)))
#define auto_fd     __attribute__((cleanup(own_close)))
#define auto_file   __attribute__((cleanup(own_fclose)))
#define take_ptr(p) ((__typeof__(p))own_take(&(p)))
#define take_fd(fd) own_take_fd(&(fd))
