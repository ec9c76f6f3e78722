// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// poll, ppoll, select and pselect on descriptors of ours. As with epoll (ready.cc) the kernel wakes who waits, and what it
// reports of ours is looked at again, and dropped if it holds no longer.
//
//     select ── sets ──> pollfds ──┐
//     poll, ppoll ─────────────────┴── ppoll(2) ──> ours: ready? ── none left: wait on for the rest of the time
//
// Where no descriptor is ours all goes to libc as it came.
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "testkit/preload/interpose.h"
#include "testkit/preload/world.h"
#include "testkit/user/user.h"

namespace barebpf::preload {
namespace {

constexpr long kSecond = 1'000'000'000;

Next<int(pollfd*, nfds_t, int)> next_poll("poll");
Next<int(pollfd*, nfds_t, const timespec*, const sigset_t*)> next_ppoll("ppoll");
Next<int(int, fd_set*, fd_set*, fd_set*, timeval*)> next_select("select");
Next<int(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*)> next_pselect("pselect");

// ── Time ──────────────────────────────────────────────────────────────────────────────────────

timespec from_milliseconds(int time) {
    return {time / 1000, time % 1000 * 1'000'000L};
}

// The rest of a time-out; null: there is none.
class Deadline {
public:
    explicit Deadline(const timespec* timeout) : endless_(!timeout) {
        if (!timeout) return;
        clock_gettime(CLOCK_MONOTONIC, &end_);
        end_.tv_sec += timeout->tv_sec;
        end_.tv_nsec += timeout->tv_nsec;
        if (end_.tv_nsec >= kSecond) ++end_.tv_sec, end_.tv_nsec -= kSecond;
        rest_ = *timeout;
    }
    const timespec* rest() const { return endless_ ? nullptr : &rest_; }
    bool over() const { return !endless_ && rest_.tv_sec == 0 && rest_.tv_nsec == 0; }
    void look() {
        if (endless_) return;
        timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        rest_ = {end_.tv_sec - now.tv_sec, end_.tv_nsec - now.tv_nsec};
        if (rest_.tv_nsec < 0) --rest_.tv_sec, rest_.tv_nsec += kSecond;
        if (rest_.tv_sec < 0) rest_ = {0, 0};
    }

private:
    bool endless_;
    timespec end_ = {}, rest_ = {};
};

// ── poll ──────────────────────────────────────────────────────────────────────────────────────

bool is_ours(int fd) {
    return fd >= 0 && machine::fd_is_ours(fd);
}

bool any_of_ours(const pollfd* fds, nfds_t count) {
    if (!has_world()) return false;
    for (nfds_t i = 0; i < count; ++i) {
        if (is_ours(fds[i].fd)) return true;
    }
    return false;
}

// What the kernel is asked: the caller's list, and of ours whether a wake-up is there.
class Question {
public:
    Question(const pollfd* fds, nfds_t count) {
        fds_ = count <= kSmall ? small_ : static_cast<pollfd*>(calloc(count, sizeof(pollfd)));
        if (!fds_) return;
        for (nfds_t i = 0; i < count; ++i) {
            fds_[i] = fds[i];
            if (is_ours(fds[i].fd)) fds_[i].events = POLLIN;
        }
    }
    ~Question() {
        if (fds_ != small_) free(fds_);
    }
    Question(const Question&) = delete;
    Question& operator=(const Question&) = delete;
    pollfd* fds() { return fds_; }  // null: no memory

private:
    static constexpr nfds_t kSmall = 64;
    pollfd small_[kSmall];
    pollfd* fds_;
};

void announce_polled(const pollfd* fds, nfds_t count) {
    for (nfds_t i = 0; i < count; ++i) {
        if (is_ours(fds[i].fd)) user::fd_announce(fds[i].fd);
    }
}

// The caller's list gets the answers; how many are ready.
int settle_polled(pollfd* fds, const pollfd* answers, nfds_t count) {
    int ready = 0;
    for (nfds_t i = 0; i < count; ++i) {
        fds[i].revents = answers[i].revents;
        if (fds[i].revents && is_ours(fds[i].fd)) {
            fds[i].revents = static_cast<short>(
                readiness(fds[i].fd, static_cast<u32>(static_cast<unsigned short>(fds[i].events))));
        }
        ready += fds[i].revents != 0;
    }
    return ready;
}

int wait_polled(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
    if (auto* next = next_ppoll.get()) return next(fds, count, timeout, mask);
    timespec time = timeout ? *timeout : timespec{};  // the kernel writes to it
    return static_cast<int>(
        with_errno(raw_syscall(SYS_ppoll, word(fds), static_cast<long>(count),
                               timeout ? word(&time) : 0, word(mask), sizeof(u64))));
}

int poll_settled(pollfd* fds, nfds_t count, Deadline& deadline, const sigset_t* mask) {
    Question question(fds, count);
    if (!question.fds()) return static_cast<int>(with_errno(-ENOMEM));
    for (;;) {
        const bool last = deadline.over();
        announce_polled(fds, count);
        const int ready = wait_polled(question.fds(), count, deadline.rest(), mask);
        if (ready < 0) return ready;
        const int kept = settle_polled(fds, question.fds(), count);
        if (ready == 0) return 0;
        if (kept || last) return kept;
        deadline.look();
    }
}

// ── select ────────────────────────────────────────────────────────────────────────────────────

// What makes a descriptor a member of each of the three sets.
constexpr short kIn = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
constexpr short kOut = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;
constexpr short kExcept = POLLPRI;
constexpr u32 kMost = FD_SETSIZE;

class Sets {
public:
    Sets(int limit, fd_set* in, fd_set* out, fd_set* except)
        : limit_(limit), sets_{in, out, except} {}

    bool any_of_ours() const {
        if (!has_world() || limit_ < 0 || limit_ > static_cast<int>(kMost)) return false;
        for (int fd = 0; fd < limit_; ++fd) {
            if (events_of(fd) && is_ours(fd)) return true;
        }
        return false;
    }
    // As select(2), but for the time that it leaves.
    int wait(Deadline& deadline, const sigset_t* mask) {
        pollfd fds[kMost];
        nfds_t count = 0;
        for (int fd = 0; fd < limit_; ++fd) {
            if (const short events = events_of(fd)) fds[count++] = {fd, events, 0};
        }
        if (poll_settled(fds, count, deadline, mask) < 0) return -1;
        for (nfds_t i = 0; i < count; ++i) {
            if (fds[i].revents & POLLNVAL) return static_cast<int>(with_errno(-EBADF));
        }
        int members = 0;
        for (nfds_t i = 0; i < count; ++i) members += put_back(fds[i]);
        return members;
    }

private:
    static constexpr short kEvents[3] = {kIn, kOut, kExcept};

    static long& word_of(fd_set* set, int fd) { return set->fds_bits[fd / __NFDBITS]; }
    static long bit_of(int fd) { return static_cast<long>(1ul << fd % __NFDBITS); }
    short events_of(int fd) const {
        short events = 0;
        for (u32 i = 0; i < 3; ++i) {
            if (sets_[i] && word_of(sets_[i], fd) & bit_of(fd)) events |= kEvents[i];
        }
        return events;
    }
    int put_back(const pollfd& polled) {
        int members = 0;
        for (u32 i = 0; i < 3; ++i) {
            if (!sets_[i] || !(word_of(sets_[i], polled.fd) & bit_of(polled.fd))) continue;
            if (polled.revents & kEvents[i]) {
                ++members;
            } else {
                word_of(sets_[i], polled.fd) &= ~bit_of(polled.fd);
            }
        }
        return members;
    }

    int limit_;
    fd_set* sets_[3];
};

int pass_on(int limit, fd_set* in, fd_set* out, fd_set* except, timespec* timeout,
            const sigset_t* mask) {
    const struct {
        const sigset_t* mask;
        size_t size;
    } masked = {mask, sizeof(u64)};
    return static_cast<int>(with_errno(raw_syscall(SYS_pselect6, limit, word(in), word(out),
                                                   word(except), word(timeout), word(&masked))));
}

}  // namespace
}  // namespace barebpf::preload

using namespace barebpf;           // NOLINT: the rest is its outer face
using namespace barebpf::preload;  // NOLINT

extern "C" {

int barebpf_poll(pollfd* fds, nfds_t count, int timeout) {
    const timespec time = from_milliseconds(timeout);
    const timespec* limit = timeout < 0 ? nullptr : &time;
    if (!any_of_ours(fds, count)) {
        if (auto* next = next_poll.get()) return next(fds, count, timeout);
        return wait_polled(fds, count, limit, nullptr);
    }
    Deadline deadline(limit);
    return poll_settled(fds, count, deadline, nullptr);
}

int barebpf_poll_chk(pollfd* fds, nfds_t count, int timeout, size_t size) {
    if (size / sizeof(pollfd) < count) abort();
    return barebpf_poll(fds, count, timeout);
}

int barebpf_ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
    if (!any_of_ours(fds, count)) return wait_polled(fds, count, timeout, mask);
    Deadline deadline(timeout);
    return poll_settled(fds, count, deadline, mask);
}

int barebpf_ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                      size_t size) {
    if (size / sizeof(pollfd) < count) abort();
    return barebpf_ppoll(fds, count, timeout, mask);
}

int barebpf_pselect(int limit, fd_set* in, fd_set* out, fd_set* except, const timespec* timeout,
                    const sigset_t* mask) {
    Sets sets(limit, in, out, except);
    if (!sets.any_of_ours()) {
        if (auto* next = next_pselect.get()) return next(limit, in, out, except, timeout, mask);
        timespec time = timeout ? *timeout : timespec{};  // the kernel writes to it
        return pass_on(limit, in, out, except, timeout ? &time : nullptr, mask);
    }
    Deadline deadline(timeout);
    return sets.wait(deadline, mask);
}

// Tells the time that is left, as Linux does.
int barebpf_select(int limit, fd_set* in, fd_set* out, fd_set* except, timeval* timeout) {
    Sets sets(limit, in, out, except);
    const bool ours = sets.any_of_ours();
    if (auto* next = ours ? nullptr : next_select.get()) {
        return next(limit, in, out, except, timeout);
    }
    timespec time = {};
    if (timeout) {
        time = {timeout->tv_sec + timeout->tv_usec / 1'000'000,
                timeout->tv_usec % 1'000'000 * 1000};
    }
    timespec* given = timeout ? &time : nullptr;
    if (!ours) {
        const int result = pass_on(limit, in, out, except, given, nullptr);
        if (timeout) *timeout = {time.tv_sec, time.tv_nsec / 1000};
        return result;
    }
    Deadline deadline(given);
    const int result = sets.wait(deadline, nullptr);
    deadline.look();
    if (timeout) *timeout = {deadline.rest()->tv_sec, deadline.rest()->tv_nsec / 1000};
    return result;
}

}  // extern "C"
