// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: descriptors.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::host {
struct FileObject;
enum class FileMode : u8;
struct FileRef;
}  // namespace barebpf::host

extern "C" {
int host_fd_install(barebpf::host::FileObject* object, barebpf::host::FileMode mode);
bool host_fd_get(int fd, barebpf::host::FileRef* ref, void (*pin)(barebpf::host::FileObject*));
void host_fd_close_all();
bool host_fd_is_open(int fd);
}

namespace barebpf::backend {

struct Fd {
    static int install(host::FileObject* object, host::FileMode mode) {
        return host_fd_install(object, mode);
    }
    static bool get(int fd, host::FileRef* ref, void (*pin)(host::FileObject*)) {
        return host_fd_get(fd, ref, pin);
    }
    static void close_all() { host_fd_close_all(); }
    static bool is_open(int fd) { return host_fd_is_open(fd); }
};

}  // namespace barebpf::backend
