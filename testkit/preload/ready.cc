// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// epoll on descriptors of ours (poll, select: poll.cc). The kernel wakes who waits, because a descriptor is an event
// counter that the object's wake-ups raise; whether the object is ready, and for what, only the library
// knows. So what the kernel reports of ours is looked at again before the caller sees it:
//
//     epoll_ctl(ADD, fd of ours)   registered with the address of a Watch instead of the caller's data
//                                  and for EPOLLIN only: a wake-up is there, whatever it is for
//                                  ready already: a wake-up now, so that the kernel tells it
//     epoll_wait()                 event with such an address: object ready?  report it, with the caller's data
//                                  otherwise: take the wake-up back, look once more, or drop it and wait on
//
// A Watch is never freed, only reused: an event that is late finds that it is nobody's, or asks about a
// descriptor that is watched. Edge-triggered and one-shot watches are the kernel's to keep: a dropped event re-arms a one-shot.
//
// Lock: `mutex` guards the table; nothing is called under it but epoll_ctl(2) itself.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

#include "testkit/preload/interpose.h"
#include "testkit/preload/world.h"
#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::preload {
namespace {

using host::Order;

constexpr u32 kMaxWatches = 4096;

struct Watch {
    int epoll;  // -1: unused
    int fd;
    u32 events;
    u64 data;  // the caller's
};

user::Mutex mutex;
__thread bool holding __attribute__((tls_model("initial-exec")));

class TableGuard {
public:
    TableGuard() {
        mutex.lock();
        holding = true;
    }
    ~TableGuard() {
        holding = false;
        mutex.unlock();
    }
    TableGuard(const TableGuard&) = delete;
    TableGuard& operator=(const TableGuard&) = delete;
};

Watch watches[kMaxWatches];
u32 watch_limit;  // those behind were never used
host::Atomic<u32> watch_count;

Next<int(int, epoll_event*, int, int)> next_epoll_wait("epoll_wait");
Next<int(int, epoll_event*, int, int, const sigset_t*)> next_epoll_pwait("epoll_pwait");

Watch* find_locked(int epoll, int fd) {
    for (u32 i = 0; i < watch_limit; ++i) {
        if (watches[i].epoll == epoll && watches[i].fd == fd) return &watches[i];
    }
    return nullptr;
}

Watch* unused_locked() {
    for (u32 i = 0; i < watch_limit; ++i) {
        if (watches[i].epoll < 0) return &watches[i];
    }
    return watch_limit < kMaxWatches ? &watches[watch_limit++] : nullptr;
}

void forget_locked(Watch* watch) {
    watch->epoll = -1;
    watch_count.fetch_sub(1, Order::Relaxed);
}

// Where the caller's data was, an address inside the table.
Watch* watch_of(const epoll_event& event) {
    const u64 first = reinterpret_cast<u64>(watches);
    const u64 offset = event.data.u64 - first;
    if (offset >= sizeof(watches) || offset % sizeof(Watch)) return nullptr;
    return &watches[offset / sizeof(Watch)];
}

// What the counter behind a descriptor of ours is watched for.
u32 for_kernel(u32 events) {
    return (events & ~u32{0xffff}) | EPOLLIN;
}

long control(int epoll, int operation, int fd, epoll_event* event) {
    return raw_syscall(SYS_epoll_ctl, epoll, operation, fd, word(event));
}

long add(int epoll, int fd, const epoll_event& wanted) {
    Watch* watch = unused_locked();
    if (!watch) return -ENOSPC;
    epoll_event event = {.events = for_kernel(wanted.events),
                         .data = {.u64 = reinterpret_cast<u64>(watch)}};
    user::fd_announce(fd);
    const long result = control(epoll, EPOLL_CTL_ADD, fd, &event);
    if (result < 0) {
        watch->epoll = -1;
        return result;
    }
    *watch = {epoll, fd, wanted.events, wanted.data.u64};
    watch_count.fetch_add(1, Order::Relaxed);
    return 0;
}

long change(int epoll, int fd, const epoll_event& wanted) {
    Watch* watch = find_locked(epoll, fd);
    epoll_event event = wanted;
    if (watch) {
        event = {.events = for_kernel(wanted.events),
                 .data = {.u64 = reinterpret_cast<u64>(watch)}};
        user::fd_announce(fd);
    }
    const long result = control(epoll, EPOLL_CTL_MOD, fd, &event);
    if (result == 0 && watch) *watch = {epoll, fd, wanted.events, wanted.data.u64};
    return result;
}

long control_ours(int epoll, int operation, int fd, epoll_event* wanted) {
    TableGuard guard;
    if (operation == EPOLL_CTL_ADD) return add(epoll, fd, *wanted);
    if (operation == EPOLL_CTL_MOD) return change(epoll, fd, *wanted);
    const long result = control(epoll, operation, fd, wanted);
    if (Watch* watch = result == 0 ? find_locked(epoll, fd) : nullptr) forget_locked(watch);
    return result;
}

// Whether the caller sees the event, which is made his own.
bool settle(epoll_event* event) {
    Watch* watch = watch_of(*event);
    if (!watch) return true;
    Watch copy;
    {
        TableGuard guard;
        copy = *watch;
    }
    if (copy.epoll < 0) return false;
    const u32 now = readiness(copy.fd, copy.events & 0xffff);
    if (!now) {
        if (copy.events & EPOLLONESHOT) {
            epoll_event again = {.events = for_kernel(copy.events),
                                 .data = {.u64 = event->data.u64}};
            control(copy.epoll, EPOLL_CTL_MOD, copy.fd, &again);
        }
        return false;
    }
    event->events = now;
    event->data.u64 = copy.data;
    return true;
}

int settle_all(epoll_event* events, int count) {
    int kept = 0;
    for (int i = 0; i < count; ++i) {
        if (settle(&events[i])) events[kept++] = events[i];
    }
    return kept;
}

// The rest of a time-out in milliseconds; negative: none.
class Deadline {
public:
    explicit Deadline(int timeout) : timeout_(timeout), end_(timeout > 0 ? now() + timeout : 0) {}
    int left() const {
        if (timeout_ <= 0) return timeout_;
        const s64 rest = end_ - now();
        return rest > 0 ? static_cast<int>(rest) : 0;
    }

private:
    static s64 now() {
        timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return s64{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
    }

    int timeout_;
    s64 end_;
};

int wait_for_events(int epoll, epoll_event* events, int most, int timeout, const sigset_t* mask) {
    if (mask) {
        if (auto* next = next_epoll_pwait.get()) return next(epoll, events, most, timeout, mask);
    } else if (auto* next = next_epoll_wait.get()) {
        return next(epoll, events, most, timeout);
    }
    return static_cast<int>(with_errno(
        raw_syscall(SYS_epoll_pwait, epoll, word(events), most, timeout, word(mask), sizeof(u64))));
}

int epoll_wait_settled(int epoll, epoll_event* events, int most, int timeout,
                       const sigset_t* mask) {
    if (!watch_count.load(Order::Relaxed) || !has_world()) {
        return wait_for_events(epoll, events, most, timeout, mask);
    }
    const Deadline deadline(timeout);
    for (;;) {
        const int left = deadline.left();
        const int count = wait_for_events(epoll, events, most, left, mask);
        if (count <= 0) return count;
        const int kept = settle_all(events, count);
        if (kept || left == 0) return kept;
    }
}

}  // namespace

u32 readiness(int fd, u32 wanted) {
    wanted |= POLLERR | POLLHUP;
    const u32 now = user::fd_poll(fd) & wanted;
    if (now) return now;
    user::fd_drain(fd);
    const u32 since = user::fd_poll(fd) & wanted;
    // The caller takes it from here, and may leave something: what was told as ready is looked at again at the next
    // wait, so the wake-up that was taken back has to be there again.
    if (since) user::fd_announce(fd);
    return since;
}

void forget_watches_of(int fd) {
    // In a signal handler that interrupted the table's owner: it goes on with what it found.
    if (!watch_count.load(Order::Relaxed) || holding) return;
    TableGuard guard;
    for (u32 i = 0; i < watch_limit; ++i) {
        Watch& watch = watches[i];
        if (watch.epoll < 0 || (watch.epoll != fd && watch.fd != fd)) continue;
        // The counter behind a descriptor of ours has another name in the library, so that closing the
        // descriptor does not end the kernel's record by itself.
        if (watch.fd == fd) control(watch.epoll, EPOLL_CTL_DEL, fd, nullptr);
        forget_locked(&watch);
    }
}

void forget_watches() {
    mutex.forget();
    for (u32 i = 0; i < watch_limit; ++i) watches[i].epoll = -1;
    watch_count.store(0, Order::Relaxed);
}

}  // namespace barebpf::preload

using namespace barebpf;           // NOLINT: the rest is its outer face
using namespace barebpf::preload;  // NOLINT

extern "C" {

int barebpf_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
    const bool needs_event = operation == EPOLL_CTL_ADD || operation == EPOLL_CTL_MOD;
    if (has_world() && machine::fd_is_ours(fd) && (event || !needs_event)) {
        return static_cast<int>(with_errno(control_ours(epoll, operation, fd, event)));
    }
    return static_cast<int>(with_errno(control(epoll, operation, fd, event)));
}

int barebpf_epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
    return epoll_wait_settled(epoll, events, most, timeout, nullptr);
}

int barebpf_epoll_pwait(int epoll, epoll_event* events, int most, int timeout,
                        const sigset_t* mask) {
    return epoll_wait_settled(epoll, events, most, timeout, mask);
}

}  // extern "C"
