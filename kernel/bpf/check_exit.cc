// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The end of a function: nothing may be left locked or acquired, and the result must be what the
// caller, the helper or the kernel expects.
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

Result<void> check_range(VerifierEnv& env, const char* where, s64 low, s64 high) {
    const RegState& r0 = env.reg(0);
    if (!r0.is_scalar()) {
        env.log.print("At ", where, " the register R0 is not a known value (", reg_type_name(r0),
                      ")\n");
        return Errno::Inval;
    }
    TRY(mark_precise(env, 0));
    const Scalar& s = r0.scalar;
    const bool inside = low >= 0
                            ? s.umin >= static_cast<u64>(low) && s.umax <= static_cast<u64>(high)
                            : s.smin >= low && s.smax <= high;
    if (inside) return {};
    const Tnum wanted = Tnum::range(static_cast<u64>(low), static_cast<u64>(high));
    env.log.print("At ", where, " the register R0 has value ", s.var_off, " should have been in ",
                  wanted, '\n');
    return Errno::Inval;
}

Result<void> check_result(VerifierEnv& env) {
    TRY(check_reg(env, 0, RegUse::Read));
    const RegState& r0 = env.reg(0);
    if (!env.allow_ptr_leaks && r0.is_pointer()) {
        env.log.print("R0 leaks addr as return value\n");
        return Errno::Acces;
    }
    if (!env.checking_main) {
        if (r0.is_scalar()) return {};
        env.log.print("At subprogram exit the register R0 is not a scalar value (",
                      reg_type_name(r0), ")\n");
        return Errno::Inval;
    }
    if (!env.ops || !env.ops->return_range_checked) return {};
    return check_range(env, "program exit", env.ops->return_min, env.ops->return_max);
}

}  // namespace

Result<void> check_exit(VerifierEnv& env, bool* path_done, u32* next) {
    if (env.state->locked_id) {
        env.log.print("bpf_spin_unlock is missing\n");
        return Errno::Inval;
    }
    TRY(check_no_references(env));
    *path_done = env.state->current == 0;
    if (*path_done) return check_result(env);
    const FuncState& frame = env.state->frame();
    if (frame.check_return) {
        if (!env.reg(0).is_scalar()) {
            env.log.print("R0 not a scalar value\n");
            return Errno::Acces;
        }
        TRY(check_range(env, "callback return", frame.return_min, frame.return_max));
    }
    return return_from_frame(env, next);
}

}  // namespace barebpf
