// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: CPUs and the contexts that code runs in.
//
//   outside ──Entry──> inside the library ──Pin──> bound to one CPU ──IrqOff──> no interrupt here
//                                                                  an NMI may still come at any
//                                                                  point
//
// Entry is what a caller from outside holds while it is in the library (kernel/barebpf.h takes it;
// core code never does). A user-space thread owns a CPU slot for that long; a kernel has nothing to
// do. Pin keeps the code on its CPU (and, with the RCU of this project, is a read-side section as
// well).
#pragma once

#include <host_backend/cpu.h>

#include "kernel/host/cpu_place.h"
#include "kernel/lib/annotations.h"
#include "kernel/lib/concepts.h"
#include "kernel/lib/types.h"

namespace barebpf::host {

// Upper bound of possible_cpus() on every host; sizes small static arrays.
inline constexpr u32 kMaxCpus = 64;

template <class C>
concept IsCpu = requires {
    { C::id() } -> SameAs<u32>;        // any context; stable while pinned
    { C::possible() } -> SameAs<u32>;  // 1..kMaxCpus, fixed while a world exists
    { C::in_nmi() } -> SameAs<bool>;   // true where even a lock with IRQs off may be interrupted
    typename C::Entry;                 // guard, default-constructible; bool nested() const
    typename C::Pin;                   // guard, default-constructible, nests
    typename C::IrqState;              // what irq_save() returns and irq_restore() takes
    { C::irq_save() } -> SameAs<typename C::IrqState>;
    C::irq_restore(C::irq_save());
    C::yield_point();  // between two repeats of long work, nothing held: others may have this CPU
};

static_assert(IsCpu<backend::Cpu>);

using Cpu = backend::Cpu;

ALWAYS_INLINE u32 cpu_id() {
    return Cpu::id();
}
ALWAYS_INLINE u32 possible_cpus() {
    return Cpu::possible();
}
ALWAYS_INLINE bool in_nmi() {
    return Cpu::in_nmi();
}

// Where compiled code finds cpu_id(); base None: nowhere. The same answer while a world exists.
template <class C = Cpu>
CpuIdPlace cpu_id_place() {
    if constexpr (requires { C::id_place(); }) {
        return C::id_place();
    } else {
        return {};
    }
}

// Interrupts off on this CPU for the guard's life; nests.
class IrqOff {
public:
    IrqOff() : state_(Cpu::irq_save()) {}
    ~IrqOff() { Cpu::irq_restore(state_); }
    IrqOff(const IrqOff&) = delete;
    IrqOff& operator=(const IrqOff&) = delete;

private:
    Cpu::IrqState state_;
};

}  // namespace barebpf::host
