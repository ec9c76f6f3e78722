// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The structures under the maps, and what the host contract costs: freelist, object caches, ids, arrays,
// entering the library, locks, RCU, copies from the caller.
#include <benchmark/benchmark.h>

#include "kernel/bpf/map.h"
#include "kernel/bpf/memalloc.h"
#include "kernel/bpf/percpu_freelist.h"
#include "kernel/host/contract.h"
#include "kernel/lib/id_table.h"

namespace barebpf {
namespace {

void enter_and_leave(benchmark::State& state) {
    for (auto _ : state) host::Cpu::Entry inside;
}
BENCHMARK(enter_and_leave);

struct BenchClass {
    static constexpr host::LockClass kClass{"bench", 200};
};

void lock_and_unlock(benchmark::State& state) {
    host::Cpu::Entry inside;
    host::SpinLock<BenchClass> lock;
    for (auto _ : state) host::Guard<host::SpinLock<BenchClass>, host::IrqSave> guard(lock);
}
BENCHMARK(lock_and_unlock);

void copy_from_user_16(benchmark::State& state) {
    host::Cpu::Entry inside;
    u64 from[2] = {1, 2}, to[2];
    for (auto _ : state) {
        auto copied = host::copy_from_user(to, {reinterpret_cast<u64>(from)}, sizeof to);
        benchmark::DoNotOptimize(copied.ok());
    }
}
BENCHMARK(copy_from_user_16);

void freelist_pop_push(benchmark::State& state) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    PercpuFreelist list;
    static host::Atomic<u32> links[1025];
    auto link = [](u32 index) -> host::Atomic<u32>& { return links[index]; };
    if (!list.create(owner)) return state.SkipWithError("no memory");
    list.populate(1, 1024, link);
    for (auto _ : state) list.push(list.pop(link), link);
    list.destroy();
}
BENCHMARK(freelist_pop_push);

void memalloc_alloc_free(benchmark::State& state) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    static Memalloc cache;
    if (!cache.create(48, 1024, owner)) return state.SkipWithError("no memory");
    for (auto _ : state) {
        cache.prepare();
        cache.free(cache.alloc());
    }
    (void)cache.try_destroy();
}
BENCHMARK(memalloc_alloc_free);

void id_insert_erase(benchmark::State& state) {
    host::Cpu::Entry inside;
    struct Object {
        u32 id = 0;
    };
    IdTable<Object> table;
    static Object object;
    for (s64 i = 0; i < state.range(0); ++i) (void)table.insert(&object);
    for (auto _ : state) {
        (void)table.insert(&object);
        table.erase(object.id);
    }
    table.reset();
}
BENCHMARK(id_insert_erase)->Arg(1)->Arg(10000);

void array_lookup(benchmark::State& state) {
    host::Cpu::Entry inside;
    bpf_attr attr{};
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = 4;
    attr.value_size = 8;
    attr.max_entries = 1024;
    const MapOps* ops = map_ops(BPF_MAP_TYPE_ARRAY);
    Map* map = ops->create(attr).release();
    map_init_from_attr(map, ops, attr);
    u32 index = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(map->ops->lookup(map, &index));
        index = (index + 7) & 1023;
    }
    map->ops->free(map);
}
BENCHMARK(array_lookup);

}  // namespace
}  // namespace barebpf

BENCHMARK_MAIN();
