// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libbpf's perf_buffer, unmodified: events for all CPUs, a program that writes to them in test runs, records
 * read after epoll, losses reported, readiness that goes away when it was told.
 */
#include "client.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>

static unsigned samples, lost, bad;
static unsigned long long last;

static void on_sample(void* context, int cpu, void* data, __u32 size) {
    (void)cpu;
    unsigned long long value;
    memcpy(&value, data, sizeof(value));
    /* 8 bytes of the program, 16 of the packet, the rest of 4 bytes + 24 up to a multiple of 8. */
    if (context != &samples || size != 28 || value != 0x1234 ||
        memcmp((char*)data + 8, "0123456789abcdef", 16))
        ++bad;
    last = value;
    ++samples;
}

static void on_lost(void* context, int cpu, __u64 count) {
    (void)context;
    (void)cpu;
    lost += (unsigned)count;
}

/* perf_event_output(ctx, map, BPF_F_CURRENT_CPU and 16 bytes of the packet, &0x1234, 8); returns -result. */
static int load_program(int map) {
    struct bpf_insn program[] = {
        {BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0x1234},
        {BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_FD, 0, map},
        {0},
        {BPF_LD | BPF_IMM | BPF_DW, 3, 0, 0, -1},
        {0, 0, 0, 0, 16},
        {BPF_ALU64 | BPF_MOV | BPF_X, 4, 10, 0, 0},
        {BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, -8},
        {BPF_ALU64 | BPF_MOV | BPF_K, 5, 0, 0, 8},
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_perf_event_output},
        {BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, -1},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    };
    return bpf_prog_load(BPF_PROG_TYPE_XDP, "output", "GPL", program,
                         sizeof(program) / sizeof(program[0]), NULL);
}

static int run(int program, unsigned times) {
    static char packet[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet),
                .repeat = (int)times);
    CHECK(bpf_prog_test_run_opts(program, &options) == 0);
    return (int)options.retval;
}

static void check_perf_buffer(int map, int program) {
    CHECK(run(program, 1) == ENOENT);
    struct perf_buffer* buffer = perf_buffer__new(map, 8, on_sample, on_lost, &samples, NULL);
    CHECK(buffer != NULL);
    if (!buffer) return;
    CHECK(perf_buffer__poll(buffer, 0) == 0);
    CHECK(run(program, 5) == 0);
    CHECK(perf_buffer__poll(buffer, 1000) == 1 && samples == 5 && last == 0x1234);
    /* What was told is not told again, though the counter behind it was raised. */
    CHECK(perf_buffer__poll(buffer, 20) == 0 && samples == 5);
    CHECK(run(program, 1) == 0);
    CHECK(perf_buffer__poll(buffer, 1000) == 1 && samples == 6);

    /* A ring of 8 pages holds 819 of these records of 40 bytes. */
    CHECK(run(program, 1000) == ENOSPC);
    CHECK(perf_buffer__poll(buffer, 1000) == 1 && samples == 6 + 819 && lost == 0);
    CHECK(run(program, 1) == 0);
    CHECK(perf_buffer__poll(buffer, 1000) == 1 && samples == 6 + 819 + 1 && lost == 181);
    CHECK(perf_buffer__consume(buffer) == 0);
    CHECK(bad == 0);
    perf_buffer__free(buffer);
    CHECK(run(program, 1) == ENOENT); /* libbpf takes its events out of the map */
}

static int open_event(int cpu, int wakeup) {
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
                                   .size = sizeof(attr),
                                   .config = PERF_COUNT_SW_BPF_OUTPUT,
                                   .sample_type = PERF_SAMPLE_RAW,
                                   .wakeup_events = (unsigned)wakeup};
    return (int)syscall(__NR_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* The ways to wait for input, each alike: how many are ready. */
static int by_poll(const int* events, long count, int timeout) {
    struct pollfd fds[64];
    for (long i = 0; i < count; ++i) fds[i] = (struct pollfd){.fd = events[i], .events = POLLIN};
    return poll(fds, (nfds_t)count, timeout);
}
static int by_ppoll(const int* events, long count, int timeout) {
    struct timespec time = {timeout / 1000, timeout % 1000 * 1000000};
    struct pollfd fds[64];
    for (long i = 0; i < count; ++i) fds[i] = (struct pollfd){.fd = events[i], .events = POLLIN};
    return ppoll(fds, (nfds_t)count, &time, NULL);
}
static int fill(fd_set* set, const int* events, long count) {
    int limit = 0;
    FD_ZERO(set);
    for (long i = 0; i < count; ++i) {
        FD_SET(events[i], set);
        if (events[i] >= limit) limit = events[i] + 1;
    }
    return limit;
}
static int members(fd_set* set, const int* events, long count) {
    int found = 0;
    for (long i = 0; i < count; ++i) found += FD_ISSET(events[i], set) != 0;
    return found;
}
/* In two sets; it tells how much time is left. */
static int by_select(const int* events, long count, int timeout) {
    struct timeval time = {timeout / 1000, timeout % 1000 * 1000};
    fd_set in, except;
    int limit = fill(&in, events, count);
    fill(&except, events, count);
    int ready = select(limit, &in, NULL, &except, &time);
    CHECK(ready == members(&in, events, count) && members(&except, events, count) == 0);
    CHECK(time.tv_sec * 1000 + time.tv_usec / 1000 <= timeout);
    if (ready == 0) CHECK(time.tv_sec == 0 && time.tv_usec == 0);
    return ready;
}
static int by_pselect(const int* events, long count, int timeout) {
    const struct timespec time = {timeout / 1000, timeout % 1000 * 1000000};
    sigset_t none;
    fd_set in;
    int limit = fill(&in, events, count);
    sigemptyset(&none);
    int ready = pselect(limit, &in, NULL, NULL, &time, &none);
    CHECK(ready == members(&in, events, count));
    return ready;
}
/* Others beside ours are answered for as well, and a closed one is an error. */
static void check_select_with_others(const int* events, long count) {
    int others[2];
    struct timeval time = {5, 0};
    fd_set in, out;
    CHECK(pipe(others) == 0);
    int limit = fill(&in, events, count);
    fill(&out, &others[1], 1);
    if (others[1] >= limit) limit = others[1] + 1;
    CHECK(select(limit, &in, &out, NULL, &time) == 1 && FD_ISSET(others[1], &out));
    CHECK(members(&in, events, count) == 0);
    close(others[0]);
    close(others[1]);
    fill(&in, events, count);
    FD_SET(others[0], &in);
    CHECK_ERROR(EBADF, select(limit, &in, NULL, NULL, &time));
    CHECK(FD_ISSET(others[0], &in));
}

/* poll(2), its likes and the raw interface, on one event that stands in the slots of all CPUs. */
static void check_poll(int map, int program) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int events[64];
    struct perf_event_mmap_page* rings[64];
    int (*const ways[])(const int*, long, int) = {by_poll, by_ppoll, by_select, by_pselect};
    if (cpus > 64) return;
    for (int cpu = 0; cpu < cpus; ++cpu) {
        events[cpu] = open_event(cpu, 1);
        CHECK(events[cpu] > 2);
        CHECK(update(map, &cpu, &events[cpu]) == 0);
        CHECK_ERROR(EINVAL,
                    mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, events[cpu], 0));
        rings[cpu] = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, events[cpu], 0);
        CHECK(rings[cpu] != MAP_FAILED && rings[cpu]->data_size == 4 * 4096 &&
              rings[cpu]->data_offset == 4096 && rings[cpu]->data_head == 0);
        CHECK(ioctl(events[cpu], PERF_EVENT_IOC_DISABLE, 0) == 0);
    }
    CHECK(run(program, 1) == EOPNOTSUPP);
    for (int cpu = 0; cpu < cpus; ++cpu) CHECK(ioctl(events[cpu], PERF_EVENT_IOC_ENABLE, 0) == 0);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; ++i) {
        CHECK(ways[i](events, cpus, 0) == 0);
        CHECK(run(program, 2) == 0);
        CHECK(ways[i](events, cpus, 1000) == 1);
        CHECK(ways[i](events, cpus, 10) == 0);
    }
    check_select_with_others(events, cpus);
    unsigned long long written = 0;
    for (int cpu = 0; cpu < cpus; ++cpu) written += rings[cpu]->data_head;
    CHECK(written == 4 * 2 * 40);
    for (int cpu = 0; cpu < cpus; ++cpu) {
        __u64 id = 0;
        CHECK(ioctl(events[cpu], PERF_EVENT_IOC_ID, &id) == 0 && id != 0);
        CHECK_ERROR(524, lookup(map, &cpu, &id));
        munmap(rings[cpu], 5 * 4096);
        close(events[cpu]);
    }
    CHECK(run(program, 1) == ENOSPC); /* the slots hold the events, which nobody maps */
}

/* Everything here counts the records of one CPU's ring, so all runs must be on one CPU. */
static void stay_on_this_cpu(void) {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    CHECK(sched_setaffinity(0, sizeof here, &here) == 0);
}

int main(void) {
    stay_on_this_cpu();
    int map =
        create_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, (unsigned)libbpf_num_possible_cpus(), 0);
    int program = load_program(map);
    CHECK(map > 2 && program > 2);
    check_perf_buffer(map, program);
    check_poll(map, program);
    return finish();
}
