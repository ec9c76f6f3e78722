// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BPF_LD_ABS and BPF_LD_IND: reads of packet bytes in classic BPF's manner. The context is in R6,
// the value comes in R0 in host order, R1 to R5 are lost. A read outside the packet ends the
// function with R0 = 0.
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

Errno refuse(VerifierEnv& env, const char* why) {
    env.log.print(why, '\n');
    return Errno::Inval;
}

}  // namespace

Result<void> check_ld_abs(VerifierEnv& env, const bpf_insn& insn) {
    constexpr u32 kContextReg = 6;
    if (!env.ops || !env.ops->legacy_packet_access)
        return refuse(env, "BPF_LD_[ABS|IND] instructions not allowed for this program type");
    TRY(check_reg(env, kContextReg, RegUse::Read));
    // In a function it ends that alone, and the caller still has what it held.
    if (!check_no_references(env).ok())
        return refuse(env, "BPF_LD_[ABS|IND] would lead to reference leak");
    if (env.state->locked_id)
        return refuse(env, "BPF_LD_[ABS|IND] cannot be used inside bpf_spin_lock-ed region");
    if (env.reg(kContextReg).type != RegType::Ctx)
        return refuse(env, "at the time of BPF_LD_ABS|IND R6 != pointer to skb");
    if (BPF_MODE(insn.code) == BPF_IND) {
        TRY(check_reg(env, insn.src_reg, RegUse::Read));
        if (!env.allow_ptr_leaks && !env.reg(insn.src_reg).is_scalar()) {
            env.log.print('R', insn.src_reg + 0, " leaks addr into BPF_LD_IND\n");
            return Errno::Acces;
        }
    }
    TRY(check_pointer_unmodified(env, env.reg(kContextReg), kContextReg, false));
    if (env.state->current) TRY(push_early_return(env, true));
    clear_caller_saved(env);
    mark_reg_unknown(env.reg(0));
    const u32 size = BPF_SIZE(insn.code) == BPF_B ? 1 : BPF_SIZE(insn.code) == BPF_H ? 2 : 4;
    env.reg(0).scalar = env.reg(0).scalar.zero_extend(size * 8);
    return {};
}

}  // namespace barebpf
