// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Atomic read-modify-write instructions, load-acquire and store-release. They work on memory whose
// address is what the program sees: not on contexts, whose accesses are rewritten, and not on
// packets, which may be anywhere. Unlike plain accesses they must be aligned.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

Result<void> check_target(VerifierEnv& env, u32 regno, const char* what) {
    const RegState& reg = env.reg(regno);
    const bool forbidden = reg.type == RegType::Ctx || reg.is_packet();
    if (!forbidden) return {};
    env.log.print("BPF_ATOMIC ", what, " R", regno, ' ', reg_type_name(reg), " is not allowed\n");
    return Errno::Acces;
}

Result<void> check_no_leak(VerifierEnv& env, u32 regno) {
    if (env.allow_ptr_leaks || env.reg(regno).is_scalar()) return {};
    env.log.print('R', regno, " leaks addr into mem\n");
    return Errno::Acces;
}

Result<void> check_load_acquire(VerifierEnv& env, const bpf_insn& insn) {
    TRY(check_reg(env, insn.src_reg, RegUse::Read));
    TRY(check_reg(env, insn.dst_reg, RegUse::WriteNoMark));
    TRY(check_target(env, insn.src_reg, "loads from"));
    const RegType type = env.reg(insn.src_reg).type;
    TRY(check_mem_access(env, env.insn, insn.src_reg, insn.off, access_bytes(insn.code),
                         Access::Read, insn.dst_reg, false, true));
    return note_pointer_type(env, env.insn, type);
}

Result<void> check_store_release(VerifierEnv& env, const bpf_insn& insn) {
    TRY(check_reg(env, insn.src_reg, RegUse::Read));
    TRY(check_reg(env, insn.dst_reg, RegUse::Read));
    TRY(check_target(env, insn.dst_reg, "stores into"));
    const RegType type = env.reg(insn.dst_reg).type;
    TRY(check_mem_access(env, env.insn, insn.dst_reg, insn.off, access_bytes(insn.code),
                         Access::Write, insn.src_reg, false, true));
    return note_pointer_type(env, env.insn, type);
}

Result<void> check_rmw(VerifierEnv& env, const bpf_insn& insn) {
    const u32 size = access_bytes(insn.code);
    TRY(check_reg(env, insn.src_reg, RegUse::Read));
    TRY(check_reg(env, insn.dst_reg, RegUse::Read));
    const bool compares = insn.imm == BPF_CMPXCHG;
    if (compares) {
        TRY(check_reg(env, 0, RegUse::Read));
        TRY(check_no_leak(env, 0));
    }
    TRY(check_no_leak(env, insn.src_reg));
    TRY(check_target(env, insn.dst_reg, "stores into"));
    const RegType type = env.reg(insn.dst_reg).type;
    TRY(check_mem_access(env, env.insn, insn.dst_reg, insn.off, size, Access::Read, kImmediate,
                         false, true));
    TRY(check_mem_access(env, env.insn, insn.dst_reg, insn.off, size, Access::Write, kUnknownValue,
                         false, true));
    TRY(note_pointer_type(env, env.insn, type));
    if (!(insn.imm & BPF_FETCH)) return {};
    const u32 loaded = compares ? 0 : insn.src_reg;
    TRY(check_reg(env, loaded, RegUse::Write));
    env.reg(loaded).scalar = env.reg(loaded).scalar.zero_extend(size * 8);
    return {};
}

}  // namespace

Result<void> check_atomic(VerifierEnv& env, const bpf_insn& insn) {
    if (insn.imm == BPF_LOAD_ACQ) return check_load_acquire(env, insn);
    if (insn.imm == BPF_STORE_REL) return check_store_release(env, insn);
    return check_rmw(env, insn);
}

}  // namespace barebpf
