// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BPF_MAP_CREATE of every type, held against the kernel that the test runs on: combinations of all that it takes, at the
// edges of each, drawn from a seed; the same errno, and what was made is described alike. A difference prints the
// whole request; BAREBPF_SEED=n draws from that seed.
#include <sys/sysinfo.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernel/bpf/on_kernel_test.h"
#include "kernel/lib/bits.h"

namespace barebpf {
namespace {

using test::KernelBpf;
using test::OurBpf;
using test::Side;

struct Type {
    u32 type;
    const char* name;
    u32 flags;                      // that it takes on Linux
    std::vector<u32> keys, values;  // sizes that it takes, and those just beside them
    // Whether it may be asked for 2^31 elements: it allocates nothing for them, or says at once that these are too many.
    bool any_number;
};

constexpr u32 kAccess = BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
constexpr u32 kHashFlags = kAccess | BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED;
constexpr u32 kLruFlags = (kHashFlags & ~BPF_F_NO_PREALLOC) | BPF_F_NO_COMMON_LRU;
// 6.1 knows none of these; 6.18 takes them for descriptors.
constexpr u32 kLaterFlags = 1u << 15 | 1u << 16;
constexpr u32 kTooLarge = (1u << 22) - 47;

const std::vector<u32> kHashKeys = {0, 1, 3, 4, 8, 13, 16, 512, 513, 1 << 20, kTooLarge, ~0u};
const std::vector<u32> kHashValues = {0, 1, 4, 8, 9, 300, 32760, 32769, kTooLarge, 1u << 22, ~0u};
const std::vector<u32> kArrayKeys = {0, 1, 4, 4, 4, 5, 8, ~0u};
const std::vector<u32> kArrayValues = {0, 1, 4, 4, 8, 13, 300, 32768, 32769};
const std::vector<u32> kDescriptors = {0, 1, 4, 4, 4, 5, 8};
const std::vector<u32> kNoKeys = {0, 0, 0, 0, 1, 4};

const Type kTypes[] = {
    {BPF_MAP_TYPE_HASH, "hash", kHashFlags, kHashKeys, kHashValues, true},
    {BPF_MAP_TYPE_PERCPU_HASH, "percpu_hash", kHashFlags, kHashKeys, kHashValues, true},
    {BPF_MAP_TYPE_LRU_HASH, "lru_hash", kLruFlags, kHashKeys, kHashValues, true},
    {BPF_MAP_TYPE_LRU_PERCPU_HASH, "lru_percpu_hash", kLruFlags, kHashKeys, kHashValues, true},
    {BPF_MAP_TYPE_HASH_OF_MAPS, "hash_of_maps", kHashFlags, kHashKeys, kDescriptors, true},
    {BPF_MAP_TYPE_ARRAY, "array",
     kAccess | BPF_F_NUMA_NODE | BPF_F_MMAPABLE | BPF_F_PRESERVE_ELEMS | BPF_F_INNER_MAP,
     kArrayKeys, kArrayValues, false},
    {BPF_MAP_TYPE_PERCPU_ARRAY, "percpu_array", kAccess | BPF_F_NUMA_NODE, kArrayKeys, kArrayValues,
     false},
    {BPF_MAP_TYPE_PROG_ARRAY, "prog_array", kAccess | BPF_F_NUMA_NODE, kArrayKeys, kDescriptors,
     false},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, "perf_event_array",
     kAccess | BPF_F_NUMA_NODE | BPF_F_PRESERVE_ELEMS, kArrayKeys, kDescriptors, false},
    {BPF_MAP_TYPE_CGROUP_ARRAY, "cgroup_array", kAccess | BPF_F_NUMA_NODE, kArrayKeys, kDescriptors,
     false},
    {BPF_MAP_TYPE_ARRAY_OF_MAPS, "array_of_maps", kAccess | BPF_F_NUMA_NODE, kArrayKeys,
     kDescriptors, false},
    {BPF_MAP_TYPE_LPM_TRIE,
     "lpm_trie",
     kAccess | BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE,
     {0, 4, 5, 8, 20, 260, 261, ~0u},
     kHashValues,
     true},
    {BPF_MAP_TYPE_QUEUE, "queue", kAccess | BPF_F_NUMA_NODE, kNoKeys, kHashValues, false},
    {BPF_MAP_TYPE_STACK, "stack", kAccess | BPF_F_NUMA_NODE, kNoKeys, kHashValues, false},
    {BPF_MAP_TYPE_BLOOM_FILTER, "bloom_filter", kAccess | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED,
     kNoKeys, kHashValues, false},
    {BPF_MAP_TYPE_STACK_TRACE,
     "stack_trace",
     BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_STACK_BUILD_ID,
     kArrayKeys,
     {0, 4, 7, 8, 12, 16, 24, 32, 64, 1016, 1024, 4064, 4096},
     false},
};

// What else a request may name, as descriptors of its side.
template <class Bpf>
struct Named {
    int array, of_maps, btf;
};
// Which of these it names.
enum class Inner : u8 { None, Array, OfMaps, Bad };
enum class Types : u8 { None, Good, Bad };

struct Request {
    bpf_attr attr;
    Inner inner;
    Types types;
};

template <class Bpf>
Named<Bpf> name_things(Side<Bpf>& side) {
    Named<Bpf> named;
    named.btf = test::load_two_types(side);
    named.array = side.make(BPF_MAP_TYPE_ARRAY);
    bpf_attr outer = side.attr_of(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4);
    outer.inner_map_fd = static_cast<u32>(named.array);
    named.of_maps = side.keep(Side<Bpf>::Client::create(outer));
    return named;
}

template <class Bpf>
bpf_attr attr_for(const Request& request, const Named<Bpf>& named) {
    bpf_attr attr = request.attr;
    const int inner[] = {-1, named.array, named.of_maps, named.btf};
    attr.inner_map_fd = static_cast<u32>(inner[static_cast<u32>(request.inner)]);
    const int btf[] = {0, named.btf, named.array};
    attr.btf_fd = static_cast<u32>(btf[static_cast<u32>(request.types)]);
    return attr;
}

class Draw {
public:
    explicit Draw(u64 seed) : random_(seed) {}

    Request request(const Type& type) {
        Request request{};
        bpf_attr& attr = request.attr;
        attr.map_type = type.type;
        attr.map_flags = flags(type);
        attr.key_size = of(type.keys);
        attr.value_size = of(type.values);
        attr.max_entries = entries(type);
        // Rounded up to so many for each CPU, of which the two may have different numbers.
        if (attr.map_flags & BPF_F_NO_COMMON_LRU && attr.max_entries < 1000) {
            attr.max_entries *= host::possible_cpus() * static_cast<u32>(get_nprocs_conf());
        }
        if (one_in(30)) attr.map_ifindex = of<u32>({1, 1000});
        if (one_in(type.type == BPF_MAP_TYPE_BLOOM_FILTER ? 2 : 20)) {
            attr.map_extra = of<u64>({1, 5, 15, 16, 17, u64{1} << 32, ~u64{0}});
        }
        if (one_in(4)) attr.numa_node = of<u32>({1, 2, 70, 1024, ~0u, ~0u, 1u << 31});
        request.inner =
            one_in(3) ? of<Inner>({Inner::None, Inner::OfMaps, Inner::Bad}) : Inner::Array;
        if (one_in(4)) {
            request.types = one_in(5) ? Types::Bad : Types::Good;
            attr.btf_key_type_id = of<u32>({0, 1, 1, 2, 3});
            attr.btf_value_type_id = of<u32>({0, 1, 1, 2, 3});
            if (one_in(8)) attr.btf_vmlinux_value_type_id = 1;
        }
        name(attr.map_name);
        return request;
    }

private:
    bool one_in(u32 n) { return random_() % n == 0; }
    template <class T>
    T of(const std::vector<T>& choices) {
        return choices[random_() % choices.size()];
    }
    u32 flags(const Type& type) {
        u32 some = 0;
        for (u32 i = random_() % 4; i; --i) some |= 1u << random_() % 32;
        some &= ~kLaterFlags;
        if (type.type == BPF_MAP_TYPE_LPM_TRIE && !one_in(4)) some |= BPF_F_NO_PREALLOC;
        if (one_in(3)) return some;
        return some & type.flags;
    }
    u32 entries(const Type& type) {
        if (type.any_number && one_in(6)) return of<u32>({1u << 31, (1u << 31) + 1, ~0u});
        return of<u32>({0, 1, 1, 2, 3, 5, 64, 100});
    }
    void name(char* to) {
        const char* names[] = {"",           "a_name",     "with.dot",        "fifteen_letters",
                               "with space", "with-minus", "sixteen_letters1"};
        std::strncpy(to, one_in(4) ? names[random_() % 7] : "", BPF_OBJ_NAME_LEN);
    }

    std::mt19937_64 random_;
};

std::string print(const Type& type, const Request& request) {
    const bpf_attr& attr = request.attr;
    char text[300];
    std::snprintf(
        text, sizeof text,
        "%s key %u value %u entries %u flags %#x extra %#llx node %u inner %u types %u key "
        "type %u value type %u vmlinux type %u ifindex %u name '%.16s'",
        type.name, attr.key_size, attr.value_size, attr.max_entries, attr.map_flags,
        static_cast<unsigned long long>(attr.map_extra), attr.numa_node,
        static_cast<u32>(request.inner), static_cast<u32>(request.types), attr.btf_key_type_id,
        attr.btf_value_type_id, attr.btf_vmlinux_value_type_id, attr.map_ifindex, attr.map_name);
    return text;
}

class MapCreate : public test::OnKernel {
protected:
    // Whether it was made.
    bool compare(const Type& type, const Request& request, const Named<OurBpf>& our_things,
                 const Named<KernelBpf>& kernels_things, Side<OurBpf>& ours,
                 Side<KernelBpf>& kernels) {
        const int a = Side<OurBpf>::Client::create(attr_for(request, our_things));
        const int b = Side<KernelBpf>::Client::create(attr_for(request, kernels_things));
        EXPECT_EQ(a < 0 ? a : 0, b < 0 ? b : 0) << "ours, the kernel's: " << print(type, request);
        if (a >= 0 && b >= 0) {
            EXPECT_EQ(test::describe(ours, a), test::describe(kernels, b)) << print(type, request);
        }
        if (a >= 0) OurBpf::close(a);
        if (b >= 0) KernelBpf::close(b);
        return a >= 0;
    }
};

TEST_F(MapCreate, AnythingOfEveryType) {
    const char* seed = std::getenv("BAREBPF_SEED");
    Draw draw(seed ? static_cast<u64>(std::atoll(seed)) : 1);
    Side<OurBpf> ours;
    Side<KernelBpf> kernels;
    const auto our_things = name_things(ours);
    const auto kernels_things = name_things(kernels);
    for (const Type& type : kTypes) {
        u32 made = 0;
        for (u32 i = 0; i < 250; ++i) {
            made += compare(type, draw.request(type), our_things, kernels_things, ours, kernels);
        }
        EXPECT_GE(made, 5u) << type.name << ": too few requests are in order";
    }
}

// ── Memory ────────────────────────────────────────────────────────────────────────────────────

u64 memlock_of(const std::string& fdinfo) {
    const size_t at = fdinfo.find("memlock:");
    return at == std::string::npos ? 0 : std::strtoull(fdinfo.c_str() + at + 8, nullptr, 10);
}

// Of a map with so many elements in it.
template <class Bpf>
u64 memory_of(Side<Bpf>& side, const Type& type, u32 value_size, u32 flags, u32 entries) {
    using Client = typename Side<Bpf>::Client;
    const bool keyless = type.keys == kNoKeys;
    bpf_attr attr = test::map_attr(type.type, keyless ? 0 : 4, value_size, entries, flags);
    attr.inner_map_fd = static_cast<u32>(side.make(BPF_MAP_TYPE_ARRAY));
    const int fd = side.keep(Client::create(attr));
    EXPECT_GE(fd, 0) << type.name;
    std::vector<u8> value(8192);
    // What is preallocated counts anyway.
    for (u32 key = 0; flags & BPF_F_NO_PREALLOC && key < entries; ++key) {
        EXPECT_EQ(Client::update(fd, &key, value.data()), 0) << type.name;
    }
    return memlock_of(test::fdinfo_of(side, fd));
}

// What so many elements more cost, each CPU's values aside: the two may have different numbers of CPUs.
template <class Bpf>
s64 cost_of(Side<Bpf>& side, u32 cpus, const Type& type, u32 value_size, u32 flags) {
    constexpr u32 kFew = 1024, kMany = 8192;
    const u64 values =
        is_percpu_map(type.type) ? u64{kMany - kFew} * cpus * align_up(value_size, 8) : 0;
    return static_cast<s64>(memory_of(side, type, value_size, flags, kMany) -
                            memory_of(side, type, value_size, flags, kFew) - values);
}

// LPM tries: docs/performance.md.
TEST_F(MapCreate, ElementsTakeNoMoreMemoryThanOnTheKernel) {
    Side<OurBpf> ours;
    Side<KernelBpf> kernels;
    for (const Type& type : kTypes) {
        if (type.type == BPF_MAP_TYPE_LPM_TRIE) continue;
        for (const u32 value_size : {4u, 64u}) {
            const bool descriptors = type.values == kDescriptors;
            const bool trace = type.type == BPF_MAP_TYPE_STACK_TRACE;
            if ((descriptors && value_size != 4) || (trace && value_size != 64)) continue;
            for (const u32 flags : {0u, u32{BPF_F_NO_PREALLOC}}) {
                if (flags && type.type != BPF_MAP_TYPE_HASH) continue;
                EXPECT_LE(
                    cost_of(ours, host::possible_cpus(), type, value_size, flags),
                    cost_of(kernels, static_cast<u32>(get_nprocs_conf()), type, value_size, flags))
                    << type.name << " value " << value_size << " flags " << flags;
            }
        }
    }
}

}  // namespace
}  // namespace barebpf
