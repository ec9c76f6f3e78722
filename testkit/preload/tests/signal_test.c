// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf(2) in a signal handler: answered, or EBUSY when the handler interrupted the library. Never a deadlock,
 * never a damaged map. Only barebpf says EBUSY; a kernel does not run handlers inside a system call.
 */
#include "client.h" /* first: it asks for what Linux has beyond C */

#include <signal.h>
#include <sys/time.h>

static int shared;
static volatile unsigned answered, busy, wrong;

static void on_signal(int signal) {
    (void)signal;
    const int saved = errno;
    __u32 key = 1;
    __u64 value = 0;
    if (lookup(shared, &key, &value) == 0)
        ++*(value == 42 ? &answered : &wrong);
    else
        ++*(errno == EBUSY ? &busy : &wrong);
    /* Closing works wherever it is: what cannot be released here is released later. */
    int fd = create_array(0);
    if (fd >= 0 ? close(fd) != 0 : errno != EBUSY) ++wrong;
    errno = saved;
}

int main(void) {
    shared = create_array(0);
    int hash = create_map(BPF_MAP_TYPE_HASH, 4, 8, 64, 0);
    __u32 key = 1;
    __u64 value = 42;
    CHECK(shared > 2 && hash > 2 && update(shared, &key, &value) == 0);

    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 100}, {0, 100}};
    setitimer(ITIMER_REAL, &often, NULL);
    for (long i = 0; i < 20000000 && (busy < 50 || answered < 5); ++i) {
        key = (__u32)i % 64;
        value = key;
        CHECK(update(hash, &key, &value) == 0);
        CHECK(lookup(hash, &key, &value) == 0 && value == key);
        if (i % 64 == 0)
            for (volatile int rest = 0; rest < 2000; ++rest) {
            }
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    CHECK(busy >= 50);
    CHECK(answered >= 5);
    CHECK(wrong == 0);
    CHECK(first_value(shared) == 0);
    return finish();
}
