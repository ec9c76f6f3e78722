// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/stackmap.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "kernel/barebpf.h"
#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/map_types.h"
#include "kernel/host/stack_trace.h"
#include "testkit/inject.h"
#include "testkit/machine.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using Client = test::MapClient<test::OurBpf>;

constexpr s64 kNoEnt = -to_int(Errno::NoEnt);
constexpr s64 kInval = -to_int(Errno::Inval);
constexpr s64 kFault = -to_int(Errno::Fault);
constexpr s64 kExist = -to_int(Errno::Exist);
constexpr s64 kTooBig = -to_int(Errno::TooBig);

bpf_attr stack_attr(u32 entries, u32 value_size, u32 flags = 0) {
    return test::map_attr(BPF_MAP_TYPE_STACK_TRACE, 4, value_size, entries, flags);
}

// What the chain below does at its end, with a frame pointer in each of its functions.
struct Call {
    Map* map;
    u64 flags;
    s64 result;
    u64 frames
        [8];     // return addresses as the compiler sees them, innermost first, of the chain only
    u8* buffer;  // of get_stack, instead of get_stackid
    u64 size;
};

NOINLINE void take(Call* call) {
    host::RcuReadGuard rcu;
    const auto get = [&](u32 id) { return stack_helper_proto(id)->function; };
    call->frames[0] =
        reinterpret_cast<u64>(__builtin_extract_return_addr(__builtin_return_address(0)));
    call->result = static_cast<s64>(
        call->buffer
            ? get(BPF_FUNC_get_stack)(0, reinterpret_cast<u64>(call->buffer), call->size,
                                      call->flags, 0)
            : get(BPF_FUNC_get_stackid)(0, reinterpret_cast<u64>(call->map), call->flags, 0, 0));
    // The frame is needed to the end: it must be there for the walk.
    asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
}
NOINLINE void one_way(Call* call) {
    asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
    call->frames[1] =
        reinterpret_cast<u64>(__builtin_extract_return_addr(__builtin_return_address(0)));
    take(call);
    asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
}
NOINLINE void other_way(Call* call) {
    asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
    call->frames[1] =
        reinterpret_cast<u64>(__builtin_extract_return_addr(__builtin_return_address(0)));
    take(call);
    asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
}

class StackMapTest : public test::WithMap<> {
protected:
    // Not inlined: the three innermost frames are the same wherever it is called from.
    NOINLINE s64 get(u64 flags, void (*way)(Call*) = one_way) {
        call_ = {map_, flags, 0, {}, nullptr, 0};
        way(&call_);
        return call_.result;
    }
    std::vector<u64> lookup(s64 id) {
        std::vector<u64> value(map_->value_size / 8, 1);
        const u32 key = static_cast<u32>(id);
        if (map_->ops->copy_value(map_, &key, value.data(), 0)) value.clear();
        return value;
    }
    s64 erase(s64 id) {
        const u32 key = static_cast<u32>(id);
        return map_->ops->erase(map_, &key);
    }
    Call call_{};
};

TEST_F(StackMapTest, AttributesAreCheckedAsLinuxDoes) {
    const auto error = [](auto change) {
        bpf_attr attr = stack_attr(10, 80);
        change(attr);
        return kStackTraceMapOps.check_attr(attr).error();
    };
    EXPECT_EQ(error([](bpf_attr&) {}), Errno{});
    EXPECT_EQ(error([](bpf_attr& a) { a.value_size = 127 * 8; }), Errno{});
    EXPECT_EQ(error([](bpf_attr& a) { a.value_size = 128 * 8; }), Errno::Inval);
    EXPECT_EQ(error([](bpf_attr& a) { a.value_size = 12; }), Errno::Inval);
    EXPECT_EQ(error([](bpf_attr& a) { a.value_size = 0; }), Errno::Inval);
    EXPECT_EQ(error([](bpf_attr& a) { a.key_size = 8; }), Errno::Inval);
    EXPECT_EQ(error([](bpf_attr& a) { a.max_entries = 0; }), Errno::Inval);
    EXPECT_EQ(error([](bpf_attr& a) { a.map_flags = BPF_F_NO_PREALLOC; }), Errno::Inval);
    EXPECT_EQ(error([](bpf_attr& a) { a.map_flags = BPF_F_STACK_BUILD_ID; }), Errno::Inval);
    EXPECT_EQ(error([](bpf_attr& a) { a.map_flags = BPF_F_STACK_BUILD_ID, a.value_size = 96; }),
              Errno{});
}

TEST_F(StackMapTest, ATraceIsTheWayOfTheCalls) {
    make(stack_attr(64, 16 * 8));
    const s64 id = get(0);
    ASSERT_GE(id, 0);
    const std::vector<u64> trace = lookup(id);
    ASSERT_FALSE(trace.empty());
    // The first is inside take(), where the helper was called.
    EXPECT_NE(trace[0], 0u);
    EXPECT_EQ(trace[1], call_.frames[0]);
    EXPECT_EQ(trace[2], call_.frames[1]);
}

TEST_F(StackMapTest, FramesCanBeSkipped) {
    make(stack_attr(64, 2 * 8));
    const s64 id = get(1);
    ASSERT_GE(id, 0);
    const std::vector<u64> trace = lookup(id);
    EXPECT_EQ(trace[0], call_.frames[0]);
    EXPECT_EQ(trace[1], call_.frames[1]);
    EXPECT_EQ(get(255), kFault);
    EXPECT_EQ(get(u64{1} << 11), kInval);
    EXPECT_EQ(get(u64{1} << 40), kInval);
}

TEST_F(StackMapTest, TheSameTraceHasTheSameIdAndAnotherItsOwn) {
    make(stack_attr(1024, 3 * 8));
    s64 first = -1;
    for (u32 i = 0; i < 4; ++i) {
        const s64 id = get(i % 2 ? u64{BPF_F_FAST_STACK_CMP} : 0);
        ASSERT_GE(id, 0);
        if (i == 0) first = id;
        EXPECT_EQ(id, first);
    }
    const s64 other = get(0, other_way);
    EXPECT_TRUE(other >= 0 ? other != first : other == kExist);
    EXPECT_EQ(erase(first), 0);
    EXPECT_EQ(erase(first), kNoEnt);
    EXPECT_TRUE(lookup(first).empty());
    EXPECT_EQ(erase(1 << 20), kTooBig);
}

// One bucket: a second trace is refused, or takes the place of the first.
TEST_F(StackMapTest, ABucketIsReusedOnlyIfToldTo) {
    make(stack_attr(1, 8 * 8));
    const auto way_of = [](u32 i) { return i % 2 ? other_way : one_way; };
    EXPECT_EQ(get(0, way_of(0)), 0);
    EXPECT_EQ(get(0, way_of(1)), kExist);
    // There is no second trace to write the new one to, as on Linux.
    EXPECT_EQ(get(BPF_F_REUSE_STACKID, way_of(1)), -to_int(Errno::NoMem));
    map_put(map_);
    map_ = nullptr;
    test::settle();
    make(stack_attr(2, 8 * 8));
    std::set<s64> results;
    for (u32 i = 0; i < 8; ++i) {
        const s64 id = get(BPF_F_REUSE_STACKID, way_of(i));
        if (id < 0) continue;
        const std::vector<u64> trace = lookup(id);
        ASSERT_FALSE(trace.empty());
        EXPECT_EQ(trace[1], call_.frames[0]);
    }
}

TEST_F(StackMapTest, WalksVisitEveryTrace) {
    make(stack_attr(64, 8 * 8));
    u32 next = 0;
    EXPECT_EQ(map_->ops->next_key(map_, nullptr, &next), kNoEnt);
    const s64 a = get(0), b = get(0, other_way);
    ASSERT_GE(a, 0);
    std::set<s64> seen;
    s64 error = map_->ops->next_key(map_, nullptr, &next);
    for (; !error; error = map_->ops->next_key(map_, &next, &next)) seen.insert(next);
    EXPECT_EQ(error, kNoEnt);
    EXPECT_TRUE(seen.count(a));
    EXPECT_EQ(seen.size(), b >= 0 ? 2u : 1u);
    u64 value[8] = {};
    EXPECT_EQ(map_->ops->update(map_, &next, value, 0), kInval);
}

TEST_F(StackMapTest, BuildIdsAreAddresses) {
    make(stack_attr(64, 4 * sizeof(bpf_stack_build_id), BPF_F_STACK_BUILD_ID));
    const s64 id = get(1);
    ASSERT_GE(id, 0);
    bpf_stack_build_id records[4];
    const u32 key = static_cast<u32>(id);
    ASSERT_EQ(map_->ops->copy_value(map_, &key, records, 0), 0);
    EXPECT_EQ(records[0].status, BPF_STACK_BUILD_ID_IP);
    EXPECT_EQ(records[0].ip, call_.frames[0]);
    EXPECT_EQ(records[1].ip, call_.frames[1]);
}

TEST_F(StackMapTest, GetStackCopiesTheTrace) {
    u64 buffer[6];
    const auto get_stack = [&](u64 size, u64 flags) {
        std::memset(buffer, 0xff, sizeof buffer);
        call_ = {nullptr, flags, 0, {}, reinterpret_cast<u8*>(buffer), size};
        one_way(&call_);
        return call_.result;
    };
    ASSERT_GE(get_stack(24, 0), 24);
    EXPECT_EQ(buffer[1], call_.frames[0]);
    EXPECT_EQ(buffer[2], call_.frames[1]);
    EXPECT_EQ(buffer[3], ~u64{0});
    ASSERT_GE(get_stack(16, 1), 16);
    EXPECT_EQ(buffer[0], call_.frames[0]);
    EXPECT_EQ(get_stack(12, 0), kInval);
    EXPECT_EQ(get_stack(32, BPF_F_USER_BUILD_ID), kInval);
    EXPECT_EQ(get_stack(16, 255), kFault);
    EXPECT_EQ(buffer[0], 0u);
}

// A process has one stack, which is the user's too; a guest has no user space, and so no frames.
bool user_space_has_frames() {
    u64 frame;
    return host::walk_user_stack(0, &frame, 1) > 0;
}

// Where in the trace the calls of the chain are, one behind the other; the trace's end if they are not.
size_t place_of_chain(const std::vector<u64>& trace, const Call& call) {
    const auto at = std::search(trace.begin(), trace.end(), call.frames, call.frames + 2);
    return static_cast<size_t>(at - trace.begin());
}

TEST_F(StackMapTest, AUserStackIsKeptWhereThereIsOne) {
    make(stack_attr(64, 16 * 8));
    EXPECT_EQ(get(BPF_F_USER_STACK | 255), kFault);
    EXPECT_EQ(get(BPF_F_USER_STACK | u64{1} << 11), kInval);
    s64 first = 0;
    for (u32 i = 0; i < 3; ++i) {  // from one place: the whole way is the trace
        const s64 id = get(BPF_F_USER_STACK);
        if (i == 0) first = id;
        EXPECT_EQ(id, first);
    }
    if (!user_space_has_frames()) {
        EXPECT_EQ(first, kFault);
        u32 next;
        EXPECT_EQ(map_->ops->next_key(map_, nullptr, &next), kNoEnt);
        return;
    }
    ASSERT_GE(first, 0);
    const size_t place = place_of_chain(lookup(first), call_);
    ASSERT_LT(place, 15u);
    const s64 skipped = get(BPF_F_USER_STACK | place);
    ASSERT_GE(skipped, 0);
    EXPECT_EQ(place_of_chain(lookup(skipped), call_), 0u);
}

TEST_F(StackMapTest, GetStackCopiesTheUserStackWhereThereIsOne) {
    constexpr size_t kFrames = 16;
    std::vector<u64> buffer;
    const auto get_stack = [&](u64 flags) {
        buffer.assign(4 * kFrames, ~u64{0});
        const u64 each = flags & BPF_F_USER_BUILD_ID ? sizeof(bpf_stack_build_id) : 8;
        call_ = {
            nullptr,       flags | BPF_F_USER_STACK, 0, {}, reinterpret_cast<u8*>(buffer.data()),
            kFrames * each};
        one_way(&call_);
        return call_.result;
    };
    const bool there = user_space_has_frames();
    const s64 bytes = get_stack(0);
    const size_t place = place_of_chain(buffer, call_);
    const s64 with_build_ids = get_stack(BPF_F_USER_BUILD_ID);
    if (!there) {
        EXPECT_EQ(bytes, kFault);
        EXPECT_EQ(with_build_ids, kFault);
        EXPECT_EQ(buffer[0], 0u);
        return;
    }
    ASSERT_GE(bytes, 24);
    ASSERT_LT(place, static_cast<size_t>(bytes) / 8 - 1);
    ASSERT_EQ(with_build_ids, bytes * 4);
    const auto* records = reinterpret_cast<const bpf_stack_build_id*>(buffer.data());
    EXPECT_EQ(records[place].status, BPF_STACK_BUILD_ID_IP);
    EXPECT_EQ(records[place].ip, call_.frames[0]);
    EXPECT_EQ(records[place + 1].ip, call_.frames[1]);
}

TEST_F(StackMapTest, AFailedCreationLeavesNothing) {
    const machine::LiveMemory before = machine::live_memory();
    const u32 allocations = inject::fail_each_allocation(
        [] {
            if (auto made = kStackTraceMapOps.create(stack_attr(100, 80))) {
                kStackTraceMapOps.free(made.value());
            }
        },
        [&](u32) { EXPECT_EQ(machine::live_memory().blocks, before.blocks); });
    EXPECT_GE(allocations, 5u);
}

// A stack that is not one: the walk ends, and nothing faults.
TEST_F(StackMapTest, ABrokenStackEndsTheWalk) {
    using Walker = backend::StackTrace;
    u64 frames[8];
    u64 chain[8] = {};
    chain[0] = reinterpret_cast<u64>(&chain[4]);
    chain[1] = 0x1111;
    for (const u64 next :
         {u64{8}, u64{0xdead'beef'dead'bee8}, u64{3}, reinterpret_cast<u64>(&chain[0]), u64{0}}) {
        chain[4] = next;
        chain[5] = 0x2222;
        EXPECT_EQ(Walker::walk(&chain[0], 0, frames, 8), 2u) << next;
        EXPECT_EQ(frames[0], 0x1111u);
        EXPECT_EQ(frames[1], 0x2222u);
    }
    EXPECT_EQ(Walker::walk(reinterpret_cast<void*>(8), 0, frames, 8), 0u);
    EXPECT_EQ(Walker::walk(&chain[0], 1, frames, 8), 2u);
    EXPECT_EQ(frames[0], 0x2222u);
}

// Programs take, replace and delete the same few traces on all CPUs, in NMIs too; no trace is lost.
TEST_F(StackMapTest, TracesAreNeitherLostNorTorn) {
    constexpr u32 kEntries = 16;
    const u32 turns = test::rounds(5000);
    make(stack_attr(kEntries, 4 * 8));
    struct Nmi {
        Map* map;
        static void run(void* argument) {
            Call call{static_cast<Nmi*>(argument)->map, BPF_F_REUSE_STACKID, 0, {}, nullptr, 0};
            one_way(&call);
        }
    } nmi{map_};
    Atomic<u32> torn{};
    test::run_on_cpus(test::cpus_up_to(4), [&](u32 cpu) {
        for (u32 turn = 0; turn < turns; ++turn) {
            Call call{map_, BPF_F_REUSE_STACKID, 0, {}, nullptr, 0};
            (turn + cpu) % 2 ? one_way(&call) : other_way(&call);
            if (turn % 16 == 0) machine::send_nmi(host::cpu_id(), Nmi::run, &nmi);
            u64 value[4];
            for (u32 key = 0; key < kEntries; ++key) {
                if (map_->ops->copy_value(map_, &key, value, 0) == 0 && !value[0]) {
                    torn.fetch_add(1, Order::Relaxed);
                }
            }
            const u32 key = turn % kEntries;
            if (turn % 5 == 0) map_->ops->erase(map_, &key);
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(torn.load(Order::Relaxed), 0u);
    for (u32 key = 0; key < kEntries; ++key) map_->ops->erase(map_, &key);
    auto* real = static_cast<StackMap*>(map_);
    std::set<u32> free;
    const auto link = [&](u32 index) -> Atomic<u32>& { return real->trace(index)->link; };
    while (const u32 index = real->free_traces.pop(link)) EXPECT_TRUE(free.insert(index).second);
    EXPECT_EQ(free.size(), size_t{kEntries});
}

// A program of the host type takes its own trace, on both engines.
TEST(StackMapProgram, AHostProgramTakesItsTrace) {
    ASSERT_TRUE(init().ok());
    const auto insn = [](u32 code, u32 dst, u32 src, s32 imm) {
        bpf_insn made{};
        made.code = static_cast<u8>(code);
        made.dst_reg = dst & 15;
        made.src_reg = src & 15;
        made.imm = imm;
        return made;
    };
    bpf_attr attr = stack_attr(16, 80);
    const s64 fd = bpf_syscall(BPF_MAP_CREATE, reinterpret_cast<u64>(&attr), sizeof attr);
    ASSERT_GE(fd, 0);
    const bpf_insn insns[] = {
        insn(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_FD, static_cast<s32>(fd)),
        insn(0, 0, 0, 0),
        insn(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, BPF_F_REUSE_STACKID),
        insn(BPF_JMP | BPF_CALL, 0, 0, BPF_FUNC_get_stackid),
        insn(BPF_JMP | BPF_EXIT, 0, 0, 0),
    };
    for (const bool compile : {true, false}) {
        static char log[4096];
        HostProgramOptions options;
        options.memory_size = 8;
        options.compile = compile;
        options.log = log;
        options.log_size = sizeof log;
        options.log_level = 1;
        auto prog = load_host_program(insns, 5, options);
        ASSERT_TRUE(prog.ok()) << log;
        u64 memory = 0;
        const s64 id = static_cast<s64>(run_host_program(prog.value(), &memory, 8));
        EXPECT_GE(id, 0);
        EXPECT_LT(id, 16);
        put_prog(prog.value());
    }
    EXPECT_EQ(machine::close_fd(static_cast<int>(fd)), 0);
    shutdown();
}

}  // namespace
}  // namespace barebpf
