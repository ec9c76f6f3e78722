// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A hash bucket's list that readers walk without a lock, even while its elements are freed and used
// again at once, in this bucket or in another: the end of each list carries a value of its own (the
// bucket's number), and a walk that ends at another list's end was carried away and starts again.
//
//     bucket 5   head ──> a ──> b ──> [end 5]        odd word: (value << 1) | 1
//     bucket 9   head ──> c ──> [end 9]              even word: the next link
//
//     struct Element { NullsLink link; ... };
//     NullsList<Element, &Element::link> bucket;     bucket.init(5) before use
//
// What it takes: an element's memory stays an Element as long as readers may walk (RCU, or memory that is
// never given back); what a reader compares is read atomically; and a reader that found its element looks at
// the key once more when it has made sure that the element cannot change (a lock, a reference).
//
// Ordering: new elements go to the front, so that a reader who is carried from an element to the same list's
// front sees the list twice rather than not at all. push_front() stores the head with release, which pairs
// with the acquire of each step of a walk: what was written to an element before is seen by who finds it.
//
// Context: find() anywhere, NMI included, inside a read guard. The rest under the bucket's lock.
// Known elsewhere as Linux's hlist_nulls; the idea is in RCU's literature as "nulls lists".
#pragma once

#include "kernel/host/atomic.h"
#include "kernel/lib/list.h"

namespace barebpf {

struct NullsLink {
    host::Atomic<u64> next;       // a link, or an end
    host::Atomic<u64>* previous;  // the word that points here; writers only; null: in no list
};

template <class T, NullsLink T::*kMember>
class NullsList {
public:
    static constexpr u64 kMaxValue = ~u64{0} >> 1;

    // Empties the list and gives its end a value, at most kMaxValue. Nobody else may see it yet.
    void init(u64 value) { head_.store(end_word(value), host::Order::Relaxed); }

    bool empty() const { return is_end(head_.load(host::Order::Relaxed)); }

    void push_front(T* item) {
        NullsLink* link = &(item->*kMember);
        const u64 first = head_.load(host::Order::Relaxed);
        // A reader may still stand on this element from its life before.
        link->next.store(first, host::Order::Relaxed);
        link->previous = &head_;
        if (!is_end(first)) as_link(first)->previous = &link->next;
        head_.store(reinterpret_cast<u64>(link),
                    host::Order::Release);  // pairs with walk()'s acquire
    }

    // The element keeps its next word: a reader who stands on it goes on from there.
    void remove(T* item) {
        NullsLink* link = &(item->*kMember);
        const u64 next = link->next.load(host::Order::Relaxed);
        link->previous->store(next,
                              host::Order::Release);  // pairs with walk()'s acquire, as before
        if (!is_end(next)) as_link(next)->previous = link->previous;
        link->previous = nullptr;
    }

    // The first element that matches; null when a whole walk of this list found none. Starts again as
    // often as it is carried away: each time somebody else's move has succeeded meanwhile.
    template <class Match>
    T* find(u64 value, Match match) const {
        for (;;) {
            u64 end = 0;
            T* found = walk(match, &end);
            if (found || end == end_word(value)) return found;
        }
    }

private:
    static constexpr u64 end_word(u64 value) { return value << 1 | 1; }
    static constexpr bool is_end(u64 word) { return word & 1; }
    static NullsLink* as_link(u64 word) { return reinterpret_cast<NullsLink*>(word); }

    template <class Match>
    T* walk(Match match, u64* end) const {
        // The acquires pair with the releases in push_front() and remove().
        u64 word = head_.load(host::Order::Acquire);
        while (!is_end(word)) {
            NullsLink* link = as_link(word);
            T* item = detail::container<T, NullsLink, kMember>(link);
            if (match(item)) return item;
            word = link->next.load(host::Order::Acquire);
        }
        *end = word;
        return nullptr;
    }

    host::Atomic<u64> head_;
};

}  // namespace barebpf
