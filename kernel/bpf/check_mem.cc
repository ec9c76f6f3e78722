// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Loads and stores through every kind of pointer but the stack.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

template <class... Parts>
Errno refuse(VerifierEnv& env, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return Errno::Acces;
}

// One access, as it goes down through the checks.
struct MemAccess {
    u32 regno;
    s32 off;  // the instruction's and the register's constant part together
    u32 size;
    Access access;
    s32 value_reg;  // below 0: no register (kImmediate, kUnknownValue)
};

const char* alignment_name(RegType type) {
    switch (type) {
        case RegType::MapKey:
            return "key ";
        case RegType::MapValue:
            return "value ";
        case RegType::Ctx:
            return "context ";
        case RegType::Stack:
            return "stack ";
        default:
            return "";
    }
}

// Unaligned accesses are as good as any on the machines we run on; who wants a program that runs
// everywhere asks for strictness. Stack slots are always aligned, or spills would overlap.
Result<void> check_alignment(VerifierEnv& env, const RegState& reg, s32 off, u32 size,
                             bool atomic) {
    const bool strict = env.strict_alignment || atomic || reg.type == RegType::Stack;
    if (!strict || size == 1) return {};
    if (reg.is_packet()) {
        // The network header starts 2 bytes behind an aligned address.
        constexpr u32 kIpAlign = 2;
        const Tnum address =
            reg.scalar.var_off + Tnum::constant(static_cast<u64>(s64{kIpAlign} + reg.off + off));
        if (address.is_aligned(size)) return {};
        return refuse(env, "misaligned packet access off ", kIpAlign, '+', reg.scalar.var_off, '+',
                      reg.off, '+', off, " size ", size);
    }
    const Tnum address = reg.scalar.var_off + Tnum::constant(static_cast<u64>(s64{reg.off} + off));
    if (address.is_aligned(size)) return {};
    return refuse(env, "misaligned ", alignment_name(reg.type), "access off ", reg.scalar.var_off,
                  '+', reg.off, '+', off, " size ", size);
}

Result<void> check_span(VerifierEnv& env, u32 regno, s64 off, s64 size, u64 mem_size,
                        bool zero_size_allowed) {
    const bool size_ok = size > 0 || (size == 0 && zero_size_allowed);
    if (off >= 0 && size_ok && static_cast<u64>(off) + static_cast<u64>(size) <= mem_size)
        return {};
    const RegState& reg = env.reg(regno);
    switch (reg.type) {
        case RegType::MapKey:
            return refuse(env, "invalid access to map key, key_size=", mem_size, " off=", off,
                          " size=", size);
        case RegType::MapValue:
            return refuse(env, "invalid access to map value, value_size=", mem_size, " off=", off,
                          " size=", size);
        case RegType::Packet:
        case RegType::PacketMeta:
        case RegType::PacketEnd:
            return refuse(env, "invalid access to packet, off=", off, " size=", size, ", R", regno,
                          "(id=", reg.id, ",off=", off, ",r=", mem_size, ')');
        default:
            return refuse(env, "invalid access to memory, mem_size=", mem_size, " off=", off,
                          " size=", size);
    }
}

Result<void> check_map_rights(VerifierEnv& env, const RegState& reg, const MemAccess& a) {
    const Map* map = reg.map;
    const bool write = a.access == Access::Write;
    if (!(map->flags & (write ? BPF_F_RDONLY_PROG : BPF_F_WRONLY_PROG))) return {};
    return refuse(env, write ? "write into" : "read from",
                  " map forbidden, value_size=", map->value_size, " off=", a.off, " size=", a.size);
}

// What lies in the value and must not be touched by loads and stores.
Result<void> check_special_fields(VerifierEnv& env, const RegState& reg, s32 off, s64 size) {
    const s64 low = reg.scalar.smin + off;
    const s64 high = static_cast<s64>(reg.scalar.umax) + off + size;
    const auto overlaps = [&](s32 field, s64 bytes) {
        return field >= 0 && low < field + bytes && field < high;
    };
    if (overlaps(reg.map->spin_lock_offset, sizeof(bpf_spin_lock)))
        return refuse(env, "bpf_spin_lock cannot be accessed directly by load/store");
    if (overlaps(reg.map->timer_offset, sizeof(bpf_timer)))
        return refuse(env, "bpf_timer cannot be accessed directly by load/store");
    return {};
}

Result<void> check_leak(VerifierEnv& env, const MemAccess& a, const char* where) {
    if (env.allow_ptr_leaks || a.access != Access::Write || a.value_reg < 0) return {};
    if (env.reg(static_cast<u32>(a.value_reg)).is_scalar()) return {};
    return refuse(env, 'R', a.value_reg, " leaks addr into ", where);
}

void set_unknown(VerifierEnv& env, const MemAccess& a) {
    if (a.access != Access::Read || a.value_reg < 0) return;
    mark_reg_unknown(env.reg(static_cast<u32>(a.value_reg)));
    env.changed_regs |= 1u << a.value_reg;
}

// A constant of a frozen map that programs cannot write: its content is known here and now.
bool read_constant(const RegState& reg, const MemAccess& a, u64* value) {
    const Map* map = reg.map;
    if (!reg.is_const() || !(map->flags & BPF_F_RDONLY_PROG) || !map->ops->direct_value ||
        !map->refs.is_frozen())
        return false;
    const s64 off = a.off + static_cast<s64>(reg.scalar.value());
    const auto address = map->ops->direct_value(map, static_cast<u32>(off));
    if (!address.ok()) return false;
    *value = 0;
    __builtin_memcpy(value, reinterpret_cast<const void*>(address.value()), a.size);
    return true;
}

Result<void> access_map_value(VerifierEnv& env, const MemAccess& a) {
    const RegState& reg = env.reg(a.regno);
    TRY(check_leak(env, a, "map"));
    TRY(check_map_rights(env, reg, a));
    TRY(check_map_access(env, a.regno, a.off, a.size, false));
    if (a.access != Access::Read || a.value_reg < 0) return {};
    u64 value;
    const bool known = read_constant(reg, a, &value);
    set_unknown(env, a);
    if (known) env.reg(static_cast<u32>(a.value_reg)).scalar = Scalar::constant(value);
    return {};
}

Result<void> access_map_key(VerifierEnv& env, const MemAccess& a) {
    if (a.access == Access::Write)
        return refuse(env, "write to change key R", a.regno, " not allowed");
    TRY(check_mem_region(env, a.regno, a.off, a.size, env.reg(a.regno).map->key_size, false));
    set_unknown(env, a);
    return {};
}

Result<void> access_memory(VerifierEnv& env, const MemAccess& a) {
    const RegState& reg = env.reg(a.regno);
    if (a.access == Access::Write && (reg.flags & kReadOnly))
        return refuse(env, 'R', a.regno, " cannot write into ", reg_type_name(reg));
    TRY(check_leak(env, a, "mem"));
    TRY(check_mem_region(env, a.regno, a.off, a.size, reg.mem_size, false));
    set_unknown(env, a);
    return {};
}

Result<void> access_context(VerifierEnv& env, const MemAccess& a, u32 insn) {
    TRY(check_leak(env, a, "context"));
    TRY(check_pointer_unmodified(env, env.reg(a.regno), a.regno, false));
    const ContextAccess field = TRY(check_ctx_access(env, insn, a.off, a.size, a.access));
    if (env.aux[insn].ctx_field_size < field.field_size)
        env.aux[insn].ctx_field_size = field.field_size;
    if (a.access != Access::Read || a.value_reg < 0) return {};
    set_unknown(env, a);
    if (field.type != RegType::Number)
        mark_reg_pointer(env.reg(static_cast<u32>(a.value_reg)), field.type);
    return {};
}

Result<void> access_stack(VerifierEnv& env, const MemAccess& a) {
    if (a.access == Access::Read) return check_stack_read(env, a.regno, a.off, a.size, a.value_reg);
    return check_stack_write(env, a.regno, a.off, a.size, a.value_reg);
}

Result<void> access_packet(VerifierEnv& env, const MemAccess& a) {
    if (a.access == Access::Write && !may_access_packet(env, Access::Write))
        return refuse(env, "cannot write into packet");
    TRY(check_leak(env, a, "packet"));
    TRY(check_packet_access(env, a.regno, a.off, a.size, false));
    set_unknown(env, a);
    return {};
}

Result<void> access_by_type(VerifierEnv& env, const MemAccess& a, u32 insn) {
    const RegState& reg = env.reg(a.regno);
    if (!reg.maybe_null()) {
        switch (reg.type) {
            case RegType::MapKey:
                return access_map_key(env, a);
            case RegType::MapValue:
                return access_map_value(env, a);
            case RegType::Mem:
                return access_memory(env, a);
            case RegType::Ctx:
                return access_context(env, a, insn);
            case RegType::Stack:
                return access_stack(env, a);
            case RegType::Packet:
            case RegType::PacketMeta:
                return access_packet(env, a);
            default:
                break;
        }
    }
    return refuse(env, 'R', a.regno, " invalid mem access '", reg_type_name(reg), '\'');
}

}  // namespace

Result<void> note_pointer_type(VerifierEnv& env, u32 insn, RegType type) {
    InsnAux& aux = env.aux[insn];
    const bool differs = aux.ptr_type != RegType::NotInit && aux.ptr_type != type;
    if (differs && (aux.ptr_type == RegType::Ctx || type == RegType::Ctx)) {
        env.log.print("same insn cannot be used with different pointers\n");
        return Errno::Inval;
    }
    aux.ptr_type = type;
    return {};
}

Result<void> check_mem_region(VerifierEnv& env, u32 regno, s32 off, s64 size, u64 mem_size,
                              bool zero_size_allowed) {
    const RegState& reg = env.reg(regno);
    const Scalar& s = reg.scalar;
    if (s.smin < 0 && (s.smin <= -kMaxVarOff || off + s.smin < 0))
        return refuse(env, 'R', regno,
                      " min value is negative, either use unsigned index or do a if (index >=0) "
                      "check.");
    const auto low = check_span(env, regno, s.smin + off, size, mem_size, zero_size_allowed);
    if (!low.ok())
        return refuse(env, 'R', regno, " min value is outside of the allowed memory range");
    if (s.umax >= static_cast<u64>(kMaxVarOff))
        return refuse(env, 'R', regno,
                      " unbounded memory access, make sure to bounds check any such access");
    const auto high =
        check_span(env, regno, static_cast<s64>(s.umax) + off, size, mem_size, zero_size_allowed);
    if (!high.ok())
        return refuse(env, 'R', regno, " max value is outside of the allowed memory range");
    return {};
}

Result<void> check_map_access(VerifierEnv& env, u32 regno, s32 off, s64 size,
                              bool zero_size_allowed) {
    const RegState& reg = env.reg(regno);
    TRY(check_mem_region(env, regno, off, size, reg.map->value_size, zero_size_allowed));
    return check_special_fields(env, reg, off, size);
}

Result<void> check_packet_span(VerifierEnv& env, u32 regno, s32 off, s64 size,
                               bool zero_size_allowed) {
    const s64 range = env.reg(regno).packet_range;
    return check_span(env, regno, off, size, range < 0 ? 0 : static_cast<u64>(range),
                      zero_size_allowed);
}

Result<void> check_pointer_unmodified(VerifierEnv& env, const RegState& reg, u32 regno,
                                      bool fixed_off_ok) {
    const char* type = reg_type_name(reg);
    if (reg.off < 0)
        return refuse(env, "negative offset ", type, " ptr R", regno, " off=", reg.off,
                      " disallowed");
    if (!fixed_off_ok && reg.off)
        return refuse(env, "dereference of modified ", type, " ptr R", regno, " off=", reg.off,
                      " disallowed");
    if (!reg.is_const() || reg.scalar.value())
        return refuse(env, "variable ", type, " access var_off=", reg.scalar.var_off,
                      " disallowed");
    return {};
}

Result<void> check_mem_access(VerifierEnv& env, u32 insn, u32 regno, s32 off, u32 size,
                              Access access, s32 value_reg, bool is_ldsx, bool atomic) {
    const RegState& reg = env.reg(regno);
    TRY(check_alignment(env, reg, off, size, atomic));
    const s64 total = s64{off} + reg.off;
    if (reg.is_pointer() && total != static_cast<s32>(total))
        return refuse(env, 'R', regno, " offset ", total, " is out of range");
    const MemAccess a{regno, static_cast<s32>(total), size, access, value_reg};
    TRY(access_by_type(env, a, insn));

    if (access != Access::Read || value_reg < 0) return {};
    RegState& value = env.reg(static_cast<u32>(value_reg));
    if (!value.is_scalar() || size == 8) return {};
    const Scalar narrow =
        is_ldsx ? value.scalar.sign_extend(size * 8) : value.scalar.zero_extend(size * 8);
    if (!(narrow == value.scalar)) {
        value.scalar = narrow;
        value.id = 0;
    }
    return {};
}

Result<void> check_load(VerifierEnv& env, const bpf_insn& insn) {
    const u32 at = env.insn;
    TRY(check_reg(env, insn.src_reg, RegUse::Read));
    TRY(check_reg(env, insn.dst_reg, RegUse::WriteNoMark));
    const RegType type = env.reg(insn.src_reg).type;
    env.changed_regs |= 1u << insn.src_reg;
    const bool is_ldsx = BPF_MODE(insn.code) == BPF_MEMSX;
    TRY(check_mem_access(env, at, insn.src_reg, insn.off, access_bytes(insn.code), Access::Read,
                         insn.dst_reg, is_ldsx, false));
    if (is_ldsx && !env.reg(insn.dst_reg).is_scalar())
        return refuse(env, "invalid sign-extending load of a pointer");
    return note_pointer_type(env, at, type);
}

Result<void> check_store(VerifierEnv& env, const bpf_insn& insn) {
    const u32 at = env.insn;
    const bool immediate = BPF_CLASS(insn.code) == BPF_ST;
    if (!immediate) TRY(check_reg(env, insn.src_reg, RegUse::Read));
    TRY(check_reg(env, insn.dst_reg, RegUse::Read));
    const RegType type = env.reg(insn.dst_reg).type;
    TRY(check_mem_access(env, at, insn.dst_reg, insn.off, access_bytes(insn.code), Access::Write,
                         immediate ? kImmediate : static_cast<s32>(insn.src_reg), false, false));
    return note_pointer_type(env, at, type);
}

}  // namespace barebpf
