// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf(2) on maps for tests, with the attr filled in: of this library or, for comparison, of the
// kernel that the test runs on. Every function returns what bpf(2) does, errors as -errno.
#pragma once

#include <vector>

#include "kernel/bpf/map_test.h"
#include "kernel/bpf/syscall.h"

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

constexpr s64 error(Errno e) {
    return -to_int(e);
}

// Borrowed from the descriptor, which counts.
inline Map* map_of(int fd) {
    Map* map = map_get_by_fd(fd).release().map;
    map_put(map);
    return map;
}

struct Batch {
    u32 command;
    int fd;
    u32 count;
    void* keys = nullptr;
    void* values = nullptr;
    void* in = nullptr;
    void* out = nullptr;
    u64 elem_flags = 0, flags = 0;
};

template <class Bpf>
struct MapClient {
    static int create(u32 type, u32 key_size, u32 value_size, u32 entries, u32 flags = 0) {
        return create(map_attr(type, key_size, value_size, entries, flags));
    }
    // A map of maps like inner.
    static int create_outer(u32 type, u32 key_size, u32 entries, int inner, u32 flags = 0) {
        bpf_attr attr = map_attr(type, key_size, 4, entries, flags);
        attr.inner_map_fd = static_cast<u32>(inner);
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
    // count is what bpf(2) made of it.
    static s64 batch(Batch& b) {
        bpf_attr attr{};
        attr.batch.map_fd = static_cast<u32>(b.fd);
        attr.batch.count = b.count;
        attr.batch.keys = address_of(b.keys);
        attr.batch.values = address_of(b.values);
        attr.batch.in_batch = address_of(b.in);
        attr.batch.out_batch = address_of(b.out);
        attr.batch.elem_flags = b.elem_flags;
        attr.batch.flags = b.flags;
        const s64 result = Bpf::call(b.command, &attr, sizeof attr);
        b.count = attr.batch.count;
        return result;
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

// For fixtures: descriptors that are closed with the test, which is inside the library; nothing is left then.
class WithDescriptors : public ::testing::Test {
protected:
    void SetUp() override {
        host::rcu_barrier();
        before_ = machine::live_memory();
    }
    void TearDown() override {
        for (const int fd : fds_) OurBpf::close(fd);
        for (u32 i = 0; i < 3; ++i) host::rcu_barrier();
        EXPECT_EQ(machine::live_memory().blocks, before_.blocks);
    }
    int keep(s64 fd) {
        EXPECT_GE(fd, 0);
        if (fd >= 0) fds_.push_back(static_cast<int>(fd));
        return static_cast<int>(fd);
    }
    void drop(int fd) {
        std::erase(fds_, fd);
        OurBpf::close(fd);
    }

    host::Cpu::Entry inside_;
    machine::LiveMemory before_;
    std::vector<int> fds_;
};

}  // namespace barebpf::test
