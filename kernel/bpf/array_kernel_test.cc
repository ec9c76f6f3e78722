// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The array family, maps of maps and batches: the same commands to this library and to the kernel that the
// test runs on; every result must agree. Where 6.1 and a newer kernel differ, docs/differences.md says
// which one it is here, and the command is left out.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "kernel/bpf/on_kernel_test.h"

namespace barebpf {
namespace {

using test::Record;
using test::Side;
class ArrayOnKernel : public test::OnKernel {};

constexpr u32 kFamily[] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_CGROUP_ARRAY,
                           BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_ARRAY_OF_MAPS};

TEST_F(ArrayOnKernel, WhatCanBeMade) {
    compare([](auto& side) {
        const int inner = side.make(BPF_MAP_TYPE_ARRAY);
        for (const u32 type : kFamily) {
            for (const u32 value_size : {0u, 1u, 4u, 8u, 32768u, 32769u}) {
                for (const u32 entries : {0u, 1u, 5u}) {
                    bpf_attr attr = side.attr_of(type, value_size, entries);
                    attr.inner_map_fd = static_cast<u32>(inner);
                    const std::string what = "type " + std::to_string(type) + " value " +
                                             std::to_string(value_size) + " entries " +
                                             std::to_string(entries);
                    side.note(what, side.try_create(attr));
                    attr.key_size = 8;
                    side.note(what + " long key", side.try_create(attr));
                }
            }
            for (u32 bit = 0; bit < 14; ++bit) {
                bpf_attr attr = side.attr_of(type, 4);
                attr.map_flags = 1u << bit;
                attr.inner_map_fd = static_cast<u32>(inner);
                side.note("type " + std::to_string(type) + " flag " + std::to_string(bit),
                          side.try_create(attr));
            }
            bpf_attr attr = side.attr_of(type, 4, 4, BPF_F_NUMA_NODE);
            attr.inner_map_fd = static_cast<u32>(inner);
            attr.numa_node = ~u32{0};
            side.note("any node", side.try_create(attr));
            attr.map_flags = 0;
            attr.map_extra = 1;
            side.note("extra", side.try_create(attr));
        }
    });
}

// An attr that the type takes; larger values are so much larger.
bpf_attr typical(u32 type, u32 larger = 0) {
    switch (type) {
        case BPF_MAP_TYPE_QUEUE:
        case BPF_MAP_TYPE_STACK:
        case BPF_MAP_TYPE_BLOOM_FILTER:
            return test::map_attr(type, 0, 4 + larger, 4);
        case BPF_MAP_TYPE_LPM_TRIE:
            return test::map_attr(type, 8, 4 + larger, 4, BPF_F_NO_PREALLOC);
        case BPF_MAP_TYPE_STACK_TRACE:
            return test::map_attr(type, 4, 8 + larger * 2, 4);
        default:
            return test::map_attr(type, 4, 4 + larger, 4);
    }
}

// A type, and a map like it but for one thing.
TEST_F(ArrayOnKernel, WhatCanBeInside) {
    compare([]<class Bpf>(Side<Bpf>& side) {
        const auto outer_of = [&](int inner) {
            bpf_attr attr = side.attr_of(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4);
            attr.inner_map_fd = static_cast<u32>(inner);
            return side.keep(Side<Bpf>::Client::create(attr));
        };
        const auto put = [&](const std::string& what, int outer, int inner) {
            const u32 key = 1;
            side.note(what, Side<Bpf>::Client::update(outer, &key, &inner));
        };
        for (const u32 type :
             {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_CGROUP_ARRAY,
              BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH,
              BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_MAP_TYPE_PERF_EVENT_ARRAY,
              BPF_MAP_TYPE_LPM_TRIE, BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK,
              BPF_MAP_TYPE_BLOOM_FILTER, BPF_MAP_TYPE_STACK_TRACE}) {
            const std::string name = "type " + std::to_string(type);
            const auto another = [&](bpf_attr attr) {
                return side.keep(Side<Bpf>::Client::create(attr));
            };
            const auto with_flag = [&](u32 flag) {
                bpf_attr attr = typical(type);
                attr.map_flags |= flag;
                return another(attr);
            };
            const int inner = another(typical(type));
            const int outer = outer_of(inner);
            side.note(name + " outer", outer < 0 ? outer : 0);
            if (outer < 0) continue;
            bpf_attr longer = typical(type);
            longer.max_entries = 5;
            put(name + " itself", outer, inner);
            put(name + " alike", outer, another(typical(type)));
            put(name + " longer", outer, another(longer));
            put(name + " larger", outer, another(typical(type, 4)));
            put(name + " flags", outer, with_flag(BPF_F_RDONLY_PROG));
            put(name + " access", outer, with_flag(BPF_F_RDONLY));
            put(name + " none", outer, -1);
            put(name + " outer", outer, outer);
        }
        const int inner = side.make(BPF_MAP_TYPE_ARRAY, 4, 4, BPF_F_INNER_MAP);
        const int outer = outer_of(inner);
        put("any length", outer, side.make(BPF_MAP_TYPE_ARRAY, 4, 9, BPF_F_INNER_MAP));
        put("not any length", outer, side.make(BPF_MAP_TYPE_ARRAY, 4, 4));
        side.note("level 2", outer_of(outer));
        side.note("no map", outer_of(-1));
        side.note("something else", outer_of(1));
    });
}

TEST_F(ArrayOnKernel, Elements) {
    compare([]<class Bpf>(Side<Bpf>& side) {
        using Client = typename Side<Bpf>::Client;
        std::vector<u64> value(1024, 0x0102030405060708);
        for (const u32 type : kFamily) {
            bpf_attr attr = side.attr_of(type, 4);
            attr.inner_map_fd = static_cast<u32>(side.make(BPF_MAP_TYPE_ARRAY));
            const int fd = side.keep(Client::create(attr));
            for (const u32 key : {0u, 3u, 4u, ~0u}) {
                const std::string what =
                    "type " + std::to_string(type) + " key " + std::to_string(key) + ' ';
                for (const u64 flags : {0, 1, 2, 3, 4, 5, 6, 8}) {
                    const std::string flag = " flags " + std::to_string(flags);
                    // Descriptor 0x05060708 is not open.
                    side.note(what + "update" + flag,
                              Client::update(fd, &key, value.data(), flags));
                    std::vector<u64> read(1024);
                    side.note(what + "lookup" + flag, Client::lookup(fd, &key, read.data(), flags));
                    side.note(what + "read", static_cast<s64>(read[0]));
                    side.note(what + "take" + flag, Client::take(fd, &key, read.data(), flags));
                }
                side.note(what + "erase", Client::erase(fd, &key));
                u32 next = 0;
                side.note(what + "next", Client::next_key(fd, &key, &next));
                side.note(what + "next is", next);
            }
            side.note("freeze", Client::freeze(fd));
            const u32 key = 0;
            side.note("frozen update", Client::update(fd, &key, value.data()));
            side.note("frozen erase", Client::erase(fd, &key));
            side.note("frozen lookup", Client::lookup(fd, &key, value.data()));
        }
    });
}

TEST_F(ArrayOnKernel, SlotsOfDescriptors) {
    compare([]<class Bpf>(Side<Bpf>& side) {
        using Client = typename Side<Bpf>::Client;
        const int array = side.make(BPF_MAP_TYPE_ARRAY);
        for (const u32 type :
             {BPF_MAP_TYPE_CGROUP_ARRAY, BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_ARRAY_OF_MAPS}) {
            bpf_attr attr = side.attr_of(type, 4);
            attr.inner_map_fd = static_cast<u32>(array);
            const int fd = side.keep(Client::create(attr));
            const int bad[] = {-1, 1, type == BPF_MAP_TYPE_ARRAY_OF_MAPS ? fd : array};
            for (u32 i = 0; i < 3; ++i) {
                const u32 key = 1;
                side.note("type " + std::to_string(type) + " wrong " + std::to_string(i),
                          Client::update(fd, &key, &bad[i]));
                side.note("erase", Client::erase(fd, &key));
            }
        }
    });
}

// ── Batches ───────────────────────────────────────────────────────────────────────────────────

constexpr u32 kBatchTypes[] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY,
                               BPF_MAP_TYPE_CGROUP_ARRAY, BPF_MAP_TYPE_PROG_ARRAY,
                               BPF_MAP_TYPE_ARRAY_OF_MAPS};
constexpr u32 kBatchCommandNumbers[] = {BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH,
                                        BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH};

TEST_F(ArrayOnKernel, BatchArguments) {
    compare([]<class Bpf>(Side<Bpf>& side) {
        using Client = typename Side<Bpf>::Client;
        const int inner = side.make(BPF_MAP_TYPE_ARRAY);
        for (const u32 type : kBatchTypes) {
            for (const u32 map_flags : {0u, u32{BPF_F_RDONLY}, u32{BPF_F_WRONLY}}) {
                bpf_attr attr = side.attr_of(type, 4, 4, map_flags);
                attr.inner_map_fd = static_cast<u32>(inner);
                const int fd = side.keep(Client::create(attr));
                for (const u32 command : kBatchCommandNumbers) {
                    const std::string what =
                        "type " + std::to_string(type) + " flags " + std::to_string(map_flags);
                    u32 keys[8] = {0, 1, 2, 3, 4, 5, 6, 7};
                    std::vector<u64> values(4096, ~u64{0});
                    u64 in[2] = {1}, out[2] = {};
                    const auto call = [&](const char* how, test::Batch b) {
                        b.command = command;
                        b.fd = fd;
                        side.batch(what + ' ' + how, b);
                        side.note("out", static_cast<u32>(out[0]));
                    };
                    call("none", {.count = 0});
                    call("null", {.count = 2});
                    call("null keys", {.count = 2, .values = values.data(), .out = out});
                    call("null out", {.count = 2, .keys = keys, .values = values.data()});
                    if (type == BPF_MAP_TYPE_ARRAY_OF_MAPS) continue;
                    call("two", {.count = 2, .keys = keys, .values = values.data(), .out = out});
                    call("two from 1",
                         {.count = 2, .keys = keys, .values = values.data(), .in = in, .out = out});
                    keys[0] = 0, keys[1] = 1, keys[2] = 2, keys[3] = 3;
                    call("all", {.count = 4, .keys = keys, .values = values.data(), .out = out});
                    keys[0] = 0, keys[1] = 9, keys[2] = 2, keys[3] = 3;
                    call("more", {.count = 8, .keys = keys, .values = values.data(), .out = out});
                    for (const u64 flags : {u64{1}, u64{2}, u64{4}, u64{8}, u64{1} << 40}) {
                        call("elem_flags", {.count = 2,
                                            .keys = keys,
                                            .values = values.data(),
                                            .out = out,
                                            .elem_flags = flags});
                        call("flags", {.count = 2,
                                       .keys = keys,
                                       .values = values.data(),
                                       .out = out,
                                       .flags = flags});
                    }
                }
            }
        }
        for (const u32 command : kBatchCommandNumbers) {
            side.batch("no map", {.command = command, .fd = -1, .count = 1});
            side.batch("something else", {.command = command, .fd = 1, .count = 1});
        }
    });
}

TEST_F(ArrayOnKernel, BatchesOfAnArray) {
    compare([]<class Bpf>(Side<Bpf>& side) {
        const int fd = side.make(BPF_MAP_TYPE_ARRAY, 12, 1000);
        std::vector<u32> keys(1000), values(3000);
        for (u32 i = 0; i < 1000; ++i) keys[i] = i, values[3 * i] = i * 7, values[3 * i + 2] = i;
        side.batch("update", {.command = BPF_MAP_UPDATE_BATCH,
                              .fd = fd,
                              .count = 1000,
                              .keys = keys.data(),
                              .values = values.data()});
        for (const u32 step : {1u, 7u, 256u, 257u, 999u, 1000u, 5000u}) {
            u32 cursor = 0;
            bool first = true;
            for (s64 result = 0; result == 0; first = false) {
                std::vector<u32> k(step, 77), v(step * 3, 77);
                result = side.batch("walk", {.command = BPF_MAP_LOOKUP_BATCH,
                                             .fd = fd,
                                             .count = step,
                                             .keys = k.data(),
                                             .values = v.data(),
                                             .in = first ? nullptr : &cursor,
                                             .out = &cursor});
                u64 sum = 0;
                for (u32 x : k) sum = sum * 31 + x;
                for (u32 x : v) sum = sum * 31 + x;
                side.note("sum", static_cast<s64>(sum));
                side.note("cursor", cursor);
            }
        }
        keys[600] = 5000;
        side.batch("unknown key", {.command = BPF_MAP_UPDATE_BATCH,
                                   .fd = fd,
                                   .count = 1000,
                                   .keys = keys.data(),
                                   .values = values.data()});
    });
}

// What a look-up that faults has written before is nobody's business.
TEST_F(ArrayOnKernel, BatchesThatFault) {
    compare([]<class Bpf>(Side<Bpf>& side) {
        const int fd = side.make(BPF_MAP_TYPE_ARRAY, 4, 1000);
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        char* memory = static_cast<char*>(
            mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        mprotect(memory + page, page, PROT_NONE);
        std::vector<u32> good(1000);
        for (const u32 readable : {0u, 1u, 5u, 255u, 256u, 257u, 600u}) {
            u32* edge = reinterpret_cast<u32*>(memory + page) - readable;
            u32 out = 0;
            for (const u32 command : {BPF_MAP_UPDATE_BATCH, BPF_MAP_LOOKUP_BATCH}) {
                for (const bool keys : {true, false}) {
                    for (u32 i = 0; i < readable; ++i) edge[i] = i;
                    for (u32 i = 0; i < 1000; ++i) good[i] = 999 - i;
                    side.batch(keys ? "keys" : "values", {.command = command,
                                                          .fd = fd,
                                                          .count = 700,
                                                          .keys = keys ? edge : good.data(),
                                                          .values = keys ? good.data() : edge,
                                                          .out = &out});
                }
            }
            u32 value = 0;
            for (u32 key = 0; key < 1000; key += 5) {
                side.note("value", Side<Bpf>::Client::lookup(fd, &key, &value));
                side.note("is", value);
            }
        }
        munmap(memory, 2 * page);
    });
}

TEST_F(ArrayOnKernel, BatchesOfMaps) {
    compare([]<class Bpf>(Side<Bpf>& side) {
        const int inner = side.make(BPF_MAP_TYPE_ARRAY);
        bpf_attr attr = side.attr_of(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 8);
        attr.inner_map_fd = static_cast<u32>(inner);
        const int fd = side.keep(Side<Bpf>::Client::create(attr));
        u32 keys[8] = {0, 1, 2, 3, 4, 5, 6, 7}, values[8], out = 0;
        const auto walk = [&](const char* what) {
            u32 found[8] = {};
            side.batch(what, {.command = BPF_MAP_LOOKUP_BATCH,
                              .fd = fd,
                              .count = 8,
                              .keys = keys,
                              .values = found,
                              .out = &out});
            side.note("out", out);
            for (u32 id : found) side.note("there", id != 0);
        };
        walk("empty");
        for (u32& value : values) value = static_cast<u32>(inner);
        side.batch("put", {.command = BPF_MAP_UPDATE_BATCH,
                           .fd = fd,
                           .count = 8,
                           .keys = keys,
                           .values = values});
        walk("full");
        for (const u32 hole : {7u, 3u, 0u}) {
            Side<Bpf>::Client::erase(fd, &hole);
            for (u32 i = 0; i < 8; ++i) keys[i] = i;
            walk("holes");
        }
        for (u32 i = 0; i < 8; ++i) keys[i] = i;
        values[5] = ~u32{0};
        side.batch("put wrong", {.command = BPF_MAP_UPDATE_BATCH,
                                 .fd = fd,
                                 .count = 8,
                                 .keys = keys,
                                 .values = values});
    });
}

// ── Description ───────────────────────────────────────────────────────────────────────────────

TEST_F(ArrayOnKernel, InfoAndFdinfo) {
    compare([]<class Bpf>(Side<Bpf>& side) {
        using Client = typename Side<Bpf>::Client;
        for (const u32 type : kFamily) {
            for (const u32 flags : {0u, u32{BPF_F_RDONLY}, u32{BPF_F_WRONLY}}) {
                bpf_attr attr = side.attr_of(type, 4, 5, flags);
                attr.inner_map_fd = static_cast<u32>(side.make(BPF_MAP_TYPE_ARRAY));
                std::memcpy(attr.map_name, "a_name", 6);
                const int fd = side.keep(Client::create(attr));
                for (const bool frozen : {false, true}) {
                    for (const std::string& line : test::describe(side, fd)) side.note(line, 0);
                    if (!frozen) side.note("freeze", Client::freeze(fd));
                }
            }
        }
    });
}

TEST_F(ArrayOnKernel, TypesOfKeysAndValues) {
    compare([]<class Bpf>(Side<Bpf>& side) {
        const int btf = test::load_two_types(side);
        side.note("btf", btf < 0 ? btf : 0);
        for (const u32 type :
             {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_CGROUP_ARRAY,
              BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_MAP_TYPE_ARRAY_OF_MAPS,
              BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_HASH_OF_MAPS, BPF_MAP_TYPE_LRU_HASH}) {
            for (const u32 key : {0u, 1u, 2u, 3u}) {
                for (const u32 value : {0u, 1u, 2u, 3u}) {
                    bpf_attr attr = side.attr_of(type, 4);
                    attr.inner_map_fd = static_cast<u32>(side.make(BPF_MAP_TYPE_ARRAY));
                    attr.btf_fd = static_cast<u32>(btf);
                    attr.btf_key_type_id = key;
                    attr.btf_value_type_id = value;
                    side.note("type " + std::to_string(type) + " key " + std::to_string(key) +
                                  " value " + std::to_string(value),
                              side.try_create(attr));
                }
            }
        }
    });
}

}  // namespace
}  // namespace barebpf
