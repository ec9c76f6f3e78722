// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An ordinary libbpf program with a skeleton: a reader and a writer of the ring buffers of ring.bpf.c.
 *
 *     ring_client            Exit status: 0, 1 if something differs from what Linux does, 77 if bpf(2) is not permitted.
 *     ring_client --dump     writes what it maps after a sequence of operations to standard output, byte by byte
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "testkit/data/programs/ring.h"

#include "ring.skel.h" /* after its types */

enum { kPage = 4096, kSize = 16384, kUserSize = 8192 };

static int failures;

#define EXPECT(condition)                                                                \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            fprintf(stderr, "ring_client.c:%d: not so: %s (%s)\n", __LINE__, #condition, \
                    strerror(errno));                                                    \
            ++failures;                                                                  \
        }                                                                                \
    } while (0)

#define EXPECT_ERROR(error, call) \
    do {                          \
        errno = 0;                \
        EXPECT((long)(call) < 0); \
        EXPECT(errno == (error)); \
    } while (0)

static struct ring* skeleton;

static int run(struct bpf_program* program, unsigned times) {
    static unsigned char packet[64];
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet),
                .repeat = (int)times);
    EXPECT(bpf_prog_test_run_opts(bpf_program__fd(program), &options) == 0);
    return (int)options.retval;
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────────── */

struct reader {
    unsigned records, bad;
    __u64 next; /* number */
    unsigned enough;
};

static int on_event(void* context, void* data, size_t size) {
    struct reader* reader = context;
    const struct event* event = data;
    int good = size == sizeof(*event) && event->number >= reader->next && event->length == 20;
    for (unsigned i = 0; good && i < 20; ++i) good = event->text[i] == (char)(event->number + i);
    reader->bad += !good;
    reader->next = event->number + 1;
    ++reader->records;
    return reader->records == reader->enough ? -7 : 0;
}

static void check_reading(void) {
    struct reader reader = {0};
    int fd = bpf_map__fd(skeleton->maps.events);
    struct ring_buffer* ring = ring_buffer__new(fd, on_event, &reader, NULL);
    EXPECT(ring != NULL);
    if (!ring) return;
    EXPECT(ring_buffer__poll(ring, 0) == 0);
    EXPECT(run(skeleton->progs.reserve, 5) == XDP_PASS);
    EXPECT(ring_buffer__poll(ring, 1000) == 5 && reader.records == 5 && reader.bad == 0);
    EXPECT(ring_buffer__poll(ring, 10) == 0);

    /* Committed without a wake-up: epoll does not know. */
    skeleton->bss->orders.flags = BPF_RB_NO_WAKEUP;
    EXPECT(run(skeleton->progs.reserve, 3) == XDP_PASS);
    EXPECT(ring_buffer__poll(ring, 10) == 0);
    EXPECT(ring_buffer__consume(ring) == 3);
    skeleton->bss->orders.flags = BPF_RB_FORCE_WAKEUP;
    EXPECT(run(skeleton->progs.reserve, 2) == XDP_PASS);
    EXPECT(ring_buffer__poll(ring, 1000) == 2);
    skeleton->bss->orders.flags = 0;

    /* Every third is discarded. */
    skeleton->bss->orders.number = reader.next = 300;
    skeleton->bss->orders.discard = 3;
    EXPECT(run(skeleton->progs.reserve, 9) == XDP_PASS);
    EXPECT(ring_buffer__consume(ring) == 6 && reader.bad == 0);
    skeleton->bss->orders.discard = 0;

    /* 40 bytes a record. */
    const unsigned most = (kSize - 1) / 40;
    EXPECT(run(skeleton->progs.reserve, most + 7) == XDP_DROP);
    EXPECT(skeleton->bss->answers.refused == 7);
    EXPECT(ring_buffer__poll(ring, 1000) == (int)most && reader.bad == 0);

    /* The callback has enough; what it saw last was consumed. */
    EXPECT(run(skeleton->progs.reserve, 4) == XDP_PASS);
    reader.enough = reader.records + 2;
    EXPECT(ring_buffer__poll(ring, 1000) == -7);
    EXPECT(ring_buffer__poll(ring, 1000) == 2);
    ring_buffer__free(ring);
}

/* ── Readiness ───────────────────────────────────────────────────────────────────────────────── */

static int ready_by_poll(int fd, short events) {
    struct pollfd entry = {.fd = fd, .events = events};
    EXPECT(poll(&entry, 1, 0) >= 0);
    return entry.revents;
}

static int ready_by_select(int fd) {
    struct timeval none = {0, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &none);
}

static int ready_by_epoll(int epoll) {
    struct epoll_event event;
    return epoll_wait(epoll, &event, 1, 0);
}

/* Readable exactly while something is there, by every name of the descriptor and in every way to ask. */
static void check_readiness(void) {
    int fd = bpf_map__fd(skeleton->maps.events), copy = dup(fd);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN};
    volatile __u64* consumer = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0);
    const volatile __u64* producer = mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, kPage);
    EXPECT(consumer != MAP_FAILED && producer != MAP_FAILED && copy >= 0);
    EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, copy, &wanted) == 0);
    for (unsigned round = 0; round < 3; ++round) {
        skeleton->bss->orders.flags = round == 1 ? BPF_RB_NO_WAKEUP : 0;
        EXPECT(ready_by_poll(fd, POLLIN) == 0 && ready_by_poll(copy, POLLIN) == 0);
        EXPECT(ready_by_select(fd) == 0 && ready_by_epoll(epoll) == 0);
        EXPECT(run(skeleton->progs.reserve, 1) == XDP_PASS);
        for (unsigned again = 0; again < 3; ++again) {
            EXPECT(ready_by_poll(fd, POLLIN | POLLOUT) == POLLIN);
            EXPECT(ready_by_poll(copy, POLLIN) == POLLIN);
            EXPECT(ready_by_select(copy) == 1);
            /* Nobody was woken in round 1; what then tells epoll is another poll at the most. */
            EXPECT(ready_by_epoll(epoll) == 1 || round == 1);
        }
        *consumer = *producer;
    }
    skeleton->bss->orders.flags = 0;
    /* A position that makes no sense is not an empty ring either. */
    *consumer = *producer + 8;
    EXPECT(ready_by_poll(fd, POLLIN) == POLLIN);
    *consumer = *producer;
    munmap((void*)consumer, kPage);
    munmap((void*)producer, kPage);
    close(epoll);
    close(copy);
}

enum { kThreads = 3, kRuns = 20000 };

static void* write_many(void* unused) {
    (void)unused;
    for (unsigned i = 0; i < kRuns; ++i) {
        while (run(skeleton->progs.reserve, 1) == XDP_DROP) sched_yield();
    }
    return NULL;
}

static int count_event(void* context, void* data, size_t size) {
    const struct event* event = data;
    *(unsigned*)context += size == sizeof(*event) && event->text[1] == (char)(event->number + 1);
    return 0;
}

/* Writers and a reader that sleeps whenever there is nothing. */
static void check_wake_ups(void) {
    unsigned seen = 0;
    pthread_t threads[kThreads];
    struct ring_buffer* ring =
        ring_buffer__new(bpf_map__fd(skeleton->maps.events), count_event, &seen, NULL);
    EXPECT(ring != NULL);
    if (!ring) return;
    for (unsigned i = 0; i < kThreads; ++i) {
        EXPECT(pthread_create(&threads[i], NULL, write_many, NULL) == 0);
    }
    /* It may wake for a record that is not complete yet; it may not sleep while there is one. */
    while (seen < kThreads * kRuns) {
        time_t began = time(NULL);
        unsigned before = seen;
        EXPECT(ring_buffer__poll(ring, 10000) >= 0);
        EXPECT(seen > before || time(NULL) - began < 9);
    }
    for (unsigned i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
    EXPECT(seen == kThreads * kRuns);
    EXPECT(ring_buffer__poll(ring, 0) == 0);
    ring_buffer__free(ring);
}

/* ── Mappings ────────────────────────────────────────────────────────────────────────────────── */

static void check_mapping(int fd, long page, long pages, int protection, int error) {
    void* at = mmap(NULL, (size_t)(pages * kPage), protection, MAP_SHARED, fd, page * kPage);
    if (!error) {
        EXPECT(at != MAP_FAILED);
        if (at == MAP_FAILED) return;
        if (!(protection & PROT_WRITE) && page) {
            EXPECT_ERROR(EACCES, mprotect(at, kPage, PROT_READ | PROT_WRITE));
        }
        munmap(at, (size_t)(pages * kPage));
        return;
    }
    if (at != MAP_FAILED || errno != error) {
        fprintf(stderr, "mmap of %ld pages from %ld, protection %d: %s\n", pages, page, protection,
                strerror(errno));
        ++failures;
    }
}

static void check_mappings(void) {
    const int both = PROT_READ | PROT_WRITE;
    const long data = kSize / kPage, user_data = kUserSize / kPage;
    int fd = bpf_map__fd(skeleton->maps.events), user_fd = bpf_map__fd(skeleton->maps.requests);
    check_mapping(fd, 0, 1, both, 0);
    check_mapping(fd, 0, 2, both, EPERM);
    check_mapping(fd, 1, 1, both, EPERM);
    check_mapping(fd, 2, 1, both, EPERM);
    check_mapping(fd, 0, 1, PROT_READ, 0);
    check_mapping(fd, 1, 1 + 2 * data, PROT_READ, 0);
    check_mapping(fd, 0, 2 + 2 * data, PROT_READ, 0);
    check_mapping(fd, 1, 2 + 2 * data, PROT_READ, EINVAL);
    check_mapping(fd, 2 + 2 * data, 1, PROT_READ, EINVAL);
    check_mapping(user_fd, 0, 1, both, EPERM);
    check_mapping(user_fd, 0, 1, PROT_READ, 0);
    check_mapping(user_fd, 1, 1 + 2 * user_data, both, 0);
    check_mapping(user_fd, 1, 2 + 2 * user_data, both, EINVAL);
    errno = 0;
    EXPECT(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EINVAL);
}

/* ── Other ways to write, and to ask ─────────────────────────────────────────────────────────── */

static int count_bytes(void* context, void* data, size_t size) {
    struct ring_answers* seen = context;
    (void)data;
    seen->samples += 1;
    seen->bytes += size;
    return 0;
}

static void check_writing(void) {
    struct ring_answers seen = {0};
    struct ring_buffer* ring =
        ring_buffer__new(bpf_map__fd(skeleton->maps.events), count_bytes, &seen, NULL);
    struct ring_answers* answers = &skeleton->bss->answers;
    EXPECT(ring != NULL);
    if (!ring) return;
    for (unsigned size = 0; size <= 4096; size += size < 20 ? 1 : 509) {
        skeleton->bss->orders.size = size;
        EXPECT(run(skeleton->progs.output, 2) == XDP_PASS);
        seen = (struct ring_answers){0};
        EXPECT(ring_buffer__consume(ring) == 2 && seen.bytes == 2 * size);
    }
    skeleton->bss->orders.flags = 4;
    EXPECT(run(skeleton->progs.output, 1) == XDP_DROP && answers->result == -EINVAL);
    skeleton->bss->orders.flags = 0;

    skeleton->bss->orders.size = 1000;
    seen = (struct ring_answers){0};
    EXPECT(run(skeleton->progs.by_dynptr, 3) == XDP_PASS);
    EXPECT(ring_buffer__poll(ring, 1000) == 3 && seen.bytes == 3000);
    skeleton->bss->orders.size = 16;
    EXPECT(run(skeleton->progs.by_dynptr, 1) == XDP_ABORTED);
    skeleton->bss->orders.size = kSize;
    EXPECT(run(skeleton->progs.by_dynptr, 1) == XDP_DROP && answers->result == -EINVAL);
    EXPECT(ring_buffer__consume(ring) == 0);

    skeleton->bss->orders.size = 4096;
    EXPECT(run(skeleton->progs.output, 5) == XDP_DROP && answers->result == -EAGAIN);
    EXPECT(run(skeleton->progs.query, 1) == XDP_PASS);
    EXPECT(answers->queries[0] == 3 * 4104 && answers->queries[1] == kSize);
    EXPECT(answers->queries[3] - answers->queries[2] == answers->queries[0]);
    EXPECT(answers->queries[4] == 0);
    EXPECT(ring_buffer__consume(ring) == 3);
    ring_buffer__free(ring);
}

/* ── The ring that we write ──────────────────────────────────────────────────────────────────── */

static unsigned send_numbers(struct user_ring_buffer* ring, unsigned count, unsigned size) {
    unsigned sent = 0;
    for (unsigned i = 0; i < count; ++i) {
        __u64* sample = user_ring_buffer__reserve(ring, size);
        if (!sample) break;
        *sample = 1000;
        user_ring_buffer__submit(ring, sample);
        ++sent;
    }
    return sent;
}

static void check_user_ring(void) {
    int fd = bpf_map__fd(skeleton->maps.requests);
    struct ring_answers* answers = &skeleton->bss->answers;
    struct user_ring_buffer* ring = user_ring_buffer__new(fd, NULL);
    EXPECT(ring != NULL);
    if (!ring) return;
    *answers = (struct ring_answers){0};
    skeleton->bss->orders.size = 0;
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS && answers->result == 0);
    EXPECT(send_numbers(ring, 3, 8) == 3);
    void* gone = user_ring_buffer__reserve(ring, 100);
    EXPECT(gone != NULL);
    user_ring_buffer__discard(ring, gone);
    EXPECT(send_numbers(ring, 2, 24) == 2);
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS && answers->result == 5);
    EXPECT(answers->samples == 5 && answers->sum == 5000);

    /* One that is not complete holds back what follows. */
    __u64* open = user_ring_buffer__reserve(ring, 8);
    EXPECT(open != NULL && send_numbers(ring, 1, 8) == 1);
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS && answers->result == 0);
    if (open) *open = 7;
    user_ring_buffer__submit(ring, open);
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS && answers->result == 2);
    EXPECT(answers->sum == 6007);

    /* Full, and the callback that stops. */
    const unsigned most = kUserSize / 16;
    EXPECT(ready_by_poll(fd, POLLOUT) == POLLOUT);
    EXPECT(send_numbers(ring, most + 1, 8) == most);
    EXPECT(ready_by_poll(fd, POLLOUT) == 0);
    errno = 0;
    EXPECT(user_ring_buffer__reserve_blocking(ring, 8, 30) == NULL && errno == ENOSPC);
    skeleton->bss->orders.size = 10;
    answers->samples = 0;
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS && answers->result == 10);
    EXPECT(ready_by_poll(fd, POLLOUT | POLLIN) == POLLOUT);
    EXPECT(send_numbers(ring, most, 8) == 10);
    skeleton->bss->orders.size = 0;
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS && answers->result == (int)most);
    skeleton->bss->orders.flags = 8;
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS && answers->result == -EINVAL);
    skeleton->bss->orders.flags = 0;
    user_ring_buffer__free(ring);
}

static void* drain_later(void* unused) {
    (void)unused;
    usleep(50000);
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS);
    return NULL;
}

static void check_blocking_writer(void) {
    struct user_ring_buffer* ring =
        user_ring_buffer__new(bpf_map__fd(skeleton->maps.requests), NULL);
    pthread_t thread;
    EXPECT(ring != NULL);
    if (!ring) return;
    EXPECT(send_numbers(ring, kUserSize / 16, 8) == kUserSize / 16);
    EXPECT(pthread_create(&thread, NULL, drain_later, NULL) == 0);
    void* sample = user_ring_buffer__reserve_blocking(ring, 8, 10000);
    EXPECT(sample != NULL);
    pthread_join(thread, NULL);
    if (sample) user_ring_buffer__discard(ring, sample);
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS);
    user_ring_buffer__free(ring);
}

/* What a writer that lies gets: a word of its header and a producer position. */
static long drain_after(__u64* producer, char* data, __u32 word, __u64 position) {
    __atomic_store_n((__u32*)data, word, __ATOMIC_RELAXED);
    __atomic_store_n(producer, position, __ATOMIC_RELEASE);
    skeleton->bss->orders.size = 1;
    skeleton->bss->answers.samples = 0;
    EXPECT(run(skeleton->progs.drain, 1) == XDP_PASS);
    skeleton->bss->orders.size = 0;
    return (long)skeleton->bss->answers.result;
}

static void check_hostile_writer(void) {
    const __u32 busy = BPF_RINGBUF_BUSY_BIT, discarded = BPF_RINGBUF_DISCARD_BIT;
    int fd = bpf_map__fd(skeleton->maps.requests);
    char* pages = mmap(NULL, kPage + 2 * kUserSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, kPage);
    const volatile __u64* consumer = mmap(NULL, kPage, PROT_READ, MAP_SHARED, fd, 0);
    EXPECT(pages != MAP_FAILED && consumer != MAP_FAILED);
    __u64* producer = (__u64*)pages;
    const __u64 at = *consumer;
    char* data = pages + kPage + at % kUserSize;
    EXPECT(drain_after(producer, data, 8, at) == 0);
    EXPECT(drain_after(producer, data, 8, at + 15) == -EINVAL);
    EXPECT(drain_after(producer, data, 8, at + 8) == -EINVAL);
    EXPECT(drain_after(producer, data, 9, at + 16) == -EINVAL);
    EXPECT(drain_after(producer, data, 8 | busy, at + 16) == 0);
    EXPECT(drain_after(producer, data, kUserSize - 7, at + 8 * kUserSize) == -E2BIG);
    EXPECT(drain_after(producer, data, discarded - 1, ~7ull) == -E2BIG);
    EXPECT(drain_after(producer, data, discarded - 1, at + kUserSize) == -EINVAL);
    EXPECT(drain_after(producer, data, 8, at - 8) == 0);
    EXPECT(*consumer == at);
    EXPECT(drain_after(producer, data, 8 | discarded | busy, at + 16) == 0);
    EXPECT(*consumer == at + 16);
    data = pages + kPage + *consumer % kUserSize;
    EXPECT(drain_after(producer, data, 0, *consumer + 8) == 1);
    munmap(pages, kPage + 2 * kUserSize);
    munmap((void*)consumer, kPage);
}

/* ── Bytes ───────────────────────────────────────────────────────────────────────────────────── */

static void dump(void) {
    int fd = bpf_map__fd(skeleton->maps.events);
    const size_t size = 2 * kPage + 2 * kSize;
    const char* pages = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    __u64* consumer = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(pages != MAP_FAILED && consumer != MAP_FAILED);
    for (unsigned i = 0; i < sizeof(skeleton->bss->payload); ++i) {
        skeleton->bss->payload[i] = (char)(i * 7 + i / 256);
    }
    for (unsigned round = 0; round < 40; ++round) {
        skeleton->bss->orders.discard = round % 3;
        run(skeleton->progs.reserve, round % 11);
        skeleton->bss->orders.size = round * 97 % 4097;
        run(skeleton->progs.output, round % 4);
        run(skeleton->progs.by_dynptr, round % 3);
        if (round % 5 == 4) *consumer += 40 * (round % 11);
        if (round % 9 == 8) *consumer = *(const __u64*)(pages + kPage);
        if (round % 4 == 3) fwrite(pages, 1, size, stdout);
    }
}

int main(int count, char** arguments) {
    skeleton = ring__open_and_load();
    if (!skeleton) {
        const int not_permitted = errno == EPERM || errno == ENOSYS;
        if (!not_permitted) perror("ring_client: cannot load the programs");
        return not_permitted ? 77 : 1;
    }
    if (count > 1 && strcmp(arguments[1], "--dump") == 0) {
        dump();
    } else {
        check_reading();
        check_readiness();
        check_wake_ups();
        check_mappings();
        check_writing();
        check_user_ring();
        check_blocking_writer();
        check_hostile_writer();
    }
    ring__destroy(skeleton);
    return failures ? 1 : 0;
}
