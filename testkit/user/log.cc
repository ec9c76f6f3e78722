// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Messages: one write(2) a line, so that lines of several threads do not mix, or the callback.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::backend {

namespace {

Atomic<machine::LogCallback> callback;

void write_line(const char* prefix, const char* text, size_t length) {
    const int saved_errno = errno;
    iovec parts[3] = {{const_cast<char*>(prefix), strlen(prefix)},
                      {const_cast<char*>(text), length},
                      {const_cast<char*>("\n"), 1}};
    if (writev(STDERR_FILENO, parts, 3) < 0) errno = saved_errno;
    errno = saved_errno;
}

}  // namespace

void Log::print(u8 level, const char* text, size_t length) {
    if (machine::LogCallback to = callback.load(Order::Acquire)) {
        to(static_cast<host::LogLevel>(level), text, length);
        return;
    }
    static constexpr const char* kPrefix[] = {
        "barebpf: error: ", "barebpf: warning: ", "barebpf: ", "barebpf: trace: "};
    write_line(kPrefix[level & 3], text, length);
}

void Log::panic(const char* text) {
    write_line("barebpf: panic: ", text, strlen(text));
    abort();
}

}  // namespace barebpf::backend

namespace barebpf::machine {

using namespace user;  // NOLINT: its own parts

void set_log_callback(LogCallback to) {
    backend::callback.store(to, Order::Release);
}

}  // namespace barebpf::machine
