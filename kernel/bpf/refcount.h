// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What maps, programs and BTF share: counted references, and the way from a descriptor to one.
// Context: the counts anywhere; object_from_fd() in process context.
#pragma once

#include "kernel/host/fd.h"
#include "kernel/host/rcu.h"
#include "kernel/lib/result.h"

namespace barebpf {

// Whoever has a reference may take another; nothing is ordered by it.
inline void ref_get(host::Atomic<u32>& count) {
    count.fetch_add(1, host::Order::Relaxed);
}

// For those who have none but know that the memory is there: ids, under their table's lock.
inline bool ref_get_unless_zero(host::Atomic<u32>& count) {
    u32 value = count.load(host::Order::Relaxed);
    do {
        if (value == 0) return false;
    } while (!count.compare_exchange(value, value + 1, host::Order::Relaxed, host::Order::Relaxed));
    return true;
}

// True when that was the last one. The order makes all that others did before dropping theirs
// visible to whoever drops the last: it pairs with itself.
[[nodiscard]] inline bool ref_put(host::Atomic<u32>& count) {
    return count.fetch_sub(1, host::Order::AcqRel) == 1;
}

template <class Object>
void take_reference(Object* object) {
    ref_get(object->refs);
}

// A counted reference to the object behind a descriptor. BadF; Inval: of another kind.
template <class Object, host::FileKind kKind, auto kTake = take_reference<Object>>
Result<host::FileRef> object_from_fd(int fd) {
    // Objects of every kind are freed after a grace period: one of another kind, and therefore not
    // pinned, can still be asked what it is.
    host::RcuReadGuard rcu;
    const host::FileRef ref = TRY(host::get_fd(fd, [](host::FileObject* object) {
        if (object->file_ops->kind == kKind) kTake(static_cast<Object*>(object));
    }));
    if (ref.object->file_ops->kind != kKind) return Errno::Inval;
    return ref;
}

}  // namespace barebpf
