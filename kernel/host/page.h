// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: whole pages, and contiguous mappings of them.
//
// A Page is a handle of the backend (a frame number, a struct page pointer, an offset in a memfd):
// trivially copyable. Pages are what can be shared with user space by mmap (fd.h) and what can
// stand twice in one mapping, as the ring buffer's data area does:
//
//     page list   [C][P][d0][d1][d0][d1]
//     mapping     consumer, producer, data, the same data again
//
// Context: all of it may sleep; process context only.
#pragma once

#include <host_backend/page.h>

#include "kernel/host/alloc.h"

namespace barebpf::host {

using Page = backend::Page;
inline constexpr size_t kPageSize = backend::kPageSize;
static_assert(TriviallyCopyable<Page> && (kPageSize & (kPageSize - 1)) == 0);

template <class P>
concept IsPages = requires(Page* pages, u32 count, void* address) {
    { P::alloc_zeroed(pages, count) } -> SameAs<bool>;  // all or none
    P::free(pages, count);
    { P::map(pages, count) } -> SameAs<void*>;  // null when it fails; read and write
    P::unmap(address, count);
};
static_assert(IsPages<backend::Pages>);

// Pages, their list and one contiguous kernel mapping, freed together. The mapping may repeat the
// tail of the list: pages [repeat_from, count) stand twice, back to back.
class MappedPages {
public:
    MappedPages() = default;
    MappedPages(const MappedPages&) = delete;
    MappedPages& operator=(const MappedPages&) = delete;
    ~MappedPages() { destroy(); }

    [[nodiscard]] bool create(u32 count, MemoryOwner& owner) { return create(count, count, owner); }
    [[nodiscard]] bool create(u32 count, u32 repeat_from, MemoryOwner& owner);
    void destroy();

    void* address() const { return address_; }
    // In mapping order, repeats included: what an mmap of the whole must show.
    const Page* pages() const { return list_.data(); }
    u32 mapped_count() const { return static_cast<u32>(list_.size()); }

private:
    Buffer<Page> list_;
    u32 owned_ = 0;  // the first so many of list_ are ours to free; the rest repeat them
    void* address_ = nullptr;
    MemoryOwner* owner_ = nullptr;
};

inline bool MappedPages::create(u32 count, u32 repeat_from, MemoryOwner& owner) {
    const u32 repeated = count - repeat_from;
    if (!list_.allocate(size_t{count} + repeated, AllocContext::MaySleep, owner)) return false;
    if (!backend::Pages::alloc_zeroed(list_.data(), count)) {
        list_.reset();
        return false;
    }
    owned_ = count;
    owner_ = &owner;
    owner.charge(count * kPageSize);
    for (u32 i = 0; i < repeated; ++i) list_[count + i] = list_[repeat_from + i];
    address_ = backend::Pages::map(list_.data(), mapped_count());
    if (!address_) destroy();
    return address_ != nullptr;
}

inline void MappedPages::destroy() {
    if (address_) backend::Pages::unmap(address_, mapped_count());
    address_ = nullptr;
    if (owned_) {
        backend::Pages::free(list_.data(), owned_);
        owner_->uncharge(owned_ * kPageSize);
    }
    owned_ = 0;
    list_.reset();
}

}  // namespace barebpf::host
