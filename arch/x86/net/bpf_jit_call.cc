// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Calls of helpers and the tail call. R1 to R5 are the C argument registers, and R0 is the result
// register: a call needs no moves at all.
#include "arch/x86/net/bpf_jit_lower.h"
#include "kernel/bpf/prog_array.h"

namespace barebpf::x86 {

#pragma GCC diagnostic ignored "-Winvalid-offsetof"
constexpr s32 kMaxEntriesOffset = __builtin_offsetof(Map, max_entries);
constexpr s32 kSlotsOffset = ProgArray::kSlotsOffset;
constexpr s32 kCodeOffset = __builtin_offsetof(Prog, jit.code.exec);

void Lowering::call_helper(const Op& op) {
    if (op.imm < 0 || static_cast<u64>(op.imm) >= unit_.prog->calls.size()) {
        ok_ = false;
        return;
    }
    const void* target = unit_.prog->calls[static_cast<size_t>(op.imm)].address;
    if (!options_.direct_calls) {
        out_.mov64(kScratch, reinterpret_cast<u64>(target));
        return out_.call(kScratch);
    }
    keep_within_line(5);
    s64 distance = 0;
    if (options_.exec != nullptr) {
        const u8* after = options_.exec + out_.position() + 5;
        distance = static_cast<s64>(reinterpret_cast<u64>(target) - reinterpret_cast<u64>(after));
        if (!fits_s32(distance)) ok_ = false;
    }
    out_.call_relative(static_cast<s32>(distance));
}

u32 Lowering::subprog_at(u32 insn) const {
    for (u32 n = 0; n < subprog_count(); n++)
        if (unit_.prog->subprogs[n].start == insn) return n;
    return 0;
}

void Lowering::function_address(const Op& op) {
    u32 subprog = subprog_at(op.target);
    bool stub = counts_tail_calls_ && unit_.prog->subprogs[subprog].is_callback;
    Label label = stub ? callback_label(subprog) : function_label(subprog);
    out_.lea(Width::W64, x(op.dst), Memory::at(label));
}

// To the program at R3 of the array in R2, with R1 as its context: bounds, count, an empty slot;
// whatever fails goes on behind. The frame is left before the jump, so the target returns to our
// caller and starts with registers as our caller had them.
void Lowering::tail_call(const Op& op) {
    Register array = x(BPF_REG_2), index = x(BPF_REG_3);
    Label out = out_.local_label();
    out_.cmp(Width::W32, Memory(array, kMaxEntriesOffset), index);
    out_.jump(Condition::BelowEqual, out);
    out_.cmp(Width::W32, kTailCount, static_cast<s32>(kMaxTailCalls));
    out_.jump(Condition::AboveEqual, out);
    out_.mov(Width::W32, index, index);
    out_.mov(Width::W64, kScratch, Memory(array, index, Scale::X8, kSlotsOffset));
    out_.test(Width::W64, kScratch, kScratch);
    out_.jump(Condition::Equal, out);
    out_.mov(Width::W64, kScratch, Memory(kScratch, kCodeOffset));
    out_.test(Width::W64, kScratch, kScratch);  // not compiled: no engine to continue with
    out_.jump(Condition::Equal, out);
    out_.add(Width::W32, kTailCount, 1);
    leave_frame();
    out_.jump(kScratch);
    out_.bind(out);
}

}  // namespace barebpf::x86
