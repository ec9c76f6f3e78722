// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: descriptors are real ones (an eventfd each), and a table finds the object behind
// (testkit/user/fd.cc).
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
