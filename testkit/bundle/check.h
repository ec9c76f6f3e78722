// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What has to hold of a bundle's bytes before anything is made of them, and where the parts of a record are.
#pragma once

#include "testkit/bundle/load.h"

namespace barebpf::bundle {

// The fields of a record or the header: bytes may stand at any address.
template <class T>
T fields(const u8* at) {
    T copy;
    __builtin_memcpy(&copy, at, sizeof copy);
    return copy;
}

// Goes through the parts of a record, in their order.
class Parts {
public:
    template <class T>
    Parts(const u8* at, const T& fields_of_it)
        : at_(at + sizeof(T)), left_(fields_of_it.record.size - sizeof(T)) {}

    // The next part; null if the record ends in it, or what fills it up is not zero.
    const u8* take(u64 size) {
        if (size > left_ || padded(size) > left_) return nullptr;
        const u8* part = at_;
        for (u64 i = size; i < padded(size); ++i)
            if (part[i]) return nullptr;
        at_ += padded(size);
        left_ -= padded(size);
        return part;
    }
    bool at_end() const { return left_ == 0; }

private:
    const u8* at_;
    u64 left_;
};

// Fills in everything but the descriptors of objects. False: error says what is wrong, there are no objects.
bool check_bundle(const u8* bytes, size_t size, host::MemoryOwner* memory,
                  host::Buffer<Object>* objects, TextBuffer* error);

}  // namespace barebpf::bundle
