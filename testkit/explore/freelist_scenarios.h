// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios for percpu_freelist and memalloc.
#pragma once

#include "kernel/bpf/memalloc.h"
#include "kernel/bpf/percpu_freelist.h"
#include "testkit/explore/explore.h"

namespace barebpf::explore {

using host::Order;

// Elements go round between the lists; nobody ever has one that somebody else has, and none is lost. All begin in CPU
// 0's list, so that the others take them from there, and some go straight back to where they came from: a head that
// changes and changes back must not pass for one that never did.
struct FreelistRounds : Scenario {
    static constexpr u32 kElements = 3;
    host::MemoryOwner owner;
    PercpuFreelist list;
    host::Atomic<u32> links[kElements + 1];
    host::Atomic<u32> holders[kElements + 1];

    auto link() {
        return [this](u32 index) -> host::Atomic<u32>& { return links[index]; };
    }
    void setup() override {
        check(list.create(owner), "no memory");
        for (u32 i = 1; i < kElements; ++i) links[i].store(i + 1, Order::Relaxed);
        list.push_chain_to(0, 1, kElements, link());
    }
    u32 take() {
        const u32 index = list.pop(link());
        if (index)
            check(holders[index].exchange(1, Order::Relaxed) == 0, "an element is taken twice");
        return index;
    }
    void give(u32 index, bool home) {
        if (!index) return;
        holders[index].store(0, Order::Relaxed);
        if (home) {
            list.push_chain_to(0, index, index, link());
        } else {
            list.push(index, link());
        }
    }
    void cpu(u32) override {
        const u32 a = take();
        const u32 b = take();
        give(a, true);
        const u32 c = take();
        give(b, false);
        give(c, true);
    }
    void nmi(u32) override {
        const u32 a = take();
        const u32 b = take();
        give(a, true);
        give(b, false);
    }
    void finish() override {
        u32 count = 0;
        while (count <= kElements && list.pop(link())) ++count;
        check(count == kElements, "an element is lost, or there twice");
        list.destroy();
    }
};

// An object that a reader found stays as it is until the reader has left, though it is replaced and freed meanwhile.
struct MemallocReplace : Scenario {
    host::MemoryOwner owner;
    Memalloc pool;
    host::Atomic<u32> current;
    host::Atomic<u64> generation;
    static constexpr u32 kMost = 64;  // objects
    host::Atomic<u32> holders[kMost];
    u32 objects = 0;
    u32 stride = 512;  // 8 of a chunk: none is gathered
    u32 gathered = 0;  // so many may be out of sight in the end

    host::Atomic<u64>& word(u32 index, u32 number) {
        return host::atomic_at<u64>(pool.at(index) + 8 + number * 8);
    }
    void setup() override {
        check(pool.create(stride, 4, owner), "no memory");
        pool.prepare();
        objects = count();
        current.store(make(), Order::Relaxed);
    }
    // Of all that are free.
    u32 count() {
        u32 taken[kMost];
        u32 number = 0;
        while (number < kMost && (taken[number] = pool.alloc())) ++number;
        for (u32 i = 0; i < number; ++i) pool.free(taken[i]);
        return number;
    }
    // Both words of an object that is in use are equal.
    u32 make() {
        const u32 index = pool.alloc();
        check(index != 0, "no object");
        check(holders[index].exchange(1, Order::Relaxed) == 0, "an object is given out twice");
        const u64 value = generation.fetch_add(1, Order::Relaxed) + 1;
        word(index, 0).store(value, Order::Relaxed);
        word(index, 1).store(value, Order::Relaxed);
        return index;
    }
    void replace() {
        const u32 mine = make();
        const u32 old = current.exchange(mine, Order::AcqRel);
        holders[old].store(0, Order::Relaxed);
        pool.free_rcu(old);
    }
    void read() {
        host::RcuReadGuard guard;
        const u32 index = current.load(Order::Acquire);
        const u64 first = word(index, 0).load(Order::Relaxed);
        check(first == word(index, 1).load(Order::Relaxed),
              "an object is used again under its reader");
    }
    void cpu(u32 number) override {
        if (number == 0) return read();
        for (u32 i = 0; i < 2; ++i) {
            host::RcuReadGuard guard;  // as programs do
            replace();
        }
    }
    void nmi(u32) override {
        host::RcuReadGuard guard;
        replace();
    }
    void finish() override {
        pool.free_rcu(current.load(Order::Relaxed));
        host::rcu_barrier();
        const u32 left = count();
        check(left <= objects && left + gathered >= objects, "an object is lost, or there twice");
        while (!pool.try_destroy()) host::rcu_barrier();
    }
};

// The same where two are gathered before they wait: one may be at each level of each CPU.
struct MemallocGather : MemallocReplace {
    void setup() override {
        stride = 128;
        gathered = 2 * host::possible_cpus();
        MemallocReplace::setup();
    }
};

// Two CPUs need new chunks at once, and for some there is no memory: nobody gets an object that somebody else has, and
// none of those that there are is lost.
struct MemallocShort : Scenario {
    static constexpr u32 kChunk = 4;  // objects
    static constexpr u32 kMost = 64;
    host::MemoryOwner owner;
    Memalloc pool;
    host::Atomic<u32> holders[kMost];

    void setup() override { check(pool.create(1024, 8, owner), "no memory"); }
    u32 take() {
        const u32 index = pool.alloc();
        check(index < kMost, "no such object");
        if (index) {
            check(holders[index].exchange(1, Order::Relaxed) == 0, "an object is given out twice");
            host::atomic_at<u64>(pool.at(index) + 8).store(index, Order::Relaxed);
        }
        return index;
    }
    void give(u32 index) {
        if (!index) return;
        check(host::atomic_at<u64>(pool.at(index) + 8).load(Order::Relaxed) == index,
              "two objects in one place");
        holders[index].store(0, Order::Relaxed);
        pool.free_rcu(index);
    }
    void cpu(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        pool.prepare();
        const u32 a = take();
        pool.prepare();
        const u32 b = take();
        give(a);
        give(b);
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        pool.prepare();
        give(take());
    }
    void finish() override {
        host::rcu_barrier();
        u32 count = 0;
        while (take()) ++count;
        // Number 0 is none. Its chunk is the first reserve, which may be untouched.
        const bool reserve_used = holders[1].load(Order::Relaxed);
        check(count % kChunk == (reserve_used ? kChunk - 1 : 0), "an object is lost");
        while (!pool.try_destroy()) host::rcu_barrier();
    }
};

}  // namespace barebpf::explore
