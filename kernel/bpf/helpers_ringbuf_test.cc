// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The helpers of ring buffers and dynptrs, called as a program calls them.
#include "kernel/bpf/helpers_ringbuf.h"

#include <cstring>

#include "kernel/bpf/helpers_dynptr.h"
#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/ring_cases_test.h"
#include "kernel/bpf/ringbuf_test.h"
#include "testkit/inject.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;

s64 call(u32 id, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0, u64 e = 0) {
    host::RcuReadGuard rcu;
    return s64(base_helper_proto(id)->function(a, b, c, d, e));
}
u64 address(const void* pointer) {
    return reinterpret_cast<u64>(pointer);
}
constexpr s64 kInval = -to_int(Errno::Inval);
constexpr s64 kTooBig = -to_int(Errno::TooBig);

// ── Dynptrs ───────────────────────────────────────────────────────────────────────────────────

TEST(DynptrHelpers, StayInside) {
    host::Cpu::Entry inside;
    u8 memory[16], bytes[16];
    for (u32 i = 0; i < 16; ++i) memory[i] = u8(i), bytes[i] = u8(100 + i);
    Dynptr dynptr;
    const u64 at = address(&dynptr);
    ASSERT_EQ(call(BPF_FUNC_dynptr_from_mem, address(memory), 16, 0, at), 0);
    EXPECT_EQ(call(BPF_FUNC_dynptr_write, at, 4, address(bytes), 8, 0), 0);
    EXPECT_EQ(memory[3], 3);
    EXPECT_EQ(memory[4], 100);
    EXPECT_EQ(memory[11], 107);
    EXPECT_EQ(memory[12], 12);
    EXPECT_EQ(call(BPF_FUNC_dynptr_read, address(bytes), 3, at, 11, 0), 0);
    EXPECT_EQ(bytes[0], 107);
    EXPECT_EQ(bytes[1], 12);
    EXPECT_EQ(bytes[2], 13);
    EXPECT_EQ(bytes[3], 103);
    for (const u64 offset : {u64{9}, u64{16}, u64{17}, u64{0xffff'ffff}, u64{0xffff'fffa}}) {
        EXPECT_EQ(call(BPF_FUNC_dynptr_write, at, offset, address(bytes), 8, 0), kTooBig);
        EXPECT_EQ(call(BPF_FUNC_dynptr_read, address(bytes), 8, at, offset, 0), kTooBig);
        EXPECT_EQ(call(BPF_FUNC_dynptr_data, at, offset, 8), 0);
    }
    EXPECT_EQ(call(BPF_FUNC_dynptr_write, at, 16, address(bytes), 0, 0), 0);
    EXPECT_EQ(call(BPF_FUNC_dynptr_write, at, 0, address(bytes), 1, 1), kInval);
    EXPECT_EQ(call(BPF_FUNC_dynptr_read, address(bytes), 1, at, 0, 1), kInval);
    EXPECT_EQ(u64(call(BPF_FUNC_dynptr_data, at, 8, 8)), address(memory + 8));
}

TEST(DynptrHelpers, OfNothingAnswerAlike) {
    host::Cpu::Entry inside;
    u8 memory[16];
    Dynptr dynptr;
    const u64 at = address(&dynptr);
    for (const bool large : {false, true}) {
        const u64 size = large ? kMaxDynptrSize + 1 : 16;
        EXPECT_EQ(call(BPF_FUNC_dynptr_from_mem, address(memory), size, 1, at),
                  large ? kTooBig : kInval);
        EXPECT_EQ(call(BPF_FUNC_dynptr_read, address(memory), 0, at, 0, 0), kInval);
        EXPECT_EQ(call(BPF_FUNC_dynptr_write, at, 0, address(memory), 0, 0), kInval);
        EXPECT_EQ(call(BPF_FUNC_dynptr_data, at, 0, 0), 0);
        EXPECT_EQ(call(BPF_FUNC_ringbuf_submit_dynptr, at, 0), 0);
        EXPECT_EQ(call(BPF_FUNC_ringbuf_discard_dynptr, at, 0), 0);
    }
}

// ── Records ───────────────────────────────────────────────────────────────────────────────────

class RingHelpers : public test::WithDescriptors {
protected:
    Map* ring(u32 type, u32 size = 4096) {
        return test::map_of(keep(Client::create(type, 0, 0, size)));
    }
};

TEST_F(RingHelpers, RecordsOfEachKindArriveInOrder) {
    Map* map = ring(BPF_MAP_TYPE_RINGBUF);
    const u64 m = address(map);
    const u64 value = 7;
    EXPECT_EQ(call(BPF_FUNC_ringbuf_output, m, address(&value), 8, 0), 0);
    EXPECT_EQ(call(BPF_FUNC_ringbuf_reserve, m, 8, 1), 0);
    const u64 first = u64(call(BPF_FUNC_ringbuf_reserve, m, 8, 0));
    const u64 second = u64(call(BPF_FUNC_ringbuf_reserve, m, 9, 0));
    ASSERT_NE(first, 0u);
    ASSERT_NE(second, 0u);
    Dynptr dynptr;
    ASSERT_EQ(call(BPF_FUNC_ringbuf_reserve_dynptr, m, 3, 0, address(&dynptr)), 0);
    *reinterpret_cast<u64*>(first) = 8;
    EXPECT_EQ(call(BPF_FUNC_dynptr_write, address(&dynptr), 1, address("xy"), 2, 0), 0);
    call(BPF_FUNC_ringbuf_submit_dynptr, address(&dynptr), 0);
    call(BPF_FUNC_ringbuf_discard, second, 0);
    call(BPF_FUNC_ringbuf_submit, first, 0);
    u32 seen = 0;
    const u32 read = test::RingReader(map).read([&](const u8* data, u32 size) {
        if (++seen < 3) {
            EXPECT_EQ(size, 8u);
            EXPECT_EQ(data[0], 6 + seen);
        } else {
            EXPECT_EQ(size, 3u);
            EXPECT_EQ(memcmp(data + 1, "xy", 2), 0);
        }
    });
    EXPECT_EQ(read, 4u);
    EXPECT_EQ(seen, 3u);
    EXPECT_EQ(call(BPF_FUNC_ringbuf_query, m, BPF_RB_AVAIL_DATA), 0);
    EXPECT_EQ(call(BPF_FUNC_ringbuf_query, m, BPF_RB_PROD_POS), 16 + 16 + 24 + 16);
}

TEST_F(RingHelpers, ReservationsThatFailAreReleasedLikeOthers) {
    const u64 m = address(ring(BPF_MAP_TYPE_RINGBUF));
    Dynptr dynptr;
    const u64 at = address(&dynptr);
    const struct {
        u64 size, flags;
        s64 result;
    } cases[] = {{4089, 0, kInval},
                 {8, 1, kInval},
                 {kMaxDynptrSize, 0, kInval},
                 {kMaxDynptrSize + 1, 0, kTooBig},
                 {kMaxDynptrSize + 1, 1, kInval}};
    for (const auto& c : cases) {
        EXPECT_EQ(call(BPF_FUNC_ringbuf_reserve_dynptr, m, c.size, c.flags, at), c.result);
        call(BPF_FUNC_ringbuf_submit_dynptr, at, 0);
    }
    EXPECT_EQ(call(BPF_FUNC_ringbuf_query, m, BPF_RB_PROD_POS), 0);
    // Given back once.
    EXPECT_EQ(call(BPF_FUNC_ringbuf_reserve_dynptr, m, 4080, 0, at), 0);
    call(BPF_FUNC_ringbuf_discard_dynptr, at, 0);
    call(BPF_FUNC_ringbuf_discard_dynptr, at, 0);
    EXPECT_EQ(call(BPF_FUNC_ringbuf_query, m, BPF_RB_PROD_POS), 4088);
}

// Holds six records and a dynptr at once, on every way through what may have been refused.
test::Insns many_records() {
    using test::helper_call, test::Insns;
    constexpr s32 kRecords = 6, kDynptr = -16, kFirst = -24;
    Insns all = test::load_map(BPF_REG_1, test::kRing) +
                Insns{insn_mov_imm(BPF_REG_2, 16), insn_mov_imm(BPF_REG_3, 0)} +
                test::stack_address(BPF_REG_4, kDynptr) +
                Insns{helper_call(BPF_FUNC_ringbuf_reserve_dynptr)};
    for (s32 i = 0; i < kRecords; ++i) {
        all = all + test::reserve_record(16) +
              Insns{insn_store(BPF_DW, BPF_REG_10, s16(kFirst - 8 * i), BPF_REG_0)};
    }
    for (s32 i = 0; i < kRecords; ++i) {
        all = all + Insns{insn_load(BPF_DW, BPF_REG_1, BPF_REG_10, s16(kFirst - 8 * i)),
                          insn_jump_imm(BPF_JEQ, BPF_REG_1, 0, 2), insn_mov_imm(BPF_REG_2, 0),
                          helper_call(BPF_FUNC_ringbuf_submit)};
    }
    return all + test::stack_address(BPF_REG_1, kDynptr) +
           Insns{insn_mov_imm(BPF_REG_2, 0), helper_call(BPF_FUNC_ringbuf_submit_dynptr)} +
           test::leave();
}

TEST_F(RingHelpers, ALoadWithoutMemoryLeavesNothingBehind) {
    int fds[test::kTestMaps] = {};
    fds[test::kRing] = keep(Client::create(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096));
    test::Insns insns = many_records();
    test::set_map_fds(insns, fds);
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.insns = address(insns.data());
    attr.insn_cnt = u32(insns.size());
    attr.license = address("GPL");
    s64 result = 0;
    const auto load = [&] {
        result = test::OurBpf::call(BPF_PROG_LOAD, &attr, sizeof attr);
        if (result >= 0) test::OurBpf::close(int(result));
        test::settle();
    };
    load();
    ASSERT_GE(result, 0);
    const machine::LiveMemory before = machine::live_memory();
    const u32 allocations = inject::fail_each_allocation(load, [&](u32 n) {
        EXPECT_TRUE(result == -to_int(Errno::NoMem) || result >= 0) << n << ": " << result;
        EXPECT_EQ(machine::live_memory().blocks, before.blocks) << n;
    });
    EXPECT_GE(result, 0);
    EXPECT_GT(allocations, 10u);
}

// ── User space's records ──────────────────────────────────────────────────────────────────────

struct Drained {
    Map* map;
    u32 count;
    u32 sum;
    u32 most;
    s64 nested;
};

// As the helper calls a program's function.
u64 take(u64 sample, u64 context, u64, u64, u64) {
    auto* drained = reinterpret_cast<Drained*>(context);
    u8 first = 0;
    EXPECT_EQ(call(BPF_FUNC_dynptr_read, address(&first), 1, sample, 0, 0), 0);
    drained->sum += first;
    // One at a time.
    if (!drained->count++)
        drained->nested = call(BPF_FUNC_user_ringbuf_drain, address(drained->map),
                               reinterpret_cast<u64>(take), context, 0);
    return drained->count == drained->most;
}
s64 drain(Drained* drained, u64 flags = 0) {
    drained->count = drained->sum = 0;
    return call(BPF_FUNC_user_ringbuf_drain, address(drained->map), reinterpret_cast<u64>(take),
                address(drained), flags);
}
void write(test::RingWriter& writer, u8 byte, bool discard = false) {
    u8* sample = writer.reserve(1);
    ASSERT_NE(sample, nullptr);
    *sample = byte;
    writer.commit(sample, discard);
}

TEST_F(RingHelpers, DrainShowsWhatIsThere) {
    Drained drained{.map = ring(BPF_MAP_TYPE_USER_RINGBUF)};
    test::RingWriter writer(drained.map);
    EXPECT_EQ(drain(&drained), 0);
    for (const u64 flags : {u64{4}, ~u64{0}}) EXPECT_EQ(drain(&drained, flags), kInval);
    write(writer, 1);
    write(writer, 10, true);
    write(writer, 2);
    write(writer, 4);
    drained.most = 2;
    EXPECT_EQ(drain(&drained), 2);
    EXPECT_EQ(drained.sum, 3u);
    EXPECT_EQ(drained.nested, -to_int(Errno::Busy));
    EXPECT_EQ(drain(&drained, BPF_RB_FORCE_WAKEUP), 1);
    EXPECT_EQ(drained.sum, 4u);
    write(writer, 10, true);
    EXPECT_EQ(drain(&drained, BPF_RB_NO_WAKEUP), 0);
    EXPECT_EQ(drained.count, 0u);
}

u64 count_only(u64, u64 context, u64, u64, u64) {
    ++*reinterpret_cast<u32*>(context);
    return 0;
}

TEST_F(RingHelpers, DrainEndsAtSomeTime) {
    Map* map = ring(BPF_MAP_TYPE_USER_RINGBUF, 2 << 20);
    test::RingWriter writer(map);
    constexpr u32 kMost = 128 * 1024;
    for (u32 i = 0; i < kMost + 5; ++i) {
        u8* sample = writer.reserve(0);
        ASSERT_NE(sample, nullptr);
        writer.commit(sample, i < 3);
    }
    u32 seen = 0;
    const auto go = [&] {
        return call(BPF_FUNC_user_ringbuf_drain, address(map), reinterpret_cast<u64>(count_only),
                    address(&seen), 0);
    };
    EXPECT_EQ(go(), kMost - 3);
    EXPECT_EQ(seen, kMost - 3);
    EXPECT_EQ(go(), 5);
    EXPECT_EQ(go(), 0);
}

}  // namespace
}  // namespace barebpf
