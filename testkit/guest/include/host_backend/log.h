// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: messages go to the console, or to a test's callback (testkit/guest/console.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct Log {
    static void print(u8 level, const char* text, size_t length);
    [[noreturn]] static void panic(const char* text);
};

}  // namespace barebpf::backend
