// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: messages for people, and the end of the road.
#pragma once

#include <host_backend/log.h>

#include "kernel/lib/concepts.h"
#include "kernel/lib/types.h"

namespace barebpf::host {

enum class LogLevel : u8 { Error, Warning, Info, Trace };  // Trace: bpf_trace_printk's lines

template <class L>
concept IsLog = requires(u8 level, const char* text, size_t length) {
    L::print(level, text, length);  // any context; whole lines without the newline
    L::panic(text);  // an invariant of ours is broken: say so and stop; never returns
};
static_assert(IsLog<backend::Log>);

inline void print(LogLevel level, const char* text, size_t length) {
    backend::Log::print(static_cast<u8>(level), text, length);
}
[[noreturn]] inline void panic(const char* text) {
    backend::Log::panic(text);
    __builtin_unreachable();
}

}  // namespace barebpf::host
