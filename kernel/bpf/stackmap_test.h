// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Stack traces that tests take: eight different ones, of four frames each, which are the same wherever they are taken.
#pragma once

#include "kernel/bpf/map_test.h"
#include "kernel/bpf/stackmap.h"

namespace barebpf::test {

constexpr u32 kTraceWords = 4;
constexpr u32 kTraceWays = 8;

struct TakenTrace {
    u64 words[kTraceWords];
    bool operator==(const TakenTrace& other) const {
        return __builtin_memcmp(words, other.words, sizeof words) == 0;
    }
};

struct TraceCall {
    Map* map;
    u64 flags;
    s64 result;
};

// Frame pointers to the end, and no call that is a jump.
#define KEEP_FRAME(way) asm volatile("" : : "r"(__builtin_frame_address(0)), "i"(way) : "memory")

NOINLINE inline void call_get_stackid(TraceCall* call) {
    KEEP_FRAME(2);
    const auto function = stack_helper_proto(BPF_FUNC_get_stackid)->function;
    call->result =
        static_cast<s64>(function(0, reinterpret_cast<u64>(call->map), call->flags, 0, 0));
    KEEP_FRAME(3);
}

// Each way of three steps is another trace.
template <u32 kWay>
NOINLINE void trace_step(TraceCall* call, u32 way, u32 left) {
    KEEP_FRAME(kWay);
    if (left == 0) {
        call_get_stackid(call);
    } else if (way & 1) {
        trace_step<1>(call, way >> 1, left - 1);
    } else {
        trace_step<0>(call, way >> 1, left - 1);
    }
    KEEP_FRAME(kWay);
}

#undef KEEP_FRAME

inline s64 take_trace(Map* map, u32 way, u64 flags) {
    TraceCall call{map, flags, 0};
    trace_step<0>(&call, way, 3);
    return call.result;
}

// A map of such traces with fewer buckets than ways, so that they meet, and what the ways are.
class TraceMap {
public:
    static constexpr u32 kEntries = 4;
    static bpf_attr attr() {
        return map_attr(BPF_MAP_TYPE_STACK_TRACE, 4, sizeof(TakenTrace), kEntries);
    }
    void learn(Map* map) {
        for (u32 way = 0; way < kTraceWays; ++way) {
            const u32 id = static_cast<u32>(take_trace(map, way, 0));
            ASSERT_LT(id, kEntries);
            ASSERT_EQ(map->ops->copy_value(map, &id, &known_[way], 0), 0);
            ASSERT_EQ(map->ops->erase(map, &id), 0);
            for (u32 other = 0; other < way; ++other) {
                ASSERT_FALSE(known_[way] == known_[other]) << way << " " << other;
            }
        }
    }
    bool knows(const TakenTrace& taken) const {
        bool known = false;
        for (const TakenTrace& one : known_) known |= one == taken;
        return known;
    }
    // Empties the map: all its room is free, and each piece once.
    static void expect_all_free(Map* map) {
        for (u32 id = 0; id < kEntries; ++id) map->ops->erase(map, &id);
        auto* stacks = static_cast<StackMap*>(map);
        const auto link = [&](u32 index) -> host::Atomic<u32>& {
            return stacks->trace(index)->link;
        };
        bool seen[64] = {};
        u32 free = 0;
        while (const u32 index = stacks->free_traces.pop(link)) {
            ASSERT_LT(index, 64u);
            EXPECT_FALSE(seen[index]) << index;
            seen[index] = true;
            ++free;
        }
        EXPECT_EQ(free, kEntries);
    }

private:
    TakenTrace known_[kTraceWays]{};
};

}  // namespace barebpf::test
