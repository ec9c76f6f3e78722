// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: what entry.S hands over: faults (with fix-ups), interrupts, NMIs, and their dumps. SDM vol. 3, 6.15
// names the exceptions, 4.7 the bits of a page fault's error code.
#include "testkit/guest/x86/x86.h"

namespace barebpf::guest::arch {

struct Fixup {
    u64 begin, end;  // a fault at one of these instructions
    u64 resume;      // goes on here
};

}  // namespace barebpf::guest::arch

extern "C" {
bool guest_x86_copy(void* to, const void* from, size_t size);
extern const barebpf::guest::arch::Fixup guest_x86_fixups_begin[];
extern const barebpf::guest::arch::Fixup guest_x86_fixups_end[];
void guest_x86_trap(barebpf::guest::Frame* frame);
}

namespace barebpf::guest::arch {

namespace {

constexpr u32 kStackFault = 12;
constexpr u32 kPageFault = 14;

constexpr const char* kNames[VECTOR_FIRST_IRQ] = {
    "division error",
    "debug exception",
    "NMI",
    "breakpoint instruction (INT3)",
    "overflow (INTO)",
    "bound exceeded",
    "invalid instruction",
    "no floating point",
    "double fault",
    "coprocessor segment",
    "invalid task state",
    "segment not present",
    "stack fault (an address that is not canonical, through RSP or RBP)",
    "general protection (an address that is not canonical, or a privileged register)",
    "page fault",
    "vector 15",
    "floating-point error",
    "misaligned access",
    "machine check",
    "SIMD floating-point error",
    "virtualization exception",
    "control protection",
};

// By the bits of the error code: 0 present, 1 write, 4 instruction fetch.
const char* page_fault_name(u64 error) {
    if (error & 1 << 4) {
        return error & 1 ? "page fault: executes a page that is not executable"
                         : "page fault: executes where nothing is mapped";
    }
    if (error & 1 << 1) {
        return error & 1 ? "page fault: writes to a read-only page"
                         : "page fault: writes where nothing is mapped";
    }
    return error & 1 ? "page fault: reads a page that is not readable"
                     : "page fault: reads where nothing is mapped";
}

bool fix_up(Frame* frame) {
    // Between the two: general protection.
    if (frame->vector < kStackFault || frame->vector > kPageFault) return false;
    for (const Fixup* fixup = guest_x86_fixups_begin; fixup != guest_x86_fixups_end; ++fixup) {
        if (frame->rip >= fixup->begin && frame->rip < fixup->end) {
            frame->rip = fixup->resume;
            return true;
        }
    }
    return false;
}

void fault(Frame* frame) {
    const u64 address = frame->vector == kPageFault ? read_cr2() : 0;
    if (fix_up(frame)) return;
    const char* name = frame->vector == kPageFault ? page_fault_name(frame->error)
                                                   : kNames[frame->vector % VECTOR_FIRST_IRQ];
    on_fault(frame, name ? name : "reserved vector", address);
}

// A handler that has met a breakpoint may be single-stepped. What follows it must not be.
void end_stepping() {
    constexpr u64 kTrapFlag = 1 << 8;
    asm volatile("pushfq\n\tandq %0, (%%rsp)\n\tpopfq" ::"i"(~kTrapFlag) : "memory", "cc");
}

void interrupt(Frame* frame) {
    if (frame->vector == kVectorSpurious) return;
    end_of_interrupt();
    CpuArea* area = this_area();
    ++area->irq_depth;
    switch (frame->vector) {
        case kVectorIpi:
            on_ipi(frame);
            break;
        case kVectorTimer:
            on_timer(frame);
            break;
        default:
            on_fault(frame, "interrupt that nobody asked for; its vector is the address",
                     frame->vector);
    }
    end_stepping();
    --area->irq_depth;
}

void handle_nmi(Frame* frame, X86Cpu* cpu) {
    // Acquire: pairs with the release in send_nmi().
    if (!cpu->nmi_wanted.exchange(0, Order::Acquire)) return;
    CpuArea* area = this_area();
    ++area->nmi_depth;
    on_nmi(frame);
    --area->nmi_depth;
}

// The hardware lets NMIs through again after any IRET: here is one, to the next instruction.
void let_nmis_through() {
    asm volatile(
        "movq %%rsp, %%rax\n\t"
        "pushq %0\n\t"
        "pushq %%rax\n\t"
        "pushfq\n\t"
        "pushq %1\n\t"
        "pushq $1f\n\t"
        "iretq\n"
        "1:" ::"i"(SELECTOR_DATA),
        "i"(SELECTOR_CODE64)
        : "rax", "memory");
}

// entry.S has set in_nmi: another NMI sets nmi_again and does the chores, until in_nmi is clear. From there on it
// nests below us on our stack, and no other trap may come: an NMI on that one's landing would take our stack.
// Relaxed: all on this CPU, and the compiler is told.
void nmi(Frame* frame, X86Cpu* cpu) {
    do {
        cpu->in_nmi.store(1, Order::Relaxed);
        cpu->nmi_again.store(0, Order::Relaxed);
        select_landings(cpu, 1);
        let_nmis_through();
        handle_nmi(frame, cpu);
        end_stepping();
        select_landings(cpu, 0);
        cpu->in_nmi.store(0, Order::Relaxed);
        asm volatile("" ::: "memory");
    } while (cpu->nmi_again.load(Order::Relaxed));
}

}  // namespace

bool copy_nofault(void* to, const void* from, size_t size) {
    return guest_x86_copy(to, from, size);
}

void send_nmi(u32 cpu) {
    X86Cpu* target = &x86_cpus[cpu];
    target->nmi_wanted.store(1, Order::Release);  // pairs with handle_nmi()
    raise_nmi(cpu);
    if (cpu != this_cpu() || target->in_nmi.load(Order::Relaxed)) return;
    // To this CPU: it is taken within a few instructions.
    while (target->nmi_wanted.load(Order::Relaxed)) host::spin_hint();
}

void print_frame(const Frame& frame) {
    const struct {
        const char* name;
        u64 value;
    } lines[][4] = {
        {{"rip", frame.rip}, {"rsp", frame.rsp}, {"rbp", frame.rbp}, {"flags", frame.rflags}},
        {{"rax", frame.rax}, {"rbx", frame.rbx}, {"rcx", frame.rcx}, {"rdx", frame.rdx}},
        {{"rsi", frame.rsi}, {"rdi", frame.rdi}, {"r8", frame.r8}, {"r9", frame.r9}},
        {{"r10", frame.r10}, {"r11", frame.r11}, {"r12", frame.r12}, {"r13", frame.r13}},
        {{"r14", frame.r14}, {"r15", frame.r15}, {"vector", frame.vector}, {"error", frame.error}},
        {{"cs", frame.cs}, {"ss", frame.ss}, {"cr2", read_cr2()}, {"cr3", read_cr3()}},
    };
    for (const auto& line : lines) {
        for (const auto& word : line) print_hex(word.name, word.value);
        print_newline();
    }
}

u64 frame_pc(const Frame& frame) {
    return frame.rip;
}
u64 frame_return_address(const Frame& frame) {
    return *reinterpret_cast<const u64*>(frame.rsp);
}

u64 frame_sp(const Frame& frame) {
    return frame.rsp;
}
u64 frame_fp(const Frame& frame) {
    return frame.rbp;
}

}  // namespace barebpf::guest::arch

void guest_x86_trap(barebpf::guest::Frame* frame) {
    using namespace barebpf::guest::arch;
    X86Cpu* cpu = &this_x86();
    leave_idle(cpu);
    do_chores(cpu);
    leave_out_halt(frame);
    if (frame->vector == VECTOR_NMI_INSIDE) return;
    if (frame->vector == VECTOR_NMI) {
        nmi(frame, cpu);
    } else if (frame->vector == VECTOR_DEBUG) {
        debug_trap(frame);
    } else if (frame->vector < VECTOR_FIRST_IRQ) {
        fault(frame);
    } else {
        interrupt(frame);
    }
}
