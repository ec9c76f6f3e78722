// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: descriptors, and what an object behind one offers to the host.
//
// The core derives its objects (maps, programs, BTF, links) from FileObject. install() hands one
// reference to the descriptor; when the last duplicate of it is closed, the host calls
// ops->release(), which drops it. get() gives a counted reference, BadF, or Inval for a descriptor of
// something else; the host never interprets an object.
//
// Context: process, may sleep.
#pragma once

#include <host_backend/fd.h>

#include "kernel/host/atomic.h"
#include "kernel/host/page.h"
#include "kernel/host/wake.h"
#include "kernel/lib/concepts.h"
#include "kernel/lib/result.h"

namespace barebpf {
class TextBuffer;  // kernel/lib/text.h
}

namespace barebpf::host {

struct FileObject;

// What an mmap of a descriptor asks for, in the terms of mmap(2).
struct MmapRequest {
    u64 offset;  // bytes
    u64 length;  // bytes
    bool writable;
    bool shared;
    bool executable;
};

// What the host then maps: these pages, in order; may_write says whether mprotect may raise it
// later.
struct MmapPages {
    const Page* pages;
    u32 count;
    bool may_write;
};

enum class FileKind : u8 { Map, Prog, Btf, Link, PerfEvent };

struct FileOps {
    FileKind kind;
    const char*
        name;  // as /proc/self/fd shows it after "anon_inode:": "bpf-map", "bpf-prog", "btf", "[perf_event]"
    // The last duplicate of a descriptor was closed.
    void (*release)(FileObject* object);
    // One line a field, as Linux's fdinfo shows the object.
    void (*show_fdinfo)(FileObject* object, TextBuffer* out);
    // Null where the object cannot be mapped (ENODEV). A success is balanced by munmapped() for the
    // same request when the last copy of that mapping is gone.
    Result<MmapPages> (*mmap)(FileObject* object, const MmapRequest& request);
    void (*munmapped)(FileObject* object, const MmapRequest& request);
    // POLLIN, POLLOUT, ... bits that hold now; null: the descriptor never becomes ready.
    u32 (*poll)(FileObject* object);
    // What poll() changes are announced on. Null, or answers null: they never are.
    WaitQueue* (*wait_queue)(FileObject* object);
};

struct FileObject {
    const FileOps* file_ops = nullptr;
};

// access mode of a map descriptor (BPF_F_RDONLY, BPF_F_WRONLY): what bpf(2) allows through it.
enum class FileMode : u8 { ReadWrite, ReadOnly, WriteOnly };

struct FileRef {
    FileObject* object;
    FileMode mode;
};

template <class F>
concept IsFd = requires(FileObject* object, FileMode mode, int fd, FileRef* ref) {
    { F::install(object, mode) } -> SameAs<int>;  // the descriptor, or -EMFILE, -ENFILE, -ENOMEM
    // Calls pin(object) while the descriptor cannot go away; false: not one of ours.
    { F::get(fd, ref, static_cast<void (*)(FileObject*)>(nullptr)) } -> SameAs<bool>;
    { F::is_open(fd) } -> SameAs<bool>;  // any descriptor of the caller's, whatever it is
    F::close_all();                      // every descriptor of ours, when a world ends; may sleep
};
static_assert(IsFd<backend::Fd>);

// Takes over the caller's reference when it succeeds. The descriptor is close-on-exec, as Linux's
// is.
inline Result<int> install_fd(FileObject* object, FileMode mode) {
    int fd = backend::Fd::install(object, mode);
    if (fd < 0) return Errno(-fd);
    return fd;
}

// pin() takes the reference that the caller will own.
inline Result<FileRef> get_fd(int fd, void (*pin)(FileObject*)) {
    FileRef ref;
    if (!backend::Fd::get(fd, &ref, pin))
        return backend::Fd::is_open(fd) ? Errno::Inval : Errno::BadF;
    return ref;
}

}  // namespace barebpf::host
