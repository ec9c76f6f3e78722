// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: messages.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
void host_print(barebpf::u8 level, const char* text, size_t length);
[[noreturn]] void host_panic(const char* text);
}

namespace barebpf::backend {

struct Log {
    static void print(u8 level, const char* text, size_t length) {
        host_print(level, text, length);
    }
    [[noreturn]] static void panic(const char* text) { host_panic(text); }
};

}  // namespace barebpf::backend
