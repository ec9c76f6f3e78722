// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What every program is: the instructions as they run, what they use, and how they are run.
//
//   PROG_LOAD -> decode, check -> verify -> fix-ups -> compile (or interpret) -> publish, id,
//   descriptor
//
// After the fix-ups insns is what both engines execute:
//   - BPF_LD_IMM64 holds plain 64-bit values: addresses of maps and of map values, constants; only
//     with src_reg BPF_PSEUDO_FUNC it has in imm the distance to a subprogram, as a call has, and
//     yields the address under which this engine calls it;
//   - a helper call (src_reg 0) has in imm an index into calls[]; a call of a subprogram
//     (src_reg BPF_PSEUDO_CALL) still has the distance in instructions;
//   - a tail call is the single instruction BPF_JMP|BPF_TAIL_CALL with R1 ctx, R2 program array, R3
//   index;
//   - internal opcodes may occur (below);
//   - context accesses go to this library's own structures; dead code is gone.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/host/contract.h"
#include "kernel/lib/result.h"
#include "uapi/linux/bpf.h"

namespace barebpf {

struct Prog;

// Internal opcode: jump to another program. Never accepted from outside.
inline constexpr u8 BPF_TAIL_CALL = 0xf0;
// Internal opcode, all other fields 0: no later instruction runs speculatively before this one. For
// engines on which nothing is speculated it does nothing.
inline constexpr u8 BPF_NOSPEC = 0xc2;  // BPF_ST | 0xc0
// Internal opcode: dst = this CPU's number. Only written where host::cpu_id_place() says where
// compiled code finds it.
inline constexpr u8 BPF_CPU_ID = 0xca;  // BPF_ST | BPF_H | 0xc0
// Internal opcode: dst += src, or dst -= src; one of the two is a pointer, the other a number that the
// verifier knows to be imm at most. If it is more, which happens only on a path that a mispredicting
// CPU takes, 0 stands for it; no branch decides that. off: kMasked*.
inline constexpr u8 BPF_MASKED_OFFSET = 0xda;  // BPF_ST | BPF_DW | 0xc0
inline constexpr s16 kMaskedNumberIsDst = 1;   // dst is the number, src the pointer
inline constexpr s16 kMaskedSubtract = 2;
inline constexpr u32 kMaxTailCalls = 33;  // MAX_TAIL_CALL_CNT: the 34th is not taken
inline constexpr u32 kMaxStack = 512;     // MAX_BPF_STACK, bytes of a whole call chain
// What the fix-ups may use below that in a frame: an engine's frames have kMaxStack + kFixupStack.
inline constexpr u32 kFixupStack = 16;
inline constexpr u32 kMaxCallFrames = 8;
inline constexpr u32 kMaxSubprogs = 256;

// How the host enters a program: compiled code ignores prog, the interpreter needs it.
using ProgEntry = u64 (*)(const void* ctx, const Prog* prog);

// What programs call. Arguments and result are full registers.
using BpfFunction = u64 (*)(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5);

struct CallTarget {
    // A BpfFunction, or a map operation of the same shape with fewer arguments: called with all
    // five.
    const void* address;
    u32 helper_id;      // enum bpf_func_id, for dumps
    LookupShape shape;  // of a map's lookup
};

struct SubprogInfo {
    u32 start;                 // index of its first instruction; it ends where the next begins
    u16 stack_depth;           // bytes, a multiple of 8
    bool has_tail_call;        // contains one itself
    bool tail_call_reachable;  // it or something it calls does: the count must reach it
    bool is_callback;  // its address is taken: called by a helper, not by a call instruction
    const Prog* prog = nullptr;  // whose it is
};

// Machine code of a program and all its subprograms, one image.
struct JitImage {
    host::ExecMemory code;
    u32 code_size = 0;              // bytes of code that are ours in code.exec
    host::Buffer<u32> insn_offset;  // where instruction i's code begins; for dumps and disassembly
    host::Buffer<u32> func_offset;  // where subprogram n's code begins
};

// For tracing fields that BTF gives a name to; as user space passed them, checked.
struct ProgDebugInfo {
    Btf* btf = nullptr;  // counted
    host::Buffer<bpf_func_info> func_info;
    host::Buffer<bpf_line_info> line_info;  // insn_off adjusted by the fix-ups
};

// Run counts; off unless asked for, as on Linux (BPF_ENABLE_STATS).
struct ProgStats {
    host::Atomic<u64> run_time_ns;
    host::Atomic<u64> run_count;
    host::Atomic<u64> recursion_misses;
};

// A host program (not a Linux type): R1 = memory, R2 = its length. For embedders and for barebpf
// exec.
inline constexpr u32 kProgTypeHost = 0x8000'0001;

struct Prog : host::FileObject {
    ProgEntry run = nullptr;
    u32 type = 0;  // enum bpf_prog_type, or kProgTypeHost
    u32 expected_attach_type = 0;
    u32 flags = 0;  // BPF_F_* of PROG_LOAD
    u32 id = 0;
    bool gpl_compatible = false;
    bool unprivileged = false;  // loaded without CAP_BPF: stricter rules, speculation barriers
    bool bypass_spec_v1 = true;
    bool changes_packet_data = false;
    bool jited = false;
    u32 host_memory_size = 0;  // kProgTypeHost: the length the verifier may rely on
    char name[kObjectNameLength] = {};
    u8 tag[BPF_TAG_SIZE] = {};

    host::Buffer<bpf_insn> insns;
    host::Buffer<SubprogInfo> subprogs;  // at least one: the main program
    host::Buffer<CallTarget> calls;
    host::Buffer<Map*> maps;  // counted
    JitImage jit;
    ProgDebugInfo debug;
    ProgStats stats{};

    u64 load_time_ns = 0;  // since boot
    u32 created_by_uid = 0;
    u32 verified_insns = 0;
    host::Atomic<u32> refs{};
    host::MemoryOwner memory;
    host::RcuHead rcu;
};

// Runs a program once. Context: any that the program type allows; the caller is inside the library,
// pinned, and in an RCU read section.
ALWAYS_INLINE u64 prog_run(const Prog* prog, const void* ctx) {
    return prog->run(ctx, prog);
}

void prog_get(Prog* prog);
void prog_put(Prog* prog);  // at zero: out of the table, freed after a grace period
Result<Prog*> prog_get_by_fd(int fd);
Result<Prog*> prog_get_by_id(u32 id);

// -- the engines --

// interpreter.cc. Serves as ProgEntry; runs any program whose insns are in final form.
u64 interpret(const void* ctx, const Prog* prog);
// A subprogram of an interpreted program, called by a helper.
u64 interpret_callback(const SubprogInfo* subprog, u64 r1, u64 r2, u64 r3, u64 r4);
// Two arguments, for host programs: R1 = memory, R2 = its length.
u64 interpret_host(const Prog* prog, void* memory, u64 length);

// What a helper gets for a function of the program is code, or, from the interpreter, a SubprogInfo
// with bit 62 inverted, which no address has: canonical ones have bits 62 and 63 alike.
inline constexpr u64 kInterpretedFunction = u64{1} << 62;

ALWAYS_INLINE u64 call_callback(u64 function, u64 r1, u64 r2, u64 r3, u64 r4) {
    if (LIKELY(s64(function ^ function << 1) >= 0))
        return reinterpret_cast<BpfFunction>(function)(r1, r2, r3, r4, 0);
    const u64 subprog = function ^ kInterpretedFunction;
    return interpret_callback(reinterpret_cast<const SubprogInfo*>(subprog), r1, r2, r3, r4);
}

// arch/*/net/bpf_jit.cc. An architecture without a compiler says so and leaves prog as it is.
bool jit_available();
// Fills prog->jit and sets prog->run. NoMem; NotSupp for what it cannot compile (then interpret).
// Compiled code takes R1 in the first argument register and R2 in the second, so a host program is
// entered as u64(*)(void* memory, u64 length).
Result<void> jit_compile(Prog* prog);
void jit_free(Prog* prog);

}  // namespace barebpf
