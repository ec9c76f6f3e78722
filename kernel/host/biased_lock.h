// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A spin lock that costs the CPU which takes it again and again no locked instruction.
//
//     owner   0               nobody's: everybody takes the spin lock, as always
//             A + 1           CPU A's: A takes it by a store of its own (busy), the others must ask for it back first
//             A + 1, revoked  asked for; nobody's as soon as A is out
//
//     A comes in              B comes in, has the spin lock
//       busy[A] = 1             owner = revoked        once, not each time
//       light fence  <------>   heavy fence            one of them sees what the other has stored
//       owner still A?          busy[A] == 0?          else B gives the spin lock back and tries again
//     A goes out                owner = 0
//       busy[A] = 0 (release) -> (acquire)
//
// `owner` is written with the spin lock held, and only CPU A makes it A's: as the last thing before it gives the spin lock
// back. So A's own order hands on to it what the others have written, and an NMI that finds the lock its CPU's finds
// nobody inside. Each CPU has a `busy` of its own, since a thread may sleep for any time between its look at `owner` and
// its store: by then the lock may be another's.
//
// The first to take it owns it. Once asked for, it is nobody's until one CPU has taken it kBiasAfter times in a row: those
// pay for the next heavy fence, and CPUs that share the lock have none.
//
// The surface is that of SpinLock, and so are the promises: acquire_in_any_context() fails at once where this CPU is
// inside. Between A's store to `busy` and its second look A is not inside yet, but counts as such for what interrupts it.
// try_acquire() does not ask for the lock back: it fails where it is another CPU's own.
#pragma once

#include "kernel/host/atomic.h"
#include "kernel/host/spinlock.h"

namespace barebpf::host {

template <class Class, u32 kAfter>
class CAPABILITY("spinlock") BiasedSpinLock {
public:
    constexpr BiasedSpinLock() = default;
    BiasedSpinLock(const BiasedSpinLock&) = delete;
    BiasedSpinLock& operator=(const BiasedSpinLock&) = delete;

    struct State {
        IrqState irq;
        bool as_owner;
    };

    [[nodiscard]] bool acquire_in_any_context(State* state) TRY_ACQUIRE(true) {
        state->irq = Cpu::irq_save();
        if (!in_nmi()) validator::waiting(Class::kClass, this);
        state->as_owner = take_as_owner();
        return settle(state->as_owner || ask_and_wait(), state);
    }

    [[nodiscard]] ALWAYS_INLINE bool try_acquire(State* state) TRY_ACQUIRE(true) {
        state->irq = Cpu::irq_save();
        state->as_owner = take_as_owner();
        return settle(state->as_owner || take_shared(), state);
    }

    // Any context; a moment ago.
    bool is_biased_to(u32 cpu) const { return owner_.load(Order::Relaxed) == cpu + 1; }

private:
    template <class Lock, class Mode>
    friend class Guard;

    static constexpr u32 kRevoked = 1u << 31;
    static constexpr u32 kLeftBits = 16;

    ALWAYS_INLINE bool settle(bool taken, const State* state) {
        if (UNLIKELY(!taken)) {
            Cpu::irq_restore(state->irq);
            return false;
        }
        validator::acquired(Class::kClass, this);
        return true;
    }

    ALWAYS_INLINE bool take_as_owner() {
        const u32 me = cpu_id();
        if (!is_biased_to(me)) return false;
        Atomic<u8>& busy = busy_of(me);
        if (UNLIKELY(busy.load(Order::Relaxed))) return false;  // we have interrupted who is inside
        busy.store(1, Order::Relaxed);
        light_fence();  // pairs with the heavy one in ask_back()
        if (LIKELY(is_biased_to(me))) return true;
        // Release, though nothing was done: it stands in the place of the release of the last time.
        busy.store(0, Order::Release);
        return false;
    }

    ALWAYS_INLINE bool take_shared() {
        if (UNLIKELY(!raw_.try_lock())) return false;
        if (LIKELY(owner_.load(Order::Relaxed) == 0)) return true;
        raw_.unlock();
        return false;
    }

    // False: this CPU is inside, or on its way in or out as owner; or an NMI has waited for long enough.
    NOINLINE bool ask_and_wait() {
        if (busy_of(cpu_id()).load(Order::Relaxed) || raw_.held_by_this_cpu()) return false;
        if (take_back()) return true;
        for (u32 spins = 0; !in_nmi() || spins < kNmiSpins; ++spins) {
            backend::spin_relax(spins);
            if (looks_free() && take_back()) return true;
        }
        return false;
    }
    // A try takes the line away from who is inside.
    bool looks_free() {
        if (raw_.is_locked()) return false;
        const u32 owner = owner_.load(Order::Relaxed);
        return !(owner & kRevoked) || !busy_of_owner(owner).load(Order::Relaxed);
    }
    bool take_back() {
        if (!raw_.try_lock()) return false;
        if (owner_.load(Order::Relaxed) == 0 || ask_back()) return true;
        raw_.unlock();
        return false;
    }
    // With the spin lock held. False: the owner is inside, or on its way.
    bool ask_back() {
        u32 owner = owner_.load(Order::Relaxed);
        if (!(owner & kRevoked)) {
            owner |= kRevoked;
            owner_.store(owner, Order::Relaxed);
            heavy_fence();  // pairs with the light one in take_as_owner()
        }
        // Pairs with the release of the owner's way out.
        if (busy_of_owner(owner).load(Order::Acquire)) return false;
        owner_.store(0, Order::Relaxed);
        return true;
    }
    Atomic<u8>& busy_of(u32 cpu) { return busy_[cpu]; }
    Atomic<u8>& busy_of_owner(u32 owner) { return busy_of((owner & ~kRevoked) - 1); }

    void lock() ACQUIRE() {
        validator::acquiring(Class::kClass, this);
        if (!take_as_owner()) {
            while (!ask_and_wait()) {  // for ever, where this CPU waits for itself
            }
        }
        validator::acquired(Class::kClass, this);
    }

    // Not in NMIs, where the owner may be somebody else.
    void unlock() RELEASE() { leave(busy_of(cpu_id()).load(Order::Relaxed)); }
    ALWAYS_INLINE void release(const State& state) RELEASE() {
        leave(state.as_owner);
        Cpu::irq_restore(state.irq);
    }
    ALWAYS_INLINE void leave(bool as_owner) RELEASE() {
        validator::released(Class::kClass, this);
        if (LIKELY(as_owner)) {
            busy_of(cpu_id()).store(0, Order::Release);  // pairs with the acquire in ask_back()
        } else {
            count();
            raw_.unlock();
        }
    }
    // With the spin lock held: once more by this CPU.
    ALWAYS_INLINE void count() {
        const u32 me = (cpu_id() + 1) << kLeftBits;
        if (LIKELY(turns_ - me - 2 < kAfter - 1)) {
            --turns_;
        } else {
            count_first_or_last(me);
        }
    }
    NOINLINE void count_first_or_last(u32 me) {
        const u32 left = turns_ == kFresh ? 1 : turns_ - me <= kAfter ? turns_ - me : kAfter;
        if (left > 1) {
            turns_ = me + left - 1;
            return;
        }
        turns_ = kNobodys;
        // The release is for an NMI on this CPU, which may come in from here on.
        owner_.store(cpu_id() + 1, Order::Release);
    }

    // turns_ but for a CPU's: (its number + 1) << kLeftBits, and how often it must still come.
    static constexpr u32 kFresh = 0;
    static constexpr u32 kNobodys = ~0u;
    static_assert(kAfter > 0 && kAfter < 1u << kLeftBits);

    backend::RawSpinLock raw_;
    u32 turns_ = kFresh;  // of raw_'s holder: who had it last, and how often in a row
    // A pair of cache lines further on, where CPUs that share the lock only read.
    u8 apart_[128 - sizeof(backend::RawSpinLock) - sizeof(u32)] = {};
    Atomic<u32> owner_;
    Atomic<u8> busy_[kMaxCpus];
};

namespace detail {
template <class Class, u32 kAfter>
struct BiasedLockOf {
    using Type = BiasedSpinLock<Class, kAfter>;
};
template <class Class>
struct BiasedLockOf<Class, 0> {
    using Type = SpinLock<Class>;
};
}  // namespace detail

// A plain SpinLock where the host has no use for a bias.
template <class Class>
using BiasedLock = typename detail::BiasedLockOf<Class, kBiasAfter>::Type;

}  // namespace barebpf::host
