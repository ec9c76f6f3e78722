// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How long a CPU is held where a map of a million elements is freed: the longest time between two moments at which others
// may have it (free_in_steps.h), as one sees it who waits for that, next to the whole.
#include <benchmark/benchmark.h>

#include <atomic>
#include <thread>

#include "bench/lpm_prefixes.h"
#include "kernel/bpf/map.h"
#include "kernel/host/contract.h"

namespace barebpf {
namespace {

using host::Clock;

// Waits for one grace period after the other on a CPU of its own: each lasts until the CPU that frees may be had.
class Watch {
public:
    Watch() : thread_([this] { wait_on(); }) {
        while (!periods_) host::Cpu::yield_point();
    }
    u64 stop() {
        over_ = true;
        while (!gone_) host::Cpu::yield_point();  // or its last one would not end
        thread_.join();
        return longest_;
    }

private:
    void wait_on() {
        host::Cpu::Entry inside;
        while (!over_) {
            const u64 begin = Clock::monotonic_ns();
            host::synchronize_rcu();
            const u64 took = Clock::monotonic_ns() - begin;
            // The first ones may wait for what is not looked at.
            if (++periods_ > 1 && took > longest_) longest_ = took;
        }
        gone_ = true;
    }

    u64 longest_ = 0;
    std::atomic<u32> periods_{0};
    std::atomic<bool> over_{false}, gone_{false};
    std::thread thread_;
};

constexpr u64 kElements = 1'000'000;

Map* make_map(bpf_map_type type, u32 key_size, u32 flags) {
    bpf_attr attr{};
    attr.map_type = type;
    attr.key_size = key_size;
    attr.value_size = 8;
    attr.max_entries = 1 << 20;
    attr.map_flags = flags;
    const MapOps* ops = map_ops(type);
    Map* map = ops->create(attr).release();
    map_init_from_attr(map, ops, attr);
    return map;
}

// `key` makes one after the other, some of them twice.
template <class MakeKey>
void fill(Map* map, MakeKey make_key) {
    for (u64 there = 0, tries = 0; there < kElements; ++tries) {
        if (tries % 64 == 0) host::Cpu::yield_point();
        const auto key = make_key(tries);
        host::Cpu::Pin pin;
        host::RcuReadGuard rcu;
        there += map->ops->update(map, &key, &there, BPF_NOEXIST) == 0;
    }
}

template <class MakeMap>
void run(benchmark::State& state, MakeMap make_full_map) {
    host::Cpu::Entry inside;
    u64 longest = 0;
    for (auto _ : state) {
        state.PauseTiming();
        Map* map = make_full_map();
        host::rcu_barrier();
        Watch watch;
        state.ResumeTiming();
        map->ops->free(map);
        host::rcu_barrier();
        state.PauseTiming();
        const u64 held = watch.stop();
        if (held > longest) longest = held;
        state.ResumeTiming();
    }
    state.counters["longest_step_us"] = static_cast<double>(longest) / 1000;
}

void free_hash(benchmark::State& state) {
    run(state, [&] {
        Map* map = make_map(BPF_MAP_TYPE_HASH, 16, static_cast<u32>(state.range(0)));
        struct Key {
            u64 words[2];
        };
        fill(map, [](u64 number) { return Key{{number, ~number}}; });
        return map;
    });
}
BENCHMARK(free_hash)
    ->ArgName("flags")
    ->Arg(0)
    ->Arg(BPF_F_NO_PREALLOC)
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

void free_lpm(benchmark::State& state) {
    run(state, [] {
        Map* map = make_map(BPF_MAP_TYPE_LPM_TRIE, 8, BPF_F_NO_PREALLOC);
        lpm_start_prefixes();
        fill(map, [](u64) { return lpm_prefix4(); });
        return map;
    });
}
BENCHMARK(free_lpm)->Iterations(5)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace barebpf

BENCHMARK_MAIN();
