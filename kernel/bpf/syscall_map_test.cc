// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf(2) on maps: the rules for attr, what descriptors allow, ids, info, freezing, mapping.
#include <poll.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernel/bpf/map.h"
#include "kernel/bpf/map_client_test.h"
#include "kernel/lib/text.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using test::error;
using test::map_of;

class SyscallMap : public test::WithDescriptors {
protected:
    int make(u32 type, u32 flags = 0, u32 entries = 4) {
        return keep(Client::create(type, 4, 8, entries, flags));
    }
};

bpf_attr small_hash() {
    return test::map_attr(BPF_MAP_TYPE_HASH, 4, 8, 4);
}

TEST_F(SyscallMap, AttrMayBeShorterOrLongerThanOurs) {
    struct {
        bpf_attr attr;
        u8 more[8192];
    } big{};
    big.attr = small_hash();
    const auto create = [&](u32 size) { return test::OurBpf::call(BPF_MAP_CREATE, &big, size); };
    for (const u32 size : {16u, 17u, 48u, 72u, 144u, 145u, 4096u}) keep(create(size));
    EXPECT_EQ(create(4097), error(Errno::TooBig));
    big.more[100] = 1;
    keep(create(244));
    EXPECT_EQ(create(245), error(Errno::TooBig));
}

// Of sockets, devices, CPUs, cgroups, tasks and inodes, and what came after 6.1.
TEST_F(SyscallMap, ATypeThatIsNotBuiltIsInvalid) {
    constexpr struct {
        const char* name;
        u32 type, key_size, value_size, flags;
    } kTypes[] = {
        {"unspec", BPF_MAP_TYPE_UNSPEC, 4, 4, 0},
        {"devmap", BPF_MAP_TYPE_DEVMAP, 4, 4, 0},
        {"devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 0},
        {"cpumap", BPF_MAP_TYPE_CPUMAP, 4, 4, 0},
        {"xskmap", BPF_MAP_TYPE_XSKMAP, 4, 4, 0},
        {"sockmap", BPF_MAP_TYPE_SOCKMAP, 4, 4, 0},
        {"sockhash", BPF_MAP_TYPE_SOCKHASH, 4, 4, 0},
        {"reuseport_sockarray", BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 4, 0},
        {"cgroup_storage", BPF_MAP_TYPE_CGROUP_STORAGE, 8, 8, 0},
        {"percpu_cgroup_storage", BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 8, 8, 0},
        {"sk_storage", BPF_MAP_TYPE_SK_STORAGE, 4, 8, BPF_F_NO_PREALLOC},
        {"inode_storage", BPF_MAP_TYPE_INODE_STORAGE, 4, 8, BPF_F_NO_PREALLOC},
        {"task_storage", BPF_MAP_TYPE_TASK_STORAGE, 4, 8, BPF_F_NO_PREALLOC},
        {"struct_ops", BPF_MAP_TYPE_STRUCT_OPS, 4, 8, 0},
        {"cgrp_storage", 32, 4, 8, BPF_F_NO_PREALLOC},
        {"arena", 33, 0, 0, BPF_F_MMAPABLE},
        {"insn_array", 34, 4, 8, 0},
        {"beyond all", ~u32{0}, 4, 4, 0},
    };
    for (const auto& one : kTypes) {
        EXPECT_EQ(Client::create(one.type, one.key_size, one.value_size, 1, one.flags),
                  error(Errno::Inval))
            << one.name;
    }
}

TEST_F(SyscallMap, WhatACommandDoesNotUseMustBeZero) {
    const int fd = make(BPF_MAP_TYPE_HASH);
    bpf_attr attr{};
    attr.map_fd = static_cast<u32>(fd);
    attr.value = 1;  // behind map_fd, which is all that MAP_FREEZE uses
    EXPECT_EQ(test::OurBpf::call(BPF_MAP_FREEZE, &attr, sizeof attr), error(Errno::Inval));
    const u32 key = 1;
    EXPECT_EQ(Client::element(BPF_MAP_DELETE_ELEM, fd, &key, &key, 0), error(Errno::Inval));
    EXPECT_EQ(Client::element(BPF_MAP_DELETE_ELEM, fd, &key, nullptr, 1), error(Errno::Inval));
    EXPECT_EQ(test::OurBpf::call(9999, &attr, sizeof attr), error(Errno::Inval));
    EXPECT_EQ(test::OurBpf::call(9999, reinterpret_cast<void*>(8), 8), error(Errno::Fault));
    EXPECT_EQ(test::OurBpf::call(BPF_MAP_CREATE, reinterpret_cast<void*>(8), 5000),
              error(Errno::TooBig));
}

TEST_F(SyscallMap, NamesAreChecked) {
    const auto create = [&](const char* name) {
        bpf_attr attr = small_hash();
        std::memcpy(attr.map_name, name, std::min(std::strlen(name), sizeof attr.map_name));
        return Client::create(attr);
    };
    bpf_map_info info{};
    u32 size = sizeof info;
    ASSERT_EQ(Client::info(keep(create("az_AZ.09")), &info, &size), 0);
    EXPECT_STREQ(info.name, "az_AZ.09");
    keep(create("fifteen_letters"));
    EXPECT_EQ(create("sixteen__letters"), error(Errno::Inval));
    for (const char* bad : {"a b", "a-b", "\xc3\xa4", "a/", "@"}) {
        EXPECT_EQ(create(bad), error(Errno::Inval)) << bad;
    }
}

TEST_F(SyscallMap, CreateRefusesWhatItCannotServe) {
    const auto with = [&](auto change) {
        bpf_attr attr = small_hash();
        change(attr);
        return Client::create(attr);
    };
    EXPECT_EQ(with([](bpf_attr& a) { a.map_type = 9999; }), error(Errno::Inval));
    EXPECT_EQ(with([](bpf_attr& a) { a.map_type = 0; }), error(Errno::Inval));
    EXPECT_EQ(with([](bpf_attr& a) { a.map_extra = 1; }), error(Errno::Inval));
    EXPECT_EQ(with([](bpf_attr& a) { a.map_ifindex = 1; }), error(Errno::OpNotSupp));
    EXPECT_EQ(with([](bpf_attr& a) { a.btf_key_type_id = 1; }), error(Errno::Inval));
    EXPECT_EQ(with([](bpf_attr& a) { a.btf_vmlinux_value_type_id = 1; }), error(Errno::Inval));
    EXPECT_EQ(with([](bpf_attr& a) { a.map_flags = BPF_F_RDONLY | BPF_F_WRONLY; }),
              error(Errno::Inval));
    EXPECT_EQ(with([](bpf_attr& a) {
                  a.map_flags = BPF_F_NUMA_NODE;
                  a.numa_node = 5;
              }),
              error(Errno::Inval));
    keep(with([](bpf_attr& a) { a.numa_node = 5; }));
    keep(with([](bpf_attr& a) {
        a.map_flags = BPF_F_NUMA_NODE;
        a.numa_node = ~0u;
    }));
}

TEST_F(SyscallMap, EachFailedAllocationOfCreateIsCleanedUp) {
    for (const u32 type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY}) {
        for (const u32 flags : {0u, type == BPF_MAP_TYPE_HASH ? 1u : u32{BPF_F_MMAPABLE}}) {
            keep(Client::create(type, 4, 8, 4, flags));  // makes the id table's nodes
            host::rcu_barrier();
            const s64 blocks = machine::live_memory().blocks;
            for (u64 fail = 0;; ++fail) {
                machine::fail_allocation_after(fail);
                const int fd = Client::create(type, 4, 8, 4, flags);
                const bool failed = machine::stop_failing_allocations();
                EXPECT_EQ(fd < 0, failed) << fail;
                if (fd >= 0) Client::close(fd);
                for (u32 i = 0; i < 2; ++i) host::rcu_barrier();
                EXPECT_EQ(machine::live_memory().blocks, blocks) << fail;
                if (!failed) break;
                ASSERT_LT(fail, u64{30});
            }
        }
    }
}

TEST_F(SyscallMap, DescriptorsAllowWhatTheyWereMadeFor) {
    const u32 key = 1;
    u64 value = 2;
    u32 next;
    const int read_only = make(BPF_MAP_TYPE_HASH, BPF_F_RDONLY);
    EXPECT_EQ(Client::update(read_only, &key, &value), error(Errno::Perm));
    EXPECT_EQ(Client::erase(read_only, &key), error(Errno::Perm));
    EXPECT_EQ(Client::take(read_only, &key, &value), error(Errno::Perm));
    EXPECT_EQ(Client::freeze(read_only), error(Errno::Perm));
    EXPECT_EQ(Client::lookup(read_only, &key, &value), error(Errno::NoEnt));
    EXPECT_EQ(Client::next_key(read_only, nullptr, &next), error(Errno::NoEnt));
    const int write_only = make(BPF_MAP_TYPE_HASH, BPF_F_WRONLY);
    EXPECT_EQ(Client::update(write_only, &key, &value), 0);
    EXPECT_EQ(Client::lookup(write_only, &key, &value), error(Errno::Perm));
    EXPECT_EQ(Client::next_key(write_only, nullptr, &next), error(Errno::Perm));
    EXPECT_EQ(Client::take(write_only, &key, &value), error(Errno::Perm));
    EXPECT_EQ(Client::erase(write_only, &key), 0);
    EXPECT_EQ(Client::lookup(9999, &key, &value), error(Errno::BadF));
}

TEST_F(SyscallMap, BadPointersAreErrors) {
    const auto* bad = reinterpret_cast<void*>(8);
    const u32 key = 1;
    u64 value = 2;
    const int fd = make(BPF_MAP_TYPE_HASH);
    ASSERT_EQ(Client::update(fd, &key, &value), 0);
    EXPECT_EQ(Client::lookup(fd, bad, &value), error(Errno::Fault));
    EXPECT_EQ(Client::element(BPF_MAP_LOOKUP_ELEM, fd, &key, bad, 0), error(Errno::Fault));
    EXPECT_EQ(Client::update(fd, bad, &value), error(Errno::Fault));
    EXPECT_EQ(Client::update(fd, &key, bad), error(Errno::Fault));
    EXPECT_EQ(Client::erase(fd, bad), error(Errno::Fault));
    EXPECT_EQ(Client::element(BPF_MAP_GET_NEXT_KEY, fd, nullptr, bad, 0), error(Errno::Fault));
    const u32 absent = 7;
    EXPECT_EQ(Client::element(BPF_MAP_LOOKUP_ELEM, fd, &absent, bad, 0), error(Errno::NoEnt));
}

TEST_F(SyscallMap, FrozenMapsAreReadOnlyToUserSpace) {
    const u32 key = 1;
    u64 value = 2;
    for (const u32 type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY}) {
        const int fd = make(type);
        ASSERT_EQ(Client::update(fd, &key, &value), 0);
        EXPECT_EQ(Client::freeze(fd), 0);
        EXPECT_EQ(Client::freeze(fd), error(Errno::Perm));
        EXPECT_EQ(Client::update(fd, &key, &value), error(Errno::Perm));
        EXPECT_EQ(Client::erase(fd, &key), error(Errno::Perm));
        value = 0;
        EXPECT_EQ(Client::lookup(fd, &key, &value), 0);
        EXPECT_EQ(value, u64{2});
        Map* map = map_of(fd);
        EXPECT_EQ(map->ops->update(map, &key, &value, 0), 0);  // programs still write
    }
}

TEST_F(SyscallMap, FreezingWaitsForNobodyAndWritersAreExact) {
    const int fd = make(BPF_MAP_TYPE_HASH);
    Map* map = map_of(fd);
    ASSERT_TRUE(map->refs.start_writing());
    EXPECT_EQ(Client::freeze(fd), error(Errno::Busy));
    map->refs.stop_writing();
    EXPECT_EQ(Client::freeze(fd), 0);
    EXPECT_FALSE(map->refs.start_writing());
}

TEST_F(SyscallMap, LookupAndDeleteIsForHashes) {
    const u32 key = 1;
    u64 value = 2;
    EXPECT_EQ(Client::take(make(BPF_MAP_TYPE_ARRAY), &key, &value), error(Errno::NotSupp));
    const int fd = make(BPF_MAP_TYPE_HASH);
    EXPECT_EQ(Client::take(fd, &key, &value), error(Errno::NoEnt));
    EXPECT_EQ(Client::take(fd, &key, &value, BPF_F_LOCK), error(Errno::Inval));
    EXPECT_EQ(Client::take(fd, &key, &value, 1), error(Errno::Inval));
    Client::update(fd, &key, &value);
    value = 0;
    EXPECT_EQ(Client::take(fd, &key, &value), 0);
    EXPECT_EQ(value, u64{2});
}

TEST_F(SyscallMap, IdsLeadToDescriptors) {
    const int a = make(BPF_MAP_TYPE_HASH);
    const int b = make(BPF_MAP_TYPE_ARRAY);
    const u32 id_a = map_of(a)->id;
    const u32 id_b = map_of(b)->id;
    EXPECT_LT(id_a, id_b);
    EXPECT_EQ(Client::next_id(id_a), id_b);
    EXPECT_EQ(Client::next_id(id_b), error(Errno::NoEnt));
    EXPECT_EQ(Client::next_id(0x7fffffff), error(Errno::Inval));
    const int again = keep(Client::fd_by_id(id_a));
    EXPECT_EQ(map_of(again), map_of(a));
    const u32 key = 1;
    u64 value = 2;
    const int read_only = keep(Client::fd_by_id(id_a, BPF_F_RDONLY));
    EXPECT_EQ(Client::update(read_only, &key, &value), error(Errno::Perm));
    EXPECT_EQ(Client::fd_by_id(id_a, BPF_F_RDONLY | BPF_F_WRONLY), error(Errno::Inval));
    EXPECT_EQ(Client::fd_by_id(id_a, 1), error(Errno::Inval));
    EXPECT_EQ(Client::fd_by_id(0x7ffffff0), error(Errno::NoEnt));

    const int gone = Client::create(small_hash());
    const u32 id_gone = map_of(gone)->id;
    Client::close(gone);
    EXPECT_EQ(Client::fd_by_id(id_gone), error(Errno::NoEnt));
}

TEST_F(SyscallMap, InfoFitsItselfToTheCaller) {
    bpf_attr attr = small_hash();
    attr.map_flags = BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG;
    const int fd = keep(Client::create(attr));
    std::vector<u8> bytes(5000);
    const auto ask = [&](u32 size, u32 expected_size) {
        const s64 result = Client::info(fd, bytes.data(), &size);
        EXPECT_EQ(size, expected_size);
        return result;
    };
    EXPECT_EQ(ask(0, 0), 0);
    EXPECT_EQ(ask(8, 8), 0);
    EXPECT_EQ(ask(4096, sizeof(bpf_map_info)), 0);
    EXPECT_EQ(ask(4097, 4097), error(Errno::TooBig));
    bpf_map_info info;
    std::memcpy(&info, bytes.data(), sizeof info);
    EXPECT_EQ(info.type, u32{BPF_MAP_TYPE_HASH});
    EXPECT_EQ(info.key_size, 4u);
    EXPECT_EQ(info.value_size, 8u);
    EXPECT_EQ(info.max_entries, 4u);
    EXPECT_EQ(info.map_flags, attr.map_flags);
    EXPECT_EQ(info.id, map_of(fd)->id);
    bytes[200] = 1;
    EXPECT_EQ(ask(200, sizeof(bpf_map_info)), 0);
    EXPECT_EQ(ask(201, 201), error(Errno::TooBig));
    u32 size = 88;
    EXPECT_EQ(Client::info(fd, reinterpret_cast<void*>(8), &size), error(Errno::Fault));
    EXPECT_EQ(Client::info(9999, bytes.data(), &size), -EBADFD);
}

TEST_F(SyscallMap, FdinfoReadsAsLinuxWritesIt) {
    const int fd = make(BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC);
    char text[512];
    TextBuffer out(text);
    ASSERT_TRUE(machine::fd_info(fd, &out));
    char expected[512];
    TextBuffer wanted(expected);
    wanted.print("map_type:\t1\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t4\nmap_flags:\t0x1\n",
                 "map_extra:\t0x0\nmemlock:\t", map_of(fd)->memory.bytes(), "\nmap_id:\t",
                 map_of(fd)->id, "\nfrozen:\t0\n");
    EXPECT_STREQ(text, expected);
    EXPECT_STREQ(machine::fd_name(fd), "anon_inode:bpf-map");
    EXPECT_EQ(map_of(fd)->file_ops->poll(map_of(fd)), u32{POLLERR});
}

class SyscallMapMmap : public SyscallMap {
protected:
    // As mmap(2) with MAP_SHARED asks; the error, or 0 and the pages.
    int ask(int fd, u64 offset, u64 length, bool writable, bool shared = true) {
        const host::MmapRequest request{offset, length, writable, shared, false};
        auto got = map_of(fd)->file_ops->mmap(map_of(fd), request);
        if (!got) return to_int(got.error());
        EXPECT_EQ(got.value().count, (length + 4095) / 4096);
        EXPECT_EQ(got.value().may_write, writable);
        if (release_) map_of(fd)->file_ops->munmapped(map_of(fd), request);
        return 0;
    }
    bool release_ = true;
};

TEST_F(SyscallMapMmap, ErrorsAreLinuxs) {
    const int fd = make(BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 1000);  // two pages
    EXPECT_EQ(ask(fd, 0, 8192, true), 0);
    EXPECT_EQ(ask(fd, 4096, 4096, true), 0);
    EXPECT_EQ(ask(fd, 0, 8193, true), to_int(Errno::Inval));
    EXPECT_EQ(ask(fd, 8192, 4096, true), to_int(Errno::Inval));
    EXPECT_EQ(ask(fd, ~u64{4095}, 8192, true), to_int(Errno::Inval));
    EXPECT_EQ(ask(fd, 0, 4096, true, false), to_int(Errno::Inval));
    EXPECT_EQ(ask(make(BPF_MAP_TYPE_ARRAY), 0, 4096, true), to_int(Errno::Inval));
    EXPECT_EQ(ask(make(BPF_MAP_TYPE_HASH), 0, 4096, true), to_int(Errno::NotSupp));
    const int constant = make(BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
    EXPECT_EQ(ask(constant, 0, 4096, true), to_int(Errno::Acces));
    EXPECT_EQ(ask(constant, 0, 4096, false), 0);
    EXPECT_EQ(Client::freeze(constant), 0);
    EXPECT_EQ(ask(constant, 0, 4096, true), to_int(Errno::Perm));
}

TEST_F(SyscallMapMmap, AWritableMappingKeepsAMapFromFreezing) {
    const int fd = make(BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE);
    release_ = false;
    EXPECT_EQ(ask(fd, 0, 4096, true), 0);
    EXPECT_EQ(Client::freeze(fd), error(Errno::Busy));
    map_of(fd)->file_ops->munmapped(map_of(fd), {0, 4096, true, true, false});
    EXPECT_EQ(Client::freeze(fd), 0);
    EXPECT_EQ(ask(fd, 0, 4096, true), to_int(Errno::Perm));
    release_ = true;
    EXPECT_EQ(ask(fd, 0, 4096, false), 0);
}

// The mapping outlives the descriptor.
TEST_F(SyscallMapMmap, AMappingHoldsTheMap) {
    const int fd = Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE);
    Map* map = map_of(fd);
    release_ = false;
    EXPECT_EQ(ask(fd, 0, 4096, true), 0);
    Client::close(fd);
    host::rcu_barrier();
    EXPECT_EQ(map->refs.count(), 1u);
    map->file_ops->munmapped(map, {0, 4096, true, true, false});
}

}  // namespace
}  // namespace barebpf
