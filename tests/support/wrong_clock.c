/* A machine that has just booted and whose wall clock was never set: time moves on, from the moment that the
   environment names, under the boot id of another file. The monotonic clocks are left alone, and adjtimex(2) says that
   no time service is at work. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static long long offset_seconds;

__attribute__((constructor)) static void begin(void) {
    struct timespec now;
    const char *wanted = getenv("WRONG_CLOCK_STARTS_AT");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_clock_gettime(CLOCK_REALTIME, &now);
    offset_seconds = wanted ? atoll(wanted) - (long long)now.tv_sec : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = real_clock_gettime(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset_seconds;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec wrong;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &wrong);
    now->tv_sec = wrong.tv_sec;
    now->tv_usec = wrong.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec wrong;
    clock_gettime(CLOCK_REALTIME, &wrong);
    if (out)
        *out = wrong.tv_sec;
    return wrong.tv_sec;
}

int adjtimex(struct timex *state) {
    (void)state;
    return TIME_ERROR;
}

static const char *elsewhere(const char *path) {
    const char *boot_id = getenv("WRONG_CLOCK_BOOT_ID_FILE");
    return boot_id && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? boot_id : path;
}

static int open_as(const char *name, const char *path, int flags, mode_t mode) {
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
    return real_open(elsewhere(path), flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_as("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_as("open64", path, flags, mode);
}
