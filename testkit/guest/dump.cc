// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Stacks on the console: return addresses found by frame pointers. [fp] is the caller's frame pointer, [fp + 8]
// the return address, on both machines; testkit/guest/qemu.py adds the names.
//
// Compiled BPF programs and prebuilt libraries use the register for something else: a link is followed only
// while it stays in the same stack and goes up, and only to return addresses in the image or in programs.
#include "testkit/guest/image.h"
#include "testkit/guest/kernel.h"

namespace barebpf::guest {

namespace {

constexpr u32 kMostFrames = 32;
constexpr u64 kAnswerNs = 500'000'000;
constexpr u32 kAnswerSpins = 200'000'000;  // should the clock stand still

Atomic<u32> asked;     // CPU + 1 that shall print
Atomic<u32> answered;  // CPU + 1 that has printed

bool in_code(u64 address) {
    const auto begin = reinterpret_cast<u64>(guest_text_begin);
    const auto end = reinterpret_cast<u64>(guest_text_end);
    return (address >= begin && address < end) ||
           (address >= kProgramBase && address - kProgramBase < kProgramSize);
}

bool read_pair(u64 at, u64* out) {
    return arch::copy_nofault(out, reinterpret_cast<const void*>(at), 2 * sizeof(u64));
}

}  // namespace

u32 return_addresses(u64* out, u32 count, u64 frame_pointer) {
    u32 found = 0;
    while (found < count && frame_pointer % 8 == 0) {
        u64 pair[2];
        if (!read_pair(frame_pointer, pair) || !in_code(pair[1])) break;
        out[found++] = pair[1];
        if (pair[0] <= frame_pointer || pair[0] - frame_pointer > kStackBytes) break;
        frame_pointer = pair[0];
    }
    return found;
}

void print_stack(u64 pc, u64 frame_pointer) {
    u64 addresses[kMostFrames];
    const u32 count = return_addresses(addresses, kMostFrames, frame_pointer);
    if (pc) say("  at ", hex(pc));
    for (u32 i = 0; i < count; ++i) say("  from ", hex(addresses[i]));
}

void answer_dump_request(Frame* frame) {
    const u32 self = this_cpu() + 1;
    // Pairs with the release in dump_other_cpus(): the console is ours.
    if (asked.load(Order::Acquire) != self) return;
    say("CPU ", self - 1, ":");
    arch::print_frame(*frame);
    print_stack(arch::frame_pc(*frame), arch::frame_fp(*frame));
    answered.store(self, Order::Release);
    for (;;) backend::spin_hint();
}

void dump_other_cpus() {
    for (u32 cpu = 0; cpu < kMaxGuestCpus; ++cpu) {
        if (cpu == this_cpu() || !cpu_areas[cpu].online.load(Order::Relaxed)) continue;
        take_console(cpu);
        asked.store(cpu + 1, Order::Release);
        arch::send_nmi(cpu);
        const u64 start = arch::clock_ns();
        for (u32 spins = 0; spins < kAnswerSpins; ++spins) {
            // Pairs with the release in answer_dump_request().
            if (answered.load(Order::Acquire) == cpu + 1) break;
            if (spins % 64 == 0 && arch::clock_ns() - start > kAnswerNs) break;
            backend::spin_hint();
        }
        asked.store(0, Order::Release);
        take_console(this_cpu());
        if (answered.load(Order::Acquire) != cpu + 1) say("CPU ", cpu, ": no answer");
    }
}

}  // namespace barebpf::guest
