// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Locks in map values: what the verifier lets programs do with them, and the helpers.
#include "kernel/bpf/helpers_map.h"
#include "kernel/bpf/verifier_calls_test.h"
#include "testkit/inject.h"
#include "testkit/test.h"

namespace barebpf::test {
namespace {

constexpr u8 R0 = 0, R1 = 1, R2 = 2, R3 = 3, R6 = 6, R7 = 7, R8 = 8, R10 = 10;

struct Case {
    const char* name;
    Insns insns;
    Errno error;
    const char* text;
    TestLoad load = {};
};

void run(std::initializer_list<Case> cases) {
    for (const Case& c : cases) expect_verdict(c.name, c.insns, c.error, c.text, c.load);
}

constexpr Errno kOk{};
constexpr s32 kLock = kLockOffset;

Insns take(u8 value, s32 off = kLock) {
    return {insn_mov(R1, value), insn_add_imm(R1, off), helper_call(BPF_FUNC_spin_lock)};
}
Insns give(u8 value, s32 off = kLock) {
    return {insn_mov(R1, value), insn_add_imm(R1, off), helper_call(BPF_FUNC_spin_unlock)};
}
// dst = lookup(map, 0); null ends the program.
Insns found(u8 dst, TestMap map = kLocked) {
    return Insns{zero_slot(-8)} + stack_address(R2, -8) + load_map(R1, map) +
           Insns{helper_call(BPF_FUNC_map_lookup_elem), insn_jump_imm(BPF_JNE, R0, 0, 1),
                 insn_exit(), insn_mov(dst, R0)};
}

TEST(Locks, AreTakenAndGivenBack) {
    run({
        {"looked up", found(R6) + take(R6) + give(R6) + leave(), kOk, ""},
        {"direct", load_value(R6, kLocked, 0) + take(R6) + give(R6) + leave(), kOk, ""},
        {"twice, one after the other",
         found(R6) + take(R6) + give(R6) + take(R6) + give(R6) + leave(), kOk, ""},
        {"the value in between",
         found(R6) + take(R6) + Insns{insn_store_imm(BPF_DW, R6, 16, 1)} + give(R6) + leave(), kOk,
         ""},
        {"through a spilled pointer",
         found(R6) + take(R6) +
             Insns{insn_store(BPF_DW, R10, -16, R6), insn_load(BPF_DW, R7, R10, -16)} + give(R7) +
             leave(),
         kOk, ""},
        {"a branch in between",
         Insns{insn_mov(R8, R1)} + found(R6) + Insns{insn_load(BPF_W, R7, R8, 8)} + take(R6) +
             Insns{insn_jump_imm(BPF_JEQ, R7, 0, 1), insn_store_imm(BPF_DW, R6, 16, 1)} + give(R6) +
             leave(),
         kOk, ""},
    });
}

TEST(Locks, AreGivenBackOnEveryPath) {
    run({
        {"never", found(R6) + take(R6) + leave(), Errno::Inval, "unlock is missing"},
        {"on one path only",
         Insns{insn_mov(R8, R1)} + found(R6) + Insns{insn_load(BPF_W, R7, R8, 8)} + take(R6) +
             Insns{insn_jump_imm(BPF_JEQ, R7, 0, 3)} + give(R6) + leave(),
         Errno::Inval, "unlock is missing"},
        {"not taken", found(R6) + give(R6) + leave(), Errno::Inval,
         "bpf_spin_unlock without taking a lock"},
        {"twice", found(R6) + take(R6) + give(R6) + give(R6) + leave(), Errno::Inval,
         "bpf_spin_unlock without taking a lock"},
        {"of another look-up", found(R6) + found(R7) + take(R6) + give(R7) + leave(), Errno::Inval,
         "bpf_spin_unlock of different lock"},
        {"of another map", found(R6) + found(R7, kLocked2) + take(R6) + give(R7) + leave(),
         Errno::Inval, "bpf_spin_unlock of different lock"},
        {"of another address of one value",
         load_value(R6, kLocked, 0) + load_value(R7, kLocked, 0) + take(R6) + give(R7) + leave(),
         Errno::Inval, "bpf_spin_unlock of different lock"},
    });
}

TEST(Locks, AllowNoCallsMeanwhile) {
    constexpr const char* kCalls = "function calls are not allowed while holding a lock";
    const Insns sub = Insns{insn_mov_imm(R0, 0), insn_exit()};
    run({
        {"a helper",
         found(R6) + take(R6) + Insns{helper_call(BPF_FUNC_ktime_get_ns)} + give(R6) + leave(),
         Errno::Inval, kCalls},
        {"a second lock",
         found(R6) + found(R7) + take(R6) + take(R7) + give(R7) + give(R6) + leave(), Errno::Inval,
         kCalls},
        {"a subprogram",
         found(R6) + take(R6) + Insns{insn::call_subprog(5)} + give(R6) + leave() + sub,
         Errno::Inval, kCalls},
        {"a tail call",
         Insns{insn_mov(R8, R1)} + found(R6) + take(R6) + load_map(R2, kProgs) +
             Insns{insn_mov(R1, R8), insn_mov_imm(R3, 0), helper_call(BPF_FUNC_tail_call)} +
             give(R6) + leave(),
         Errno::Inval, kCalls},
    });
}

TEST(Locks, AreMetExactly) {
    run({
        {"before", found(R6) + take(R6, kLock - 4) + leave(), Errno::Inval,
         "off 4 doesn't point to 'struct bpf_spin_lock' that is at 8"},
        {"behind", found(R6) + take(R6, kLock + 1) + leave(), Errno::Inval,
         "off 9 doesn't point to 'struct bpf_spin_lock' that is at 8"},
        {"at unlock", found(R6) + take(R6) + give(R6, 0) + leave(), Errno::Inval,
         "off 0 doesn't point to 'struct bpf_spin_lock' that is at 8"},
        {"a varying offset",
         Insns{insn_load(BPF_W, R7, R1, 8)} + found(R6) +
             Insns{make_insn(BPF_ALU64 | BPF_AND | BPF_K, R7, 0, 0, 8), insn_mov(R1, R6),
                   make_insn(BPF_ALU64 | BPF_ADD | BPF_X, R1, R7, 0, 0),
                   helper_call(BPF_FUNC_spin_lock)} +
             leave(),
         Errno::Inval,
         "R1 doesn't have constant offset. bpf_spin_lock has to be at the constant offset"},
        {"no BTF", found(R6, kArray) + take(R6) + leave(), Errno::Inval,
         "has to have BTF in order to use bpf_spin_lock"},
        {"no lock", found(R6, kTyped) + take(R6) + leave(), Errno::Inval,
         "doesn't have 'struct bpf_spin_lock'"},
        {"on the stack",
         Insns{zero_slot(-8)} + stack_address(R1, -8) + Insns{helper_call(BPF_FUNC_spin_lock)} +
             leave(),
         Errno::Acces, "R1 type=fp expected=map_value"},
        {"null perhaps",
         Insns{zero_slot(-8)} + stack_address(R2, -8) + load_map(R1, kLocked) +
             Insns{helper_call(BPF_FUNC_map_lookup_elem), insn_mov(R1, R0),
                   helper_call(BPF_FUNC_spin_lock)} +
             leave(),
         Errno::Acces, "R1 type=map_value_or_null expected=map_value"},
    });
}

TEST(Locks, AreNotPlainMemory) {
    constexpr const char* kDirect = "bpf_spin_lock cannot be accessed directly by load/store";
    run({
        {"load", found(R6) + Insns{insn_load(BPF_W, R0, R6, kLock)} + leave(), Errno::Acces,
         kDirect},
        {"store", found(R6) + Insns{insn_store_imm(BPF_W, R6, kLock, 0)} + leave(), Errno::Acces,
         kDirect},
        {"its last byte", found(R6) + Insns{insn_load(BPF_B, R0, R6, kLock + 3)} + leave(),
         Errno::Acces, kDirect},
        {"into it", found(R6) + Insns{insn_load(BPF_DW, R0, R6, kLock - 4)} + leave(), Errno::Acces,
         kDirect},
        {"up to it", found(R6) + Insns{insn_load(BPF_DW, R0, R6, 0)} + leave(), kOk, ""},
        {"behind it", found(R6) + Insns{insn_load(BPF_W, R0, R6, kLock + 4)} + leave(), kOk, ""},
        {"by a helper",
         found(R6) + Insns{zero_slot(-8)} + stack_address(R2, -8) + Insns{insn_mov(R3, R6)} +
             load_map(R1, kArray) +
             Insns{insn_mov_imm(4, 0), helper_call(BPF_FUNC_map_update_elem)} + leave(),
         Errno::Acces, kDirect},
    });
}

TEST(Locks, AreNotForEveryProgram) {
    const Insns program = found(R6) + take(R6) + give(R6) + leave();
    run({
        {"socket filter",
         program,
         Errno::Inval,
         "socket filter progs cannot use bpf_spin_lock yet",
         {.type = BPF_PROG_TYPE_SOCKET_FILTER}},
        {"tracing",
         program,
         Errno::Inval,
         "tracing progs cannot use bpf_spin_lock yet",
         {.type = BPF_PROG_TYPE_KPROBE}},
        {"unprivileged",
         found(R6) + Insns{insn_mov(R1, R6), helper_call(BPF_FUNC_spin_lock)} + leave(),
         Errno::Inval,
         "unknown func bpf_spin_lock#93",
         {.privileged = false}},
    });
}

// Both ways lead to one instruction, with the lock held and without it, or with different locks held:
// the second way is not covered by the first.
TEST(Locks, TellStatesApart) {
    const Insns number = Insns{insn_load(BPF_W, R8, R1, 8)};
    run({
        {"held or not",
         number + found(R6) + Insns{insn_jump_imm(BPF_JEQ, R8, 0, 3)} + take(R6) +
             Insns{insn_mov_imm(R0, 0), insn_mov_imm(R1, 0)} + give(R6) + leave(),
         Errno::Inval,
         "bpf_spin_unlock without taking a lock",
         {.flags = BPF_F_TEST_STATE_FREQ}},
        {"one or the other",
         number + found(R6) + found(R7) + Insns{insn_jump_imm(BPF_JEQ, R8, 0, 4)} + take(R6) +
             Insns{make_insn(BPF_JMP | BPF_JA, 0, 0, 3, 0)} + take(R7) +
             Insns{insn_mov_imm(R0, 0), insn_mov_imm(R1, 0), insn_mov_imm(R2, 0)} + give(R6) +
             leave(),
         Errno::Inval,
         "bpf_spin_unlock of different lock",
         {.flags = BPF_F_TEST_STATE_FREQ}},
    });
}

void count_interrupt(void* counts) {
    static_cast<host::Atomic<u32>*>(counts)[host::cpu_id()].fetch_add(1, host::Order::Relaxed);
}

// False: none came for a long time.
bool wait_for_interrupt(const host::Atomic<u32>& count) {
    const u32 before = count.load(host::Order::Relaxed);
    const u64 start = host::Clock::monotonic_ns();
    while (count.load(host::Order::Relaxed) == before) {
        if (host::Clock::monotonic_ns() - start > 10'000'000'000) return false;
        host::spin_hint();
    }
    return true;
}

// Interrupts come all the time, but none while a lock is held.
TEST(Locks, TheHelpersKeepInterruptsOff) {
    host::Cpu::Entry entry;
    host::Cpu::Pin pin;
    static host::Atomic<u32> counts[host::kMaxCpus];
    inject::Storm storm({.kind = inject::Kind::Irq, .cpu_count = host::possible_cpus()},
                        count_interrupt, counts);
    const host::Atomic<u32>& count = counts[host::cpu_id()];
    alignas(8) u32 word = 0;
    const u64 lock = reinterpret_cast<u64>(&word);
    for (u32 round = 0; round < 3; ++round) {
        ASSERT_TRUE(wait_for_interrupt(count));
        spin_lock(lock, 0, 0, 0, 0);
        EXPECT_EQ(word, 1u);
        const u32 before = count.load(host::Order::Relaxed);
        const u64 start = host::Clock::monotonic_ns();
        while (host::Clock::monotonic_ns() - start < 1'000'000) host::spin_hint();
        EXPECT_EQ(count.load(host::Order::Relaxed), before);
        spin_unlock(lock, 0, 0, 0, 0);
        EXPECT_EQ(word, 0u);
    }
    EXPECT_TRUE(wait_for_interrupt(count));
}

}  // namespace
}  // namespace barebpf::test
