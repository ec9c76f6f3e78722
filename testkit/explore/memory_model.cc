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

std::string text_of(const MemoryModel::Access& access) {
    return "an atomic of " + std::to_string(access.size) + " bytes at " +
           engine.heap.describe(access.at, false) + " (" + to_text(access.site) + ")";
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
    granules_.clear();
    locations_.clear();
    for (Thread& thread : threads_) {
        thread.view.clear();
        thread.acquirable.clear();
        thread.released.clear();
    }
    sequential_.clear();
    objects_.clear();
}

// The location; kNone: it has none.
u32 MemoryModel::find(const Access& access) {
    if (!engine.is_shared(access.at)) return kNone;
    const u64 address = reinterpret_cast<u64>(access.at);
    if (address % access.size) {
        engine.stop(Finding::Overlap, text_of(access) + " is not aligned");
    }
    Granule& granule = granules_[address >> 3];
    u32* bytes = granule.location + (address & 7);
    for (u32 i = 0; i < access.size; ++i) {
        if (!bytes[i]) continue;
        const Access& other = locations_[bytes[i] - 1].first;
        if (other.at == access.at && other.size == access.size) return bytes[i] - 1;
        engine.stop(Finding::Overlap, text_of(access) + " overlaps " + text_of(other) +
                                          ": the model does not know their order");
    }
    locations_.push_back({access, {}});
    for (u32 i = 0; i < access.size; ++i) bytes[i] = static_cast<u32>(locations_.size());
    return static_cast<u32>(locations_.size()) - 1;
}

// The same, and its history ends with what memory holds.
u32 MemoryModel::locate(const Access& access) {
    const u32 number = find(access);
    if (number == kNone) return kNone;
    std::vector<Entry>& entries = locations_[number].entries;
    const u64 value = load_plain(access.at, access.size);
    if (!entries.empty() && entries.back().value == value) return number;
    // A plain store came between (an object was made anew): everybody sees it, as plain accesses do.
    if (!entries.empty()) {
        for (Thread& each : threads_) each.view.raise(number, static_cast<u32>(entries.size()));
    }
    entries.push_back({value, {}});
    return number;
}

void MemoryModel::see(u32 location, u32 entry, Order order) {
    Thread& me = thread();
    me.view.raise(location, entry);
    const View& handed = locations_[location].entries[entry].view;
    (acquires(order) ? me.view : me.acquirable).join(handed);
}

u64 MemoryModel::load(const Access& access, Order order) {
    const u32 number = locate(access);
    if (number == kNone) return load_plain(access.at, access.size);
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

void MemoryModel::append(u32 location, const Access& access, View&& view) {
    locations_[location].entries.push_back(
        {load_plain(access.at, access.size), static_cast<View&&>(view)});
}

void MemoryModel::before_store(const Access& access) {
    locate(access);  // takes note of the value that was there
}

void MemoryModel::after_store(const Access& access, Order order) {
    const u32 number = find(access);
    if (number == kNone) return;
    const u32 entry = static_cast<u32>(locations_[number].entries.size());
    append(number, access, outgoing(number, entry, order));
}

void MemoryModel::before_rmw(const Access& access, Order order) {
    const u32 number = locate(access);
    if (number == kNone) return;
    see(number, static_cast<u32>(locations_[number].entries.size()) - 1, order);
}

void MemoryModel::after_rmw(const Access& access, Order order) {
    const u32 number = find(access);
    if (number == kNone) return;
    const std::vector<Entry>& entries = locations_[number].entries;
    View view = outgoing(number, static_cast<u32>(entries.size()), order);
    view.join(entries.back().view);  // a release sequence goes on
    append(number, access, static_cast<View&&>(view));
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
