// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Dynptrs: 16 bytes of the program's stack that only helpers read and write. They say where some memory
// is and how long, so that its size need not be known before the program runs.
//
//     fp-8(n+1)   slots[n]    bytes Dynptr   reg: Dynptr, kDynptrHead  ┐ the same id, kind and, if it
//     fp-8n       slots[n-1]  bytes Dynptr   reg: Dynptr               ┘ must be released, reference
//
// A reservation in a ring buffer is a reference even where it failed: the program cannot tell, so it
// must submit or discard it on every path. Memory that dynptr_data() returns is void when the dynptr is
// released or overwritten. A callback of user_ringbuf_drain() gets a dynptr that is the helper's own: in
// a register, not on the stack, and only to be used.
#include "kernel/bpf/check_call.h"

namespace barebpf {
namespace {

template <class... Parts>
Errno refuse(VerifierEnv& env, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return Errno::Inval;
}

// Where a stack pointer says that a dynptr is: the slot of its lower half. The other half is there if this
// one is: whoever overwrites one makes both void.
struct Place {
    FuncState* frame;
    s64 head;

    bool in_stack() const { return head < s64{frame->slot_count}; }
    StackSlot& slot() const { return frame->slots[head]; }
    u64 slots() const { return u64{3} << (head - 1); }
};

Result<Place> locate(VerifierEnv& env, u32 regno) {
    const RegState& reg = env.reg(regno);
    if (!reg.is_const()) return refuse(env, "dynptr has to be at a constant offset");
    const s64 off = reg.off + s64(reg.scalar.value());
    if (off % s64{kSlotBytes} || off > -2 * s64{kSlotBytes})
        return refuse(env, "cannot pass in dynptr at an offset=", off);
    return Place{env.state->frames[reg.frame], -off / s64{kSlotBytes} - 1};
}

void set_half(StackSlot& slot, DynptrKind kind, u32 id, u32 ref_id, u8 flags) {
    for (SlotByte& byte : slot.bytes) byte = SlotByte::Dynptr;
    mark_reg_pointer(slot.reg, RegType::Dynptr, flags);
    slot.reg.dynptr_kind = u64(kind);
    slot.reg.id = id;
    slot.reg.ref_id = ref_id;
}

// -- arguments ----------------------------------------------------------------------------------

Result<void> make_dynptr(VerifierEnv& env, DynptrKind kind, u32 regno) {
    const auto located =
        env.reg(regno).type == RegType::Stack ? locate(env, regno) : Result<Place>{Errno::Inval};
    if (!located.ok()) return refuse(env, "Dynptr has to be an uninitialized dynptr");
    const Place place = located.value();
    // Both halves are overwritten; a dynptr that was there is gone.
    for (s32 off = 0; off < 2 * s32{kSlotBytes}; off += kSlotBytes)
        TRY(check_mem_access(env, env.insn, regno, off, kSlotBytes, Access::Write, kUnknownValue,
                             false, false));
    const bool reference = kind == DynptrKind::Ringbuf;
    const u32 id = reference ? TRY(acquire_reference(env, env.insn)) : env.new_id();
    const u32 ref_id = reference ? id : 0;
    set_half(place.slot(), kind, id, ref_id, kDynptrHead);
    set_half(place.frame->slots[place.head - 1], kind, id, ref_id, 0);
    return {};
}

// What a dynptr argument refers to.
struct Used {
    u32 id;
    u32 ref_id;
    DynptrKind kind;
};

Used described_by(const RegState& reg) {
    return {reg.id, reg.ref_id, DynptrKind(reg.dynptr_kind)};
}

Errno refuse_uninitialised(VerifierEnv& env, u32 regno) {
    return refuse(env, "Expected an initialized dynptr as arg #", regno);
}

Result<Used> use_dynptr(VerifierEnv& env, u32 regno) {
    const RegState& reg = env.reg(regno);
    if (reg.type == RegType::Dynptr) {
        TRY(check_pointer_unmodified(env, reg, regno, false));
        return described_by(reg);
    }
    const auto place = locate(env, regno);
    if (!place.ok() || !place.value().in_stack() || !place.value().slot().is_dynptr_head())
        return refuse_uninitialised(env, regno);
    mark_slots_read(env, reg.frame, place.value().slots());
    return described_by(place.value().slot().reg);
}

Result<void> check_released(VerifierEnv& env, HelperCall& call, u32 regno) {
    if (env.reg(regno).type == RegType::Dynptr)
        return refuse(env, "cannot release unowned const bpf_dynptr");
    const auto place = locate(env, regno);
    if (!place.ok() || !place.value().in_stack() || !place.value().slot().is_dynptr() ||
        !place.value().slot().reg.ref_id)
        return refuse(env, "arg ", regno, " is an unacquired reference");
    const Used used = TRY(use_dynptr(env, regno));
    if (used.kind != DynptrKind::Ringbuf)
        return refuse(env, "Expected a dynptr of type ringbuf as arg #", regno);
    call.release_ref = used.ref_id;
    return {};
}

}  // namespace

Result<void> check_dynptr_arg(VerifierEnv& env, HelperCall& call, ArgType type, u32 regno) {
    switch (type) {
        case ArgType::LocalDynptrUninit:
            return make_dynptr(env, DynptrKind::Local, regno);
        case ArgType::RingDynptrUninit:
            return make_dynptr(env, DynptrKind::Ringbuf, regno);
        case ArgType::RingDynptrRelease:
            return check_released(env, call, regno);
        default: {
            const Used used = TRY(use_dynptr(env, regno));
            call.dynptr_id = used.id;
            call.dynptr_is_reference = used.ref_id != 0;
            return {};
        }
    }
}

void mark_reg_dynptr(VerifierEnv& env, RegState& reg) {
    mark_reg_pointer(reg, RegType::Dynptr);
    reg.dynptr_kind = u64(DynptrKind::Local);
    reg.id = env.new_id();
}

Result<void> destroy_dynptr(VerifierEnv& env, FuncState& frame, u32 index) {
    StackSlot& slot = frame.slots[index];
    if (!slot.is_dynptr()) return {};
    if (slot.reg.ref_id) return refuse(env, "cannot overwrite referenced dynptr");
    const u32 id = slot.reg.id;
    StackSlot* halves[] = {&slot, &frame.slots[slot.is_dynptr_head() ? index - 1 : index + 1]};
    for (StackSlot* half : halves) {
        for (SlotByte& byte : half->bytes) byte = SlotByte::Invalid;
        mark_reg_not_init(half->reg);
    }
    forget_pointers(env, id);
    return {};
}

Result<void> check_no_dynptr(VerifierEnv& env, const FuncState& frame, s64 off, s64 size) {
    for (u32 s = 0; s < frame.slot_count; ++s) {
        const s64 low = -s64{kSlotBytes} * (s + 1);
        const bool inside = low < off + size && off < low + s64{kSlotBytes};
        if (!inside || !frame.slots[s].is_dynptr()) continue;
        env.log.print("potential write to dynptr at off=", low > off ? low : off, " disallowed\n");
        return Errno::Acces;
    }
    return {};
}

}  // namespace barebpf
