// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: the seam between the guest kernel and the machine it runs on. testkit/guest/x86 and testkit/guest/arm64
// implement what is declared in `arch`; the guest kernel (testkit/guest/*.cc) implements what they call.
//
//     boot.S ──> guest_main() ──> arch::early_init, probe ──> page tables ──> arch::init_cpu ──> start_cpu ...
//                                                                                    │
//     a started CPU ──> guest_secondary_main() ──> arch::init_cpu ───────────────────┤
//     vectors (entry.S, traps.cc) ──> on_irq / on_nmi / on_breakpoint / on_step / on_fault
//
// boot.S enters guest_main() on the boot CPU with interrupts and FIQs off, a stack, the image mapped where it is
// linked, the low 4 GiB mapped one to one, and again at kDirectBase (all writable and executable: the guest
// kernel replaces these tables at once). A started CPU comes up on the final tables, on its own stack.
//
// Every entry through a vector saves the general registers and the vector registers: whatever runs in it, a
// test's handler too, is ordinary code. On x86-64 each kind of vector has a stack of its own (IST), so that red
// zones of prebuilt libraries survive.
#pragma once

// Inline, of namespace barebpf::guest: CpuArea* this_area(); u32 this_cpu(); u64 irq_save(); irq_restore(u64);
// bool irqs_off(). What irq_save() returns is the machine's own; kIrqsOn is what it returns where they were on.
// Of arch: u64 kImagePhysical; entries_written(), flush_tlb_here(address, size) for this CPU alone.
#include <guest_arch/cpu.h>
#include <guest_arch/frame.h>  // struct Frame: the registers of what was interrupted

#include "kernel/lib/types.h"
#include "testkit/guest/cpu_area.h"
#include "testkit/guest/layout.h"

namespace barebpf::guest {

struct MemoryRange {
    u64 base;  // physical
    u64 size;  // bytes
};

// What the firmware told of the machine.
struct Machine {
    MemoryRange ram[8];
    u32 ram_count;
    u32 cpu_count;       // that the machine has, as far as the firmware tells; 0: it does not tell
    char args[512];      // words separated by spaces, NUL-terminated
    MemoryRange initrd;  // size 0: none
};

enum class Access : u8 { None, Read, ReadWrite, ReadExecute };

namespace arch {

// ── Start ─────────────────────────────────────────────────────────────────────────────────────
// The console works and faults are reported from here on. boot is what boot.S was given (hvm_start_info,
// device tree). Ends in guest::fail() on a machine that is not ours.
void early_init(u64 boot);
void probe(u64 boot, Machine* machine);

// ── Console and end ───────────────────────────────────────────────────────────────────────────
void console_write(const char* text, size_t length);  // any context; the caller serialises
[[noreturn]] void exit(u32 status);                   // QEMU ends with it (0..127); all CPUs stop

// ── Page tables: 4 levels, 512 entries of 8 bytes ─────────────────────────────────────────────
u64 table_entry(u64 physical);
u64 leaf_entry(u64 physical, Access access, bool device);  // 0 for Access::None
bool entry_present(u64 entry);
u64 entry_physical(u64 entry);
Access entry_access(u64 entry);  // of a leaf
// On this CPU. The first call, on the boot CPU, ends with map_device() of what the console needs (arm64): from
// this call on map_device() must map into these tables, not answer direct().
void use_page_table(u64 root_physical);
// Whatever was cached for this page or range is forgotten on every CPU that is online. Any context but NMI:
// must not wait for a CPU that has interrupts off (x86-64: by NMI or by a flag that CPUs poll where they spin).
void flush_tlb(u64 address, u64 size);
// After code was written through another address: this CPU and all others will execute what was written.
void sync_code(const void* code, size_t size);

// ── CPUs ──────────────────────────────────────────────────────────────────────────────────────
// On the CPU itself: its area register, vectors, floating point, interrupt controller, timer. After it
// irq_restore(enabled) may be called. The area's id, stacks and stack tops are set.
void init_cpu(CpuArea* area);
// Makes the CPU come to guest_secondary_main(area). False: the machine has none of this number.
bool start_cpu(CpuArea* area);
void send_ipi(u32 cpu);  // on_ipi() there, once interrupts are on. Any context
void send_nmi(
    u32 cpu);  // on_nmi() there, interrupts on or off (arm64: a group 0 SGI, by FIQ). Any context
// Goes on in function() on another stack; the old one is not used again. For the boot CPU.
[[noreturn]] void call_on_stack(u64 stack_top, void (*function)());
// With interrupts off: waits until one arrives, and takes it. May return early. Interrupts are off again after.
void wait_for_interrupt();
// This CPU's one-shot timer: on_timer() after about so many ns. 0 stops it.
void set_timer(u64 ns);

u64 clock_ns();     // monotonic, the same on all CPUs; any context
u64 random_bits();  // unlike from call to call

// ── Memory that may fault ─────────────────────────────────────────────────────────────────────
// Copies; false if a byte of either side cannot be accessed (unmapped, read-only, non-canonical). Any context.
bool copy_nofault(void* to, const void* from, size_t size);

// ── Instructions on purpose (testkit/guest/inject.cc) ─────────────────────────────────────────
// on_breakpoint() is called when a CPU is about to execute the instruction at pc. x86-64: a debug register of
// every CPU (slots 0..3); arm64: a BRK written over the instruction through the image's alias. The handler's
// CPU goes on with the instruction itself and meets the breakpoint again next time. While on_breakpoint() or
// on_step() runs on a CPU, that CPU meets no breakpoint, whatever it executes (a handler may run the very code that
// is broken into; arm64 may write the instruction back meanwhile, for all CPUs). False: no such slot.
bool set_breakpoint(u32 slot, u64 pc);
void clear_breakpoint(u32 slot);
// on_step() after each instruction that this CPU executes outside traps, from the return of the current one on.
void set_stepping(Frame* frame, bool on);

// ── Dumps ─────────────────────────────────────────────────────────────────────────────────────
void print_frame(const Frame& frame);  // by guest::print_line()
u64 frame_pc(const Frame& frame);
u64 frame_return_address(
    const Frame& frame);  // of a function that is about to execute its first instruction
u64 frame_sp(const Frame& frame);
u64 frame_fp(
    const Frame&
        frame);  // frame pointer: [fp] = caller's fp, [fp + 8] = return address, on both machines

}  // namespace arch

// ── What the machine calls ────────────────────────────────────────────────────────────────────
extern "C" [[noreturn]] void guest_main(u64 boot);
extern "C" [[noreturn]] void guest_secondary_main(CpuArea* area);

void on_ipi(
    Frame* frame);  // irq_depth has been raised, interrupts are off, the controller has been told
void on_timer(Frame* frame);       // the same
void on_nmi(Frame* frame);         // nmi_depth has been raised
void on_breakpoint(Frame* frame);  // nmi_depth has been raised
void on_step(Frame* frame);        // nmi_depth has been raised
// A trap that nothing expects: prints and ends the run. address: of the access, if it was one.
[[noreturn]] void on_fault(Frame* frame, const char* what, u64 address);

// ── Of the guest kernel, for the machines too ─────────────────────────────────────────────────
// "guest: TEXT" on the console and a failing exit status. Any context, from the first instruction of C++ on.
[[noreturn]] void fail(const char* text);
[[noreturn]] void fail(const char* text, u64 number);
void print_line(const char* text);
void print_hex(const char* name, u64 value);  // "name=0000…" and a space, without a newline
void print_newline();

inline void* direct(u64 physical) {
    return reinterpret_cast<void*>(kDirectBase + physical);
}
// Registers of a device, mapped for good. After early_init() and before the final tables it is direct().
void* map_device(u64 physical, u64 size);

}  // namespace barebpf::guest
