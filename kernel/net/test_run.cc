// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/net/test_run.h"

#include "kernel/host/clock.h"

namespace barebpf {
namespace {

using host::UserAddress;

// Runs between two points at which others may have the CPU and grace periods may end. Few enough that even
// the longest programs let go often, enough that the empty one does not feel it.
constexpr u32 kRunsPerSection = 32;

void run_section(const Prog* prog, const void* ctx, u32 runs, u32* retval) {
    host::Cpu::Pin pin;
    host::RcuReadGuard rcu;
    u32 value = 0;
    for (u32 i = 0; i < runs; ++i) value = static_cast<u32>(prog_run(prog, ctx));
    *retval = value;
}

// Copies out as much as the caller has room for; 0 as room means that it has enough.
Result<void> copy_clamped(UserAddress to, const void* from, u32 size, u32 room) {
    const u32 copied = room && room < size ? room : size;
    TRY(host::copy_to_user(to, from, copied));
    if (copied < size) return Errno::NoSpc;
    return {};
}

}  // namespace

TestResult test_run_loop(const Prog* prog, const void* ctx, u32 repeat) {
    if (repeat == 0) repeat = 1;
    TestResult result{};
    const u64 start = host::Clock::monotonic_ns();
    for (u32 left = repeat; left;) {
        const u32 runs = left < kRunsPerSection ? left : kRunsPerSection;
        run_section(prog, ctx, runs, &result.retval);
        left -= runs;
        host::Cpu::yield_point();
    }
    const u64 mean = (host::Clock::monotonic_ns() - start) / repeat;
    result.duration = mean > ~u32{0} ? ~u32{0} : static_cast<u32>(mean);
    return result;
}

Result<bool> test_context_in(const bpf_attr& attr, void* context, u32 size) {
    __builtin_memset(context, 0, size);
    if (!attr.test.ctx_in && !attr.test.ctx_out) return false;
    const UserAddress from{attr.test.ctx_in};
    if (!from) return true;
    const u32 given = attr.test.ctx_size_in;
    if (given > size && !TRY(host::user_bytes_are_zero(from + size, given - size))) {
        return Errno::TooBig;
    }
    TRY(host::copy_from_user(context, from, given < size ? given : size));
    return true;
}

Result<void> test_context_out(const bpf_attr& attr, UserAddress uattr, const void* context,
                              u32 size) {
    if (!attr.test.ctx_out) return {};
    const Result<void> copied =
        copy_clamped(UserAddress{attr.test.ctx_out}, context, size, attr.test.ctx_size_out);
    if (!copied && copied.error() != Errno::NoSpc) return copied.error();
    TRY(host::put_user(uattr + __builtin_offsetof(bpf_attr, test.ctx_size_out), size));
    if (!copied) return copied.error();
    return {};
}

Result<void> test_finish(const bpf_attr& attr, UserAddress uattr, const void* packet, u32 size,
                         const TestResult& result) {
    const u32 room = attr.test.data_size_out;
    if (attr.test.data_out) {
        const Result<void> copied =
            copy_clamped(UserAddress{attr.test.data_out}, packet, size, room);
        if (!copied && copied.error() != Errno::NoSpc) return copied.error();
    }
    TRY(host::put_user(uattr + __builtin_offsetof(bpf_attr, test.data_size_out), size));
    TRY(host::put_user(uattr + __builtin_offsetof(bpf_attr, test.retval), result.retval));
    TRY(host::put_user(uattr + __builtin_offsetof(bpf_attr, test.duration), result.duration));
    if (room && room < size) return Errno::NoSpc;
    return {};
}

}  // namespace barebpf
