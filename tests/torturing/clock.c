/* A wall clock that a test moves, for one process: preload it, with CLOCK_AHEAD naming a file of eight bytes, the seconds
 * that the clock is ahead of the machine's. The file may be written at any time. As with a real clock that is set, time
 * that only ever goes on (CLOCK_MONOTONIC) stays as it is, and who waits until a time of the day waits until the clock
 * shows it: longer than meant when it is set back meanwhile. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define LOOK (20 * 1000000LL) /* nanoseconds between two looks at the clock while waiting for it */

static volatile int64_t none;
static volatile int64_t *ahead = &none;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_AHEAD");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) ahead = mapped;
    close(file);
}

static int moved(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, clock, at);
    if (!failed && moved(clock)) at->tv_sec += *ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    if (!failed) *at = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *at, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, at) ? base : 0;
}

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict lock,
                           const struct timespec *restrict until) {
    for (;;) {
        int64_t left = until->tv_sec * SECOND + until->tv_nsec - nanoseconds(CLOCK_REALTIME);
        if (left <= 0) return ETIMEDOUT;
        int64_t next = nanoseconds(CLOCK_MONOTONIC) + (left < LOOK ? left : LOOK);
        struct timespec look = {next / SECOND, next % SECOND};
        int answer = pthread_cond_clockwait(condition, lock, CLOCK_MONOTONIC, &look);
        if (answer != ETIMEDOUT) return answer;
    }
}

/* The same of C11, which glibc makes of the above without asking for it by name. */
int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict lock, const struct timespec *restrict until) {
    int answer = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)lock, until);
    return answer == ETIMEDOUT ? thrd_timedout : answer ? thrd_error : thrd_success;
}
