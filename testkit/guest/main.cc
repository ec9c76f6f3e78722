// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// From boot.S to the end.
//
//     console, what the firmware tells ──> arguments ──> frames ──> final page tables ──> boot CPU's area
//     ──> its stack with a hole below ──> heap ──> other CPUs ──> constructors ──> planted deed ──> guest_run()
#include "testkit/guest/address_space.h"
#include "testkit/guest/frames.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/heap.h"
#include "testkit/guest/image.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"

namespace barebpf::guest {

namespace {

Machine machine;

// As many as the arguments ask for, else as many as the machine has.
u32 wanted_cpus(const Arguments& arguments) {
    const u64 wanted = arguments.number("cpus", machine.cpu_count ? machine.cpu_count : 1);
    if (wanted < 1 || wanted > kMaxGuestCpus)
        refuse("argument cpus=", wanted, ": 1 to ", kMaxGuestCpus, " can be used");
    return static_cast<u32>(wanted);
}

void run_constructors() {
    for (auto function = guest_init_array_begin; function < guest_init_array_end; ++function)
        (*function)();
}

// On the boot CPU's own stack.
[[noreturn]] void run() {
    const Arguments arguments;
    refuse_unknown_arguments();
    heap::init();
    irq_restore(kIrqsOn);
    start_cpus(wanted_cpus(arguments));
    seed_random(arguments.number("seed", 0));
    tick_ns = arguments.number("tick", 0);
    set_tick();
    run_constructors();
    if (const char* kind = arguments.value("plant")) plant(kind);
    const u32 status = guest_run(arguments);
    heap_check();
    if (!status) finish(0, "");
    char text[32];
    TextBuffer out(text);
    out.print("status ", status);
    finish(status, out.c_str());
}

}  // namespace

Initrd initrd() {
    return {static_cast<const u8*>(direct(machine.initrd.base)), machine.initrd.size};
}

MemoryFigures memory_figures() {
    return {frames::total_count(), frames::free_count(), frames::least_free()};
}

}  // namespace barebpf::guest

extern "C" void guest_main(barebpf::u64 boot) {
    using namespace barebpf::guest;  // NOLINT: it is one of its functions
    arch::early_init(boot);
    arch::probe(boot, &machine);
    set_arguments(machine.args);
    frames::init(machine);
    page_table::init();
    frames::start_unmapping();
    address_space::init(frames::total_count());
    if (!prepare_area(0)) fail("no memory for the stacks of CPU", 0);
    arch::init_cpu(&cpu_areas[0]);
    areas_ready = true;
    cpu_areas[0].online.store(1, Order::Relaxed);
    arch::call_on_stack(cpu_areas[0].stack_top, run);
}
