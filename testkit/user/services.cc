// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The small services of the user backend: clocks, random bits, credentials.
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::backend {

namespace {

u64 read_clock(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<u64>(now.tv_sec) * 1000000000u + static_cast<u64>(now.tv_nsec);
}

constexpr u64 kTickHz = 250;
// Linux starts its tick counter five minutes before the 32-bit wrap.
constexpr u64 kFirstTick = static_cast<u32>(-300 * static_cast<s32>(kTickHz));

Atomic<u64> seeded_state;  // 0: real random bits
user::Credentials credentials;

u64 next_seeded() {
    // splitmix64 (Steele, Lea, Flood 2014).
    u64 z = seeded_state.fetch_add(0x9e3779b97f4a7c15u, Order::Relaxed) + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

}  // namespace

u64 Clock::monotonic_ns() {
    return read_clock(CLOCK_MONOTONIC);
}
u64 Clock::boottime_ns() {
    return read_clock(CLOCK_BOOTTIME);
}
u64 Clock::monotonic_coarse_ns() {
    return read_clock(CLOCK_MONOTONIC_COARSE);
}
u64 Clock::tai_ns() {
    return read_clock(CLOCK_TAI);
}
u64 Clock::jiffies64() {
    return kFirstTick + monotonic_coarse_ns() / (1000000000u / kTickHz);
}

u64 Random::u64_value() {
    if (seeded_state.load(Order::Relaxed)) return next_seeded();
    u64 value = 0;
    char* out = reinterpret_cast<char*>(&value);
    for (size_t done = 0; done < sizeof(value);) {
        ssize_t n = getrandom(out + done, sizeof(value) - done, 0);
        if (n > 0) done += static_cast<size_t>(n);
        if (n < 0 && errno != EINTR) host::panic("getrandom() failed");
    }
    return value;
}

bool Cred::capable(u8 capability) {
    return capability < 64 && ((credentials.capabilities >> capability) & 1);
}
bool Cred::unprivileged_bpf_disabled() {
    return credentials.unprivileged_bpf_disabled;
}
u32 Cred::uid() {
    return credentials.uid;
}
u32 Cred::tgid() {
    return static_cast<u32>(getpid());
}
u32 Cred::pid() {
    return static_cast<u32>(gettid());
}
void Cred::comm(char* out16) {
    memset(out16, 0, 16);
    prctl(PR_GET_NAME, out16, 0, 0, 0);
}

}  // namespace barebpf::backend

namespace barebpf::user {

void set_credentials(const Credentials& credentials) {
    backend::credentials = credentials;
}

void seed_random(u64 seed) {
    backend::seeded_state.store(seed, Order::Relaxed);
}

}  // namespace barebpf::user
