// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Frames: what a function saves, where its stack is, how it is entered and left. Each part exists
// only in functions that need it.
//
//     higher   return address
//              saved rbp           <- rbp = R10, only where R10 is used
//              BPF stack           stack_depth bytes, and 8 more where calls need alignment
//     lower    saved rbx r13 r14 r15 r12   <- rsp; those of R6 to R9 that the function writes or keeps constants in
#include "arch/x86/net/bpf_jit_lower.h"
#include "kernel/lib/bits.h"

namespace barebpf::x86 {

static constexpr Register kMap[kRegs] = {
    Register::Rax, Register::Rdi, Register::Rsi, Register::Rdx, Register::Rcx, Register::R8,
    Register::Rbx, Register::R13, Register::R14, Register::R15, Register::Rbp,
};

constexpr RegSet kCalleeSaved = 0x03C0;  // R6 to R9

// What needs more scratch than r11.
static bool needs_scratch(const Op& op) {
    if (op.kind == Kind::Alu || op.kind == Kind::AluConst)
        return op.code == BPF_DIV || op.code == BPF_MOD;
    return op.kind == Kind::Atomic || op.kind == Kind::MaskedOffset;
}

void Lowering::plan_registers() {
    for (u32 reg = 0; reg < kRegs; reg++) map_[reg] = kMap[reg];
    if (!frame_.leaf_registers) return;
    map_[BPF_REG_6] = kScratch2;
    map_[BPF_REG_7] = kScratch3;
    frame_.saved &= static_cast<RegSet>(~(reg_bit(BPF_REG_6) | reg_bit(BPF_REG_7)));
}

const Frame::Kept* Lowering::kept(s64 value) const {
    for (u32 i = 0; i < frame_.kept_count; i++)
        if (frame_.kept[i].value == value) return &frame_.kept[i];
    return nullptr;
}

// False: no register is free.
bool Lowering::keep_constant(s64 value) {
    if (kept(value)) return true;
    if (frame_.leaf_registers) return false;  // which saves nothing
    Register reg = kTailCount;
    const RegSet free = kCalleeSaved & static_cast<RegSet>(~frame_.saved);
    if (free != 0) {
        const Reg chosen = static_cast<Reg>(lowest_bit(free));
        frame_.saved |= reg_bit(chosen);
        reg = kMap[chosen];
    } else if (counts_tail_calls_ || frame_.saves_r12) {
        return false;
    } else {
        frame_.saves_r12 = true;
    }
    frame_.kept[frame_.kept_count++] = {reg, value};
    return true;
}

// From the end, so that the jumps back that reach before an instruction are known when it is looked at.
void Lowering::plan_constants(u32 begin, u32 end) {
    u32 lowest_target = end;
    for (u32 i = end; i-- > begin;) {
        const Op& op = unit_.ops[i];
        const bool jumps = op.kind == Kind::Jump || (is_branch(op) && op.select == Select::No);
        if (jumps && op.target < lowest_target) lowest_target = op.target;
        const s64 value = op.kind == Kind::MovConst ? op.imm : standing_of(unit_, op);
        const bool wide = !fits_s32(value) && !fits_u32(static_cast<u64>(value));
        if (wide && lowest_target <= i && !keep_constant(value)) return;
    }
}

u32 Lowering::saved_count() const {
    return count_bits(frame_.saved) + (frame_.saves_r12 ? 1 : 0);
}

// A call leaves rsp 16-byte aligned before its return address is pushed (System V ABI 3.2.2).
void Lowering::plan_alignment() {
    if (!frame_.calls) return;
    u32 pushed = 8 + (frame_.stack ? 8 : 0) + frame_.below;
    pushed += 8 * saved_count();
    if (pushed % 16 != 0) frame_.below += 8;
}

void Lowering::plan_frame(const SubprogInfo& info, u32 begin, u32 end) {
    frame_ = Frame{};
    frame_.leaf_registers = true;
    for (u32 i = begin; i < end; i++) {
        const Op& op = unit_.ops[i];
        RegSet written = defs(op);
        frame_.saved |= static_cast<RegSet>(written & kCalleeSaved);
        if ((uses(op) | written) & reg_bit(BPF_REG_10)) frame_.stack = true;
        if (op.kind == Kind::CallHelper || op.kind == Kind::CallSubprog) frame_.calls = true;
        if (op.kind == Kind::TailCall || needs_scratch(op)) frame_.leaf_registers = false;
    }
    frame_.leaf_registers = frame_.leaf_registers && !frame_.calls;
    if (frame_.stack) frame_.below = (info.stack_depth + 7u) & ~7u;
    plan_registers();
    plan_constants(begin, end);
    plan_alignment();
    epilogue_bound_ = false;
}

void Lowering::prologue() {
    if (frame_.stack) {
        out_.push(Register::Rbp);
        out_.mov(Width::W64, Register::Rbp, Register::Rsp);
        if (frame_.below != 0) out_.sub(Width::W64, Register::Rsp, static_cast<s32>(frame_.below));
    } else if (frame_.below != 0) {
        out_.push(Register::Rax);  // eight bytes, whatever they are
    }
    for (Reg reg = BPF_REG_6; reg <= BPF_REG_9; reg++)
        if (frame_.saved & reg_bit(reg)) out_.push(x(reg));
    if (frame_.saves_r12) out_.push(kTailCount);
    for (u32 i = 0; i < frame_.kept_count; i++)
        out_.mov64(frame_.kept[i].reg, static_cast<u64>(frame_.kept[i].value));
}

// Back to where rsp points to the return address. rcx, R4, holds nothing by now.
void Lowering::leave_frame() {
    if (frame_.saves_r12) out_.pop(kTailCount);
    for (Reg reg = BPF_REG_9; reg >= BPF_REG_6; reg--)
        if (frame_.saved & reg_bit(reg)) out_.pop(x(reg));
    if (frame_.stack)
        out_.leave();
    else if (frame_.below != 0)
        out_.pop(Register::Rcx);
}

// Short epilogues stand at each exit, a longer one at the first; the others jump there.
void Lowering::exit() {
    u32 parts = saved_count() + (frame_.stack ? 1 : 0);
    if (parts > 2) {
        if (epilogue_bound_) return out_.jump(epilogue_);
        epilogue_ = out_.local_label();
        out_.bind(epilogue_);
        epilogue_bound_ = true;
    }
    leave_frame();
    out_.ret();
}

// r12 belongs to whoever called us: keep it, set the count, give it back.
void Lowering::counting_stub(u32 subprog, u32 count) {
    out_.push(kTailCount);
    out_.load_constant(kTailCount, count);
    out_.call(function_label(subprog));
    out_.pop(kTailCount);
    out_.ret();
}

// C enters at the first instruction, unless tail calls must be counted. A callback is called from a
// helper's C code, where r12 is not the count: it gets a used-up one, and takes no tail call.
void Lowering::entry_stubs() {
    entry_ = 0;
    if (!counts_tail_calls_) return;
    entry_ = out_.position();
    counting_stub(0, 0);
    for (u32 n = 0; n < subprog_count(); n++) {
        if (!unit_.prog->subprogs[n].is_callback) continue;
        out_.bind(callback_label(n));
        counting_stub(n, kMaxTailCalls);
    }
}

}  // namespace barebpf::x86
