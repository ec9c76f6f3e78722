// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: read-copy-update.
//
// Readers hold RcuReadGuard (free, or nearly so, on every host); a writer unpublishes an object and
// frees it through call_rcu() or after synchronize_rcu(), when no reader that could have seen it is
// left.
//
// Context: guard and call_rcu() anywhere, NMI included. synchronize_rcu() and rcu_barrier() sleep:
// process context, no lock, not inside a read guard. Callbacks run in process or interrupt context
// and may not sleep.
#pragma once

#include <host_backend/rcu.h>

#include "kernel/host/atomic.h"
#include "kernel/lib/concepts.h"

namespace barebpf::host {

// Embedded in what is freed; the backend defines its size.
using RcuHead = backend::RcuHead;
using RcuCallback = void (*)(RcuHead*);

template <class R>
concept IsRcu = requires(RcuHead* head, RcuCallback callback) {
    typename R::ReadGuard;  // guard, default-constructible, nests
    R::call(head, callback);
    R::call_process(head, callback);
    R::synchronize();
    R::barrier();                        // returns when every callback queued before has run
    { R::read_held() } -> SameAs<bool>;  // for assertions; may always say true
};
static_assert(IsRcu<backend::Rcu>);

using RcuReadGuard = backend::Rcu::ReadGuard;

inline void call_rcu(RcuHead* head, RcuCallback callback) {
    backend::Rcu::call(head, callback);
}
// The same, but the callback runs in process context and may sleep: for objects whose release takes
// others along (a program its maps, a map its pages).
inline void call_rcu_process(RcuHead* head, RcuCallback callback) {
    backend::Rcu::call_process(head, callback);
}
inline void synchronize_rcu() {
    backend::Rcu::synchronize();
}
inline void rcu_barrier() {
    backend::Rcu::barrier();
}

// A pointer that readers follow while writers replace it.
template <class T>
class RcuPointer {
public:
    // For readers inside a read guard. The acquire pairs with the release in publish().
    T* dereference() const { return pointer_.load(Order::Acquire); }
    // For the writer, who holds the lock that serialises writers.
    T* get_locked() const { return pointer_.load(Order::Relaxed); }
    // What *object holds is visible to whoever dereferences it: pairs with dereference().
    void publish(T* object) { pointer_.store(object, Order::Release); }
    // The same where there is none; false: there is one.
    bool publish_first(T* object) {
        T* none = nullptr;
        return pointer_.compare_exchange(none, object, Order::Release, Order::Relaxed);
    }
    // Takes this object away, if it is still there.
    void retract(T* object) {
        pointer_.compare_exchange(object, nullptr, Order::Relaxed, Order::Relaxed);
    }
    T* exchange(T* object) { return pointer_.exchange(object, Order::AcqRel); }

private:
    Atomic<T*> pointer_{};
};

}  // namespace barebpf::host
