// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/guest/page_table.h"

#include "testkit/guest/frames.h"
#include "testkit/guest/image.h"
#include "testkit/guest/kernel.h"

namespace barebpf::guest {

namespace {

struct EarlyDevice {
    u64 physical;
    u64 size;
};
EarlyDevice early_devices[16];
u32 early_device_count;
backend::RawSpinLock device_lock;
u64 next_device = kDeviceBase;

}  // namespace

namespace page_table {

namespace {

constexpr u32 kEntries = 512;
constexpr u32 kLevels = 4;

u64 root_frame = kNoPage;
Atomic<u64> tables;

using Entry = Atomic<u64>;

Entry* table_at(u64 frame) {
    return static_cast<Entry*>(direct(frame));
}

u32 index_of(u64 address, u32 level) {
    return static_cast<u32>(address >> (12 + 9 * level)) % kEntries;
}

// The table that an entry points to, made if need be; null: no memory, or not there and not to be made.
Entry* next_table(Entry& entry, bool make) {
    // Pairs with the release below: whoever finds a table finds it zeroed.
    u64 value = entry.load(Order::Acquire);
    if (!arch::entry_present(value)) {
        if (!make) return nullptr;
        const u64 fresh = frames::alloc_zeroed();
        if (fresh == kNoPage) return nullptr;
        const u64 link = arch::table_entry(fresh);
        if (entry.compare_exchange(value, link, Order::AcqRel, Order::Acquire)) {
            value = link;
            tables.fetch_add(1, Order::Relaxed);
        } else {
            frames::free(fresh);
        }
    }
    return table_at(arch::entry_physical(value));
}

Entry* leaf_of(u64 address, bool make) {
    Entry* table = table_at(root_frame);
    for (u32 level = kLevels - 1; level > 0 && table; --level)
        table = next_table(table[index_of(address, level)], make);
    return table ? table + index_of(address, 0) : nullptr;
}

void map_at_start(u64 address, u64 frame, Access access, bool device) {
    if (!map(address, frame, access, device)) fail("no memory for page tables");
}

void map_ram(u64 first, u64 end) {
    for (u64 frame = first; frame < end; frame += kPageBytes)
        map_at_start(kDirectBase + frame, frame, Access::ReadWrite, false);
}

Access image_access(const char* at) {
    if (at >= guest_text_begin && at < guest_text_end) return Access::ReadExecute;
    if (at >= guest_rodata_begin && at < guest_rodata_end) return Access::Read;
    return Access::ReadWrite;
}

// At its linked address, and what must not be written is not written through the direct map either.
void map_image() {
    for (const char* at = guest_image_begin; at < guest_image_end; at += kPageBytes) {
        const u64 frame = image_physical(at);
        const Access access = image_access(at);
        map_at_start(reinterpret_cast<u64>(at), frame, access, false);
        if (access != Access::ReadWrite) set_direct(frame, Access::Read);
    }
}

void visit_table(Entry* table, u32 level, u64 base, Visit visit, void* context) {
    for (u32 i = 0; i < kEntries; ++i) {
        const u64 entry = table[i].load(Order::Acquire);
        if (!arch::entry_present(entry)) continue;
        u64 address = base + (u64{i} << (12 + 9 * level));
        if (level == kLevels - 1 && i >= kEntries / 2) address |= 0xffff000000000000;
        if (level) {
            visit_table(table_at(arch::entry_physical(entry)), level - 1, address, visit, context);
        } else {
            visit(context, address, entry);
        }
    }
}

}  // namespace

void init() {
    root_frame = frames::alloc_zeroed();
    if (root_frame == kNoPage) fail("no memory for page tables");
    frames::for_each_ram(map_ram);
    map_image();
    for (u32 i = 0; i < early_device_count; ++i) {
        const EarlyDevice& device = early_devices[i];
        const u64 first = device.physical & ~(kPageBytes - 1);
        for (u64 at = first; at < device.physical + device.size; at += kPageBytes)
            map_at_start(kDirectBase + at, at, Access::ReadWrite, true);
    }
    arch::use_page_table(root_frame);
}

u64 root() {
    return root_frame;
}

u64 table_count() {
    return tables.load(Order::Relaxed);
}

bool map(u64 address, u64 frame, Access access, bool device) {
    Entry* leaf = leaf_of(address, true);
    if (!leaf) return false;
    leaf->store(arch::leaf_entry(frame, access, device), Order::Release);
    arch::entries_written();
    return true;
}

u64 unmap(u64 address) {
    Entry* leaf = leaf_of(address, false);
    const u64 old = leaf ? leaf->exchange(0, Order::AcqRel) : 0;
    if (arch::entry_present(old)) return arch::entry_physical(old);
    return old ? old : kNoPage;
}

void park(u64 address) {
    Entry* leaf = leaf_of(address, false);
    const u64 old = leaf ? leaf->load(Order::Relaxed) : 0;
    if (arch::entry_present(old)) leaf->store(arch::entry_physical(old), Order::Release);
}

void protect(u64 address, Access access) {
    Entry* leaf = leaf_of(address, false);
    const u64 old = leaf ? leaf->load(Order::Relaxed) : 0;
    if (!arch::entry_present(old)) fail("protecting what is not mapped", address);
    leaf->store(arch::leaf_entry(arch::entry_physical(old), access, false), Order::Release);
    arch::entries_written();
}

u64 frame_at(u64 address) {
    Entry* leaf = leaf_of(address, false);
    const u64 entry = leaf ? leaf->load(Order::Relaxed) : 0;
    if (arch::entry_present(entry)) return arch::entry_physical(entry);
    return entry ? entry : kNoPage;
}

Access access_at(u64 address) {
    Entry* leaf = leaf_of(address, false);
    const u64 entry = leaf ? leaf->load(Order::Relaxed) : 0;
    return arch::entry_present(entry) ? arch::entry_access(entry) : Access::None;
}

void set_direct(u64 frame, Access access) {
    Entry* leaf = leaf_of(kDirectBase + frame, false);
    if (!leaf) fail("no RAM at this address", frame);
    leaf->store(arch::leaf_entry(frame, access, false), Order::Release);
    arch::entries_written();
}

void for_each_leaf(Visit visit, void* context) {
    visit_table(table_at(root_frame), kLevels - 1, 0, visit, context);
}

}  // namespace page_table

void* map_device(u64 physical, u64 size) {
    if (page_table::root() == kNoPage) {
        if (early_device_count == sizeof(early_devices) / sizeof(early_devices[0]))
            fail("too many devices are mapped before the page tables");
        early_devices[early_device_count++] = {physical, size};
        return direct(physical);
    }
    KernelGuard guard(device_lock);
    const u64 offset = physical % kPageBytes;
    const u64 address = next_device;
    for (u64 done = 0; done < offset + size; done += kPageBytes) {
        if (!page_table::map(next_device, physical - offset + done, Access::ReadWrite, true))
            fail("no memory to map a device", physical);
        next_device += kPageBytes;
    }
    next_device += kPageBytes;  // a hole
    return reinterpret_cast<void*>(address + offset);
}

}  // namespace barebpf::guest
