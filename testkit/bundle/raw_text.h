// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The plain form of a run: what the guest prints and `barebpf run --raw` too, so that the two can be compared
// byte by byte, and `barebpf run --from-guest` can show the one like the other. docs/bundle.md describes it.
#pragma once

#include "kernel/lib/text.h"
#include "kernel/lib/types.h"

namespace barebpf::bundle {

// Lines "run: WORD WORD ...", of any length, handed on in pieces.
class RawText {
public:
    explicit RawText(void (*write)(const char* text, size_t length)) : write_(write) {}
    RawText(const RawText&) = delete;
    RawText& operator=(const RawText&) = delete;

    void begin(const char* what) { out_.print("run: ", what); }
    template <class T>
    void add(const T& word) {
        room_for(96);
        out_.print(" ", word);
    }
    void add_name(Bytes name) {
        add("");
        for (size_t i = 0; i < name.size; ++i) {
            room_for(1);
            out_.append(name.data[i]);
        }
    }
    // As hexadecimal digits; "-" for none.
    void add_hex(const void* data, size_t size) {
        add(size ? "" : "-");
        append_hex(data, size);
    }
    void add_cpu_value(u32 cpu, const void* data, size_t size) {
        room_for(32);
        out_.print(" cpu", cpu, "=");
        append_hex(data, size);
    }
    void end() {
        out_.append('\n');
        flush();
    }

private:
    void append_hex(const void* data, size_t size) {
        const auto* bytes = static_cast<const u8*>(data);
        for (size_t i = 0; i < size; ++i) {
            room_for(2);
            out_.print(HexDigits{bytes[i], 2});
        }
    }
    void room_for(size_t characters) {
        if (out_.needed() + characters + 2 > sizeof text_) flush();
    }
    void flush() {
        write_(out_.c_str(), out_.length());
        out_.clear();
    }

    void (*write_)(const char* text, size_t length);
    char text_[256];
    TextBuffer out_{text_};
};

}  // namespace barebpf::bundle
