// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: a CPU is a CPU. It never preempts: it runs one thing, and interrupts and NMIs come in between.
//
// CpuArea.rcu_word is odd while the CPU is inside the library; entering and leaving add one, a quiescent state
// in between adds two (testkit/rcu/rcu.h). Who finds it odd is nested, and leaves it alone: code of this CPU
// that was interrupted, whenever it was, finds the word as odd or even as it left it.
#pragma once

#include <guest_arch/cpu.h>
#include <host_backend/atomic.h>

#include "kernel/host/cpu_place.h"
#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"
#include "testkit/guest/cpu_area.h"

namespace barebpf::backend {

// What a CPU that leaves the library, or passes a yield point, should look at.
inline constexpr u32 kAttentionRcu = 1;      // callbacks wait for a grace period
inline constexpr u32 kAttentionReaders = 2;  // added once for each CPU that waits for readers
extern Atomic<u32> attention;

void left_outermost();  // after the word became even
void yield_slow();
[[noreturn]] void outside_the_library();

struct Cpu {
    class Entry {
    public:
        ALWAYS_INLINE Entry() {
            guest::CpuArea* area = guest::this_area();
            outermost_ = !(area->rcu_word.load(Order::Relaxed) & 1);
            // The acquire is a part of RCU's protocol: it pairs with snapshot() in testkit/guest/rcu.cc.
            if (outermost_) area->rcu_word.fetch_add(1, Order::AcqRel);
            ++area->entered;
        }
        ALWAYS_INLINE ~Entry() {
            --guest::this_area()->entered;
            if (outermost_) left_outermost();
        }
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        bool nested() const { return false; }

    private:
        bool outermost_;
    };

    // Nothing preempts; the guard only counts in checked builds.
    class Pin {
    public:
#if defined(BAREBPF_LOCK_VALIDATOR)
        ALWAYS_INLINE Pin() {
            ++guest::this_area()->pins;
        }
        ALWAYS_INLINE ~Pin() {
            --guest::this_area()->pins;
        }
#else
        ALWAYS_INLINE Pin() {}
        ALWAYS_INLINE ~Pin() {}
#endif
        Pin(const Pin&) = delete;
        Pin& operator=(const Pin&) = delete;
    };

    using IrqState = decltype(guest::irq_save());

    static ALWAYS_INLINE u32 id() {
        return guest::this_cpu();
    }
    static host::CpuIdPlace id_place() {
        return {host::CpuIdBase::Kernel, __builtin_offsetof(guest::CpuArea, id)};
    }
    static ALWAYS_INLINE u32 possible() {
        return guest::cpu_count;
    }
    static ALWAYS_INLINE bool in_nmi() {
        return guest::this_area()->nmi_depth != 0;
    }
    static ALWAYS_INLINE IrqState irq_save() {
        return guest::irq_save();
    }
    static ALWAYS_INLINE void irq_restore(IrqState old) {
        guest::irq_restore(old);
    }
    static ALWAYS_INLINE void yield_point() {
        if (UNLIKELY(attention.load(Order::Relaxed))) yield_slow();
    }
};

}  // namespace barebpf::backend
