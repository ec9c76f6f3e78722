// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The memory of an execution: one area, given out from its start, forgotten as a whole before the next. Freed memory
// is filled with a pattern and stays out of use, so that whoever still uses it is noticed: by the check before each
// atomic operation, and under AddressSanitizer by each access.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "testkit/explore/asan.h"
#include "testkit/explore/engine.h"

namespace barebpf::explore {

namespace {
constexpr u8 kFreed = 0x6b;

size_t up(size_t value, size_t to) {
    return (value + to - 1) & ~(to - 1);
}
}  // namespace

Heap::Heap() : alive_(kGranules) {
    file_ = memfd_create("explore", MFD_CLOEXEC);
    if (file_ < 0 || ftruncate(file_, kSize) != 0) abort();
    void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (memory == MAP_FAILED) abort();
    base_ = static_cast<u8*>(memory);
}

Heap::~Heap() {
    ASAN_UNPOISON_MEMORY_REGION(base_, kSize);
    munmap(base_, kSize);
    close(file_);
}

void Heap::reset() {
    ASAN_UNPOISON_MEMORY_REGION(base_, used_);
    memset(base_, 0, used_);
    memset(alive_.data(), 0, up(used_, 8) / 8);
    used_ = 0;
    live_ = 0;
    blocks_.clear();
    names_.clear();
    for (const Mapping& mapping : mappings_) munmap(mapping.at, mapping.count * host::kPageSize);
    mappings_.clear();
}

void* Heap::alloc(size_t size, size_t align) {
    const size_t at = up(used_, align);
    // A granule between two blocks belongs to none.
    if (size > kSize || at + size + 8 > kSize) return nullptr;
    ASAN_POISON_MEMORY_REGION(base_ + used_, at + up(size, 8) + 8 - used_);
    ASAN_UNPOISON_MEMORY_REGION(base_ + at, size);
    memset(alive_.data() + at / 8, 1, up(size, 8) / 8);
    blocks_.push_back({static_cast<u32>(at), static_cast<u32>(size), true, false});
    used_ = at + up(size, 8) + 8;
    ++live_;
    return base_ + at;
}

u32 Heap::find(size_t offset) const {
    const auto after =
        std::upper_bound(blocks_.begin(), blocks_.end(), offset,
                         [](size_t at, const Block& block) { return at < block.offset; });
    return static_cast<u32>(after - blocks_.begin()) - 1;
}

bool Heap::free(void* memory, size_t size) {
    const size_t offset = static_cast<size_t>(static_cast<u8*>(memory) - base_);
    const u32 number = find(offset);
    if (number >= blocks_.size()) return false;
    Block& block = blocks_[number];
    if (block.offset != offset || block.size != size || !block.live) return false;
    block.live = false;
    block.freed = true;
    --live_;
    memset(alive_.data() + offset / 8, 0, up(size, 8) / 8);
    memset(memory, kFreed, size);
    ASAN_POISON_MEMORY_REGION(memory, size);
    return true;
}

size_t Heap::offset_in_mapping(const void* at) const {
    const auto* address = static_cast<const u8*>(at);
    for (const Mapping& mapping : mappings_) {
        const size_t offset = static_cast<size_t>(address - mapping.at);
        if (offset < mapping.count * host::kPageSize) {
            return mapping.pages[offset / host::kPageSize] + offset % host::kPageSize;
        }
    }
    return kSize;
}

void* Heap::map(const host::Page* pages, u32 count) {
    const size_t size = count * host::kPageSize;
    void* where = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (where == MAP_FAILED) return nullptr;
    Mapping mapping{static_cast<u8*>(where), count, {}};
    for (u32 i = 0; i < count; ++i) {
        const size_t offset = static_cast<size_t>(static_cast<u8*>(pages[i].handle) - base_);
        mapping.pages.push_back(offset);
        if (mmap(mapping.at + i * host::kPageSize, host::kPageSize, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, file_, static_cast<off_t>(offset)) == MAP_FAILED) {
            abort();
        }
    }
    mappings_.push_back(mapping);
    return where;
}

bool Heap::unmap(void* address, u32 count) {
    for (size_t i = 0; i < mappings_.size(); ++i) {
        if (mappings_[i].at != address || mappings_[i].count != count) continue;
        munmap(address, count * host::kPageSize);
        mappings_.erase(mappings_.begin() + static_cast<ptrdiff_t>(i));
        return true;
    }
    return false;
}

void Heap::set_name(const void* memory, size_t size, const char* name) {
    names_.push_back({static_cast<const u8*>(memory), size, name});
}

std::string Heap::describe(const void* at, bool with_state) const {
    char text[160];
    const auto* address = static_cast<const u8*>(at);
    for (const Name& name : names_) {
        if (address < name.at || address >= name.at + name.size) continue;
        snprintf(text, sizeof text, "%s+%zu", name.name, static_cast<size_t>(address - name.at));
        return text;
    }
    const size_t offset = offset_of(at);
    const u32 number = find(offset);
    if (offset >= kSize || number >= blocks_.size()) {
        snprintf(text, sizeof text, "%p", at);
        return text;
    }
    const Block& block = blocks_[number];
    snprintf(text, sizeof text, "block %u (%u bytes%s)+%zu", number, block.size,
             with_state && block.freed ? ", freed" : "", offset - block.offset);
    return text;
}

std::string Heap::first_live() const {
    for (const Block& block : blocks_) {
        if (block.live) return describe(base_ + block.offset);
    }
    return "";
}

}  // namespace barebpf::explore
