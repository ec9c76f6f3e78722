// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/nulls_list.h"

#include "testkit/test.h"

namespace barebpf {
namespace {

struct Element {
    NullsLink link{};
    host::Atomic<u32> key{};
};
using Bucket = NullsList<Element, &Element::link>;

Element* find(const Bucket& bucket, u64 value, u32 key) {
    return bucket.find(value, [&](Element* e) { return e->key.load(host::Order::Relaxed) == key; });
}

void set_key(Element& element, u32 key) {
    element.key.store(key, host::Order::Relaxed);
}

TEST(NullsList, FindsWhatIsLinkedAndNothingElse) {
    Bucket bucket;
    bucket.init(Bucket::kMaxValue);
    EXPECT_TRUE(bucket.empty());
    EXPECT_EQ(find(bucket, Bucket::kMaxValue, 1), nullptr);
    Element elements[3];
    for (u32 i = 0; i < 3; ++i) {
        set_key(elements[i], i);
        bucket.push_front(&elements[i]);
    }
    EXPECT_FALSE(bucket.empty());
    for (u32 i = 0; i < 3; ++i) EXPECT_EQ(find(bucket, Bucket::kMaxValue, i), &elements[i]);
    const u32 order[] = {1, 2, 0};  // the middle, the front, the last
    for (u32 i : order) {
        bucket.remove(&elements[i]);
        EXPECT_EQ(elements[i].link.previous, nullptr);
        EXPECT_EQ(find(bucket, Bucket::kMaxValue, i), nullptr);
    }
    EXPECT_TRUE(bucket.empty());
}

TEST(NullsList, TheNewestOfEqualsIsFoundFirst) {
    Bucket bucket;
    bucket.init(0);
    Element elements[2];
    for (Element& element : elements) {
        set_key(element, 7);
        bucket.push_front(&element);
    }
    EXPECT_EQ(find(bucket, 0, 7), &elements[1]);
    bucket.remove(&elements[1]);
    EXPECT_EQ(find(bucket, 0, 7), &elements[0]);
}

// A reader who stands on an element that moves to another bucket ends there, notices, and starts again. Here
// the move happens in the middle of the walk, by the reader's own hand.
TEST(NullsList, AReaderCarriedAwayStartsAgain) {
    Bucket here, there;
    here.init(5);
    there.init(9);
    Element moving, stays;
    set_key(moving, 1);
    set_key(stays, 2);
    here.push_front(&stays);
    here.push_front(&moving);  // here: moving, stays
    u32 steps = 0;
    Element* found = here.find(5, [&](Element* element) {
        ++steps;
        if (element == &moving) {
            here.remove(&moving);
            there.push_front(&moving);
            return false;
        }
        return element == &stays;
    });
    EXPECT_EQ(found, &stays);
    EXPECT_EQ(steps, 2u);  // moving, carried to the end of `there`; then stays
}

// Elements wander between two buckets all the time; what stays is always found, what is nowhere never.
TEST(NullsList, WhatStaysIsAlwaysFoundWhileOthersMove) {
    NEEDS_CPUS(2);
    const u32 readers = test::cpus_up_to(3) - 1;
    constexpr u32 kMoves = 200000;
    constexpr u32 kMoving = 4;
    constexpr u32 kStays = 100;
    Bucket buckets[2];
    Element stays[2];
    Element moving[kMoving];
    for (u32 b = 0; b < 2; ++b) {
        buckets[b].init(b);
        set_key(stays[b], kStays + b);
        buckets[b].push_front(&stays[b]);
    }
    for (u32 i = 0; i < kMoving; ++i) {
        set_key(moving[i], i);
        buckets[0].push_front(&moving[i]);
    }
    host::Atomic<u32> done{};
    host::Atomic<u32> wrong{};
    test::run_on_cpus(readers + 1, [&](u32 cpu) {
        if (cpu == readers) {  // the one writer, which is as good as a lock
            for (u32 i = 0; i < kMoves; ++i) {
                const u32 from = i / kMoving % 2;
                buckets[from].remove(&moving[i % kMoving]);
                buckets[!from].push_front(&moving[i % kMoving]);
            }
            done.store(1, host::Order::Relaxed);
            return;
        }
        for (u32 b = cpu % 2; !done.load(host::Order::Relaxed); b ^= 1) {
            if (find(buckets[b], b, kStays + b) != &stays[b])
                wrong.fetch_add(1, host::Order::Relaxed);
            if (find(buckets[b], b, kStays + 2)) wrong.fetch_add(1, host::Order::Relaxed);
        }
    });
    EXPECT_EQ(wrong.load(host::Order::Relaxed), 0u);
}

}  // namespace
}  // namespace barebpf
