// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests of maps: type information with a few types, loaded here or into the running kernel.
#pragma once

#include <vector>

#include "kernel/bpf/map_client_test.h"
#include "uapi/linux/btf.h"

namespace barebpf::test::btf {

inline constexpr u32 kU32 = 1, kU64 = 2, kLock = 3, kLocked = 4, kNone = 0;

// u32; u64; struct bpf_spin_lock; struct locked { u32; bpf_spin_lock; u64 }.
inline std::vector<u8> make() {
    const char strings[] = "\0u32\0u64\0bpf_spin_lock\0val\0locked\0a\0b\0c";
    const u32 structure = BTF_KIND_STRUCT << 24;
    const u32 types[] = {
        1,  BTF_KIND_INT << 24, 4,  32,                                       // u32
        5,  BTF_KIND_INT << 24, 8,  64,                                       // u64
        9,  structure | 1,      4,  23, kU32, 0,                              // bpf_spin_lock
        27, structure | 3,      16, 34, kU32, 0, 36, kLock, 32, 38, kU64, 64  // locked
    };
    btf_header header{};
    header.magic = BTF_MAGIC;
    header.version = BTF_VERSION;
    header.hdr_len = sizeof header;
    header.type_len = sizeof types;
    header.str_off = sizeof types;
    header.str_len = sizeof strings;
    std::vector<u8> blob;
    const auto append = [&](const void* data, size_t size) {
        blob.insert(blob.end(), static_cast<const u8*>(data), static_cast<const u8*>(data) + size);
    };
    append(&header, sizeof header);
    append(types, sizeof types);
    append(strings, sizeof strings);
    return blob;
}

template <class Bpf>
int load() {
    const std::vector<u8> blob = make();
    bpf_attr attr{};
    attr.btf = test::address_of(blob.data());
    attr.btf_size = static_cast<u32>(blob.size());
    return static_cast<int>(Bpf::call(BPF_BTF_LOAD, &attr, sizeof attr));
}

}  // namespace barebpf::test::btf
