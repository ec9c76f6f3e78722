// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Relaxed mode: C++'s memory model, operationally.
//
//     location   history of values, oldest first; the last is what memory holds
//     view       for each location, how far in its history somebody must have come
//     CPU        its view; what an acquire fence will add to it; what a relaxed store carries since a release fence
//     entry      the view that it hands to whoever acquires it
//
// A load may see any entry from the CPU's view on; whichever it sees, the view moves up to it (coherence). An acquire
// adds the entry's view to the CPU's. A read-modify-write works on the last entry and hands on the view of
// the one it replaces. seq_cst operations and fences meet in one more view. A lock hands a view from who gives it back
// to who takes it; a grace period from writers to readers that begin later, and from readers to callbacks.
//
// Only memory that is known to be shared has a history; it begins when it is first used after setup(). A location is the
// bytes of one atomic. Neighbours in the same eight bytes are locations of their own, of whatever sizes; atomics that
// overlap without being the same have no common history, and end the run (Finding::Overlap).
#pragma once

#include <unordered_map>
#include <vector>

#include "testkit/explore/engine.h"

namespace barebpf::explore {

class View {
public:
    u32 operator[](u32 location) const { return location < seen_.size() ? seen_[location] : 0; }
    void raise(u32 location, u32 to) {
        if (location >= seen_.size()) seen_.resize(location + 1);
        if (seen_[location] < to) seen_[location] = to;
    }
    void join(const View& other) {
        if (seen_.size() < other.seen_.size()) seen_.resize(other.seen_.size());
        for (size_t i = 0; i < other.seen_.size(); ++i) {
            if (seen_[i] < other.seen_[i]) seen_[i] = other.seen_[i];
        }
    }
    void clear() { seen_.clear(); }

private:
    std::vector<u32> seen_;
};

class MemoryModel {
public:
    void reset();
    // Which bytes, and where in the source.
    struct Access {
        const void* at;
        u32 size;
        Site site;
    };
    // What the operation finds; the caller reads and writes the memory itself, which holds the newest value.
    u64 load(const Access& access, Order order);
    void before_store(const Access& access);
    void after_store(const Access& access, Order order);  // memory holds the new value
    void before_rmw(const Access& access, Order order);
    void after_rmw(const Access& access, Order order);
    void fence(Order order);
    void heavy_fence();  // as if each CPU had a fence there

    // Views that objects hand on: locks (by address), grace periods.
    void acquire(const void* object);
    void release(const void* object);

private:
    struct Entry {
        u64 value;
        View view;
    };
    struct Location {
        Access first;  // who used it first
        std::vector<Entry> entries;
    };
    struct Thread {
        View view;
        View acquirable;  // of relaxed loads, for an acquire fence
        View released;    // at the last release fence
    };
    static constexpr u32 kNone = ~0u;
    // By byte: the location that it belongs to, + 1; 0: none yet.
    struct Granule {
        u32 location[8];
    };

    u32 find(const Access& access);
    u32 locate(const Access& access);
    void append(u32 location, const Access& access, View&& view);
    void see(u32 location, u32 entry, Order order);
    View outgoing(u32 location, u32 entry, Order order);
    Thread& thread() { return threads_[engine.current().number]; }

    std::unordered_map<u64, Granule> granules_;
    std::vector<Location> locations_;
    Thread threads_[kMaxCpus + 1];
    View sequential_;
    std::unordered_map<const void*, View> objects_;
};

extern MemoryModel memory_model;

u64 load_plain(const void* at, u32 size);
void store_plain(void* at, u32 size, u64 value);

}  // namespace barebpf::explore
