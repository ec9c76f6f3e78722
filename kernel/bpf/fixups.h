// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the files of the fix-ups share: one sweep from the verified program to the final form (prog.h).
//
//   fixups.cc         the sweep, and what goes into Prog afterwards
//   dead_code.cc      which instructions stay, conditions that have one way only
//   fixups_ctx.cc     context fields to our structures
//   fixups_calls.cc   helper ids, map operations, tail calls, 64-bit immediates
//   fixups_inline.cc  may_goto
//   fixups_ldabs.cc   BPF_LD_ABS, BPF_LD_IND
//   patch.h           the program that is being written
#pragma once

#include "kernel/bpf/patch.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

// The functions that a program calls, each once, as Prog::calls will have them. An open hash table of
// indices finds equal ones.
class CallTable {
public:
    explicit CallTable(host::MemoryOwner& owner) : owner_(owner) {}

    // The index of a call; it is new or was there.
    Result<u32> index_of(const void* address, u32 helper_id, LookupShape shape = LookupShape::Call);
    // Exactly as many as there are.
    Result<host::Buffer<CallTarget>> take();

private:
    Result<void> grow();
    u32* slot_of(const void* address, u32 helper_id);

    host::MemoryOwner& owner_;
    host::Buffer<CallTarget> calls_;
    host::Buffer<u32> slots_;  // index + 1, or 0; twice as many as calls_ has room for
    u32 count_ = 0;
};

struct Fixups {
    explicit Fixups(VerifierEnv& e) : env(e), out(e.prog->memory), calls(e.prog->memory) {}

    VerifierEnv& env;
    Patcher out;
    CallTable calls;
    // The abstract interpretation has been over the program: aux says what is dead and what pointers
    // are. Otherwise everything stays as it is.
    bool verified = true;
    bool changes_packet_data = false;
    // For each instruction: the first one from there on that stays; [count]: count.
    host::Buffer<u32> next_kept;

    struct Frame {
        u16 depth;    // bytes, a multiple of 8, with those below
        bool counts;  // has may_goto: two more slots, counter_off() and spill_off()
    };
    host::Buffer<Frame> frames;  // by subprogram
    u32 subprog = 0;             // the one being rewritten

    bool kept(u32 insn) const { return next_kept[insn] == insn; }
};

// fixups.cc: of a program that was only decoded (unverified.cc).
Result<void> apply_unverified_fixups(VerifierEnv& env);

// -- dead_code.cc --
Result<void> find_dead_code(Fixups& fix);
// A goto or condition: as it is, as a goto, or not at all.
void fix_jump(Fixups& fix, u32 insn);
// What stands for dead code where it may not be removed: a loop that no path enters.
void emit_trap(Fixups& fix);
// Whether nothing of a subprogram is left.
bool subprog_is_dead(const Fixups& fix, u32 subprog);

// -- fixups_ctx.cc --
Result<void> fix_ctx_access(Fixups& fix, u32 insn);

// -- fixups_calls.cc --
Result<void> fix_helper_call(Fixups& fix, u32 insn);
Result<void> fix_ld_imm64(Fixups& fix, u32 insn);

// -- fixups_inline.cc --
Result<void> plan_frames(Fixups& fix);
void emit_frame_entry(Fixups& fix);
void fix_may_goto(Fixups& fix, u32 insn);

// -- fixups_ldabs.cc --
Result<void> fix_ld_abs(Fixups& fix, u32 insn);

}  // namespace barebpf
