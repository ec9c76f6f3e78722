// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The small services of the guest backend: clocks, random bits, credentials, copies.
#include "testkit/guest/guest.h"
#include "testkit/guest/kernel.h"

namespace barebpf::backend {

namespace {

constexpr u64 kTickHz = 250;
constexpr u64 kTickNs = 1'000'000'000 / kTickHz;
// Linux starts its tick counter five minutes before the 32-bit wrap.
constexpr u64 kFirstTick = static_cast<u32>(-300 * static_cast<s32>(kTickHz));
// There is no calendar here: atomic time differs from the others by what it did in 2017.
constexpr u64 kTaiOffsetNs = 37'000'000'000;

Atomic<u64> seeded_state;  // 0: the machine's random bits

// Registers of devices may change when they are read.
bool touches_devices(u64 address, size_t size) {
    return address < guest::kImageBase && address + size > guest::kDeviceBase;
}

bool wraps(u64 address, size_t size) {
    return address + size < address;
}

}  // namespace

u64 Clock::monotonic_ns() {
    return guest::arch::clock_ns();
}
u64 Clock::boottime_ns() {
    return guest::arch::clock_ns();
}
u64 Clock::monotonic_coarse_ns() {
    return guest::arch::clock_ns() / kTickNs * kTickNs;
}
u64 Clock::tai_ns() {
    return guest::arch::clock_ns() + kTaiOffsetNs;
}
u64 Clock::jiffies64() {
    return kFirstTick + guest::arch::clock_ns() / kTickNs;
}

u64 Random::u64_value() {
    if (!seeded_state.load(Order::Relaxed)) return guest::arch::random_bits();
    // splitmix64 (Steele, Lea, Flood 2014).
    u64 z = seeded_state.fetch_add(0x9e3779b97f4a7c15u, Order::Relaxed) + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

bool Cred::capable(u8) {
    return true;
}
bool Cred::unprivileged_bpf_disabled() {
    return true;
}
u32 Cred::uid() {
    return 0;
}
u32 Cred::tgid() {
    return 1;
}
u32 Cred::pid() {
    return 1 + Cpu::id();
}
void Cred::comm(char* out16) {
    __builtin_memset(out16, 0, 16);
    __builtin_memcpy(out16, "guest", 5);
}

bool UserCopy::from_user(void* to, u64 from, size_t size) {
    return read_nofault(to, from, size);
}

bool UserCopy::to_user(u64 to, const void* from, size_t size) {
    if (size == 0) return true;
    if (wraps(to, size) || touches_devices(to, size)) return false;
    return guest::arch::copy_nofault(reinterpret_cast<void*>(to), from, size);
}

bool UserCopy::read_nofault(void* to, u64 from, size_t size) {
    if (size == 0) return true;
    if (wraps(from, size) || touches_devices(from, size)) return false;
    return guest::arch::copy_nofault(to, reinterpret_cast<const void*>(from), size);
}

}  // namespace barebpf::backend

namespace barebpf::guest {

void seed_random(u64 seed) {
    backend::seeded_state.store(seed, Order::Relaxed);
}

}  // namespace barebpf::guest
