// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: spin locks.
//
// A lock belongs to a class (a tag type with a name and a rank); it is taken only by Guard<Lock,
// Mode>, with the mode always written:
//
//   IrqSave   process or interrupt context: interrupts off, then spin.
//   NoIrq     the caller has interrupts off already (or the lock is never taken from an interrupt).
//   Adopt     the lock was taken by acquire_in_any_context(): the form for code that an NMI, or a
//             program traced into the middle of a critical section, may re-enter:
//
//       IrqState irq;
//       if (!bucket.lock.acquire_in_any_context(&irq)) return Errno::Busy;
//       Guard<BucketLock, Adopt> guard(bucket.lock, irq);
//
// acquire_in_any_context() never deadlocks: it fails at once when this CPU already holds the lock,
// and in NMI context after a bounded spin (the holder may itself be waiting for what we
// interrupted). try_acquire() is the same without waiting at all, for what can do without.
//
// Order: locks nest only from a lower rank to a higher one (docs/locking.md lists them all). The lock
// validator checks that at run time, of all locks. Those that do nest are declared, by ACQUIRED_BEFORE
// for Clang's analysis and by a static_assert of may_nest(), as in kernel/bpf/bpf_lru_list.h.
#pragma once

#include <host_backend/spinlock.h>

#include "kernel/host/cpu.h"
#include "kernel/host/lock_validator.h"
#include "kernel/lib/annotations.h"

namespace barebpf::host {

// The backend's raw lock: 4 bytes, zero-initialised is unlocked.
template <class L>
concept IsRawSpinLock = sizeof(L) == 4 && requires(L lock) {
    lock.lock();                                  // spins; NMI: never
    { lock.try_lock() } -> SameAs<bool>;          // any context
    { lock.held_by_this_cpu() } -> SameAs<bool>;  // any context; exact for this CPU
    { lock.is_locked() } -> SameAs<bool>;         // any context; by anybody, a moment ago
    lock.unlock();
};
static_assert(IsRawSpinLock<backend::RawSpinLock>);

using IrqState = Cpu::IrqState;

// Whether a lock of each class may be taken while one of every class before it is held.
template <class... Classes>
consteval bool may_nest() {
    u32 above = 0;
    bool rising = true;
    ((rising &= Classes::kClass.rank >= above, above = Classes::kClass.rank + 1u), ...);
    return rising;
}

struct IrqSave {};
struct NoIrq {};
struct Adopt {};

template <class Lock, class Mode>
class Guard;

// How often an NMI looks at a lock: long enough for any critical section of this project on another CPU, short enough for
// an NMI.
inline constexpr u32 kNmiSpins = 4096;

// Class: struct BucketClass { static constexpr LockClass kClass{"bucket_lock", 40}; };
template <class Class>
class CAPABILITY("spinlock") SpinLock {
public:
    constexpr SpinLock() = default;
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;

    // What an acquisition hands to its release.
    using State = IrqState;

    [[nodiscard]] bool acquire_in_any_context(State* irq) TRY_ACQUIRE(true) {
        *irq = Cpu::irq_save();
        if (!in_nmi()) validator::waiting(Class::kClass, this);
        if (UNLIKELY(!raw_.try_lock() && !spin())) {
            Cpu::irq_restore(*irq);
            return false;
        }
        validator::acquired(Class::kClass, this);
        return true;
    }

    [[nodiscard]] bool try_acquire(State* irq) TRY_ACQUIRE(true) {
        *irq = Cpu::irq_save();
        if (UNLIKELY(!raw_.try_lock())) {
            Cpu::irq_restore(*irq);
            return false;
        }
        validator::acquired(Class::kClass, this);
        return true;
    }

private:
    template <class Lock, class Mode>
    friend class Guard;

    // Looks before it tries: a try takes the line away from the holder.
    NOINLINE bool spin() {
        for (u32 spins = 0;; ++spins) {
            if (raw_.held_by_this_cpu() || (in_nmi() && spins >= kNmiSpins)) return false;
            backend::spin_relax(spins);
            if (!raw_.is_locked() && raw_.try_lock()) return true;
        }
    }

    void lock() ACQUIRE() {
        validator::acquiring(Class::kClass, this);
        raw_.lock();
        validator::acquired(Class::kClass, this);
    }
    void unlock() RELEASE() {
        validator::released(Class::kClass, this);
        raw_.unlock();
    }
    void release(State irq) RELEASE() {
        unlock();
        Cpu::irq_restore(irq);
    }

    backend::RawSpinLock raw_;
};

template <class Lock>
class SCOPED_CAPABILITY Guard<Lock, IrqSave> {
public:
    explicit Guard(Lock& lock) ACQUIRE(lock) : lock_(lock), irq_(Cpu::irq_save()) { lock_.lock(); }
    ~Guard() RELEASE() {
        lock_.unlock();
        Cpu::irq_restore(irq_);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

private:
    Lock& lock_;
    IrqState irq_;
};

template <class Lock>
class SCOPED_CAPABILITY Guard<Lock, NoIrq> {
public:
    explicit Guard(Lock& lock) ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
    ~Guard() RELEASE() { lock_.unlock(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

private:
    Lock& lock_;
};

template <class Lock>
class SCOPED_CAPABILITY Guard<Lock, Adopt> {
public:
    Guard(Lock& lock, typename Lock::State state) REQUIRES(lock) : lock_(lock), state_(state) {}
    ~Guard() RELEASE() { lock_.release(state_); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

private:
    Lock& lock_;
    typename Lock::State state_;
};

}  // namespace barebpf::host
