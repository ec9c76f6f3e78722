// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: CPUs and contexts.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
barebpf::u32 host_cpu_id();
barebpf::u32 host_possible_cpus();
bool host_in_nmi();
bool host_enter();  // true: this thread was inside already
void host_leave(bool nested);
void host_pin();
void host_unpin();
unsigned long host_irq_save();
void host_irq_restore(unsigned long state);
void host_yield_point();
}

namespace barebpf::backend {

struct Cpu {
    class Entry {
    public:
        Entry() : nested_(host_enter()) {}
        ~Entry() { host_leave(nested_); }
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        bool nested() const { return nested_; }

    private:
        bool nested_;
    };
    class Pin {
    public:
        Pin() { host_pin(); }
        ~Pin() { host_unpin(); }
        Pin(const Pin&) = delete;
        Pin& operator=(const Pin&) = delete;
    };
    using IrqState = unsigned long;

    static u32 id() { return host_cpu_id(); }
    static u32 possible() { return host_possible_cpus(); }
    static bool in_nmi() { return host_in_nmi(); }
    static IrqState irq_save() { return host_irq_save(); }
    static void irq_restore(IrqState state) { host_irq_restore(state); }
    static void yield_point() { host_yield_point(); }
};

}  // namespace barebpf::backend
