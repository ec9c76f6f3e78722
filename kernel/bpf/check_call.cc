// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helper calls: whether the program may make them, and what is known afterwards.
#include "kernel/bpf/check_call.h"

#include "kernel/bpf/stackmap.h"
#include "kernel/host/cpu.h"

namespace barebpf {

void append_to(TextBuffer& out, HelperRef helper) {
    if (helper.id < __BPF_FUNC_MAX_ID) out.print("bpf_");
    out.print(helper_name(helper.id), '#', s32(helper.id));
}

const HelperProto* find_helper(const VerifierEnv& env, u32 id) {
    if (env.ops) return env.ops->helper_proto(id, env.prog);
    const HelperProto* of_host = stack_helper_proto(id);
    return of_host ? of_host : base_helper_proto(id);
}

namespace {

template <class... Parts>
Errno refuse(VerifierEnv& env, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return Errno::Inval;
}

Result<const HelperProto*> callable_helper(VerifierEnv& env, u32 id) {
    if (id >= __BPF_FUNC_MAX_ID) return refuse(env, "invalid func ", HelperRef{id});
    const HelperProto* proto = find_helper(env, id);
    if (!proto || (proto->privileged && !env.bpf_capable))
        return refuse(env, "unknown func ", HelperRef{id});
    if (proto->gpl_only && !env.prog->gpl_compatible)
        return refuse(env, "cannot call GPL-restricted function from non-GPL compatible program");
    // What moves the packet must have been given the packet.
    if (proto->changes_packet_data && proto->args[0] != ArgType::Ctx)
        return refuse(env, "kernel subsystem misconfigured func ", HelperRef{id}, ": r1 != ctx");
    return proto;
}

// -- tail calls ---------------------------------------------------------------------------------

// A tail call out of a subprogram ends in the caller, with another program's result in R0 and the
// packet where that program left it: a path of its own.
Result<void> check_tail_call(VerifierEnv& env) {
    const VerifierState& state = *env.state;
    // What the caller holds it still has afterwards.
    if (!check_no_references(env).ok())
        return refuse(env, "tail_call would lead to reference leak");
    if (state.current == 0) return {};
    if (env.state->frame().in_callback) return refuse(env, "tail_call is not allowed in callbacks");
    return push_early_return(env, false);
}

// -- the result ---------------------------------------------------------------------------------

Scalar integer_result(u32 id) {
    switch (id) {
        case BPF_FUNC_get_smp_processor_id:
            return Scalar::unsigned_range(0, host::possible_cpus() - 1);
        default:
            return Scalar::unknown();
    }
}

Result<void> set_memory_result(VerifierEnv& env, RegState& result, u64 size, bool acquires) {
    mark_reg_pointer(result, RegType::Mem, u8(kMaybeNull | (acquires ? kRingRecord : 0)));
    result.mem_size = size;
    result.id = env.new_id();
    if (!acquires) return {};
    // A reference and the pointer that stands for it go by one number.
    result.ref_id = TRY(acquire_reference(env, env.insn));
    result.id = result.ref_id;
    return {};
}

// Of a dynptr's memory: it goes with the dynptr.
void set_slice_result(VerifierEnv& env, RegState& result, const HelperCall& call) {
    const u8 kind = call.dynptr_is_reference ? 0 : kLocalSlice;
    mark_reg_pointer(result, RegType::Mem, u8(kMaybeNull | kind));
    result.mem_size = call.alloc_size;
    result.id = env.new_id();
    result.ref_id = call.dynptr_id;
}

Result<void> set_result(VerifierEnv& env, const HelperCall& call) {
    RegState& result = env.reg(BPF_REG_0);
    switch (call.proto->ret) {
        case RetType::Void:
            return {};
        case RetType::Integer:
            mark_reg_unknown(result);
            result.scalar = integer_result(call.id);
            return {};
        case RetType::MapValue:
        case RetType::MapValueOrNull:
            if (!call.map) return refuse(env, "kernel subsystem misconfigured verifier");
            mark_reg_pointer(result, RegType::MapValue);
            if (call.proto->ret == RetType::MapValueOrNull) result.flags = kMaybeNull;
            result.map = call.map;
            result.id = env.new_id();
            return {};
        case RetType::MemOrNull:
            return set_memory_result(env, result, call.alloc_size, true);
        case RetType::FixedMemOrNull:
            return set_memory_result(env, result, call.proto->fixed_size, false);
        case RetType::DynptrMemOrNull:
            set_slice_result(env, result, call);
            return {};
    }
    return refuse(env, "kernel subsystem misconfigured verifier");
}

// -- what a call does to memory -----------------------------------------------------------------

Result<void> apply_effects(VerifierEnv& env, const HelperCall& call) {
    for (u32 i = 0; i < call.fill_count; ++i)
        TRY(mark_filled(env, call.fills[i].regno, call.fills[i].size));
    if (call.release_ref) {
        if (auto released = release_reference(env, call.release_ref); !released.ok()) {
            env.log.print("func ", HelperRef{call.id}, " reference has not been acquired before\n");
            return released;
        }
    }
    if (call.id == BPF_FUNC_tail_call) return check_tail_call(env);
    if (helper_calls_back(s32(call.id))) return check_callback(env, call);
    if (call.id == BPF_FUNC_snprintf) return check_constant_format(env, BPF_REG_3, BPF_REG_5);
    if (call.id == BPF_FUNC_dynptr_from_mem && env.reg(BPF_REG_1).type != RegType::MapValue) {
        env.log.print("Unsupported reg type ", reg_type_name(env.reg(BPF_REG_1)),
                      " for bpf_dynptr_from_mem data\n");
        return Errno::Acces;
    }
    return {};
}

}  // namespace

Result<void> check_helper_call(VerifierEnv& env, const bpf_insn& insn) {
    const u32 id = u32(insn.imm);
    if (env.state->locked_id && id != BPF_FUNC_spin_unlock)
        return refuse(env, "function calls are not allowed while holding a lock");
    HelperCall call {
        TRY(callable_helper(env, id))
        , id
    };
    for (u32 i = 0; i < 5; ++i) TRY(check_helper_arg(env, call, i));
    if (call.map) TRY(check_helper_map(env, call));
    TRY(apply_effects(env, call));
    clear_caller_saved(env);
    TRY(set_result(env, call));
    if (call.proto->changes_packet_data) forget_packet_pointers(env);
    return {};
}

}  // namespace barebpf
