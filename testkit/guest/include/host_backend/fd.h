// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: descriptors are numbers in one table (testkit/guest/fd.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::host {
struct FileObject;
enum class FileMode : u8;
struct FileRef;
}  // namespace barebpf::host

namespace barebpf::backend {

struct Fd {
    static int install(host::FileObject* object, host::FileMode mode);
    static bool get(int fd, host::FileRef* ref, void (*pin)(host::FileObject*));
    static void close_all();
    static bool is_open(int fd);
};

}  // namespace barebpf::backend
