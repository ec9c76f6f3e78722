// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: breakpoints and single steps.
//
// A breakpoint is a BRK written over the instruction. The CPU that meets it calls on_breakpoint(), then puts the
// instruction back, steps over it with everything masked, and writes the BRK again:
//
//     BRK ──> on_breakpoint() ──> instruction back ──ERET──> one instruction ──> step exception ──> BRK again
//
// While one CPU steps, others pass without a stop; the last that steps writes the BRK. A BRK that a handler itself
// meets is only stepped over. An instruction that reads
// or changes the masks themselves (irq_save, irq_restore) is carried out here instead of being stepped over with
// other masks. The lock is held with everything masked, and no breakpoint may be set in this file.
//
// Hardware facts: BRK is class 0x3c, never masked, ELR_EL1 at the BRK (Arm ARM D2.8); software step D2.12:
// MDSCR_EL1.SS with KDE, PSTATE.D clear, SPSR_EL1.SS set at the exception return; OSLAR_EL1 must be unlocked.
// The step exception comes with SPSR_EL1.SS clear. Atomics are single instructions here (-march=armv8.2-a): a step
// between load-exclusive and store-exclusive would clear the monitor each time, and the loop never end (B2.9).
#include "testkit/guest/arm64/internal.h"

namespace barebpf::guest::arch {

namespace {

constexpr u32 kSlots = 4;
constexpr u32 kBrkNumber = 0x6270;  // compilers have others
constexpr u32 kBrk = 0xd4200000 | kBrkNumber << 5;
constexpr u64 kMdscrStep = u64{1} << 0, kMdscrKernel = u64{1} << 13;
constexpr u64 kMasks = kPstateD | kPstateA | kPstateI | kPstateF;

struct Slot {
    u64 pc;
    u32 instruction;  // that was there
    u32 steppers;     // CPUs that step over it: memory has the instruction
    bool set;
};
Slot slots[kSlots];  // under the lock
backend::Atomic<u32> lock_word;

class Locked {
public:
    Locked() {
        while (lock_word.exchange(1, backend::Order::Acquire))
            backend::spin_hint();  // pairs with ~Locked
    }
    ~Locked() { lock_word.store(0, backend::Order::Release); }  // pairs with Locked
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

private:
    AllMasked masked_;
};

void remove(Slot& slot) {
    if (!slot.set) return;
    slot.set = false;
    if (slot.steppers == 0) patch_instruction(slot.pc, slot.instruction);
}

s32 find(u64 pc) {
    for (u32 i = 0; i < kSlots; i++)
        if (slots[i].set && slots[i].pc == pc) return static_cast<s32>(i);
    return -1;
}

u32 instruction_at(u64 pc) {
    u32 instruction = 0;
    copy_nofault(&instruction, reinterpret_cast<const void*>(pc), sizeof(instruction));
    return instruction;
}

// MRS Xt, DAIF; MSR DAIF, Xt; MSR DAIFSet, #imm; MSR DAIFClr, #imm (C6.2.227 to C6.2.230). True: done.
bool emulate(Frame* frame, u32 instruction) {
    u32 t = instruction & 31;
    u64 imm = u64{instruction >> 8 & 15} << 6;
    if ((instruction & ~31u) == 0xd53b4220) {
        if (t != 31) frame->x[t] = frame->pstate & kMasks;
    } else if ((instruction & ~31u) == 0xd51b4220) {
        frame->pstate = (frame->pstate & ~kMasks) | (t == 31 ? 0 : frame->x[t] & kMasks);
    } else if ((instruction & 0xfffff0ff) == 0xd50340df) {
        frame->pstate |= imm;
    } else if ((instruction & 0xfffff0ff) == 0xd50340ff) {
        frame->pstate &= ~imm;
    } else {
        return false;
    }
    frame->pc += 4;
    return true;
}

void want_step(bool on) {
    u64 control = READ_SYSREG(mdscr_el1) & ~kMdscrStep;
    WRITE_SYSREG(mdscr_el1, on ? control | kMdscrStep : control);
    isb();
}

// The slot's instruction, alone, when the exception returns.
void step_over(Frame* frame, u32 slot) {
    CpuData* data = this_data();
    if (slots[slot].steppers++ == 0) patch_instruction(slots[slot].pc, slots[slot].instruction);
    data->over_slot = static_cast<s32>(slot);
    data->over_pstate = frame->pstate;
    frame->pstate = (frame->pstate | kPstateA | kPstateI | kPstateF | kPstateSs) & ~kPstateD;
    want_step(true);
}

void stepped_over(Frame* frame) {
    CpuData* data = this_data();
    Slot& slot = slots[data->over_slot];
    {
        Locked locked;
        if (--slot.steppers == 0 && slot.set) patch_instruction(slot.pc, kBrk);
    }
    data->over_slot = -1;
    frame->pstate = (frame->pstate & ~kMasks) | (data->over_pstate & kMasks);
    want_step(data->stepping);
}

// The handler may be interrupted by an NMI, as one on x86-64 may.
void call_handler(void (*handler)(Frame*), Frame* frame) {
    CpuArea* area = this_area();
    CpuData* data = this_data();
    area->nmi_depth++;
    data->in_handler = true;
    asm volatile("msr daifclr, #1" ::: "memory");
    handler(frame);
    asm volatile("msr daifset, #1" ::: "memory");
    data->in_handler = false;
    area->nmi_depth--;
}

}  // namespace

void init_debug_cpu() {
    WRITE_SYSREG(oslar_el1, 0);
    isb();
    WRITE_SYSREG(mdscr_el1, kMdscrKernel);
    isb();
}

bool set_breakpoint(u32 number, u64 pc) {
    if (number >= kSlots || pc % 4) return false;
    Locked locked;
    Slot& slot = slots[number];
    remove(slot);
    if (slot.steppers || find(pc) >= 0) return false;
    u32 instruction;
    if (!copy_nofault(&instruction, reinterpret_cast<const void*>(pc), sizeof(instruction)))
        return false;
    slot.pc = pc;
    slot.instruction = instruction;
    slot.set = patch_instruction(pc, kBrk);
    return slot.set;
}

void clear_breakpoint(u32 number) {
    if (number >= kSlots) return;
    Locked locked;
    remove(slots[number]);
}

bool handle_brk(Frame* frame) {
    if ((frame->syndrome & 0xffff) != kBrkNumber) return false;
    u64 pc = frame->pc;
    {
        Locked locked;
        // Another CPU has cleared it since: the instruction is there again.
        if (find(pc) < 0) return instruction_at(pc) != kBrk;
    }
    if (!this_data()->in_handler) call_handler(on_breakpoint, frame);
    if (frame->pc != pc) return true;
    Locked locked;
    s32 slot = find(pc);
    if (slot < 0) return true;
    if (emulate(frame, slots[slot].instruction)) {
        if (this_data()->stepping && !(frame->pstate & kPstateD)) frame->pstate &= ~kPstateSs;
        return true;
    }
    step_over(frame, static_cast<u32>(slot));
    return true;
}

bool handle_step(Frame* frame) {
    CpuData* data = this_data();
    if (data->over_slot < 0 && !data->stepping) return false;
    if (data->over_slot >= 0) stepped_over(frame);
    if (data->stepping && !(frame->pstate & kPstateD)) call_handler(on_step, frame);
    if (data->stepping && !(frame->pstate & kPstateD)) frame->pstate |= kPstateSs;
    return true;
}

void set_stepping(Frame* frame, bool on) {
    CpuData* data = this_data();
    data->stepping = on;
    if (data->over_slot < 0) want_step(on);
    if (!on)
        frame->pstate &= ~kPstateSs;
    else if (!(frame->pstate & kPstateD))
        frame->pstate |= kPstateSs;
}

}  // namespace barebpf::guest::arch
