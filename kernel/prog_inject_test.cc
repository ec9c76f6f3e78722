// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into programs: interrupted before each instruction of a run, while they are loaded, while the maps
// that they work on are changed through bpf(2), and taken away from a hook while a CPU stands still inside.
#include "kernel/barebpf.h"
#include "kernel/net/packet.h"
#include "testkit/inject.h"
#include "testkit/test.h"
#include "uapi/linux/bpf.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using inject::Trace;

Trace trace;  // a quarter of a megabyte

bpf_insn make(u32 code, u32 dst = 0, u32 src = 0, s32 off = 0, s32 imm = 0) {
    bpf_insn insn{};
    insn.code = u8(code);
    insn.dst_reg = dst & 15;
    insn.src_reg = src & 15;
    insn.off = s16(off);
    insn.imm = imm;
    return insn;
}

s64 call(u32 command, bpf_attr& attr) {
    return bpf_syscall(command, reinterpret_cast<u64>(&attr), sizeof attr);
}

int make_map(u32 type, u32 value_size, u32 entries) {
    bpf_attr attr{};
    attr.map_type = type;
    attr.key_size = 4;
    attr.value_size = value_size;
    attr.max_entries = entries;
    return int(call(BPF_MAP_CREATE, attr));
}

s64 element(u32 command, int map, u32 key, void* value, u64 flags = 0) {
    bpf_attr attr{};
    attr.map_fd = u32(map);
    attr.key = reinterpret_cast<u64>(&key);
    attr.value = reinterpret_cast<u64>(value);
    attr.flags = flags;
    return call(command, attr);
}

// Counts its runs in element 0 of the array, writes 7 -> 7 into the hash and reads it back: XDP_PASS; XDP_DROP if it is
// not there; XDP_ABORTED without an element to count in.
int load_counter(int array, int hash) {
    const bpf_insn insns[] = {
        make(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
        make(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, array),
        make(0),
        make(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10),
        make(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
        make(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
        make(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 19, 0),
        make(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1),
        make(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),
        make(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 7),
        make(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -16, 7),
        make(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, hash),
        make(0),
        make(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10),
        make(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
        make(BPF_ALU64 | BPF_MOV | BPF_X, 3, 10),
        make(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -16),
        make(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, BPF_ANY),
        make(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_update_elem),
        make(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, hash),
        make(0),
        make(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10),
        make(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
        make(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
        make(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 2, 0),
        make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP),
        make(BPF_JMP | BPF_EXIT),
        make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
        make(BPF_JMP | BPF_EXIT),
    };
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.insns = reinterpret_cast<u64>(insns);
    attr.insn_cnt = sizeof insns / sizeof insns[0];
    attr.license = reinterpret_cast<u64>("GPL");
    return int(call(BPF_PROG_LOAD, attr));
}

class ProgInject : public ::testing::Test {
protected:
    void SetUp() override {
        ASSERT_TRUE(init().ok());
        array_ = make_map(BPF_MAP_TYPE_ARRAY, 8, 1);
        hash_ = make_map(BPF_MAP_TYPE_HASH, 8, 16);
        fd_ = load_counter(array_, hash_);
        ASSERT_GE(fd_, 0);
        prog_ = prog_from_fd(fd_).value();
        frame_.hard_start = memory_;
        frame_.data = frame_.data_meta = memory_ + 256;
        frame_.data_end = frame_.data + 60;
        frame_.hard_end = memory_ + sizeof memory_;
        run_from_outside(this);  // 7 is there from now on, even if an update of it is refused
    }
    void TearDown() override {
        if (prog_) put_prog(prog_);
        shutdown();
    }
    u64 runs_counted() {
        u64 count = 0;
        EXPECT_EQ(element(BPF_MAP_LOOKUP_ELEM, array_, 0, &count), 0);
        return count;
    }
    u32 run_once() {
        XdpBuff frame = frame_;
        return run_xdp(prog_, &frame);
    }
    static void run_from_outside(void* argument) {
        auto* self = static_cast<ProgInject*>(argument);
        if (self->run_once() != XDP_PASS) self->bad_.fetch_add(1, Order::Relaxed);
        self->runs_.fetch_add(1, Order::Relaxed);
    }

    int array_ = -1, hash_ = -1, fd_ = -1;
    Prog* prog_ = nullptr;
    XdpBuff frame_{};
    u8 memory_[512] = {};
    Atomic<u64> runs_{};
    Atomic<u64> bad_{};
};

struct Here {
    ProgInject* test;
    void (*run)(void*);
};

NOINLINE void run_here(void* argument) {
    const auto* here = static_cast<const Here*>(argument);
    here->run(here->test);
}

TEST_F(ProgInject, AnNmiBeforeEachInstructionOfARunRunsTheSameProgram) {
    Here here{this, run_from_outside};
    bool can = false;
    {
        host::Cpu::Entry inside;
        can = trace.record(Trace::Where::Everywhere, run_here, &here);
        if (can) {
            EXPECT_GT(trace.size(), 30u);
            inject::at_each_instruction(
                trace, host::cpu_id(), [&] { run_here(&here); }, [&] { run_from_outside(this); });
            EXPECT_EQ(runs_.load(Order::Relaxed), 2 + 2 * u64{trace.size()});
        }
    }
    if (!can) GTEST_SKIP() << "no single steps here";
    EXPECT_EQ(bad_.load(Order::Relaxed), 0u);
    EXPECT_EQ(runs_counted(), runs_.load(Order::Relaxed));
}

// In the test's own body: bpf(2) is called from outside the library.
TEST_F(ProgInject, ProgramsAreLoadedAndUnloadedUnderNmisThatRunPrograms) {
    u32 failed = 0;
    {
        inject::Storm storm(
            {.kind = inject::Kind::Nmi, .cpu_count = test::cpus(), .mean_gap_ns = 100'000},
            run_from_outside, this);
        for (u32 turn = 0; turn < 20 || storm.served() < 100; ++turn) {
            const int fd = load_counter(array_, hash_);
            failed += fd < 0;
            failed += machine::close_fd(fd) != 0;
        }
    }
    EXPECT_EQ(failed, 0u);
    EXPECT_EQ(bad_.load(Order::Relaxed), 0u);
    EXPECT_EQ(runs_counted(), runs_.load(Order::Relaxed));
}

TEST_F(ProgInject, InterruptsRunProgramsOnMapsThatBpf2Changes) {
    for (const inject::Kind kind : {inject::Kind::Irq, inject::Kind::Nmi}) {
        u32 wrong = 0;
        {
            inject::Storm storm({.kind = kind, .cpu_count = test::cpus()}, run_from_outside, this);
            for (u32 turn = 0; storm.served() < 200; ++turn) {
                // Keys of its own beside the program's 7, in the same buckets; the map is never full.
                u64 value = turn;
                const u32 key = 100 + turn % 8;
                wrong += element(BPF_MAP_UPDATE_ELEM, hash_, key, &value) != 0;
                u64 found = ~u64{0};
                wrong += element(BPF_MAP_LOOKUP_ELEM, hash_, key, &found) != 0 || found != turn;
                wrong += element(BPF_MAP_DELETE_ELEM, hash_, key, nullptr) != 0;
            }
        }
        EXPECT_EQ(wrong, 0u);
    }
    EXPECT_EQ(bad_.load(Order::Relaxed), 0u);
    EXPECT_EQ(runs_counted(), runs_.load(Order::Relaxed));
    u64 value = 0;
    EXPECT_EQ(element(BPF_MAP_LOOKUP_ELEM, hash_, 7, &value), 0);
    EXPECT_EQ(value, 7u);
}

// The hook lets go of the program while a CPU stands still in it: it ends as it began, in memory that is still its own.
TEST_F(ProgInject, AProgramIsNotFreedUnderACpuThatStandsStillInIt) {
    NEEDS_CPUS(2);
    Here here{this, run_from_outside};
    bool can = false;
    test::run_on_cpus(1,
                      [&](u32) { can = trace.record(Trace::Where::Everywhere, run_here, &here); });
    if (!can) GTEST_SKIP() << "no single steps here";
    put_prog(prog_);
    prog_ = nullptr;
    EXPECT_EQ(machine::close_fd(fd_), 0);
    u64 hooks = 0;
    for (u32 i = 0; i < trace.size(); i += 20) {
        Hook hook;
        const int fd = load_counter(array_, hash_);
        ASSERT_GE(fd, 0);
        hook.attach(prog_from_fd(fd).value());
        ASSERT_EQ(machine::close_fd(fd), 0);
        u32 verdict = 0;
        inject::Hold hold(trace[i], 1);
        Atomic<u32> ran{};
        test::run_on_cpus(2, [&](u32 cpu) {
            if (cpu == 1) {
                XdpBuff frame = frame_;
                verdict = hook.run_xdp(&frame, XDP_TX);
                ran.store(1, Order::Release);
                return;
            }
            // The instructions of another copy of the program are elsewhere: not every place is met.
            while (!hold.is_held() && !ran.load(Order::Acquire)) host::spin_hint();
            hook.attach(nullptr);
            for (u32 n = 0; n < 20; ++n) {  // what would be reused if it were free
                host::MemoryOwner owner;
                host::Buffer<u8> churn;
                (void)churn.allocate(512, host::AllocContext::Atomic, owner);
            }
            hold.release();
        });
        hooks += verdict == XDP_PASS;
        EXPECT_TRUE(verdict == XDP_PASS || verdict == XDP_TX) << verdict;
    }
    EXPECT_GT(hooks, 0u);
}

}  // namespace
}  // namespace barebpf
