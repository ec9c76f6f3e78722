// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The fuzzer's bytes, taken from the front; zeros when they are used up.
#pragma once

#include <stddef.h>
#include <string.h>

#include "kernel/lib/types.h"

namespace barebpf::fuzz {

class ByteSource {
public:
    ByteSource(const u8* data, size_t size) : data_(data), left_(size) {}

    bool empty() const { return left_ == 0; }
    size_t left() const { return left_; }

    template <class T>
    T take() {
        T value{};
        take_bytes(&value, sizeof value);
        return value;
    }
    u32 below(u32 limit) { return take<u8>() % limit; }

    // How many there were.
    size_t take_bytes(void* to, size_t size) {
        const size_t count = size < left_ ? size : left_;
        if (count) memcpy(to, data_, count);
        data_ += count;
        left_ -= count;
        return count;
    }

private:
    const u8* data_;
    size_t left_;
};

}  // namespace barebpf::fuzz
