// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Arrays of a client without CAP_PERFMON: indices are masked behind each bounds check, and whatever a mask lets
// through is the array's memory. What a CPU does that mispredicts a check is done here by taking the check away.
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernel/barebpf.h"
#include "kernel/bpf/arraymap.h"
#include "kernel/bpf/fd_array.h"
#include "kernel/bpf/insn.h"
#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/percpu_array.h"
#include "kernel/bpf/prog_array.h"
#include "kernel/bpf/prog_internal.h"
#include "kernel/host/cpu_place.h"
#include "testkit/user/user.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using Insns = std::vector<bpf_insn>;
using test::error;
using namespace insn;

constexpr u64 kCapNone = 0;
constexpr u64 kCapBpf = u64{1} << 39;

void become(u64 capabilities) {
    user::set_credentials(
        {.capabilities = capabilities, .unprivileged_bpf_disabled = false, .uid = 1000});
}

// Who has CAP_BPF and nothing else, where the test does not say otherwise.
class ArrayMask : public test::WithDescriptors {
protected:
    void SetUp() override {
        WithDescriptors::SetUp();
        become(kCapBpf);
    }
    void TearDown() override {
        user::set_credentials({});
        WithDescriptors::TearDown();
    }
    int load_filter(const Insns& insns) {
        bpf_attr attr{};
        attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
        attr.insns = test::address_of(insns.data());
        attr.insn_cnt = static_cast<u32>(insns.size());
        attr.license = test::address_of("GPL");
        return keep(test::OurBpf::call(BPF_PROG_LOAD, &attr, sizeof attr));
    }
    int inner(u32 flags = 0) { return keep(Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, 5, flags)); }
};

// -- memory -------------------------------------------------------------------------------------

struct Kind {
    const char* name;
    u32 type;
    u32 value_size;
    u32 flags;
};
constexpr Kind kKinds[] = {
    {"array", BPF_MAP_TYPE_ARRAY, 12, 0},
    {"pages", BPF_MAP_TYPE_ARRAY, 8, BPF_F_MMAPABLE},
    {"inner array", BPF_MAP_TYPE_ARRAY, 8, BPF_F_INNER_MAP},
    {"per-CPU array", BPF_MAP_TYPE_PERCPU_ARRAY, 8, 0},
    {"array of maps", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 0},
    {"program array", BPF_MAP_TYPE_PROG_ARRAY, 4, 0},
    {"event array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 0},
    {"cgroup array", BPF_MAP_TYPE_CGROUP_ARRAY, 4, 0},
};

s64 try_create(const Kind& kind, u32 entries, int inner) {
    bpf_attr attr = test::map_attr(kind.type, 4, kind.value_size, entries, kind.flags);
    if (kind.type == BPF_MAP_TYPE_ARRAY_OF_MAPS) attr.inner_map_fd = static_cast<u32>(inner);
    return Client::create(attr);
}

u64 bytes_of(const Kind& kind, u32 entries, int inner) {
    const s64 fd = try_create(kind, entries, inner);
    EXPECT_GE(fd, 0) << kind.name;
    if (fd < 0) return 0;
    EXPECT_EQ(test::map_of(static_cast<int>(fd))->max_entries, entries);
    const u64 bytes = test::map_of(static_cast<int>(fd))->memory.bytes();
    Client::close(static_cast<int>(fd));
    return bytes;
}

TEST_F(ArrayMask, MemoryIsWhatTheMaskLetsThrough) {
    const int like = inner();
    for (const Kind& kind : kKinds) {
        for (const auto& [entries, rounded] :
             {std::pair{1u, 1u}, {2u, 2u}, {3u, 4u}, {5u, 8u}, {8u, 8u}, {1025u, 2048u}}) {
            become(kCapBpf);
            const u64 masked = bytes_of(kind, entries, like);
            become(~u64{0});
            EXPECT_EQ(masked, bytes_of(kind, rounded, like)) << kind.name << " " << entries;
            // Nobody else's is rounded up.
            if (entries != 1025) continue;
            EXPECT_LT(bytes_of(kind, entries, like), masked) << kind.name;
        }
    }
}

TEST_F(ArrayMask, ThereIsNoLargerPowerOfTwo) {
    const int like = inner();
    for (const Kind& kind : kKinds) {
        EXPECT_EQ(try_create(kind, 0x8000'0001, like), error(Errno::TooBig)) << kind.name;
        EXPECT_EQ(try_create(kind, ~0u, like), error(Errno::TooBig)) << kind.name;
    }
    EXPECT_EQ(Client::create_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, ~0u, -1), error(Errno::BadF));
}

TEST_F(ArrayMask, UserSpaceMapsNoMoreThanTheElements) {
    constexpr u32 kPage = host::kPageSize;
    Map* map = test::map_of(keep(Client::create(BPF_MAP_TYPE_ARRAY, 4, kPage, 5, BPF_F_MMAPABLE)));
    const auto mmap = [&](u64 first, u64 pages) {
        return map->ops->mmap(map, {first * kPage, pages * kPage, false, true, false});
    };
    EXPECT_TRUE(mmap(0, 5).ok());
    EXPECT_EQ(mmap(0, 6).error(), Errno::Inval);
    EXPECT_EQ(mmap(5, 1).error(), Errno::Inval);
    EXPECT_EQ(mmap(0, 8).error(), Errno::Inval);
}

// -- functions ----------------------------------------------------------------------------------

// A map whose bounds checks let anything through.
class Mispredicted {
public:
    explicit Mispredicted(Map* map) : map_(map), entries_(map->max_entries) {
        map->max_entries = ~0u;
    }
    ~Mispredicted() { map_->max_entries = entries_; }

private:
    Map* map_;
    u32 entries_;
};

constexpr u32 kIndices[] = {0, 1, 4, 5, 7, 8, 9, 15, 23, 0x8000'0003, ~0u - 1};

TEST_F(ArrayMask, FunctionsStayWithinAnArray) {
    auto* map = static_cast<ArrayMap*>(test::map_of(inner()));
    const Mispredicted check(map);
    for (const u32 index : kIndices) {
        const u64 value = index + 1;
        ASSERT_EQ(map->ops->lookup(map, &index), map->at(index & 7)) << index;
        ASSERT_EQ(map->ops->update(map, &index, &value, BPF_ANY), 0);
        EXPECT_EQ(*reinterpret_cast<u64*>(map->at(index & 7)), value);
    }
}

TEST_F(ArrayMask, FunctionsStayWithinAPercpuArray) {
    const int fd = keep(Client::create(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 5));
    auto* map = static_cast<PercpuArrayMap*>(test::map_of(fd));
    const Mispredicted check(map);
    const host::Cpu::Pin pin;
    for (const u32 index : kIndices) {
        const u64 value = index + 1;
        ASSERT_EQ(map->ops->lookup(map, &index), map->at_this_cpu(index & 7)) << index;
        ASSERT_EQ(map->ops->lookup_percpu(map, &index, 0), map->at(index & 7, 0)) << index;
        ASSERT_EQ(map->ops->update(map, &index, &value, BPF_ANY), 0);
        EXPECT_EQ(*reinterpret_cast<u64*>(map->at_this_cpu(index & 7)), value);
        std::vector<u64> values(host::possible_cpus(), value + 1), read(values.size());
        ASSERT_EQ(map->ops->update_from_user(map, &index, values.data(), BPF_ANY), 0);
        EXPECT_EQ(*reinterpret_cast<u64*>(map->at(index & 7, 0)), value + 1);
        ASSERT_EQ(map->ops->copy_value(map, &index, read.data(), 0), 0);
        EXPECT_EQ(read, values);
    }
}

TEST_F(ArrayMask, FunctionsStayWithinAnArrayOfMaps) {
    const int like = inner();
    const int fd = keep(Client::create_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 5, like));
    const u32 one = 1;
    ASSERT_EQ(Client::update(fd, &one, &like), 0);
    auto* map = static_cast<FdArray*>(test::map_of(fd));
    const Mispredicted check(map);
    for (const u32 index : kIndices) {
        Map* expected = (index & 7) == 1 ? test::map_of(like) : nullptr;
        ASSERT_EQ(map->get(index), expected) << index;
        ASSERT_EQ(map->ops->lookup(map, &index), expected) << index;
    }
    const u32 eleven = 11, three = 3;
    ASSERT_EQ(map->ops->update_from_user(map, &eleven, &like, BPF_ANY), 0);
    EXPECT_EQ(map->get(three), test::map_of(like));
    ASSERT_EQ(map->ops->erase(map, &eleven), 0);
    EXPECT_EQ(map->get(three), nullptr);
}

TEST_F(ArrayMask, FunctionsStayWithinAProgramArray) {
    const int fd = keep(Client::create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 5));
    const int prog = load_filter({mov_imm(R0, 0), exit()});
    Map* map = test::map_of(fd);
    const Mispredicted check(map);
    for (const u32 index : kIndices) {
        const u32 masked = index & 7;
        u32 id = 0;
        ASSERT_EQ(map->ops->update_from_user(map, &index, &prog, BPF_ANY), 0);
        ASSERT_EQ(map->ops->copy_value(map, &masked, &id, 0), 0) << index;
        ASSERT_EQ(map->ops->copy_value(map, &index, &id, 0), 0) << index;
        ASSERT_EQ(map->ops->erase(map, &index), 0);
        ASSERT_EQ(map->ops->copy_value(map, &masked, &id, 0), error(Errno::NoEnt)) << index;
    }
}

TEST_F(ArrayMask, SlotsBeyondTheLastAreEmpty) {
    const int maps = keep(Client::create_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 5, inner()));
    const int progs = keep(Client::create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 5));
    auto* outer = static_cast<FdArray*>(test::map_of(maps));
    auto* array = static_cast<ProgArray*>(test::map_of(progs));
    ASSERT_EQ(outer->index_mask, 7u);
    ASSERT_EQ(outer->slot_count, 8u);
    ASSERT_EQ(array->slot_count, 8u);
    for (u32 i = 0; i < 8; ++i) {
        EXPECT_EQ(outer->slots()[i].load(host::Order::Relaxed), nullptr);
        EXPECT_EQ(array->slots()[i].load(host::Order::Relaxed), nullptr);
    }
}

// -- programs -----------------------------------------------------------------------------------

constexpr u32 kEntries = 5, kMask = 7;
constexpr u32 kFirst = 100;  // what element 0 holds, or program 0 returns
constexpr u32 kNone = 99;

bool is_bounds_check(const bpf_insn& insn) {
    const u8 kind = insn.code & 0x07;
    return (kind == BPF_JMP || kind == BPF_JMP32) && (insn.code & 0xf0) == BPF_JGE;
}

bool is_mask(const bpf_insn& insn) {
    if (insn.code == (BPF_ALU | BPF_AND | BPF_X)) return true;
    return insn.code == (BPF_ALU | BPF_AND | BPF_K) && insn.imm == s32{kMask};
}

// Capabilities, and whether programs are compiled. All that is done is done by bpf(2), as that client.
class MaskedProgram : public ArrayMask,
                      public ::testing::WithParamInterface<std::tuple<u64, bool>> {
protected:
    void SetUp() override {
        ArrayMask::SetUp();
        become(std::get<0>(GetParam()));
        enable_jit(std::get<1>(GetParam()));
    }
    void TearDown() override {
        enable_jit(true);
        ArrayMask::TearDown();
    }

    // Element i holds kFirst + i, for each CPU.
    int filled(u32 type, u32 flags = 0) {
        const int map = keep(Client::create(type, 4, 8, kEntries, flags));
        for (u32 i = 0; i < kEntries; ++i) {
            const std::vector<u64> values(host::possible_cpus(), kFirst + i);
            EXPECT_EQ(Client::update(map, &i, values.data()), 0);
        }
        return map;
    }
    int outer_of(int map) {
        return keep(Client::create_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, kEntries, map));
    }
    static void put(int map, u32 index, int fd) { EXPECT_EQ(Client::update(map, &index, &fd), 0); }
    static u32 run(int prog, u32 index) {
        u8 frame[64] = {};
        __sk_buff context{};
        context.mark = index;
        bpf_attr attr{};
        attr.test.prog_fd = static_cast<u32>(prog);
        attr.test.data_in = test::address_of(frame);
        attr.test.data_size_in = sizeof frame;
        attr.test.ctx_in = test::address_of(&context);
        attr.test.ctx_size_in = sizeof context;
        EXPECT_EQ(test::OurBpf::call(BPF_PROG_TEST_RUN, &attr, sizeof attr), 0);
        return attr.test.retval;
    }

    // The program goes by the packet's mark. Beyond the last element it finds kNone; the same with its checks taken
    // away, where `padding` is what it finds in memory that is no element's.
    void check(int fd, u32 checks, u32 padding) {
        for (const u32 index : kIndices) {
            ASSERT_EQ(run(fd, index), index < kEntries ? kFirst + index : kNone) << index;
        }
        ASSERT_NO_FATAL_FAILURE(take_checks_away(fd, checks));
        for (const u32 index : kIndices) {
            const u32 masked = index & kMask;
            ASSERT_EQ(run(fd, index), masked < kEntries ? kFirst + masked : padding) << index;
        }
    }

private:
    static void take_checks_away(int fd, u32 expected) {
        Prog* prog = prog_get_by_fd(fd).release();
        EXPECT_FALSE(prog->bypass_spec_v1);
        u32 checks = 0, masks = 0;
        for (bpf_insn& insn : prog->insns) {
            masks += is_mask(insn);
            if (!is_bounds_check(insn)) continue;
            insn = go(0);
            ++checks;
        }
        const bool compiled = prog->jited;
        jit_free(prog);
        prog_select_engine(prog, compiled);
        prog_put(prog);
        ASSERT_EQ(compiled, std::get<1>(GetParam()) && jit_available());
        ASSERT_EQ(checks, expected);
        ASSERT_EQ(masks, expected);
    }
};
INSTANTIATE_TEST_SUITE_P(Clients, MaskedProgram,
                         ::testing::Combine(::testing::Values(kCapBpf, kCapNone),
                                            ::testing::Values(false, true)),
                         [](const auto& client) {
                             return std::string(std::get<0>(client.param) ? "CapBpf"
                                                                          : "Unprivileged") +
                                    (std::get<1>(client.param) ? "Compiled" : "Interpreted");
                         });

void append(Insns& to, const Insns& more) {
    to.insert(to.end(), more.begin(), more.end());
}

// R0 = element number `index` of the map in R1; the program ends if there is none.
Insns look_up(u8 index) {
    return {store(BPF_W, R10, -4, index),
            mov(R2, R10),
            add_imm(R2, -4),
            call(BPF_FUNC_map_lookup_elem),
            jump_imm(BPF_JNE, R0, 0, 2),
            mov_imm(R0, static_cast<s32>(kNone)),
            exit()};
}

// The packet's mark is in R6, 0 in R7.
Insns start(int map) {
    return {load(BPF_W, R6, R1, __builtin_offsetof(__sk_buff, mark)), mov_imm(R7, 0),
            ld_low(R1, BPF_PSEUDO_MAP_FD, map), ld_high(0)};
}

Insns look_up_value(int map) {
    Insns insns = start(map);
    append(insns, look_up(R6));
    append(insns, {load(BPF_W, R0, R0, 0), exit()});
    return insns;
}

// The value of an inner map's element.
Insns look_up_twice(int outer, u8 outer_index, u8 inner_index) {
    Insns insns = start(outer);
    append(insns, look_up(outer_index));
    append(insns, {mov(R1, R0)});
    append(insns, look_up(inner_index));
    append(insns, {load(BPF_W, R0, R0, 0), exit()});
    return insns;
}

TEST_P(MaskedProgram, StaysWithinAnArray) {
    check(load_filter(look_up_value(filled(BPF_MAP_TYPE_ARRAY))), 1, 0);
}

TEST_P(MaskedProgram, StaysWithinAPercpuArray) {
    if (host::cpu_id_place().base == host::CpuIdBase::None) return;  // then it is not inlined
    check(load_filter(look_up_value(filled(BPF_MAP_TYPE_PERCPU_ARRAY))), 1, 0);
}

TEST_P(MaskedProgram, StaysWithinAnArrayOfMaps) {
    int outer = -1;
    for (u32 i = 0; i < kEntries; ++i) {
        const int map = inner();
        const u32 key = 0;
        const u64 value = kFirst + i;
        ASSERT_EQ(Client::update(map, &key, &value), 0);
        if (i == 0) outer = outer_of(map);
        put(outer, i, map);
    }
    check(load_filter(look_up_twice(outer, R6, R7)), 2, kNone);
}

TEST_P(MaskedProgram, StaysWithinAnInnerArray) {
    for (const u32 flags : {0u, u32{BPF_F_INNER_MAP}}) {
        const int map = filled(BPF_MAP_TYPE_ARRAY, flags);
        const int outer = outer_of(map);
        put(outer, 0, map);
        check(load_filter(look_up_twice(outer, R7, R6)), 2, 0);
    }
}

// Each array of any length has a mask of its own; the program knows only another one's.
TEST_P(MaskedProgram, StaysWithinAnInnerArrayOfAnyLength) {
    const int outer =
        outer_of(keep(Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, 100, BPF_F_INNER_MAP)));
    put(outer, 0, filled(BPF_MAP_TYPE_ARRAY, BPF_F_INNER_MAP));
    check(load_filter(look_up_twice(outer, R7, R6)), 2, 0);
}

TEST_P(MaskedProgram, StaysWithinAProgramArray) {
    const int array = keep(Client::create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, kEntries));
    for (u32 i = 0; i < kEntries; ++i) {
        put(array, i, load_filter({mov_imm(R0, static_cast<s32>(kFirst + i)), exit()}));
    }
    const int caller =
        load_filter({load(BPF_W, R3, R1, __builtin_offsetof(__sk_buff, mark)),
                     ld_low(R2, BPF_PSEUDO_MAP_FD, array), ld_high(0), call(BPF_FUNC_tail_call),
                     mov_imm(R0, static_cast<s32>(kNone)), exit()});
    check(caller, 1, kNone);
}

// It is the creator of the map who matters: nothing is masked for one with CAP_PERFMON.
TEST_P(MaskedProgram, IsNotMaskedInOthersMaps) {
    user::set_credentials({});
    const int array = filled(BPF_MAP_TYPE_ARRAY);
    become(std::get<0>(GetParam()));
    const int fd = load_filter(look_up_value(array));
    Prog* prog = prog_get_by_fd(fd).release();
    for (const bpf_insn& insn : prog->insns) EXPECT_FALSE(is_mask(insn));
    prog_put(prog);
    EXPECT_EQ(run(fd, kEntries - 1), kFirst + kEntries - 1);
    EXPECT_EQ(run(fd, kEntries), kNone);
}

}  // namespace
}  // namespace barebpf
