// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Maps of maps: what may be inside, references, and programs that look into the inner map.
#include "kernel/bpf/map_in_map.h"

#include <cstring>
#include <string>
#include <vector>

#include "kernel/barebpf.h"
#include "kernel/bpf/insn.h"
#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/syscall_elem.h"
#include "testkit/inject.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using host::Atomic;
using host::Order;
using test::error;

// The types of maps of maps; their keys are 32-bit numbers here.
constexpr u32 kOuterTypes[] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS};

class MapInMap : public test::WithDescriptors {
protected:
    int array(u32 entries = 4, u32 flags = 0, u32 value_size = 8) {
        return keep(Client::create(BPF_MAP_TYPE_ARRAY, 4, value_size, entries, flags));
    }
    static s64 try_outer(int inner, u32 type = BPF_MAP_TYPE_ARRAY_OF_MAPS, u32 flags = 0) {
        return Client::create_outer(type, 4, 4, inner, flags);
    }
    int outer(int inner, u32 type = BPF_MAP_TYPE_ARRAY_OF_MAPS) {
        return keep(try_outer(inner, type));
    }
    static s64 put(int outer, u32 key, int inner, u64 flags = BPF_ANY) {
        return Client::update(outer, &key, &inner, flags);
    }
    static s64 id_in(int outer, u32 key) {
        u32 id = 0;
        const s64 result = Client::lookup(outer, &key, &id);
        return result < 0 ? result : id;
    }
    static s64 id_of(int fd) {
        bpf_map_info info{};
        u32 size = sizeof info;
        const s64 result = Client::info(fd, &info, &size);
        return result < 0 ? result : info.id;
    }
};

TEST_F(MapInMap, IdsComeOutOfWhatDescriptorsPutIn) {
    for (const u32 type : kOuterTypes) {
        if (!map_ops(type)) continue;
        const int a = array(), b = array();
        const int maps = outer(a, type);
        EXPECT_EQ(id_in(maps, 1), error(Errno::NoEnt));
        EXPECT_EQ(put(maps, 1, a), 0);
        EXPECT_EQ(id_in(maps, 1), id_of(a));
        EXPECT_EQ(put(maps, 1, b), 0);
        EXPECT_EQ(id_in(maps, 1), id_of(b));
        const u32 key = 1, other = 2;
        EXPECT_EQ(Client::erase(maps, &other), error(Errno::NoEnt));
        EXPECT_EQ(Client::erase(maps, &key), 0);
        EXPECT_EQ(Client::erase(maps, &key), error(Errno::NoEnt));
        EXPECT_EQ(id_in(maps, 1), error(Errno::NoEnt));
        EXPECT_EQ(put(maps, 1, -1), error(Errno::BadF));
    }
}

TEST_F(MapInMap, AnArrayHasItsBoundsAndFlags) {
    const int a = array();
    const int maps = outer(a);
    EXPECT_EQ(put(maps, 4, a), error(Errno::TooBig));
    EXPECT_EQ(put(maps, 1, a, BPF_NOEXIST), error(Errno::Inval));
    EXPECT_EQ(put(maps, 1, a, BPF_EXIST), error(Errno::Inval));
    const u32 beyond = 4;
    EXPECT_EQ(Client::erase(maps, &beyond), error(Errno::TooBig));
    EXPECT_EQ(id_in(maps, 4), error(Errno::NoEnt));
    for (const u32 flag : {BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG, BPF_F_MMAPABLE, BPF_F_INNER_MAP}) {
        EXPECT_EQ(try_outer(a, BPF_MAP_TYPE_ARRAY_OF_MAPS, flag), error(Errno::Inval)) << flag;
    }
}

TEST_F(MapInMap, OneLevelOfMapsOnly) {
    const int a = array();
    const int maps = outer(a);
    for (const u32 type : kOuterTypes) {
        if (!map_ops(type)) continue;
        EXPECT_EQ(try_outer(maps, type), error(Errno::Inval));
        EXPECT_EQ(try_outer(-1, type), error(Errno::BadF));
        EXPECT_EQ(put(outer(a, type), 0, maps), error(Errno::Inval));
    }
    const int progs = keep(Client::create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4));
    EXPECT_EQ(try_outer(progs), error(Errno::NotSupp));
    EXPECT_EQ(put(maps, 0, progs), error(Errno::Inval));
}

TEST_F(MapInMap, OnlyMapsLikeTheFirstMayFollow) {
    const int maps = outer(array(4));
    EXPECT_EQ(put(maps, 0, array(4)), 0);
    EXPECT_EQ(put(maps, 0, array(5)), error(Errno::Inval));
    EXPECT_EQ(put(maps, 0, array(4, 0, 9)), error(Errno::Inval));
    EXPECT_EQ(put(maps, 0, array(4, BPF_F_MMAPABLE)), error(Errno::Inval));
    EXPECT_EQ(put(maps, 0, array(4, BPF_F_INNER_MAP)), error(Errno::Inval));
    EXPECT_EQ(put(maps, 0, keep(Client::create(BPF_MAP_TYPE_HASH, 4, 8, 4))), error(Errno::Inval));

    const int any_length = outer(array(1, BPF_F_INNER_MAP));
    EXPECT_EQ(put(any_length, 0, array(100, BPF_F_INNER_MAP)), 0);
    EXPECT_EQ(put(any_length, 0, array(1)), error(Errno::Inval));
}

// The reference is in the element, not in the descriptor; and the template needs not live.
TEST_F(MapInMap, AnElementKeepsItsMap) {
    const int a = array();
    const int maps = outer(a);
    drop(a);
    const int b = array();
    const s64 id = id_of(b);
    ASSERT_EQ(put(maps, 3, b), 0);
    drop(b);
    EXPECT_EQ(id_in(maps, 3), id);
    const int again = keep(Client::fd_by_id(static_cast<u32>(id)));
    EXPECT_EQ(id_of(again), id);
    drop(again);
    const u32 key = 3;
    EXPECT_EQ(Client::erase(maps, &key), 0);
    host::rcu_barrier();
    EXPECT_EQ(Client::fd_by_id(static_cast<u32>(id)), error(Errno::NoEnt));
    // Elements that are still there go with their map.
    const int c = array();
    const s64 last = id_of(c);
    ASSERT_EQ(put(maps, 0, c), 0);
    drop(c);
    drop(maps);
    host::rcu_barrier();
    EXPECT_EQ(Client::fd_by_id(static_cast<u32>(last)), error(Errno::NoEnt));
}

TEST_F(MapInMap, NoAllocationThatFailsLeavesAnythingBehind) {
    const int a = array();
    const auto live = machine::live_memory();
    inject::fail_each_allocation(
        [&] {
            const s64 fd = try_outer(a);
            if (fd < 0) {
                EXPECT_TRUE(fd == error(Errno::NoMem) || fd == error(Errno::NFile)) << fd;
                return;
            }
            EXPECT_EQ(put(static_cast<int>(fd), 0, a), 0);
            Client::close(static_cast<int>(fd));
        },
        [&](u32 n) {
            host::rcu_barrier();
            EXPECT_EQ(machine::live_memory().blocks, live.blocks) << n;
        });
}

// ── Programs ──────────────────────────────────────────────────────────────────────────────────

using namespace insn;

// Looks up outer[key]; without one 1. In the inner map looks up number `index`; without one 2. Adds 1 to
// its 8 bytes: 3. The numbers of both are bytes 0 and 4 of the packet.
std::vector<bpf_insn> count_in_inner(int maps) {
    return {
        load(BPF_W, R2, R1, 0),  // data
        load(BPF_W, R3, R1, 4),  // data_end
        mov_imm(R0, 0),
        mov(R4, R2),
        add_imm(R4, 8),
        jump(BPF_JGT, R4, R3, 24),
        load(BPF_W, R3, R2, 0),
        store(BPF_W, R10, -4, R3),
        load(BPF_W, R3, R2, 4),
        store(BPF_W, R10, -8, R3),
        ld_low(R1, BPF_PSEUDO_MAP_FD, maps),
        ld_high(0),
        mov(R2, R10),
        add_imm(R2, -4),
        call(BPF_FUNC_map_lookup_elem),
        jump_imm(BPF_JNE, R0, 0, 2),
        mov_imm(R0, 1),
        exit(),
        mov(R1, R0),
        mov(R2, R10),
        add_imm(R2, -8),
        call(BPF_FUNC_map_lookup_elem),
        jump_imm(BPF_JNE, R0, 0, 2),
        mov_imm(R0, 2),
        exit(),
        mov(R6, R0),
        mov_imm(R1, 1),
        atomic(BPF_ADD, BPF_DW, R6, 0, R1),
        mov_imm(R0, 3),
        exit(),
        exit(),
    };
}

char program_log[8192];

s64 load_program(const std::vector<bpf_insn>& insns) {
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.insns = test::address_of(insns.data());
    attr.insn_cnt = static_cast<u32>(insns.size());
    attr.license = test::address_of("GPL");
    attr.log_buf = test::address_of(program_log);
    attr.log_size = sizeof program_log;
    attr.log_level = 2;
    program_log[0] = 0;
    return test::OurBpf::call(BPF_PROG_LOAD, &attr, sizeof attr);
}

u32 run_program(int prog, u32 key, u32 index) {
    u32 packet[16] = {key, index};
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<u32>(prog);
    attr.test.data_in = test::address_of(packet);
    attr.test.data_size_in = sizeof packet;
    EXPECT_EQ(test::OurBpf::call(BPF_PROG_TEST_RUN, &attr, sizeof attr), 0);
    return attr.test.retval;
}

u64 value_in(int map, u32 key) {
    u64 value = 0;
    EXPECT_EQ(Client::lookup(map, &key, &value), 0);
    return value;
}

TEST_F(MapInMap, AProgramFindsTheInnerMapAndItsElements) {
    for (const bool jit : {true, false}) {
        enable_jit(jit);
        for (const u32 flags : {u32{0}, u32{BPF_F_INNER_MAP}}) {
            const int small = array(2, flags);
            const int large = array(flags ? 50 : 2, flags);
            const int maps = outer(small);
            ASSERT_EQ(put(maps, 1, small), 0);
            const int prog = keep(load_program(count_in_inner(maps)));
            ASSERT_GE(prog, 0) << program_log;
            EXPECT_EQ(run_program(prog, 0, 0), 1u);
            EXPECT_EQ(run_program(prog, 4, 0), 1u);
            EXPECT_EQ(run_program(prog, 1, 1), 3u);
            EXPECT_EQ(run_program(prog, 1, 2), 2u);
            EXPECT_EQ(value_in(small, 1), 1u);
            ASSERT_EQ(put(maps, 1, large), 0);
            EXPECT_EQ(run_program(prog, 1, 1), 3u);
            EXPECT_EQ(value_in(small, 1), 1u);
            EXPECT_EQ(value_in(large, 1), 1u);
            EXPECT_EQ(run_program(prog, 1, 49), flags ? 3u : 2u);
            EXPECT_EQ(run_program(prog, 1, 50), 2u);
        }
    }
    enable_jit(true);
}

TEST_F(MapInMap, AProgramIsNoMap) {
    const int prog = keep(load_program({mov_imm(R0, 0), exit()}));
    EXPECT_EQ(try_outer(prog), error(Errno::Inval));
    EXPECT_EQ(put(outer(array()), 0, prog), error(Errno::Inval));
}

TEST_F(MapInMap, AProgramFindsAHashInside) {
    const int inner = keep(Client::create(BPF_MAP_TYPE_HASH, 4, 8, 10));
    const int maps = outer(inner);
    ASSERT_EQ(put(maps, 0, inner), 0);
    const u32 key = 77;
    const u64 value = 5;
    ASSERT_EQ(Client::update(inner, &key, &value), 0);
    const int prog = keep(load_program(count_in_inner(maps)));
    EXPECT_EQ(run_program(prog, 0, 77), 3u);
    EXPECT_EQ(run_program(prog, 0, 78), 2u);
    EXPECT_EQ(value_in(inner, 77), 6u);
}

// Calls a helper on outer[0] with 8 bytes, the first of which is 32, and flags 0; then `more`, with its result in R0.
std::vector<bpf_insn> call_on_inner(int maps, s32 helper, std::initializer_list<bpf_insn> more) {
    std::vector<bpf_insn> program = {
        store_imm(BPF_W, R10, -4, 0),
        store_imm(BPF_DW, R10, -16, 32),
        ld_low(R1, BPF_PSEUDO_MAP_FD, maps),
        ld_high(0),
        mov(R2, R10),
        add_imm(R2, -4),
        call(BPF_FUNC_map_lookup_elem),
        jump_imm(BPF_JNE, R0, 0, 2),
        mov_imm(R0, 1),
        exit(),
        mov(R1, R0),
        mov(R2, R10),
        add_imm(R2, -16),
        mov_imm(R3, 0),
        call(helper),
    };
    program.insert(program.end(), more);
    return program;
}

TEST_F(MapInMap, AProgramUsesMapsWithoutKeysInside) {
    for (const u32 type : {BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK, BPF_MAP_TYPE_BLOOM_FILTER}) {
        const int inner = keep(Client::create(type, 0, 8, 3));
        const int maps = outer(inner);
        const int prog = keep(load_program(call_on_inner(maps, BPF_FUNC_map_push_elem, {exit()})));
        ASSERT_GE(prog, 0) << program_log;
        EXPECT_EQ(run_program(prog, 0, 0), 1u);
        ASSERT_EQ(put(maps, 0, inner), 0);
        EXPECT_EQ(run_program(prog, 0, 0), 0u);
        u64 value = 32;
        EXPECT_EQ(Client::lookup(inner, nullptr, &value), 0);
        EXPECT_EQ(value, 32u);
    }
}

TEST_F(MapInMap, AProgramFindsATrieInside) {
    const int inner = keep(Client::create(BPF_MAP_TYPE_LPM_TRIE, 8, 8, 3, BPF_F_NO_PREALLOC));
    const int maps = outer(inner);
    const u32 key[2] = {0, 0};
    const u64 value = 5;
    const int prog = keep(load_program(call_on_inner(
        maps, BPF_FUNC_map_lookup_elem,
        {jump_imm(BPF_JNE, R0, 0, 2), mov_imm(R0, 2), exit(), load(BPF_DW, R0, R0, 0), exit()})));
    ASSERT_GE(prog, 0) << program_log;
    ASSERT_EQ(put(maps, 0, inner), 0);
    EXPECT_EQ(run_program(prog, 0, 0), 2u);
    ASSERT_EQ(Client::update(inner, key, &value), 0);
    EXPECT_EQ(run_program(prog, 0, 0), 5u);
}

TEST_F(MapInMap, TheVerifierKnowsWhatALookupGives) {
    const int maps = outer(array());
    const auto expect_refused = [&](std::vector<bpf_insn> insns, const char* why) {
        EXPECT_LT(load_program(insns), 0);
        EXPECT_NE(std::string(program_log).find(why), std::string::npos) << program_log;
    };
    std::vector<bpf_insn> lookup = {
        store_imm(BPF_DW, R10, -8, 0),
        ld_low(R1, BPF_PSEUDO_MAP_FD, maps),
        ld_high(0),
        mov(R2, R10),
        add_imm(R2, -8),
    };
    const auto then = [&](std::initializer_list<bpf_insn> more) {
        std::vector<bpf_insn> all = lookup;
        all.insert(all.end(), more);
        return all;
    };
    // Used before it was compared with null.
    expect_refused(then({call(BPF_FUNC_map_lookup_elem), mov(R1, R0), mov(R2, R10), add_imm(R2, -8),
                         call(BPF_FUNC_map_lookup_elem), mov_imm(R0, 0), exit()}),
                   "R1 type=map_value_or_null expected=map_ptr");
    // A map is not memory.
    expect_refused(then({call(BPF_FUNC_map_lookup_elem), jump_imm(BPF_JEQ, R0, 0, 1),
                         load(BPF_W, R0, R0, 0), mov_imm(R0, 0), exit()}),
                   "R0 invalid mem access 'map_ptr'");
    expect_refused(then({call(BPF_FUNC_map_delete_elem), mov_imm(R0, 0), exit()}),
                   "cannot pass map_type 12 into func bpf_map_delete_elem#3");
    expect_refused(then({mov(R3, R10), add_imm(R3, -8), mov_imm(R4, 0),
                         call(BPF_FUNC_map_update_elem), mov_imm(R0, 0), exit()}),
                   "cannot pass map_type 12 into func bpf_map_update_elem#2");
}

// ── Waiting for those who use the old map ─────────────────────────────────────────────────────

// CPU 1 looks up the inner map and uses it for a while; CPU 0 replaces it meanwhile.
struct Replacement {
    int outer;
    Map* map;
    s64 (*replace)(int outer, int inner);

    enum Phase : u32 { kStart, kUsed, kReplaced };
    Atomic<u32> phase{kStart}, returned_early{};

    void use() {
        {
            InsideProgram program;
            const u32 slot = 0;
            EXPECT_TRUE(map->ops->lookup(map, &slot) != nullptr);
            phase.store(kUsed, Order::Release);
            for (u32 i = 0; i < test::rounds(1000); ++i) {
                test::lose_processor();
                host::spin_hint();
                if (phase.load(Order::Acquire) == kReplaced)
                    returned_early.store(1, Order::Relaxed);
            }
        }
        while (phase.load(Order::Acquire) != kReplaced) {
            host::Cpu::yield_point();
            host::spin_hint();
        }
    }
    void run(u32 cpu, int inner) {
        if (cpu == 1) {
            use();
            return;
        }
        while (phase.load(Order::Acquire) != kUsed) host::spin_hint();
        EXPECT_EQ(replace(outer, inner), 0);
        phase.store(kReplaced, Order::Release);
    }
};

s64 batch_of_one(u32 command, int outer, int inner) {
    u32 slot = 0;
    test::Batch batch{command, outer, 1, &slot, &inner};
    return Client::batch(batch);
}

TEST(MapsOfMaps, AChangeReturnsWhenNobodyUsesTheOldMap) {
    if (test::cpus() < 2) GTEST_SKIP();
    using Replace = s64 (*)(int outer, int inner);
    static constexpr u32 kSlot = 0;
    for (const u32 type : kOuterTypes) {
        const Replace kinds[] = {
            [](int outer, int inner) { return Client::update(outer, &kSlot, &inner); },
            [](int outer, int) { return Client::erase(outer, &kSlot); },
            [](int outer, int inner) { return batch_of_one(BPF_MAP_UPDATE_BATCH, outer, inner); },
            [](int outer, int inner) { return batch_of_one(BPF_MAP_DELETE_BATCH, outer, inner); },
        };
        for (const Replace replace : kinds) {
            // An array's elements are not deleted in batches.
            if (type == BPF_MAP_TYPE_ARRAY_OF_MAPS && replace == kinds[3]) continue;
            Replacement replacement{-1, nullptr, replace};
            int inner;
            {
                host::Cpu::Entry inside;
                inner = Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, 4);
                replacement.outer = Client::create_outer(type, 4, 4, inner);
                EXPECT_EQ(Client::update(replacement.outer, &kSlot, &inner), 0);
                replacement.map = test::map_of(replacement.outer);
            }
            test::run_on_cpus(2, [&](u32 cpu) { replacement.run(cpu, inner); });
            EXPECT_EQ(replacement.returned_early.load(Order::Relaxed), 0u);
            host::Cpu::Entry inside;
            Client::close(inner);
            Client::close(replacement.outer);
        }
    }
}

}  // namespace
}  // namespace barebpf
