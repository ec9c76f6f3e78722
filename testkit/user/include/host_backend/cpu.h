// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: a CPU is a slot that one thread owns while it is inside the library.
//
// A slot's word is even while nobody owns it and odd while a thread does; entering and leaving add
// one, a quiescent state in between adds two, so that RCU can tell whether a thread that it saw
// inside has been outside since (testkit/rcu/rcu.h).
//
// Interrupts and NMIs are signals, sent by tests only (testkit/user/user.h). Interrupts off is a
// flag of the thread: the handler sees it and leaves the work for irq_restore().
#pragma once

#include <host_backend/atomic.h>

#include "kernel/host/cpu_place.h"
#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf::backend {

inline constexpr u32 kNoCpu = ~0u;
inline constexpr u32 kCpuSlots = 64;

struct alignas(128) CpuSlot {  // a pair of lines, as in percpu.h
    Atomic<u64> word;
    Atomic<s32> thread_id;  // of the owner; stale while free
};

struct PendingInterrupt;

// What the library keeps for a thread. Signal handlers of the same thread read and write it, so
// each step is one plain access, in program order (interrupt_barrier()).
struct ThreadState {
    u32 cpu = kNoCpu;    // the owned slot; kNoCpu before it is taken and once it is given up
    u32 bound = kNoCpu;  // the only slot it wants (user::EntryOn)
    u32 entered = 0;     // between the start of enter() and the end of leave()
    u32 irq_off = 0;
    u32 nmi = 0;            // depth of simulated NMIs
    u32 pins = 0;           // validator builds: Pin guards held
    u32 read_guards = 0;    // validator builds: RCU read guards held
    u32 process_depth = 0;  // RCU callbacks that may sleep, being run
    u64 word = 0;           // the slot's word, which only the owner changes
    PendingInterrupt* pending = nullptr;
    s32 thread_id = 0;
};

// Hidden, so that code of a shared library reaches them without the indirection of an exported name.
#define BAREBPF_HIDDEN __attribute__((visibility("hidden")))
extern __thread ThreadState thread_state BAREBPF_HIDDEN __attribute__((tls_model("initial-exec")));
extern CpuSlot cpu_slots[kCpuSlots] BAREBPF_HIDDEN;
extern u32 cpu_count BAREBPF_HIDDEN;

// What whoever leaves the library, or passes a yield point, should look at.
inline constexpr u64 kAttentionRcu = 1;        // callbacks wait for a grace period
inline constexpr u64 kAttentionDeferred = 2;   // releases that a signal handler left behind
inline constexpr u64 kAttentionReaders = 256;  // added once for each thread that waits for readers
inline constexpr u64 kAttentionWaiter = u64{1} << 32;  // ... and for each that waits for a slot
extern Atomic<u64> attention BAREBPF_HIDDEN;

void enter();
void leave();
void yield_slow();
void run_pending_interrupts();
[[noreturn]] void outside_the_library();

// Orders accesses between a thread and its own signal handlers.
ALWAYS_INLINE void interrupt_barrier() {
    asm volatile("" ::: "memory");
}

struct Cpu {
    class Entry {
    public:
        Entry() : nested_(thread_state.entered != 0) {
            if (!nested_) enter();
        }
        ~Entry() {
            if (!nested_) leave();
        }
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        // This thread was inside already: a signal handler that interrupted the library.
        bool nested() const { return nested_; }

    private:
        bool nested_;
    };

    // Owning the slot is what keeps the code on its CPU; the guard only counts in checked builds.
    class Pin {
    public:
#if defined(BAREBPF_LOCK_VALIDATOR)
        ALWAYS_INLINE Pin() {
            ++thread_state.pins;
        }
        ALWAYS_INLINE ~Pin() {
            --thread_state.pins;
        }
#else
        ALWAYS_INLINE Pin() {}
        ALWAYS_INLINE ~Pin() {}
#endif
        Pin(const Pin&) = delete;
        Pin& operator=(const Pin&) = delete;
    };

    using IrqState = u32;

    static ALWAYS_INLINE u32 id() {
        u32 cpu = thread_state.cpu;
#if defined(BAREBPF_LOCK_VALIDATOR)
        if (UNLIKELY(cpu == kNoCpu)) outside_the_library();
#endif
        return cpu;
    }
    static host::CpuIdPlace id_place();
    static ALWAYS_INLINE u32 possible() {
        return cpu_count;
    }
    static ALWAYS_INLINE bool in_nmi() {
        return thread_state.nmi != 0;
    }

    static ALWAYS_INLINE IrqState irq_save() {
        IrqState old = thread_state.irq_off;
        thread_state.irq_off = 1;
        interrupt_barrier();
        return old;
    }
    static ALWAYS_INLINE void irq_restore(IrqState old) {
        interrupt_barrier();
        thread_state.irq_off = old;
        interrupt_barrier();
        if (UNLIKELY(thread_state.pending != nullptr) && !old) run_pending_interrupts();
    }

    static ALWAYS_INLINE void yield_point() {
        if (UNLIKELY(attention.load(Order::Relaxed))) yield_slow();
    }
};

}  // namespace barebpf::backend
