// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The stack: which bytes hold what. Registers that are stored whole into an aligned slot are kept
// (spilled) and come back as they were (filled); everything else is bytes that are numbers or zero.
//
// A store of a number into 4 bytes at the lower end of a slot is also kept, so that 32-bit code
// keeps its knowledge. Offsets are relative to the frame pointer: byte fp-1 is the first, slot 0 is
// fp-8 to fp-1.
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

template <class... Parts>
Errno refuse(VerifierEnv& env, Errno error, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return error;
}

u32 slot_of(s32 off) {
    return static_cast<u32>(-off - 1) / kSlotBytes;
}
u32 byte_of(s32 off) {
    return static_cast<u32>(off) % kSlotBytes;
}
u64 slot_range(s32 low, s32 high) {  // of the bytes [low, high)
    u64 slots = 0;
    for (u32 s = slot_of(high - 1); s <= slot_of(low); ++s) slots |= u64{1} << s;
    return slots;
}

// The smallest and the largest offset that a pointer can have.
struct Span {
    s32 low, high;  // first byte; one behind the last byte
    bool constant;
    u32 frame;
};

void note_written(VerifierEnv& env, u32 frame, u32 slot) {
    env.state->stack_written[frame] |= u64{1} << slot;
}

void note_changed(VerifierEnv& env, u32 frame, u64 slots) {
    if (frame == env.state->current) env.changed_slots |= slots;
}

// What part of a slot stops being a register when other bytes are written there.
void scrub(StackSlot& slot) {
    if (!slot.is_spill()) return;
    for (SlotByte& byte : slot.bytes)
        if (byte == SlotByte::Spill) byte = SlotByte::Misc;
}

void copy_into_slot(StackSlot& slot, const RegState& reg, u32 size) {
    slot.reg = reg;
    for (u32 i = 0; i < size; ++i) slot.bytes[i] = SlotByte::Spill;
    for (u32 i = size; i < kSlotBytes; ++i)
        if (slot.bytes[i] == SlotByte::Spill) slot.bytes[i] = SlotByte::Misc;
    if (size == kSlotBytes) return;
    const Scalar narrow = reg.scalar.zero_extend(size * 8);
    if (!(narrow == reg.scalar)) slot.reg.id = 0;
    slot.reg.scalar = narrow;
}

Result<void> spill(VerifierEnv& env, FuncState& frame, s32 off, u32 size, RegState& reg) {
    const u32 index = slot_of(off);
    if (reg.is_scalar() && !reg.id && !reg.is_const()) reg.id = env.new_id();
    copy_into_slot(frame.slots[index], reg, size);
    if (size == kSlotBytes) note_written(env, frame.frame, index);
    return {};
}

Result<void> store_bytes(VerifierEnv& env, FuncState& frame, s32 off, u32 size, bool zero) {
    const u32 index = slot_of(off);
    StackSlot& slot = frame.slots[index];
    scrub(slot);
    for (u32 i = 0; i < size; ++i)
        slot.bytes[byte_of(off) + i] = zero ? SlotByte::Zero : SlotByte::Misc;
    if (size == kSlotBytes) note_written(env, frame.frame, index);
    return {};
}

Result<void> write_fixed(VerifierEnv& env, FuncState& frame, s32 off, u32 size, s32 value_reg) {
    TRY(grow_stack(env, frame, static_cast<u32>(-off)));
    TRY(push_history(env, kHistoryStack, u32{frame.frame} << 8 | slot_of(off)));
    StackSlot& slot = frame.slots[slot_of(off)];
    if (!env.allow_ptr_leaks && slot.is_pointer_spill() && size != kSlotBytes)
        return refuse(env, Errno::Acces, "attempt to corrupt spilled pointer on stack");
    TRY(destroy_dynptr(env, frame, slot_of(off)));
    note_changed(env, frame.frame, u64{1} << slot_of(off));

    RegState immediate;
    if (value_reg == kImmediate)
        mark_reg_known(immediate, static_cast<u64>(s64{env.insns[env.insn].imm}));
    else
        mark_reg_unknown(immediate);
    RegState& reg = value_reg < 0 ? immediate : env.reg(static_cast<u32>(value_reg));
    const bool low_end = byte_of(off) == 0;
    if (reg.type == RegType::Dynptr) {
        // Not worth keeping: it is gone when the callback returns.
        if (!env.allow_ptr_leaks) return refuse(env, Errno::Acces, "invalid spill of a dynptr_ptr");
        return store_bytes(env, frame, off, size, false);
    }
    if (reg.is_pointer()) {
        if (size != kSlotBytes) return refuse(env, Errno::Acces, "invalid size of register spill");
        if (reg.type == RegType::Stack && frame.frame != env.state->current)
            return refuse(env, Errno::Inval,
                          "cannot spill pointers to stack into stack frame of the caller");
        return spill(env, frame, off, size, reg);
    }
    const Scalar stored = size == 8 ? reg.scalar : reg.scalar.zero_extend(size * 8);
    const bool zero = stored.is_const() && stored.value() == 0;
    if (low_end && size >= 4 && value_reg != kUnknownValue)
        return spill(env, frame, off, size, reg);
    if (zero && value_reg >= 0) TRY(mark_precise(env, static_cast<u32>(value_reg)));
    return store_bytes(env, frame, off, size, zero);
}

Result<void> destroy_dynptrs(VerifierEnv& env, FuncState& frame, s32 low, s32 high) {
    for (u32 slot = slot_of(high - 1); slot <= slot_of(low); ++slot)
        TRY(destroy_dynptr(env, frame, slot));
    return {};
}

// Somewhere in the span: every byte may now be the number, or what it was.
Result<void> write_anywhere(VerifierEnv& env, FuncState& frame, const Span& span, s32 value_reg) {
    TRY(grow_stack(env, frame, static_cast<u32>(-span.low)));
    TRY(destroy_dynptrs(env, frame, span.low, span.high));
    bool zero = false;
    if (value_reg == kImmediate) {
        zero = env.insns[env.insn].imm == 0;
    } else if (value_reg >= 0) {
        const RegState& reg = env.reg(static_cast<u32>(value_reg));
        zero = reg.is_scalar() && reg.is_const() && reg.scalar.value() == 0;
    }
    bool relied_on_zero = false;
    for (s32 off = span.low; off < span.high; ++off) {
        StackSlot& slot = frame.slots[slot_of(off)];
        SlotByte& byte = slot.bytes[byte_of(off)];
        if (!env.allow_ptr_leaks && byte != SlotByte::Misc && byte != SlotByte::Zero)
            return refuse(env, Errno::Inval,
                          "spilled ptr in range of var-offset stack write; insn ", env.insn,
                          ", ptr off: ", off);
        scrub(slot);
        if (zero && byte == SlotByte::Zero)
            relied_on_zero = true;
        else
            byte = SlotByte::Misc;
    }
    note_changed(env, frame.frame, slot_range(span.low, span.high));
    if (relied_on_zero && value_reg >= 0) TRY(mark_precise(env, static_cast<u32>(value_reg)));
    return {};
}

const char* access_text(Access access, bool helper) {
    if (helper) return " indirect access to";
    return access == Access::Read ? " read from" : " write to";
}

Result<Span> locate(VerifierEnv& env, u32 regno, s32 off, s64 size, Access access, bool helper) {
    const RegState& reg = env.reg(regno);
    const char* what = access_text(access, helper);
    Span span{0, 0, reg.is_const(), reg.frame};
    const Scalar& s = reg.scalar;
    if (s.smax >= kMaxVarOff || s.smin <= -kMaxVarOff)
        return refuse(env, Errno::Acces, "invalid unbounded variable-offset", what, " stack R",
                      regno);
    const s64 low = s.smin + off;
    const s64 high = s.smax + off + size;
    const FuncState& frame = *env.state->frames[reg.frame];
    // What was never written is below: a read there finds nothing.
    const bool anywhere = access == Access::Write || helper;
    const s64 lowest = anywhere ? -s64{kMaxStack} : -s64{frame.slot_count} * kSlotBytes;
    if (low >= lowest && high <= 0 && (low < 0 || size == 0)) {
        span.low = static_cast<s32>(low);
        span.high = static_cast<s32>(high);
        return span;
    }
    if (span.constant)
        return refuse(env, Errno::Acces, "invalid", what, " stack R", regno, " off=", low,
                      " size=", size);
    return refuse(env, Errno::Acces, "invalid variable-offset", what, " stack R", regno,
                  " var_off=", s.var_off, " off=", off, " size=", size);
}

Result<void> fill(VerifierEnv& env, const StackSlot& slot, s32 off, s32 dst_reg) {
    if (dst_reg < 0) {
        if (!env.allow_ptr_leaks && slot.reg.is_pointer())
            return refuse(env, Errno::Acces, "leaking pointer from stack off ", off);
        return {};
    }
    env.reg(static_cast<u32>(dst_reg)) = slot.reg;
    env.reg(static_cast<u32>(dst_reg)).precise = false;
    return {};
}

// Every byte must be a number; all of them zero makes a zero.
Result<void> read_bytes(VerifierEnv& env, const FuncState& frame, s32 off, u32 size, s32 dst_reg) {
    bool all_zero = true;
    for (u32 i = 0; i < size; ++i) {
        const s32 at = off + static_cast<s32>(i);
        const StackSlot& slot = frame.slots[slot_of(at)];
        const SlotByte byte = slot.bytes[byte_of(at)];
        all_zero &= byte == SlotByte::Zero;
        if (byte == SlotByte::Spill && !slot.reg.is_scalar())
            return refuse(env, Errno::Acces, "invalid size of register fill");
        if (byte == SlotByte::Invalid || byte == SlotByte::Dynptr)
            return refuse(env, Errno::Acces, "invalid read from stack off ", off, '+', i, " size ",
                          size);
    }
    if (dst_reg < 0) return {};
    RegState& dst = env.reg(static_cast<u32>(dst_reg));
    mark_reg_unknown(dst);
    if (all_zero) dst.scalar = Scalar::constant(0);
    return {};
}

Result<void> read_fixed(VerifierEnv& env, u32 frame_index, s32 off, u32 size, s32 dst_reg) {
    const FuncState& frame = *env.state->frames[frame_index];
    const u32 index = slot_of(off);
    mark_slots_read(env, frame_index, u64{1} << index);
    if (dst_reg >= 0) env.changed_regs |= 1u << dst_reg;
    const StackSlot& slot = frame.slots[index];
    if (slot.is_spill() && byte_of(off) == 0) {
        const bool full = slot.is_full_spill();
        const bool four = !full && slot.bytes[3] == SlotByte::Spill;
        if ((full && size == 8) || (four && size == 4)) {
            TRY(push_history(env, kHistoryStack, frame_index << 8 | index));
            return fill(env, slot, off, dst_reg);
        }
    }
    return read_bytes(env, frame, off, size, dst_reg);
}

Result<void> read_anywhere(VerifierEnv& env, const Span& span, u32 regno, s32 off, u32 size,
                           s32 dst_reg) {
    TRY(check_stack_range(env, regno, off, size, false, StackUse::Load));
    const FuncState& frame = *env.state->frames[span.frame];
    if (dst_reg < 0) return {};
    bool all_zero = true;
    for (s32 at = span.low; at < span.high; ++at)
        all_zero &= frame.slots[slot_of(at)].bytes[byte_of(at)] == SlotByte::Zero;
    RegState& dst = env.reg(static_cast<u32>(dst_reg));
    mark_reg_unknown(dst);
    if (all_zero) dst.scalar = Scalar::constant(0);
    env.changed_regs |= 1u << dst_reg;
    return {};
}

Result<void> refuse_variable(VerifierEnv& env, u32 regno, s32 off, bool helper) {
    if (env.allow_ptr_leaks) return {};
    return refuse(env, Errno::Acces, 'R', regno, helper ? " indirect" : "",
                  " variable stack access prohibited for !root, var_off=",
                  env.reg(regno).scalar.var_off, " off=", off);
}

// One byte that a helper reads (and may overwrite).
bool use_byte(VerifierEnv& env, StackSlot& slot, u32 index, bool overwrite) {
    SlotByte& byte = slot.bytes[index];
    switch (byte) {
        case SlotByte::Invalid:
        case SlotByte::Dynptr:
            return false;
        case SlotByte::Spill:
            if (!slot.reg.is_scalar() && !(env.allow_ptr_leaks && slot.reg.is_pointer()))
                return false;
            if (overwrite) scrub(slot);
            return true;
        case SlotByte::Zero:
            if (overwrite) byte = SlotByte::Misc;
            return true;
        case SlotByte::Misc:
            return true;
    }
    return false;
}

}  // namespace

Result<void> check_stack_read(VerifierEnv& env, u32 regno, s32 off, u32 size, s32 dst_reg) {
    const Span span = TRY(locate(env, regno, off, size, Access::Read, false));
    if (span.constant) return read_fixed(env, span.frame, span.low, size, dst_reg);
    TRY(refuse_variable(env, regno, off, false));
    return read_anywhere(env, span, regno, off, size, dst_reg);
}

Result<void> check_stack_write(VerifierEnv& env, u32 regno, s32 off, u32 size, s32 value_reg) {
    const Span span = TRY(locate(env, regno, off, size, Access::Write, false));
    FuncState& frame = *env.state->frames[span.frame];
    if (span.constant) return write_fixed(env, frame, span.low, size, value_reg);
    TRY(refuse_variable(env, regno, off, false));
    return write_anywhere(env, frame, span, value_reg);
}

Result<void> mark_stack_misc(VerifierEnv& env, FuncState& frame, s32 off, u32 size) {
    if (!size) return {};
    TRY(grow_stack(env, frame, static_cast<u32>(-off)));
    TRY(destroy_dynptrs(env, frame, off, off + static_cast<s32>(size)));
    for (s32 at = off; at < off + static_cast<s32>(size); ++at) {
        StackSlot& slot = frame.slots[slot_of(at)];
        if (!env.allow_ptr_leaks && slot.is_pointer_spill())
            return refuse(env, Errno::Acces, "attempt to corrupt spilled pointer on stack");
        scrub(slot);
        slot.bytes[byte_of(at)] = SlotByte::Misc;
    }
    note_changed(env, frame.frame, slot_range(off, off + static_cast<s32>(size)));
    return {};
}

Result<void> check_stack_range(VerifierEnv& env, u32 regno, s32 off, u32 size,
                               bool zero_size_allowed, StackUse use) {
    const bool helper = use != StackUse::Load;
    if (size == 0 && !zero_size_allowed)
        return refuse(env, Errno::Acces, "invalid zero-sized read");
    const bool variable = !env.reg(regno).is_const();
    if (variable) TRY(refuse_variable(env, regno, off, helper));
    // Where exactly a helper writes must be known to count as initialising it.
    if (variable && use == StackUse::Fill) use = StackUse::ReadWrite;
    const Span span = TRY(locate(env, regno, off, size, Access::Read, helper));
    if (size == 0) return {};
    FuncState& frame = *env.state->frames[span.frame];
    if (use == StackUse::Fill) return mark_stack_misc(env, frame, span.low, size);

    const bool overwrite = use == StackUse::ReadWrite;
    for (s32 at = span.low; at < span.high; ++at) {
        const u32 index = slot_of(at);
        if (index < frame.slot_count && use_byte(env, frame.slots[index], byte_of(at), overwrite))
            continue;
        const char* what =
            helper ? "invalid indirect read from stack R" : "invalid read from stack R";
        if (!variable)
            return refuse(env, Errno::Acces, what, regno, " off ", span.low, '+', at - span.low,
                          " size ", size);
        return refuse(env, Errno::Acces, what, regno, " var_off ", env.reg(regno).scalar.var_off,
                      '+', at - span.low, " size ", size);
    }
    mark_slots_read(env, span.frame, slot_range(span.low, span.high));
    if (overwrite) note_changed(env, span.frame, slot_range(span.low, span.high));
    return {};
}

void mark_slots_read(VerifierEnv& env, u32 frame, u64 slots) {
    u64 wanted = slots & ~env.state->stack_written[frame];
    u32 steps = 0;
    for (VerifierState* up = env.state->parent; wanted && up; up = up->parent) {
        if (frame > up->current) break;
        wanted &= ~up->stack_read[frame];
        up->stack_read[frame] |= wanted;
        wanted &= ~up->stack_written[frame];
        ++steps;
    }
    if (steps > env.count.mark_reads) env.count.mark_reads = steps;
}

}  // namespace barebpf
