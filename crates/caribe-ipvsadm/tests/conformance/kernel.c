/* A kernel with IPVS, as far as ipvsadm's calls see it: every call is told on standard error and
 * succeeds, and the table is empty. Loaded into the real ipvsadm by LD_PRELOAD, so that it can be
 * asked what it thinks of a command line on a machine without IPVS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { FIRST = 1152, INFO = 1153, ONE_SERVICE = 1155, DAEMONS = 1159, LAST = 1168 };

int getsockopt(int fd, int level, int name, void *value, socklen_t *length) {
    static int (*real)(int, int, int, void *, socklen_t *);
    if (!real)
        real = (int (*)(int, int, int, void *, socklen_t *))dlsym(RTLD_NEXT, "getsockopt");
    if (level != 0 || name < FIRST || name > LAST)
        return real(fd, level, name, value, length);
    if (name == INFO) {
        const unsigned info[3] = {0x010201, 4096, 0};
        memcpy(value, info, sizeof info);
        return 0;
    }
    fprintf(stderr, "get %d\n", name);
    if (name == ONE_SERVICE) {
        errno = ESRCH;
        return -1;
    }
    /* ipvsadm 1.31 names more room for the two daemons than it has. */
    memset(value, 0, name == DAEMONS ? 48 : *length);
    return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
    static int (*real)(int, int, int, const void *, socklen_t);
    if (!real)
        real = (int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT, "setsockopt");
    if (level != 0 || name < FIRST || name > LAST)
        return real(fd, level, name, value, length);
    fprintf(stderr, "set %d ", name);
    for (socklen_t at = 0; at < length; at++)
        fprintf(stderr, "%02x", ((const unsigned char *)value)[at]);
    fprintf(stderr, "\n");
    return 0;
}
