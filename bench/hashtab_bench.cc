// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Hash map operations called as programs call them: by the address in the map's table, keys in
// random order, one thread. What it does not contain: the program, and the call of bpf(2).
#include <benchmark/benchmark.h>

#include "kernel/bpf/map.h"
#include "kernel/host/contract.h"

namespace barebpf {
namespace {

// Keys are computed, not stored, so that nothing but the map is in the cache. Number n's words are
// odd multiples of n: distinct, and as good as random to a keyed hash.
struct Key {
    u64 words[8];
    Key(u64 n, bool present) {
        const u64 seed = (n * 2 + present) * 0x9e3779b97f4a7c15;
        for (u64 i = 0; i < 8; ++i) words[i] = seed + i;
        words[0] = (n * 2 + present) * 2654435761u;  // distinct in 32 bits too
    }
};

// A full map of such keys with 8-byte values. entries: a power of two.
class FullMap {
public:
    FullMap(u32 key_size, u32 entries, u32 flags) : entries_(entries) {
        bpf_attr attr{};
        attr.map_type = BPF_MAP_TYPE_HASH;
        attr.key_size = key_size;
        attr.value_size = 8;
        attr.max_entries = entries;
        attr.map_flags = flags;
        const MapOps* ops = map_ops(BPF_MAP_TYPE_HASH);
        map_ = ops->create(attr).release();
        map_init_from_attr(map_, ops, attr);
        host::Cpu::Pin pin;
        host::RcuReadGuard rcu;
        for (u64 i = 0; i < entries; ++i) {
            const Key key(i, true);
            map_->ops->update(map_, &key, &i, BPF_ANY);
        }
    }
    ~FullMap() { map_->ops->free(map_); }
    Map* get() const { return map_; }

    // Every number below entries once, in an order unlike that of insertion (which is the order of
    // the elements in memory), then again.
    u64 next() { return state_ = (state_ * 1664525 + 1013904223) % entries_; }

private:
    u32 entries_;
    Map* map_;
    u64 state_ = 0;
};

template <class Operation>
void run(benchmark::State& state, u32 flags, Operation operation) {
    host::Cpu::Entry inside;
    const u32 entries = static_cast<u32>(state.range(1));
    FullMap map(static_cast<u32>(state.range(0)), entries, flags);
    {
        host::Cpu::Pin pin;
        host::RcuReadGuard rcu;
        for (auto _ : state) operation(map.get(), map.next(), state);
    }
    state.counters["bytes/element"] =
        static_cast<double>(map.get()->memory.bytes()) / static_cast<double>(entries);
}

void hit(benchmark::State& state) {
    run(state, 0, [](Map* map, u64 n, benchmark::State& s) {
        const Key key(n, true);
        void* value = map->ops->lookup(map, &key);
        if (!value) s.SkipWithError("a key that is there was not found");
        benchmark::DoNotOptimize(value);
    });
}
void miss(benchmark::State& state) {
    run(state, 0, [](Map* map, u64 n, benchmark::State& s) {
        const Key key(n, false);
        if (map->ops->lookup(map, &key)) s.SkipWithError("found what is not there");
    });
}
void update_existing(benchmark::State& state, u32 flags) {
    run(state, flags, [](Map* map, u64 n, benchmark::State& s) {
        const Key key(n, true);
        if (map->ops->update(map, &key, &n, BPF_ANY)) {
            s.SkipWithError("update failed");
        }
    });
}
void insert_and_delete(benchmark::State& state) {
    run(state, 0, [](Map* map, u64 n, benchmark::State& s) {
        const Key old_key(n, true);
        if (map->ops->erase(map, &old_key) || map->ops->update(map, &old_key, &n, BPF_NOEXIST)) {
            s.SkipWithError("delete or insert failed");
        }
    });
}
void update_no_prealloc(benchmark::State& state) {
    update_existing(state, BPF_F_NO_PREALLOC);
}
void update_prealloc(benchmark::State& state) {
    update_existing(state, 0);
}

void sizes(benchmark::internal::Benchmark* bench) {
    bench->ArgNames({"key", "entries"});
    for (const int entries : {1 << 10, 1 << 16, 1 << 20}) bench->Args({16, entries});
    bench->Args({4, 1 << 16})->Args({8, 1 << 16})->Args({64, 1 << 16});
}
BENCHMARK(hit)->Apply(sizes);
BENCHMARK(miss)->Apply(sizes);
BENCHMARK(update_prealloc)->Apply(sizes);
BENCHMARK(update_no_prealloc)->Args({16, 1 << 16})->ArgNames({"key", "entries"});
BENCHMARK(insert_and_delete)->Apply(sizes);

}  // namespace
}  // namespace barebpf

BENCHMARK_MAIN();
