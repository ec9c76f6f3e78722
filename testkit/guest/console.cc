// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Lines on the console, and the library's messages.
//
// Who writes holds a word with its CPU's number + 1. An interrupt or NMI of the same CPU writes in between. When
// a CPU ends the run it takes the console for good, and the others' lines are dropped unless it lets them speak.
#include "testkit/guest/console.h"

#include "testkit/guest/guest.h"
#include "testkit/guest/kernel.h"
#include "testkit/machine.h"

namespace barebpf::guest {

namespace {

Atomic<u32> writer;  // CPU + 1; 0: nobody
Atomic<u32> only{};  // CPU + 1 that may write at all; 0: everybody
Atomic<machine::LogCallback> callback;
bool line_is_open;  // of print_hex(): the prefix is written

// For the life of it this CPU writes. Silent: it may not.
class Writing {
public:
    Writing() : self_(current_cpu() + 1) {
        const u32 chosen = only.load(Order::Acquire);
        if (chosen) {
            silent_ = chosen != self_;
            return;
        }
        if (writer.load(Order::Relaxed) == self_) return;  // nested
        u32 nobody = 0;
        // Pairs with the release below.
        while (!writer.compare_exchange(nobody, self_, Order::Acquire, Order::Relaxed)) {
            nobody = 0;
            backend::spin_hint();
            if (only.load(Order::Acquire)) {
                silent_ = only.load(Order::Relaxed) != self_;
                return;
            }
        }
        mine_ = true;
    }
    ~Writing() {
        if (mine_) writer.store(0, Order::Release);
    }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;

    void put(const char* text, size_t length) const {
        if (!silent_) arch::console_write(text, length);
    }
    void put(const char* text) const { put(text, __builtin_strlen(text)); }

private:
    u32 self_;
    bool silent_ = false;
    bool mine_ = false;
};

constexpr char kPrefix[] = "guest: ";

}  // namespace

void take_console(u32 cpu) {
    only.store(cpu + 1, Order::Release);
}

void console_write(const char* text, size_t length) {
    Writing writing;
    writing.put(text, length);
}

void print_line(const char* text) {
    Writing writing;
    writing.put(kPrefix);
    writing.put(text);
    writing.put("\n");
}

void print_hex(const char* name, u64 value) {
    char text[64];
    TextBuffer out(text);
    out.print(line_is_open ? "" : kPrefix, name, "=", HexDigits{value, 16}, " ");
    line_is_open = true;
    Writing writing;
    writing.put(out.c_str());
}

void print_newline() {
    line_is_open = false;
    Writing writing;
    writing.put("\n");
}

}  // namespace barebpf::guest

namespace barebpf::backend {

void Log::print(u8 level, const char* text, size_t length) {
    // Pairs with the release in set_log_callback().
    if (machine::LogCallback to = guest::callback.load(Order::Acquire)) {
        to(static_cast<host::LogLevel>(level), text, length);
        return;
    }
    static constexpr const char* kPrefixes[] = {
        "barebpf: error: ", "barebpf: warning: ", "barebpf: ", "barebpf: trace: "};
    guest::Writing writing;
    writing.put(kPrefixes[level & 3]);
    writing.put(text, length);
    writing.put("\n");
}

void Log::panic(const char* text) {
    guest::fail_with("panic: ", text);
}

}  // namespace barebpf::backend

namespace barebpf::machine {

void set_log_callback(LogCallback to) {
    guest::callback.store(to, host::Order::Release);
}

}  // namespace barebpf::machine
