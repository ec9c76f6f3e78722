// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How many elements a map may have, counted without a word that all CPUs write each time.
//
//     pool     places with nobody | the CPU that moves some, and which way | number of the move
//     cpu n    places with that CPU: given back there, or fetched ahead, for the next element
//              | number of the last move, and whether places moved | places given there so far
//
// take() uses one of this CPU's places; else it fetches some from the pool, as long as there are plenty for everybody,
// or one; else it takes one of another CPU's. give() keeps the place here; when there are many, some go back to the
// pool. Maps too small for that have all in the pool.
//
// A move changes two words and must show a place neither in both (the map would exceed its limit) nor in none (who
// looks then would find the map full). So it is written into the pool's word first, with a number; whoever comes to the
// pool meanwhile finishes it, and waits for nobody: the CPU that began may stand in an interrupt, which wants a place or
// waits for a lock that the helper holds. What a move does to the CPU's word it does once, as that keeps its number:
//
//     pool  (n, -, 6) -> (n, cpu 1 moves back, 7) ------------------------> (n + ahead, -, 7)
//     cpu 1                                        (m, 6) -> (m - ahead, 7)
//
// take() fails only if there was a moment at which all places were in use: it has found no place in two rounds, between
// which nobody gave one and no move began. A round is repeated only because others went on.
//
// Nothing is ordered by it for its users: the words are counts, and an element's memory has its own ordering. Context:
// any, pinned.
#pragma once

#include "kernel/host/contract.h"
#include "kernel/host/percpu.h"

namespace barebpf {

class ElementLimit {
public:
    [[nodiscard]] bool create(u32 limit, host::MemoryOwner& owner) {
        pool_.store(limit, Order::Relaxed);
        ahead_ = limit / (host::possible_cpus() * 8);
        if (ahead_ > kMostAhead) ahead_ = kMostAhead;
        plenty_ = 2 * ahead_ * host::possible_cpus();
        return places_.create(owner);
    }
    void destroy() { places_.destroy(); }

    ALWAYS_INLINE bool take() { return LIKELY(take_from(places_.this_cpu())) || take_of_all(); }
    // Only where there are so many that nobody else goes without one if it is given back later: for who does not know
    // yet whether it will be used.
    ALWAYS_INLINE bool take_of_plenty() {
        const u32 there = static_cast<u32>(pool_.load(Order::Relaxed));
        return ahead_ > 1 && there >= plenty_ && take_from(places_.this_cpu());
    }
    ALWAYS_INLINE void give() {
        if (UNLIKELY(ahead_ < 2)) {
            pool_.fetch_add(1, Order::Relaxed);
            return;
        }
        const u64 before = places_.this_cpu()->fetch_add(kGiven | 1, Order::Relaxed);
        if (UNLIKELY((before & kPlaces) >= 2 * ahead_)) give_back();
    }

private:
    using Order = host::Order;
    using Places = host::Atomic<u64>;
    static constexpr u32 kMostAhead = 128;

    // A CPU's word. It has few places: who gives above 2 * ahead_ gives back. The topmost field runs over.
    static constexpr u64 kPlaces = 0xffff;
    static constexpr u64 kMoved = 1 << 16;  // by the last move
    static constexpr u32 kNumberShift = 17;
    static constexpr u64 kNumbers = 0xff'ffff;
    static constexpr u64 kGiven = u64{1} << 41;
    static_assert(kNumbers << kNumberShift < kGiven);

    // The pool's, with 32 bits for its places. The topmost field runs over.
    static constexpr u32 kMoverShift = 32;
    static constexpr u64 kMover = u64{0x7f} << kMoverShift;  // a CPU's number + 1; 0: none
    static constexpr u64 kBack = u64{1} << 39;               // to the pool
    static constexpr u32 kPoolNumberShift = 40;
    static_assert(host::kMaxCpus <= 0x7e);

    static u64 number_of(u64 places) { return places >> kNumberShift & kNumbers; }
    static ALWAYS_INLINE bool take_from(Places* places) {
        u64 there = places->load(Order::Relaxed);
        while (there & kPlaces) {
            // Pairs with take_of_all(): who finds this place gone sees those given before.
            if (places->compare_exchange(there, there - 1, Order::Release, Order::Relaxed)) {
                return true;
            }
        }
        return false;
    }
    NOINLINE bool take_of_all() {
        for (;;) {
            // Pairs with the end of finish(): the CPU's word as that left it; and with who took the pool's last.
            u64 pool = pool_.load(Order::Acquire);
            const u32 there = static_cast<u32>(pool);
            if (pool & kMover) {
                finish(pool);
            } else if (ahead_ > 1 && there >= plenty_) {
                move(pool, pool - ahead_);
                if (take_from(places_.this_cpu())) return true;
            } else if (there) {
                // As in take_from().
                if (pool_.compare_exchange(pool, pool - 1, Order::Release, Order::Relaxed)) {
                    return true;
                }
            } else {
                if (ahead_ < 2) return false;
                u64 first = 0, second = 0;
                if (take_of_others(&first) || take_of_others(&second)) return true;
                if (first == second && pool_.load(Order::Relaxed) == pool) return false;
            }
        }
    }
    // sum: another one if, since an earlier round, somebody gave or took, or places moved.
    bool take_of_others(u64* sum) {
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
            Places* places = places_.cpu(cpu);
            // In this order, and the pool after them. Pairs with take_from(), too.
            const u64 there = places->load(Order::Acquire);
            if (there & kPlaces && take_from(places)) return true;
            *sum += there;
        }
        return false;
    }

    // ── Moves ─────────────────────────────────────────────────────────────────────────────────

    NOINLINE void give_back() {
        while ((places_.this_cpu()->load(Order::Relaxed) & kPlaces) >= 2 * ahead_) {
            const u64 pool = pool_.load(Order::Acquire);  // pairs with the end of finish()
            if (pool & kMover) {
                finish(pool);
            } else {
                move(pool, pool | kBack);
            }
        }
    }
    // To or from this CPU, unless the pool's word is no longer `pool`, which says that none is under way. `moving` is
    // the same without the places that leave it, and with the way.
    void move(u64 pool, u64 moving) {
        constexpr u64 kNext = u64{1} << kPoolNumberShift;
        moving += (u64{host::cpu_id() + 1} << kMoverShift) + kNext;
        // Numbers come again; the last of this CPU's may be that old, and would say that it is done.
        if (number_of(places_.this_cpu()->load(Order::Relaxed)) == moving >> kPoolNumberShift) {
            moving += kNext;
        }
        if (!pool_.compare_exchange(pool, moving, Order::Release, Order::Relaxed)) return;
        while (pool_.load(Order::Relaxed) == moving) finish(moving);
    }
    // Does what is left of the move in `pool`, or some of it: others are at it, too.
    NOINLINE void finish(u64 pool) {
        const bool back = pool & kBack;
        const u64 number = pool >> kPoolNumberShift;
        Places* places = places_.cpu(static_cast<u32>((pool & kMover) >> kMoverShift) - 1);
        // Pairs with the release: if it has the number of a later move, the pool's word is seen to have changed.
        u64 there = places->load(Order::Acquire);
        if (pool_.load(Order::Relaxed) != pool) return;
        if (number_of(there) != number) {
            u64 after = there & ~(kNumbers << kNumberShift | kMoved);
            after |= number << kNumberShift;
            const bool enough = !back || (there & kPlaces) >= ahead_;
            if (enough) after = (back ? after - ahead_ : after + ahead_) | kMoved;
            if (!places->compare_exchange(there, after, Order::Release, Order::Relaxed)) return;
            there = after;
        }
        u64 done = pool & ~(kMover | kBack);
        if (back && there & kMoved) done += ahead_;
        pool_.compare_exchange(pool, done, Order::Release, Order::Relaxed);
    }

    host::PerCpu<Places> places_;
    u32 ahead_ = 0;   // places of a move; below 2: there are none
    u32 plenty_ = 0;  // in the pool, from which on some are moved
    Places pool_{};
};

}  // namespace barebpf
