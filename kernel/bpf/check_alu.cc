// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Arithmetic on registers. Numbers go through the Scalar domain (range.h); what may be done with
// pointers is in check_pointer.cc.
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

constexpr const char* kOpName[16] = {"+=",  "-=", "*=", "/=", "|=",   "&=",     "<<=", ">>=",
                                     "neg", "%=", "^=", "=",  "s>>=", "endian", "?",   "?"};

bool is64(const bpf_insn& insn) {
    return BPF_CLASS(insn.code) == BPF_ALU64;
}

// Only unprivileged programs must not see what a pointer is made of.
bool is_secret(const VerifierEnv& env, const RegState& reg) {
    return !env.allow_ptr_leaks && reg.type != RegType::Number;
}

Result<void> prohibited(VerifierEnv& env, u32 reg, const char* what) {
    env.log.print('R', reg, ' ', what, '\n');
    return Errno::Acces;
}

// Bits that a register's value can occupy.
bool fits(const Scalar& scalar, u32 bits) {
    return bits >= 64 || scalar.umax >> bits == 0;
}

bool fits_signed(const Scalar& scalar, u32 bits) {
    const s64 limit = s64{1} << (bits - 1);
    return scalar.smin >= -limit && scalar.smax < limit;
}

Result<void> move_register(VerifierEnv& env, const bpf_insn& insn) {
    RegState& dst = env.reg(insn.dst_reg);
    RegState& src = env.reg(insn.src_reg);
    if (is64(insn) && insn.off == 0) {
        if (src.is_scalar() && !src.id && !src.is_const()) src.id = env.new_id();
        dst = src;
        return {};
    }
    if (!src.is_scalar()) {
        if (!env.allow_ptr_leaks)
            return prohibited(
                env, insn.src_reg,
                insn.off ? "sign-extension part of pointer" : "partial copy of pointer");
        mark_reg_unknown(dst);
        if (!is64(insn)) dst.scalar = dst.scalar.zero_extend(32);
        return {};
    }
    // The same number under another name, if no bit is lost.
    const u32 bits = insn.off ? static_cast<u32>(insn.off) : 32;
    const bool same =
        is64(insn) ? fits_signed(src.scalar, bits) : fits(src.scalar, insn.off ? bits - 1 : 32);
    if (same && !src.id && !src.is_const()) src.id = env.new_id();
    const u32 id = same ? src.id : 0;
    const Scalar value = insn.off == 0 ? src.scalar.zero_extend(32)
                         : is64(insn)  ? src.scalar.sign_extend(bits)
                                       : src.scalar.sign_extend_half(bits);
    mark_reg_scalar(dst, value);
    dst.id = id;
    return {};
}

Result<void> check_move(VerifierEnv& env, const bpf_insn& insn) {
    if (BPF_SRC(insn.code) == BPF_X) {
        TRY(check_reg(env, insn.src_reg, RegUse::Read));
        TRY(check_reg(env, insn.dst_reg, RegUse::WriteNoMark));
        env.changed_regs |= 1u << insn.src_reg;
        return move_register(env, insn);
    }
    TRY(check_reg(env, insn.dst_reg, RegUse::WriteNoMark));
    const u64 value = is64(insn) ? static_cast<u64>(s64{insn.imm}) : static_cast<u32>(insn.imm);
    mark_reg_known(env.reg(insn.dst_reg), value);
    return {};
}

Result<void> check_unary(VerifierEnv& env, const bpf_insn& insn) {
    TRY(check_reg(env, insn.dst_reg, RegUse::Read));
    RegState& dst = env.reg(insn.dst_reg);
    if (is_secret(env, dst)) return prohibited(env, insn.dst_reg, "pointer arithmetic prohibited");
    const bool known = dst.is_scalar();
    const Scalar before = dst.scalar;
    TRY(check_reg(env, insn.dst_reg, RegUse::Write));
    if (!known) return {};
    if (BPF_OP(insn.code) == BPF_NEG) {
        dst.scalar = alu(BPF_NEG, before, before, is64(insn));
        return {};
    }
    const u32 bits = static_cast<u32>(insn.imm);
    const bool big = BPF_SRC(insn.code) == BPF_TO_BE;
    const bool swaps = is64(insn) || big == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    dst.scalar = swaps ? byte_swap(before, bits) : before.zero_extend(bits);
    return {};
}

Result<void> check_two_pointers(VerifierEnv& env, const bpf_insn& insn) {
    if (BPF_OP(insn.code) == BPF_SUB && env.allow_ptr_leaks) {
        mark_reg_unknown(env.reg(insn.dst_reg));
        if (!is64(insn))
            env.reg(insn.dst_reg).scalar = env.reg(insn.dst_reg).scalar.zero_extend(32);
        return {};
    }
    env.log.print('R', insn.dst_reg + 0, " pointer ", kOpName[BPF_OP(insn.code) >> 4],
                  " pointer prohibited\n");
    return Errno::Acces;
}

// r ^= r and r -= r are ways to write zero; the domain takes its operands for unrelated.
bool cancels(const bpf_insn& insn) {
    const u8 op = BPF_OP(insn.code);
    return BPF_SRC(insn.code) == BPF_X && insn.dst_reg == insn.src_reg &&
           (op == BPF_XOR || op == BPF_SUB);
}

Result<void> check_binary(VerifierEnv& env, const bpf_insn& insn) {
    const bool has_src = BPF_SRC(insn.code) == BPF_X;
    if (has_src) {
        TRY(check_reg(env, insn.src_reg, RegUse::Read));
        env.changed_regs |= 1u << insn.src_reg;
    }
    TRY(check_reg(env, insn.dst_reg, RegUse::Read));
    TRY(check_reg(env, insn.dst_reg, RegUse::WriteNoMark));
    RegState& dst = env.reg(insn.dst_reg);
    RegState immediate;
    if (!has_src) mark_reg_known(immediate, static_cast<u64>(s64{insn.imm}));
    const RegState& src = has_src ? env.reg(insn.src_reg) : immediate;

    if (!src.is_scalar() && !dst.is_scalar()) return check_two_pointers(env, insn);
    if (!dst.is_scalar()) {
        if (has_src) TRY(mark_precise(env, insn.src_reg));
        const RegState pointer = dst;
        return check_pointer_alu(env, insn, dst, pointer, src, true);
    }
    if (!src.is_scalar()) {
        TRY(mark_precise(env, insn.dst_reg));
        const RegState scalar = dst;
        return check_pointer_alu(env, insn, dst, src, scalar, false);
    }
    TRY(guard_numbers(env, insn));
    const Scalar result =
        cancels(insn) ? Scalar::constant(0)
                      : alu(BPF_OP(insn.code), dst.scalar, src.scalar, is64(insn), insn.off);
    mark_reg_scalar(dst, result);
    return {};
}

}  // namespace

const char* alu_op_name(const bpf_insn& insn) {
    return kOpName[BPF_OP(insn.code) >> 4];
}

Result<void> check_alu(VerifierEnv& env, const bpf_insn& insn) {
    switch (BPF_OP(insn.code)) {
        case BPF_MOV:
            return check_move(env, insn);
        case BPF_NEG:
        case BPF_END:
            return check_unary(env, insn);
        default:
            return check_binary(env, insn);
    }
}

}  // namespace barebpf
