// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A map's counts, in one word, so that a command that writes takes and gives back both at once.
//
//     63       62 ... 32                                   31 ... 0
//     frozen | writers from user space: commands, mappings | references
//
// Freezing needs that there are no writers, and lets none begin: all in one step.
// Context: any.
#pragma once

#include "kernel/host/contract.h"

namespace barebpf {

class MapRefs {
public:
    // Of a new map, which nobody knows yet.
    void start() { word_.store(kReference, Order::Relaxed); }
    u32 count() const { return static_cast<u32>(word_.load(Order::Relaxed)); }

    // Whoever has a reference may take another; nothing is ordered by it.
    void get() { word_.fetch_add(kReference, Order::Relaxed); }
    // For those who have none but know that the memory is there.
    bool get_unless_zero() {
        u64 word = word_.load(Order::Relaxed);
        do {
            if (static_cast<u32>(word) == 0) return false;
        } while (!word_.compare_exchange(word, word + kReference, Order::Relaxed, Order::Relaxed));
        return true;
    }
    // True when that was the last one. The order makes all that others did before they dropped theirs visible to
    // whoever drops the last: it pairs with itself.
    [[nodiscard]] bool put() { return drop(kReference); }

    // A reference, and a writer: unless is_frozen() says that the map was frozen already, it stays as it is until
    // put_writing(); else stop_writing() gives the one back, and put() the other.
    void get_writing() { word_.fetch_add(kReference + kWriter, Order::Acquire); }
    [[nodiscard]] bool put_writing() { return drop(kReference + kWriter); }

    // False once the map is frozen.
    bool start_writing() {
        // Acquire: pairs with the release in try_freeze().
        if (!(word_.fetch_add(kWriter, Order::Acquire) & kFrozen)) return true;
        stop_writing();
        return false;
    }
    void stop_writing() { word_.fetch_sub(kWriter, Order::Release); }  // pairs with try_freeze()

    bool is_frozen() const {
        return word_.load(Order::Acquire) & kFrozen;  // pairs with try_freeze()
    }
    // False: somebody writes, or it is frozen.
    bool try_freeze() {
        u64 word = word_.load(Order::Relaxed);
        do {
            if (word >> 32) return false;
            // Acquire: every write that ended before; release: pairs with is_frozen().
        } while (!word_.compare_exchange(word, word | kFrozen, Order::AcqRel, Order::Relaxed));
        return true;
    }

private:
    using Order = host::Order;
    static constexpr u64 kReference = 1;
    static constexpr u64 kWriter = u64{1} << 32;
    static constexpr u64 kFrozen = u64{1} << 63;

    bool drop(u64 what) {
        return static_cast<u32>(word_.fetch_sub(what, Order::AcqRel)) == kReference;
    }

    host::Atomic<u64> word_{};
};

}  // namespace barebpf
