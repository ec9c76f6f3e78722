// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Pages of one memfd.
//
//     memfd     | 0 | 1 | 2 | 3 | ...          a page is its number here
//     bitmap      1   1   0   1                taken
//     mapping   any sequence of pages, run by run with MAP_FIXED over a reservation
//
// A second, read-only descriptor of the same file serves client mappings that must never become
// writable: mprotect(2) refuses to raise what a read-only descriptor mapped.
// Freed pages are punched out of the file, so they are zero when they are taken again.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::user {

namespace {

constexpr u32 kHugeRun = 512;            // pages of a huge page
constexpr u32 kMaxPages = u32{1} << 26;  // 256 GiB: what the bitmap can tell
constexpr size_t kBitmapBytes = kMaxPages / 8;

struct PageFile {
    Mutex mutex;
    int fd = -1;
    int read_only_fd = -1;
    u32 size = 0;  // of the file, in pages
    u32 hint = 0;  // where to look first
    u64* taken = nullptr;
};
PageFile file;

bool is_taken(u32 page) {
    return (file.taken[page / 64] >> (page % 64)) & 1;
}
void mark(u32 first, u32 count, bool taken) {
    for (u32 page = first; page < first + count; ++page) {
        u64 bit = u64{1} << (page % 64);
        if (taken) {
            file.taken[page / 64] |= bit;
        } else {
            file.taken[page / 64] &= ~bit;
        }
    }
}

bool open_file() {
    if (file.fd >= 0) return true;
    if (!file.taken) {
        void* bitmap = mmap(nullptr, kBitmapBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (bitmap == MAP_FAILED) return false;
        file.taken = static_cast<u64*>(bitmap);
    }
    int fd = memfd_create("barebpf-pages", MFD_CLOEXEC);
    if (fd < 0) return false;
    char path[48];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int read_only = open(path, O_RDONLY | O_CLOEXEC);
    if (read_only < 0) {
        close(fd);
        return false;
    }
    file.fd = hide_descriptor(fd);
    file.read_only_fd = hide_descriptor(read_only);
    return true;
}

// The first of count free pages in a row at or after from; kMaxPages: none.
u32 find_run(u32 from, u32 count) {
    const u32 alignment = count >= kHugeRun ? kHugeRun : 1;
    u32 start = (from + alignment - 1) / alignment * alignment;
    for (u32 page = start; page < kMaxPages && kMaxPages - start >= count;) {
        if (page == start + count) return start;
        if (is_taken(page)) {
            page = start = (page + alignment) / alignment * alignment;
        } else if (page >= file.size) {
            return start;  // nothing is taken beyond the file
        } else {
            ++page;
        }
    }
    return kMaxPages;
}

bool take_run(u32 count, u32* first) {
    u32 start = find_run(file.hint, count);
    if (start == kMaxPages) start = find_run(0, count);
    if (start == kMaxPages) return false;
    if (start + count > file.size) {
        // In steps, so that many small requests do not each resize the file.
        u32 size = (start + count + 1023) / 1024 * 1024;
        if (size > kMaxPages) size = kMaxPages;
        if (ftruncate(file.fd, static_cast<off_t>(size) * backend::kPageSize) != 0) return false;
        file.size = size;
    }
    mark(start, count, true);
    file.hint = start + count;
    *first = start;
    return true;
}

void release_run(u32 first, u32 count) {
    // A hole reads as zeros. Should the kernel refuse, the pages are cleared when taken... it does
    // not refuse on a memfd without seals.
    if (fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(first) * backend::kPageSize,
                  static_cast<off_t>(count) * backend::kPageSize) != 0)
        host::panic("the page file refuses to free pages");
    mark(first, count, false);
    if (first < file.hint) file.hint = first;
}

// The number of pages from pages[0] on that are neighbours in the file.
u32 run_length(const host::Page* pages, u32 count) {
    u32 length = 1;
    while (length < count && pages[length].index == pages[0].index + length) ++length;
    return length;
}

}  // namespace

bool map_pages_at(char* address, const host::Page* pages, u32 count, int prot, bool may_write) {
    const int fd = may_write ? file.fd : file.read_only_fd;
    for (u32 done = 0; done < count;) {
        u32 length = run_length(pages + done, count - done);
        void* at = mmap(address + size_t{done} * backend::kPageSize,
                        size_t{length} * backend::kPageSize, prot, MAP_SHARED | MAP_FIXED, fd,
                        static_cast<off_t>(pages[done].index) * backend::kPageSize);
        if (at == MAP_FAILED) return false;
        done += length;
    }
    return true;
}

void forget_pages() {
    // The mappings stay: the application may use what it mapped. The parent's file is not ours.
    if (file.taken) munmap(file.taken, kBitmapBytes);
    file.mutex.forget();
    file.fd = file.read_only_fd = -1;
    file.size = file.hint = 0;
    file.taken = nullptr;
}

}  // namespace barebpf::user

namespace barebpf::backend {

bool Pages::alloc_zeroed(Page* pages, u32 count) {
    if (!user::allocation_allowed() || !count || count > user::kMaxPages) return false;
    user::MutexGuard guard(user::file.mutex);
    u32 first;
    if (!user::open_file() || !user::take_run(count, &first)) return false;
    for (u32 i = 0; i < count; ++i) pages[i].index = first + i;
    user::account(static_cast<s64>(count * kPageSize), 1);
    return true;
}

void Pages::free(Page* pages, u32 count) {
    if (!count) return;
    user::MutexGuard guard(user::file.mutex);
    for (u32 done = 0; done < count;) {
        u32 length = user::run_length(pages + done, count - done);
        user::release_run(pages[done].index, length);
        done += length;
    }
    user::account(-static_cast<s64>(count * kPageSize), -1);
}

void* Pages::map(const Page* pages, u32 count) {
    if (!user::allocation_allowed()) return nullptr;
    const size_t size = size_t{count} * kPageSize;
    char* address = static_cast<char*>(user::map_anonymous(size));
    if (!address) return nullptr;
    if (!user::map_pages_at(address, pages, count, PROT_READ | PROT_WRITE, true)) {
        munmap(address, size);
        return nullptr;
    }
    if (count >= user::kHugeRun) madvise(address, size, MADV_HUGEPAGE);
    return address;
}

void Pages::unmap(void* address, u32 count) {
    munmap(address, size_t{count} * kPageSize);
}

}  // namespace barebpf::backend
