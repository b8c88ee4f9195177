/* Stands between a process and the C library, and strikes at the n-th change to a file.
 *
 * Every library of the process goes this way, be it written in C++ (DuckDB), Rust (Lance, Polars)
 * or Python, so the instants counted here are all the instants at which a kill could leave the
 * files of a folder in another state. Nothing happens before `strike_at` is called.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, TEAR, FULL, READ_ONLY };

static char folder[PATH_MAX];
static int mode, logged = -1;
static long at = -1;
static atomic_long seen;

/* Strike at the n-th change (from 1) to what lies in the folder; its path must be absolute. */
void strike_at(const char *path, int how, long n) {
    snprintf(folder, sizeof folder, "%s", path);
    atomic_store(&seen, 0);
    mode = how;
    at = n;
}

/* How many changes there were since. */
long changes_seen(void) { return atomic_load(&seen); }

/* Write the name of every change into a file descriptor; -1 for none. */
void log_changes(int fd) { logged = fd; }

static int inside(int dir, const char *path) {
    char whole[PATH_MAX * 2 + 2], link[64];
    if (at < 0) return 0;
    if (path[0] == '/') return strncmp(path, folder, strlen(folder)) == 0;
    if (dir == AT_FDCWD) {
        if (!getcwd(whole, PATH_MAX)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t n = readlink(link, whole, PATH_MAX - 1);
        if (n < 0) return 0;
        whole[n] = 0;
    }
    strcat(whole, "/");
    strncat(whole, path, PATH_MAX - 1);
    return strncmp(whole, folder, strlen(folder)) == 0;
}

static int known(int fd) {
    struct stat found;
    /* Nobody's data hang on a lock file, and a terminal or a pipe is not in the folder. */
    if (at < 0 || fstat(fd, &found) || !S_ISREG(found.st_mode)) return 0;
    return inside(fd, "");
}

static const char *short_name(const char *path) {
    const char *name = strrchr(path, '/');
    return name ? name + 1 : path;
}

/* Whether this change is the one, or comes after it; ends the process where it is to be killed. */
static int struck(const char *call, const char *name) {
    long n = atomic_fetch_add(&seen, 1) + 1;
    if (logged >= 0) dprintf(logged, "%ld %s %s\n", n, call, name ? short_name(name) : "");
    if (mode == COUNT || n < at) return 0;
    if (mode == KILL) kill(getpid(), SIGKILL);
    return 1;
}

#define REAL(result, name, ...)                                                                   \
    static result (*real)(__VA_ARGS__);                                                           \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

#define FAILING (mode == READ_ONLY ? EROFS : ENOSPC)
#define GROWING (mode == FULL || mode == READ_ONLY)
#define DIE kill(getpid(), SIGKILL)

/* A torn write: half of it reaches the file, and the process ends. */
#define WRITING(call, whole, half)                                                                \
    if (known(fd) && struck(#call, NULL)) {                                                       \
        if (mode == TEAR) { if (half) {} DIE; }                                                   \
        if (GROWING) { errno = FAILING; return -1; }                                              \
    }                                                                                             \
    return whole

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    WRITING(write, real(fd, data, size), real(fd, data, size / 2) < 0);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    WRITING(pwrite, real(fd, data, size, place), real(fd, data, size / 2, place) < 0);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    WRITING(pwrite, real(fd, data, size, place), real(fd, data, size / 2, place) < 0);
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    WRITING(writev, real(fd, parts, n), real(fd, parts, n / 2) < 0);
}

int ftruncate(int fd, off_t size) {
    REAL(int, ftruncate, int, off_t);
    WRITING(ftruncate, real(fd, size), 0);
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, ftruncate64, int, off64_t);
    WRITING(ftruncate, real(fd, size), 0);
}

int posix_fallocate(int fd, off_t place, off_t size) {
    REAL(int, posix_fallocate, int, off_t, off_t);
    if (known(fd) && struck("fallocate", NULL) && GROWING) return FAILING;
    return real(fd, place, size);
}

int posix_fallocate64(int fd, off64_t place, off64_t size) {
    REAL(int, posix_fallocate64, int, off64_t, off64_t);
    if (known(fd) && struck("fallocate", NULL) && GROWING) return FAILING;
    return real(fd, place, size);
}

/* Opening changes a folder where it makes a file, and a file where it empties it. */
static int opening(int dir, const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    int makes = (flags & O_CREAT) && faccessat(dir, path, F_OK, 0) != 0;
    int changes = makes || (flags & O_TRUNC);
    if (!(changes || (writes && mode == READ_ONLY)) || !inside(dir, path)) return 0;
    return struck(makes ? "make" : "empty", path) && (mode == READ_ONLY || (mode == FULL && makes));
}

#define RIGHTS                                                                                    \
    mode_t rights = 0;                                                                            \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                          \
        va_list more;                                                                             \
        va_start(more, flags);                                                                    \
        rights = va_arg(more, mode_t);                                                            \
        va_end(more);                                                                             \
    }

#define OPEN(name)                                                                                \
    int name(const char *path, int flags, ...) {                                                  \
        REAL(int, name, const char *, int, ...);                                                  \
        RIGHTS                                                                                    \
        if (opening(AT_FDCWD, path, flags)) { errno = FAILING; return -1; }                       \
        return real(path, flags, rights);                                                         \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                              \
    int name(int dir, const char *path, int flags, ...) {                                         \
        REAL(int, name, int, const char *, int, ...);                                             \
        RIGHTS                                                                                    \
        if (opening(dir, path, flags)) { errno = FAILING; return -1; }                            \
        return real(dir, path, flags, rights);                                                    \
    }
OPENAT(openat)
OPENAT(openat64)

static FILE *opened(FILE *(*real)(const char *, const char *), const char *path, const char *how) {
    int flags = how[0] == 'r' ? (strchr(how, '+') ? O_RDWR : O_RDONLY)
                              : O_WRONLY | O_CREAT | (how[0] == 'w' ? O_TRUNC : 0);
    if (opening(AT_FDCWD, path, flags)) { errno = FAILING; return NULL; }
    return real(path, how);
}

FILE *fopen(const char *path, const char *how) {
    REAL(FILE *, fopen, const char *, const char *);
    return opened(real, path, how);
}

FILE *fopen64(const char *path, const char *how) {
    REAL(FILE *, fopen64, const char *, const char *);
    return opened(real, path, how);
}

/* Moving and removing need no space, so a full disk lets them be. */
#define NAMING(call, dir, path, takes_space)                                                      \
    if (inside(dir, path) && struck(call, path)                                                   \
        && (mode == READ_ONLY || (mode == FULL && takes_space))) {                                \
        errno = FAILING;                                                                          \
        return -1;                                                                                \
    }

int mkdir(const char *path, mode_t rights) {
    REAL(int, mkdir, const char *, mode_t);
    if (access(path, F_OK)) { NAMING("mkdir", AT_FDCWD, path, 1) }
    return real(path, rights);
}

int rename(const char *old, const char *path) {
    REAL(int, rename, const char *, const char *);
    NAMING("rename", AT_FDCWD, path, 0)
    return real(old, path);
}

int renameat(int from, const char *old, int dir, const char *path) {
    REAL(int, renameat, int, const char *, int, const char *);
    NAMING("rename", dir, path, 0)
    return real(from, old, dir, path);
}

int renameat2(int from, const char *old, int dir, const char *path, unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    NAMING("rename", dir, path, 0)
    return real(from, old, dir, path, flags);
}

int link(const char *old, const char *path) {
    REAL(int, link, const char *, const char *);
    NAMING("link", AT_FDCWD, path, 1)
    return real(old, path);
}

int linkat(int from, const char *old, int dir, const char *path, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    NAMING("link", dir, path, 1)
    return real(from, old, dir, path, flags);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    NAMING("unlink", AT_FDCWD, path, 0)
    return real(path);
}

int unlinkat(int dir, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    NAMING("unlink", dir, path, 0)
    return real(dir, path, flags);
}

int remove(const char *path) {
    REAL(int, remove, const char *);
    NAMING("unlink", AT_FDCWD, path, 0)
    return real(path);
}

int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    NAMING("rmdir", AT_FDCWD, path, 0)
    return real(path);
}
