// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for arrays of programs, which are replaced, deleted and freed while others call them; and for the shape that
// cgroup arrays have. Arrays of maps: map_in_map_torture_test.cc; of events: perf_event_torture_test.cc.
#include "kernel/barebpf.h"
#include "kernel/bpf/insn.h"
#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/map_torture_test.h"
#include "kernel/bpf/prog.h"
#include "kernel/net/packet.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using host::Order;
using test::Random;
using namespace insn;

constexpr u32 kSlots = 3;
constexpr u32 kNone = 7;  // what a caller returns whose slot is empty

template <u32 kCount>
int load_xdp(const bpf_insn (&insns)[kCount]) {
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.insns = test::address_of(insns);
    attr.insn_cnt = kCount;
    attr.license = test::address_of("GPL");
    return static_cast<int>(test::OurBpf::call(BPF_PROG_LOAD, &attr, sizeof attr));
}

// 1: programs are compiled; 0: interpreted.
class ProgArrayTorture : public test::MapTorture<::testing::TestWithParam<u32>> {
public:
    void work(Random& random, u32) {
        const u32 slot = random.below(kSlots);
        if (random.one_in(64)) return put_fresh(slot, random.below(1000));
        if (random.one_in(16)) return erase(slot);
        if (random.one_in(8)) return put(slot, kept_[slot]);
        if (random.one_in(8)) return ask_id(slot);
        run(slot);
    }
    void interrupt(Random& random) { run(random.below(kSlots)); }

protected:
    // What the programs of a slot return.
    static s32 result_of(u32 slot, u32 number) {
        return static_cast<s32>(slot * 1000 + number + 100);
    }
    static int load_callee(u32 slot, u32 number) {
        return load_xdp({mov_imm(R0, result_of(slot, number)), exit()});
    }
    int load_caller(u32 slot) const {
        return load_xdp({ld_low(R2, BPF_PSEUDO_MAP_FD, array_), ld_high(0),
                         mov_imm(R3, static_cast<s32>(slot)), call(BPF_FUNC_tail_call),
                         mov_imm(R0, kNone), exit()});
    }
    void put(u32 slot, int fd) { verdict_.expect(Client::update(array_, &slot, &fd) == 0, "put"); }
    // Nobody but the slot holds this one.
    void put_fresh(u32 slot, u32 number) {
        const int fd = load_callee(slot, number);
        verdict_.expect(fd >= 0, "load");
        put(slot, fd);
        verdict_.expect(machine::close_fd(fd) == 0, "close");
    }
    void erase(u32 slot) {
        verdict_.succeeded(Client::erase(array_, &slot), {Errno::NoEnt}, "erase");
    }
    void ask_id(u32 slot) {
        u32 id = 0;
        const s64 result = Client::lookup(array_, &slot, &id);
        if (verdict_.succeeded(result, {Errno::NoEnt}, "ask")) verdict_.expect(id != 0, "no id");
    }
    void run(u32 slot) {
        XdpBuff frame{};
        const u32 result = run_xdp(callers_[slot], &frame);
        if (result == kNone) return;
        called_.fetch_add(1, Order::Relaxed);
        verdict_.expect(result - static_cast<u32>(result_of(slot, 0)) < 1000,
                        "a program of another slot");
    }

    int array_ = -1;
    int kept_[kSlots] = {-1, -1, -1};
    Prog* callers_[kSlots] = {};
    host::Atomic<u32> called_{};
};
INSTANTIATE_TEST_SUITE_P(Engines, ProgArrayTorture, ::testing::Values(1u, 0u),
                         [](const auto& engine) {
                             return std::string(engine.param ? "Compiled" : "Interpreted");
                         });

TEST_P(ProgArrayTorture, WhatIsCalledIsThatSlotsAndStillThere) {
    enable_jit(GetParam() == 1);
    array_ = Client::create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, kSlots);
    ASSERT_GE(array_, 0);
    for (u32 slot = 0; slot < kSlots; ++slot) {
        const int caller = load_caller(slot);
        ASSERT_GE(caller, 0);
        callers_[slot] = prog_from_fd(caller).value();
        test::OurBpf::close(caller);
        kept_[slot] = load_callee(slot, 0);
        put(slot, kept_[slot]);
    }
    test::torture(*this);
    EXPECT_GT(called_.load(Order::Relaxed), 0u);
    Client::close(array_);  // empties it, though programs use it
    for (u32 slot = 0; slot < kSlots; ++slot) {
        XdpBuff frame{};
        EXPECT_EQ(run_xdp(callers_[slot], &frame), kNone);
        Prog* kept = prog_from_fd(kept_[slot]).value();
        EXPECT_EQ(kept->refs.load(Order::Relaxed), 2u);
        put_prog(kept);
        test::OurBpf::close(kept_[slot]);
        put_prog(callers_[slot]);
    }
    test::settle();
    enable_jit(true);
}

// No descriptor names a cgroup here: nothing gets in, from anywhere.
class CgroupArrayTorture : public test::MapTorture<> {
public:
    void work(Random& random, u32) {
        const u32 slot = random.below(kSlots + 1);
        const s64 wanted = slot < kSlots ? -to_int(Errno::BadF) : -to_int(Errno::TooBig);
        verdict_.expect(Client::update(array_, &slot, &array_) == wanted, "update");
        const s64 erased = Client::erase(array_, &slot);
        verdict_.expect(erased == (slot < kSlots ? -to_int(Errno::NoEnt) : wanted), "erase");
        u32 id = 0;
        verdict_.expect(Client::lookup(array_, &slot, &id) == -to_int(Errno::NotSupp), "look-up");
        interrupt(random);
    }
    void interrupt(Random& random) {
        u32 slot = random.below(kSlots), next = 0;
        const s64 wanted = slot + 1 < kSlots ? 0 : -to_int(Errno::NoEnt);
        verdict_.expect(map_->ops->next_key(map_, &slot, &next) == wanted, "next key");
    }

protected:
    int array_ = -1;
};

TEST_F(CgroupArrayTorture, NothingGetsIn) {
    array_ = Client::create(BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, kSlots);
    ASSERT_GE(array_, 0);
    map_ = test::map_of(array_);
    test::torture(*this, {.turns = 300, .interrupts = 50});
    map_ = nullptr;
    Client::close(array_);
}

}  // namespace
}  // namespace barebpf
