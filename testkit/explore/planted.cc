// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// planted BUG SCENARIO: explores a scenario over a copy of the core with a bug planted in it (planted/, plant.py), and
// succeeds if the bug is found, and found again from its replay string. BUG `none`: succeeds if nothing is found.
#include <stdio.h>
#include <string.h>

#include "testkit/explore/freelist_scenarios.h"
#include "testkit/explore/hash_kinds_scenarios.h"
#include "testkit/explore/hashtab_scenarios.h"
#include "testkit/explore/limit_scenarios.h"
#include "testkit/explore/lock_scenarios.h"
#include "testkit/explore/lru_scenarios.h"
#include "testkit/explore/more_scenarios.h"
#include "testkit/explore/ring_scenarios.h"

// The one that shows.
unsigned barebpf_bug = 0;

namespace barebpf::explore {
namespace {

const char* const kBugs[] = {
#include "bugs.h"
};

struct Entry {
    Options options;
    Maker maker;
};

const Entry kEntries[] = {
    {{.name = "biased"}, maker_of<BiasedVisits<4>>()},
    {{.name = "biased_nmi", .nmis = 1}, maker_of<BiasedVisits<3>>()},
    {{.name = "biased_once_nmi", .nmis = 1}, maker_of<BiasedVisits<1>>()},
    {{.name = "biased_relaxed", .relaxed = true}, maker_of<BiasedVisits<4>>()},
    {{.name = "freelist"}, maker_of<FreelistRounds>()},
    {{.name = "freelist_relaxed", .relaxed = true}, maker_of<FreelistRounds>()},
    {{.name = "lru"}, maker_of<LruRounds<BpfLruList::Flavour::Common>>()},
    {{.name = "lru_held", .nmis = 1}, maker_of<LruUnplaced<true>>()},
    {{.name = "lru_unplaced", .nmis = 1}, maker_of<LruUnplaced<false>>()},
    {{.name = "memalloc"}, maker_of<MemallocReplace>()},
    {{.name = "memalloc_gather", .nmis = 2}, maker_of<MemallocGather>()},
    {{.name = "memalloc_short", .failed_allocations = 2}, maker_of<MemallocShort>()},
    {{.name = "hash"}, maker_of<HashChurn<0>>()},
    {{.name = "hash_full", .cpus = 3}, maker_of<HashFull>()},
    {{.name = "hash_last_place"}, maker_of<HashAtLimit<false>>()},
    {{.name = "hash_nmi", .nmis = 2}, maker_of<HashNmi<0>>()},
    {{.name = "hash_plenty"}, maker_of<HashAtLimit<true>>()},
    {{.name = "hash_relaxed", .relaxed = true}, maker_of<HashChurn<0>>()},
    {{.name = "percpu"}, maker_of<PerCpuHash<0>>()},
    {{.name = "array_of_maps"}, maker_of<MapOfMaps<BPF_MAP_TYPE_ARRAY_OF_MAPS>>()},
    {{.name = "hash_of_maps"}, maker_of<MapOfMaps<BPF_MAP_TYPE_HASH_OF_MAPS>>()},
    {{.name = "batch", .cpus = 3}, maker_of<HashBatch<0, false>>()},
    {{.name = "for_each"}, maker_of<HashForEach<0>>()},
    {{.name = "take_out", .nmis = 1}, maker_of<HashTakeOut<0>>()},
    {{.name = "limit", .cpus = 3, .random_schedules = 2'000}, maker_of<LimitGiveAndTake>()},
    {{.name = "limit_back"}, maker_of<LimitGiveBack>()},
    {{.name = "limit_back_3", .cpus = 3}, maker_of<LimitGiveBack>()},
    {{.name = "limit_relaxed", .cpus = 3, .bound = 6, .relaxed = true, .schedules = 50'000},
     maker_of<LimitGiveAndTake>()},
    {{.name = "lpm_relaxed", .relaxed = true}, maker_of<LpmChurn<false>>()},
    {{.name = "lpm_shortcut"}, maker_of<LpmShortcut>()},
    {{.name = "lpm_cover"}, maker_of<LpmCover>()},
    {{.name = "lpm_cover_relaxed", .relaxed = true}, maker_of<LpmCover>()},
    {{.name = "queue"}, maker_of<QueueRounds<BPF_MAP_TYPE_QUEUE>>()},
    {{.name = "bloom"}, maker_of<BloomRounds>()},
    {{.name = "stackmap", .bound = 3}, maker_of<StackIds>()},
    {{.name = "ring_1_relaxed", .bound = 3, .relaxed = true}, maker_of<RingWakeups<1, 3, false>>()},
    {{.name = "ring_overrun"}, maker_of<RingOverrun>()},
    {{.name = "user_ring_2", .cpus = 3, .nmis = 1}, maker_of<UserRingDrain>()},
    {{.name = "user_ring_hostile", .bound = 3}, maker_of<UserRingHostile>()},
};

bool plant(const char* name) {
    for (const char* bug : kBugs) {
        ++barebpf_bug;
        if (strcmp(bug, name) == 0) return true;
    }
    barebpf_bug = 0;
    return strcmp(name, "none") == 0;
}

int run(const char* name) {
    for (const Entry& entry : kEntries) {
        if (strcmp(entry.options.name, name) != 0) continue;
        const Outcome outcome = explore(entry.options, entry.maker);
        printf("%s\n", outcome.finding == Finding::None ? outcome.summary().c_str()
                                                        : outcome.report.c_str());
        if (outcome.finding == Finding::None || barebpf_bug == 0) {
            return (outcome.finding == Finding::None) == (barebpf_bug != 0);
        }
        const Outcome again = replay(entry.options, entry.maker, outcome.replay);
        if (again.finding == outcome.finding && again.what == outcome.what) return 0;
        printf("but its replay gives: %s\n", again.report.c_str());
        return 1;
    }
    fprintf(stderr, "no scenario is called %s\n", name);
    return 2;
}

}  // namespace
}  // namespace barebpf::explore

int main(int count, char** arguments) {
    if (count != 3 || !barebpf::explore::plant(arguments[1])) return 2;
    return barebpf::explore::run(arguments[2]);
}
