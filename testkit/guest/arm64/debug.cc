// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: breakpoints and single steps.
//
// A breakpoint is a BRK written over the instruction. The CPU that meets it calls on_breakpoint() and then executes
// the instruction, with everything masked, in one of three ways:
//
//     reads or changes the masks (irq_save)   done here, on the frame
//     does not depend on where it is          a copy of it, in step_over.S, and a second BRK behind it
//     branch, ADR, load of a literal          in place: instruction back, step exception, BRK again
//
// In the last way other CPUs pass without a stop meanwhile; the last that steps writes the BRK. A BRK that a handler
// itself meets is only stepped over. The lock is held with everything masked, and no breakpoint may be set in this
// file or in what it calls under the lock.
//
// Hardware facts: BRK is class 0x3c, never masked, ELR_EL1 at the BRK (Arm ARM D2.8); software step D2.12:
// MDSCR_EL1.SS with KDE, PSTATE.D clear, SPSR_EL1.SS set at the exception return; OSLAR_EL1 must be unlocked.
// The step exception comes with SPSR_EL1.SS clear; returning so makes the next one come before any instruction.
// Atomics are single instructions here (-march=armv8.2-a): a step between load-exclusive and store-exclusive would
// clear the monitor each time, and the loop never end (B2.9). Encodings: C4.1.
#include "testkit/guest/arm64/internal.h"

// In step_over.S: for each slot a copy and the BRK behind it.
extern "C" barebpf::u32 guest_step_over[][2];

namespace barebpf::guest::arch {

namespace {

constexpr u32 kSlots = 4;
constexpr u32 kBrkNumber = 0x6270;  // compilers have others
constexpr u32 kDoneNumber = 0x6271;
constexpr u32 kBrk = 0xd4200000 | kBrkNumber << 5;
constexpr u64 kMdscrStep = u64{1} << 0, kMdscrKernel = u64{1} << 13;
constexpr u64 kMasks = kPstateD | kPstateA | kPstateI | kPstateF;

struct Slot {
    u64 pc;
    u32 instruction;  // that was there
    u32 steppers;     // CPUs between on_breakpoint() and the next instruction
    bool set;
    bool in_place;  // stepped over where it is: memory has the instruction while there are steppers
};
Slot slots[kSlots];  // under the lock
backend::Atomic<u32> lock_word;

class Locked {
public:
    Locked() {
        // Pairs with the release below.
        while (lock_word.exchange(1, backend::Order::Acquire)) backend::spin_hint();
    }
    ~Locked() { lock_word.store(0, backend::Order::Release); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

private:
    AllMasked masked_;
};

u64 copy_address(u32 slot) {
    return reinterpret_cast<u64>(&guest_step_over[slot]);
}

s32 find(u64 pc) {
    for (u32 i = 0; i < kSlots; i++)
        if (slots[i].set && slots[i].pc == pc) return static_cast<s32>(i);
    return -1;
}

void remove(Slot& slot) {
    if (!slot.set) return;
    slot.set = false;
    if (!slot.in_place || slot.steppers == 0) patch_instruction(slot.pc, slot.instruction);
}

// False: the slot is still used by a CPU that steps over what was there before.
bool try_set(u32 number, u64 pc, u32 instruction, bool in_place, bool* done) {
    Locked locked;
    Slot& slot = slots[number];
    remove(slot);
    if (slot.steppers) return false;
    *done = false;
    if (find(pc) >= 0 || !patch_instruction(copy_address(number), instruction)) return true;
    slot = {pc, instruction, 0, true, in_place};
    slot.set = *done = patch_instruction(pc, kBrk);
    return true;
}

// Branches, exceptions, ADR, ADRP and loads of literals; system instructions do not care where they are.
bool depends_on_place(u32 instruction) {
    if (instruction >> 24 == 0xd5) return false;
    return (instruction & 0x1c000000) == 0x14000000 || (instruction & 0x1f000000) == 0x10000000 ||
           (instruction & 0x3b000000) == 0x18000000;
}

// MRS Xt, DAIF; MSR DAIF, Xt; MSR DAIFSet, #imm; MSR DAIFClr, #imm. True: done.
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
    frame->pstate &= ~kPstateSs;
    return true;
}

void want_step(bool on) {
    u64 control = READ_SYSREG(mdscr_el1) & ~kMdscrStep;
    WRITE_SYSREG(mdscr_el1, on ? control | kMdscrStep : control);
    isb();
}

// The slot's instruction alone is executed when the exception returns.
void step_over(Frame* frame, u32 number) {
    CpuData* data = this_data();
    Slot& slot = slots[number];
    data->over_slot = static_cast<s32>(number);
    data->over_pc = frame->pc;
    data->over_pstate = frame->pstate;
    frame->pstate |= kMasks;
    slot.steppers++;
    if (!slot.in_place) {
        frame->pc = copy_address(number);
        return;
    }
    if (slot.steppers == 1) patch_instruction(slot.pc, slot.instruction);
    frame->pstate = (frame->pstate | kPstateSs) & ~kPstateD;
    want_step(true);
}

void stepped_over(Frame* frame) {
    CpuData* data = this_data();
    Slot& slot = slots[data->over_slot];
    {
        Locked locked;
        if (--slot.steppers == 0 && slot.set && slot.in_place) patch_instruction(slot.pc, kBrk);
    }
    data->over_slot = -1;
    frame->pstate = (frame->pstate & ~kMasks & ~kPstateSs) | (data->over_pstate & kMasks);
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

bool copy_done(Frame* frame) {
    CpuData* data = this_data();
    if (data->over_slot < 0) return false;
    frame->pc = data->over_pc + 4;
    stepped_over(frame);
    return true;
}

}  // namespace

void init_debug_cpu() {
    WRITE_SYSREG(oslar_el1, 0);
    isb();
    WRITE_SYSREG(mdscr_el1, kMdscrKernel);
    isb();
}

bool set_breakpoint(u32 number, u64 pc) {
    u32 instruction;
    if (number >= kSlots || pc % 4) return false;
    clear_breakpoint(number);
    if (!copy_nofault(&instruction, reinterpret_cast<const void*>(pc), sizeof(instruction)))
        return false;
    bool done;
    while (!try_set(number, pc, instruction, depends_on_place(instruction), &done))
        backend::spin_hint();
    return done;
}

void clear_breakpoint(u32 number) {
    if (number >= kSlots) return;
    Locked locked;
    remove(slots[number]);
}

bool handle_brk(Frame* frame) {
    u64 number = frame->syndrome & 0xffff, pc = frame->pc;
    if (number == kDoneNumber) return copy_done(frame);
    if (number != kBrkNumber) return false;
    {
        Locked locked;
        // Another CPU has cleared it since: the instruction is there again. Not read by copy_nofault(), which may have
        // a breakpoint itself.
        if (find(pc) < 0) return *reinterpret_cast<const volatile u32*>(pc) != kBrk;
    }
    if (!this_data()->in_handler) call_handler(on_breakpoint, frame);
    if (frame->pc != pc) return true;
    Locked locked;
    s32 slot = find(pc);
    if (slot >= 0 && !emulate(frame, slots[slot].instruction))
        step_over(frame, static_cast<u32>(slot));
    return true;
}

void blame_copied_instruction(Frame* frame) {
    CpuData* data = this_data();
    if (!data || data->over_slot < 0) return;
    if (frame->pc != copy_address(static_cast<u32>(data->over_slot))) return;
    frame->pc = data->over_pc;
    stepped_over(frame);
}

bool handle_step(Frame* frame) {
    CpuData* data = this_data();
    if (data->over_slot < 0 && !data->stepping) return false;
    if (data->over_slot >= 0) stepped_over(frame);
    bool outside = !(frame->pstate & kPstateD);
    if (data->stepping && outside) call_handler(on_step, frame);
    if (data->stepping && outside) frame->pstate |= kPstateSs;
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
