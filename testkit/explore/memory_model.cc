// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/explore/memory_model.h"

#include <string.h>

namespace barebpf::explore {

MemoryModel memory_model;

namespace {

constexpr u32 kOldest = 4;  // how many older values a load is offered

bool acquires(Order order) {
    return order == Order::Acquire || order == Order::AcqRel || order == Order::SeqCst;
}
bool releases(Order order) {
    return order == Order::Release || order == Order::AcqRel || order == Order::SeqCst;
}

}  // namespace

// The compiler must not take the core's plain and atomic views of the same bytes for different objects.
u64 load_plain(const void* at, u32 size) {
    u64 value = 0;
    memcpy(&value, at, size);
    return value;
}

void store_plain(void* at, u32 size, u64 value) {
    memcpy(at, &value, size);
}

void MemoryModel::reset() {
    by_granule_.clear();
    locations_.clear();
    for (Thread& thread : threads_) {
        thread.view.clear();
        thread.acquirable.clear();
        thread.released.clear();
    }
    sequential_.clear();
    objects_.clear();
}

// The location, whose history ends with what memory holds; kNone: it has none.
u32 MemoryModel::locate(const void* at, u32 size) {
    if (!engine.is_shared(at)) return kNone;
    const u64 address = reinterpret_cast<u64>(at);
    const auto [found, fresh] =
        by_granule_.try_emplace(address >> 3, static_cast<u32>(locations_.size()));
    const u32 first = found->second;
    // Of one size there are at most 8 / size locations in the granule; each has its place.
    if (fresh) {
        for (u32 i = 0; i < 8 / size; ++i) {
            const void* place = reinterpret_cast<const void*>((address & ~u64{7}) + i * size);
            locations_.push_back({place, size, false, {}});
        }
    }
    if (locations_[first].size != size) locations_[first].mixed = true;
    if (locations_[first].mixed) return kNone;
    const u32 number = first + static_cast<u32>(address & 7) / size;
    Location& location = locations_[number];
    const u64 value = load_plain(at, size);
    // A plain store came between (an object was made anew): everybody sees it, as plain accesses do.
    if (!location.entries.empty() && location.entries.back().value != value) {
        for (Thread& thread : threads_) {
            thread.view.raise(number, static_cast<u32>(location.entries.size()));
        }
        location.entries.push_back({value, {}});
    }
    if (location.entries.empty()) location.entries.push_back({value, {}});
    return number;
}

void MemoryModel::see(u32 location, u32 entry, Order order) {
    Thread& me = thread();
    me.view.raise(location, entry);
    const View& handed = locations_[location].entries[entry].view;
    (acquires(order) ? me.view : me.acquirable).join(handed);
}

u64 MemoryModel::load(const void* at, u32 size, Order order) {
    const u32 number = locate(at, size);
    if (number == kNone) return load_plain(at, size);
    const std::vector<Entry>& entries = locations_[number].entries;
    u32 least = thread().view[number];
    if (order == Order::SeqCst && sequential_[number] > least) least = sequential_[number];
    const u32 newest = static_cast<u32>(entries.size()) - 1;
    const u32 choices = newest - least + 1;
    const u32 seen = newest - engine.choose_stale(choices < kOldest + 1 ? choices : kOldest + 1);
    see(number, seen, order);
    return locations_[number].entries[seen].value;
}

// What a store hands to those who acquire it.
View MemoryModel::outgoing(u32 location, u32 entry, Order order) {
    Thread& me = thread();
    me.view.raise(location, entry);
    if (order == Order::SeqCst) sequential_.raise(location, entry);
    return releases(order) ? me.view : me.released;
}

void MemoryModel::before_store(const void* at, u32 size) {
    locate(at, size);  // takes note of the value that was there
}

void MemoryModel::after_store(const void* at, u32 size, Order order) {
    if (!engine.is_shared(at)) return;
    const auto found = by_granule_.find(reinterpret_cast<u64>(at) >> 3);
    if (found == by_granule_.end() || locations_[found->second].mixed) return;
    const u32 number = found->second + static_cast<u32>(reinterpret_cast<u64>(at) & 7) / size;
    const u32 entry = static_cast<u32>(locations_[number].entries.size());
    View view = outgoing(number, entry, order);
    locations_[number].entries.push_back({load_plain(at, size), static_cast<View&&>(view)});
}

void MemoryModel::before_rmw(const void* at, u32 size, Order order) {
    const u32 number = locate(at, size);
    if (number == kNone) return;
    see(number, static_cast<u32>(locations_[number].entries.size()) - 1, order);
}

void MemoryModel::after_rmw(const void* at, u32 size, Order order) {
    if (!engine.is_shared(at)) return;
    const auto found = by_granule_.find(reinterpret_cast<u64>(at) >> 3);
    if (found == by_granule_.end() || locations_[found->second].mixed) return;
    const u32 number = found->second + static_cast<u32>(reinterpret_cast<u64>(at) & 7) / size;
    std::vector<Entry>& entries = locations_[number].entries;
    View view = outgoing(number, static_cast<u32>(entries.size()), order);
    view.join(entries.back().view);  // a release sequence goes on
    entries.push_back({load_plain(at, size), static_cast<View&&>(view)});
}

void MemoryModel::fence(Order order) {
    Thread& me = thread();
    if (acquires(order)) me.view.join(me.acquirable);
    if (order == Order::SeqCst) {
        me.view.join(sequential_);
        sequential_.join(me.view);
    }
    if (releases(order)) me.released = me.view;
}

void MemoryModel::heavy_fence() {
    for (const Thread& each : threads_) sequential_.join(each.view);
    for (Thread& each : threads_) {
        each.view.join(each.acquirable);
        each.view.join(sequential_);
        each.released = each.view;
    }
}

void MemoryModel::acquire(const void* object) {
    thread().view.join(objects_[object]);
}

void MemoryModel::release(const void* object) {
    objects_[object].join(thread().view);
}

}  // namespace barebpf::explore
