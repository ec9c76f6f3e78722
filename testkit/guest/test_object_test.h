// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An object behind a descriptor, for tests of descriptors, mappings and waiting.
#pragma once

#include "kernel/host/contract.h"
#include "kernel/lib/text.h"
#include "testkit/guest/kernel.h"

namespace barebpf::guest {

inline constexpr u32 kPollIn = 1;

struct TestObject : host::FileObject {
    host::MappedPages memory;
    host::MemoryOwner owner;
    host::WaitQueue queue;
    Atomic<u32> ready;     // POLLIN holds
    Atomic<u32> released;  // how often
    s32 maps = 0;          // mmaps that have not been unmapped

    static TestObject* of(host::FileObject* object) { return static_cast<TestObject*>(object); }

    static void release(host::FileObject* object) {
        of(object)->released.fetch_add(1, Order::AcqRel);
    }
    static void show_fdinfo(host::FileObject*, TextBuffer* out) { out->print("test:\t1\n"); }
    static Result<host::MmapPages> mmap(host::FileObject* object,
                                        const host::MmapRequest& request) {
        TestObject* self = of(object);
        const u64 first = request.offset / host::kPageSize;
        const u64 count = self->memory.mapped_count();
        if (first >= count || request.length / host::kPageSize > count - first) return Errno::Inval;
        ++self->maps;
        return host::MmapPages{self->memory.pages() + first, static_cast<u32>(count - first), true};
    }
    static void munmapped(host::FileObject* object, const host::MmapRequest&) {
        --of(object)->maps;
    }
    static u32 poll(host::FileObject* object) {
        return of(object)->ready.load(Order::Acquire) ? kPollIn : 0;
    }
    static host::WaitQueue* wait_queue(host::FileObject* object) { return &of(object)->queue; }

    static constexpr host::FileOps kOps = {
        host::FileKind::Map, "bpf-test", release, show_fdinfo, mmap, munmapped, poll, wait_queue};

    TestObject() { file_ops = &kOps; }

    void make_ready() {
        ready.store(1, Order::Release);
        queue.wake_all();
    }
};

}  // namespace barebpf::guest
