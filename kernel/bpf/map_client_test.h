// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf(2) on maps for tests, with the attr filled in: of this library or, for comparison, of the
// kernel that the test runs on. Every function returns what bpf(2) does, errors as -errno.
#pragma once

#include "kernel/bpf/syscall.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::test {

struct OurBpf {
    static s64 call(u32 command, void* attr, u32 size) {
        return bpf_command(command, host::UserAddress{reinterpret_cast<u64>(attr)}, size);
    }
    // The object is gone when this returns, if nothing else holds it.
    static void close(int fd) {
        machine::close_fd(fd);
        settle();
    }
};

struct KernelBpf {
    static s64 call(u32 command, void* attr, u32 size) { return kernel_bpf(command, attr, size); }
    static void close(int fd) { kernel_close(fd); }
};

inline u64 address_of(const void* pointer) {
    return reinterpret_cast<u64>(pointer);
}

template <class Bpf>
struct MapClient {
    static int create(u32 type, u32 key_size, u32 value_size, u32 entries, u32 flags = 0) {
        bpf_attr attr{};
        attr.map_type = type;
        attr.key_size = key_size;
        attr.value_size = value_size;
        attr.max_entries = entries;
        attr.map_flags = flags;
        return create(attr);
    }
    static int create(bpf_attr attr) {
        return static_cast<int>(Bpf::call(BPF_MAP_CREATE, &attr, sizeof attr));
    }
    // One of the element commands; value is next_key for MAP_GET_NEXT_KEY.
    static s64 element(u32 command, int fd, const void* key, const void* value, u64 flags) {
        bpf_attr attr{};
        attr.map_fd = static_cast<u32>(fd);
        attr.key = address_of(key);
        attr.value = address_of(value);
        attr.flags = flags;
        return Bpf::call(command, &attr, sizeof attr);
    }
    static s64 lookup(int fd, const void* key, void* value, u64 flags = 0) {
        return element(BPF_MAP_LOOKUP_ELEM, fd, key, value, flags);
    }
    static s64 update(int fd, const void* key, const void* value, u64 flags = 0) {
        return element(BPF_MAP_UPDATE_ELEM, fd, key, value, flags);
    }
    static s64 erase(int fd, const void* key) {
        return element(BPF_MAP_DELETE_ELEM, fd, key, nullptr, 0);
    }
    static s64 next_key(int fd, const void* key, void* next) {
        return element(BPF_MAP_GET_NEXT_KEY, fd, key, next, 0);
    }
    static s64 take(int fd, const void* key, void* value, u64 flags = 0) {
        return element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, key, value, flags);
    }
    static s64 freeze(int fd) {
        bpf_attr attr{};
        attr.map_fd = static_cast<u32>(fd);
        return Bpf::call(BPF_MAP_FREEZE, &attr, sizeof attr);
    }
    static s64 info(int fd, void* to, u32* size) {
        bpf_attr attr{};
        attr.info.bpf_fd = static_cast<u32>(fd);
        attr.info.info_len = *size;
        attr.info.info = address_of(to);
        const s64 result = Bpf::call(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof attr);
        *size = attr.info.info_len;
        return result;
    }
    // The id, or -errno.
    static s64 next_id(u32 after) {
        bpf_attr attr{};
        attr.start_id = after;
        const s64 result = Bpf::call(BPF_MAP_GET_NEXT_ID, &attr, sizeof attr);
        return result < 0 ? result : attr.next_id;
    }
    static s64 fd_by_id(u32 id, u32 flags = 0) {
        bpf_attr attr{};
        attr.map_id = id;
        attr.open_flags = flags;
        return Bpf::call(BPF_MAP_GET_FD_BY_ID, &attr, sizeof attr);
    }
    static void close(int fd) { Bpf::close(fd); }
};

}  // namespace barebpf::test
