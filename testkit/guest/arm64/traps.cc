// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: what each exception is, and who handles it. vectors.S calls the four functions at the end with
// everything masked.
//
// Hardware facts: ESR_EL1 has the class in bits 31:26 and the rest below (Arm ARM D17.2.37); for an abort the
// low six bits say of which kind (DFSC), bit 6 whether it was a write.
#include "testkit/guest/arm64/internal.h"

namespace barebpf::guest {

namespace arch {

namespace {

struct Fixup {
    u64 instruction;
    u64 landing;
};
extern "C" const Fixup guest_fixups_begin[];
extern "C" const Fixup guest_fixups_end[];

enum class Class : u32 {
    Unknown = 0x00,
    IllegalState = 0x0e,
    Svc = 0x15,
    InstructionAbort = 0x21,
    PcAlignment = 0x22,
    DataAbort = 0x25,
    SpAlignment = 0x26,
    FloatingPoint = 0x2c,
    SError = 0x2f,
    Step = 0x33,
    Brk = 0x3c,
};

Class class_of(const Frame& frame) {
    return static_cast<Class>(frame.syndrome >> 26 & 0x3f);
}

bool in_hole_below(u64 stack_top, u64 stack_bytes, u64 address) {
    return stack_top - stack_bytes - address - 1 < kPageBytes;
}

// Each stack of a CPU has a page below it that is not mapped.
bool below_a_stack(u64 address) {
    const CpuArea* area = this_area();
    if (in_hole_below(area->stack_top, kStackBytes, address)) return true;
    for (u64 top : area->trap_stack_top)
        if (in_hole_below(top, kTrapStackBytes, address)) return true;
    return false;
}

const char* data_abort_name(u64 syndrome, u64 address) {
    if ((syndrome & 0x3c) == 0x04 && below_a_stack(address)) return "data abort: stack overflow";
    bool write = syndrome >> 6 & 1;
    switch (syndrome & 0x3c) {
        case 0x04:
            return write ? "data abort: write to what is not mapped"
                         : "data abort: read of what is not mapped";
        case 0x0c:
            return write ? "data abort: write to what is read-only"
                         : "data abort: read that is not permitted";
        case 0x10:
            return "data abort: access to what is no memory";
    }
    return (syndrome & 0x3f) == 0x21 ? "data abort: unaligned access to a device" : "data abort";
}

const char* instruction_abort_name(u64 syndrome) {
    switch (syndrome & 0x3c) {
        case 0x04:
            return "instruction abort: execution of what is not mapped";
        case 0x0c:
            return "instruction abort: execution of what is not code";
    }
    return "instruction abort";
}

const char* name(const Frame& frame) {
    switch (class_of(frame)) {
        case Class::Unknown:
            return "undefined instruction";
        case Class::IllegalState:
            return "illegal execution state";
        case Class::Svc:
            return "supervisor call";
        case Class::InstructionAbort:
            return instruction_abort_name(frame.syndrome);
        case Class::PcAlignment:
            return "program counter not aligned";
        case Class::DataAbort:
            return data_abort_name(frame.syndrome, frame.address);
        case Class::SpAlignment:
            return "stack pointer not aligned";
        case Class::FloatingPoint:
            return "floating point exception";
        case Class::SError:
            return "system error";
        case Class::Step:
            return "step that nobody asked for";
        case Class::Brk:
            return "breakpoint instruction (a trap of the compiler's)";
    }
    return "exception of an unknown class";
}

bool has_address(const Frame& frame) {
    Class c = class_of(frame);
    return c == Class::InstructionAbort || c == Class::DataAbort || c == Class::PcAlignment;
}

}  // namespace

bool apply_fixup(Frame* frame) {
    for (const Fixup* fixup = guest_fixups_begin; fixup != guest_fixups_end; fixup++) {
        if (fixup->instruction != frame->pc) continue;
        frame->pc = fixup->landing;
        return true;
    }
    return false;
}

void print_frame(const Frame& frame) {
    static constexpr const char* kNames[] = {" x0", " x1", " x2", " x3", " x4", " x5", " x6", " x7",
                                             " x8", " x9", "x10", "x11", "x12", "x13", "x14", "x15",
                                             "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23",
                                             "x24", "x25", "x26", "x27", "x28", "x29", "x30"};
    print_hex(" pc", frame.pc);
    print_hex(" sp", frame.sp);
    print_hex("pstate", frame.pstate);
    print_newline();
    print_hex("syndrome", frame.syndrome);
    print_hex("address", frame.address);
    print_newline();
    for (u32 i = 0; i < 31; i++) {
        print_hex(kNames[i], frame.x[i]);
        if (i % 4 == 3 || i == 30) print_newline();
    }
}

u64 frame_pc(const Frame& frame) {
    return frame.pc;
}
u64 frame_return_address(const Frame& frame) {
    return frame.x[30];
}

u64 frame_sp(const Frame& frame) {
    return frame.sp;
}
u64 frame_fp(const Frame& frame) {
    return frame.x[29];
}

}  // namespace arch

using namespace arch;

extern "C" void guest_trap_sync(Frame* frame) {
    blame_copied_instruction(frame);
    switch (class_of(*frame)) {
        case Class::Brk:
            if (handle_brk(frame)) return;
            break;
        case Class::Step:
            if (handle_step(frame)) return;
            break;
        default:
            if (apply_fixup(frame)) return;
    }
    on_fault(frame, name(*frame), has_address(*frame) ? frame->address : 0);
}

extern "C" void guest_trap_irq(Frame* frame) {
    handle_irq(frame);
}

extern "C" void guest_trap_fiq(Frame* frame) {
    handle_fiq(frame);
}

extern "C" void guest_trap_other(Frame* frame) {
    bool serror = class_of(*frame) == Class::SError;
    on_fault(frame, serror ? "system error" : "exception from a state that is not the kernel's", 0);
}

}  // namespace barebpf::guest
