// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/world.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "kernel/barebpf.h"
#include "testkit/cli/errors.h"
#include "testkit/preload/world.h"
#include "testkit/user/user.h"

namespace barebpf::cli {

namespace {

uint64_t current_packet;
bool damaged;

void keep_line(host::LogLevel level, const char* text, size_t length) {
    if (level != host::LogLevel::Trace) {
        std::fprintf(stderr, "barebpf: %.*s\n", static_cast<int>(length), text);
    } else if (current_packet && trace().lines.size() < kMaxTraceLines) {
        trace().lines.push_back({current_packet, {text, length}});
    } else if (current_packet) {
        ++trace().dropped;
    }
}

}  // namespace

Trace& trace() {
    static Trace lines;
    return lines;
}

void trace_packet(uint64_t number) {
    current_packet = number;
}

void start_world(bool jit) {
    machine::set_log_callback(keep_line);
    if (long error = preload::make_world(); error < 0)
        throw Failure(std::string("cannot start: ") + std::strerror(static_cast<int>(-error)));
    enable_jit(jit);
}

void catching_faults(const std::string& doing, void (*function)(void*), void* argument,
                     const std::string& next) {
    user::Fault fault;
    if (user::call_catching_faults(function, argument, &fault)) return;
    damaged = true;
    char address[32];
    std::snprintf(address, sizeof address, "0x%llx",
                  static_cast<unsigned long long>(fault.address));
    throw Failure(doing + ": " + strsignal(fault.signal) + " at address " + address, next);
}

bool is_damaged() {
    return damaged;
}

void leave(int status) {
    std::fflush(nullptr);
    _exit(status);
}

}  // namespace barebpf::cli
