// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Global functions. Each is verified once, for any arguments that its BTF prototype allows; its callers
// are held to the prototype and learn nothing from its body. What a prototype may say:
//
//     int, enum ...                any number
//     struct __sk_buff * and such  the context, when the program type's context is that structure
//     any other pointer            null, or memory of the size it points to, to be read and written
//
// The result is any number.
#include "kernel/bpf/check_call.h"

namespace barebpf {
namespace {

template <class... Parts>
Errno refuse(VerifierEnv& env, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return Errno::Inval;
}

constexpr u32 kMaxArguments = 5;

enum class GlobalArgKind : u8 { Number, Context, Memory };
struct GlobalArg {
    GlobalArgKind kind;
    u32 size;
};
struct GlobalPrototype {
    GlobalArg args[kMaxArguments];
    u32 count;
};

bool equal(const char* a, const char* b) {
    while (*a && *a == *b) ++a, ++b;
    return *a == *b;
}

// The structure that a program type calls its context.
const char* context_structure(const VerifierEnv& env) {
    switch (env.prog->type) {
        case BPF_PROG_TYPE_SOCKET_FILTER:
        case BPF_PROG_TYPE_SCHED_CLS:
        case BPF_PROG_TYPE_SCHED_ACT:
        case BPF_PROG_TYPE_CGROUP_SKB:
        case BPF_PROG_TYPE_LWT_IN:
        case BPF_PROG_TYPE_LWT_OUT:
        case BPF_PROG_TYPE_LWT_XMIT:
        case BPF_PROG_TYPE_LWT_SEG6LOCAL:
        case BPF_PROG_TYPE_SK_SKB:
        case BPF_PROG_TYPE_FLOW_DISSECTOR:
            return "__sk_buff";
        case BPF_PROG_TYPE_XDP:
            return "xdp_md";
        default:
            return nullptr;
    }
}

Result<GlobalArg> global_arg(VerifierEnv& env, u32 subprog, u32 index, const BtfArgument& type) {
    switch (type.kind) {
        case BtfArgument::Kind::Number:
            return GlobalArg{GlobalArgKind::Number, 0};
        case BtfArgument::Kind::Pointer:
            break;
        default:
            return refuse(env, "Arg#", index, " type ", type.kind_name, " in ",
                          subprog_name(env, subprog), "() is not supported yet.");
    }
    const char* context = context_structure(env);
    if (context && env.ops && equal(type.name, context))
        return GlobalArg{GlobalArgKind::Context, 0};
    if (type.size == 0 || type.size >= u64(kMaxVarSize))
        return refuse(env, "arg#", index, " reference type('", type.kind_name, ' ', type.name,
                      "') size cannot be determined: ", -to_int(Errno::Inval));
    return GlobalArg{GlobalArgKind::Memory, u32(type.size)};
}

Result<GlobalPrototype> prototype_of(VerifierEnv& env, u32 subprog) {
    const VerifierBtf* btf = env.input.btf;
    const ProgDebugInfo& debug = env.prog->debug;
    if (!btf || !debug.btf || subprog >= debug.func_info.size())
        return refuse(env, "Verifier bug in function ", subprog_name(env, subprog), "()");
    const BtfFunction function = TRY(btf->function(debug.btf, debug.func_info[subprog].type_id));
    BtfArgument types[kMaxArguments];
    GlobalPrototype prototype{};
    prototype.count = TRY(btf->arguments(debug.btf, function.proto_id, types, kMaxArguments));
    if (prototype.count > kMaxArguments)
        return refuse(env, "Global function ", function.name, "() with ", prototype.count, " > ",
                      kMaxArguments, " args. Buggy compiler.");
    if (!function.returns_number)
        return refuse(env, "Global function ", function.name,
                      "() doesn't return scalar. Only those are supported.");
    for (u32 i = 0; i < prototype.count; ++i)
        prototype.args[i] = TRY(global_arg(env, subprog, i, types[i]));
    return prototype;
}

// The function may do both with the memory, and with all of it. Null is fine, and so is what may be
// null: the function compares it.
Result<void> check_memory(VerifierEnv& env, u32 subprog, u32 regno, u32 size) {
    RegState& reg = env.reg(regno);
    if (is_null_scalar(reg)) return mark_precise(env, regno);
    const u8 flags = reg.flags;
    reg.flags = u8(flags & ~kMaybeNull);
    // A pointer into the packet would outlive the packet's move inside the function.
    const bool packet_allowed = !env.subprogs[subprog].changes_packet_data;
    const auto checked =
        check_memory_arg(env, {regno, size, false, Handover::ReadWrite, packet_allowed});
    reg.flags = flags;
    return checked;
}

Result<void> check_argument(VerifierEnv& env, u32 subprog, u32 index, const GlobalArg& arg) {
    const u32 regno = BPF_REG_1 + index;
    TRY(check_reg(env, regno, RegUse::Read));
    const RegState& reg = env.reg(regno);
    switch (arg.kind) {
        case GlobalArgKind::Number:
            if (!reg.is_scalar()) return refuse(env, 'R', regno, " is not a scalar");
            return {};
        case GlobalArgKind::Context:
            if (reg.type != RegType::Ctx || reg.maybe_null())
                return refuse(env, "arg#", index, " expected pointer to ctx, but got ",
                              reg_type_name(reg));
            return check_pointer_unmodified(env, reg, regno, false);
        case GlobalArgKind::Memory:
            return check_memory(env, subprog, regno, arg.size);
    }
    return Errno::Fault;
}

}  // namespace

Result<void> check_global_call(VerifierEnv& env, u32 subprog) {
    const GlobalPrototype prototype = TRY(prototype_of(env, subprog));
    for (u32 i = 0; i < prototype.count; ++i) {
        const auto checked = check_argument(env, subprog, i, prototype.args[i]);
        if (checked.ok()) continue;
        env.log.print("Caller passes invalid args into func#", subprog, '\n');
        return checked;
    }
    return {};
}

Result<void> set_global_args(VerifierEnv& env, u32 subprog, FuncState& frame) {
    const GlobalPrototype prototype = TRY(prototype_of(env, subprog));
    for (u32 i = 0; i < prototype.count; ++i) {
        RegState& reg = frame.regs[BPF_REG_1 + i];
        switch (prototype.args[i].kind) {
            case GlobalArgKind::Number:
                mark_reg_unknown(reg);
                break;
            case GlobalArgKind::Context:
                mark_reg_pointer(reg, RegType::Ctx);
                break;
            case GlobalArgKind::Memory:
                mark_reg_pointer(reg, RegType::Mem, kMaybeNull);
                reg.mem_size = prototype.args[i].size;
                reg.id = env.new_id();
                break;
        }
    }
    return {};
}

}  // namespace barebpf
