// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The core's structures under the explorer.
#include <gtest/gtest.h>

#include "testkit/explore/freelist_scenarios.h"
#include "testkit/explore/hash_kinds_scenarios.h"
#include "testkit/explore/hashtab_scenarios.h"
#include "testkit/explore/limit_scenarios.h"
#include "testkit/explore/lock_scenarios.h"
#include "testkit/explore/lru_scenarios.h"
#include "testkit/explore/more_scenarios.h"

namespace barebpf {
namespace {

using explore::explore;

constexpr u32 kOnDemand = BPF_F_NO_PREALLOC;

TEST(Freelist, Rounds) {
    EXPECT_HOLDS(explore<explore::FreelistRounds>({.name = "freelist", .bound = 3}));
    EXPECT_HOLDS(explore<explore::FreelistRounds>({.name = "freelist_3", .cpus = 3}));
    EXPECT_HOLDS(explore<explore::FreelistRounds>({.name = "freelist_nmi", .nmis = 2}));
    EXPECT_HOLDS(explore<explore::FreelistRounds>({.name = "freelist_relaxed", .relaxed = true}));
}

TEST(BiasedLock, Visits) {
    using explore::BiasedVisits;
    EXPECT_HOLDS(explore<BiasedVisits<4>>({.name = "biased", .bound = 3, .schedules = 100'000}));
    EXPECT_HOLDS(explore<BiasedVisits<3>>({.name = "biased_3", .cpus = 3, .schedules = 60'000}));
    EXPECT_HOLDS(explore<BiasedVisits<1>>({.name = "biased_once", .cpus = 3, .bound = 4}));
    EXPECT_HOLDS(explore<BiasedVisits<1>>(
        {.name = "biased_once_nmi", .bound = 3, .nmis = 2, .schedules = 30'000}));
    EXPECT_HOLDS(explore<BiasedVisits<3>>({.name = "biased_nmi", .nmis = 2, .schedules = 30'000}));
}

TEST(BiasedLock, VisitsInRelaxedMemory) {
    using explore::BiasedVisits;
    EXPECT_HOLDS(explore<BiasedVisits<4>>(
        {.name = "biased_relaxed", .bound = 3, .relaxed = true, .schedules = 100'000}));
    EXPECT_HOLDS(explore<BiasedVisits<2>>(
        {.name = "biased_relaxed_3", .cpus = 3, .relaxed = true, .schedules = 60'000}));
    EXPECT_HOLDS(explore<BiasedVisits<3>>(
        {.name = "biased_relaxed_nmi", .nmis = 1, .relaxed = true, .schedules = 30'000}));
}

TEST(Memalloc, Replace) {
    EXPECT_HOLDS(explore<explore::MemallocReplace>({.name = "memalloc", .bound = 3}));
    EXPECT_HOLDS(
        explore<explore::MemallocReplace>({.name = "memalloc_3", .cpus = 3, .schedules = 12'000}));
    EXPECT_HOLDS(explore<explore::MemallocReplace>({.name = "memalloc_nmi", .nmis = 2}));
    EXPECT_HOLDS(explore<explore::MemallocReplace>({.name = "memalloc_relaxed", .relaxed = true}));
    EXPECT_HOLDS(explore<explore::MemallocGather>({.name = "memalloc_gather", .nmis = 2}));
    EXPECT_HOLDS(explore<explore::MemallocGather>(
        {.name = "memalloc_gather_relaxed", .nmis = 1, .relaxed = true}));
}

TEST(Memalloc, Short) {
    using explore::MemallocShort;
    EXPECT_HOLDS(explore<MemallocShort>(
        {.name = "memalloc_short", .failed_allocations = 2, .schedules = 8'000}));
    EXPECT_HOLDS(explore<MemallocShort>(
        {.name = "memalloc_short_nmi", .nmis = 2, .failed_allocations = 2, .schedules = 4'000}));
}

TEST(Hashtab, Churn) {
    EXPECT_HOLDS(explore<explore::HashChurn<0>>({.name = "hash", .bound = 3}));
    EXPECT_HOLDS(
        explore<explore::HashChurn<0>>({.name = "hash_3", .cpus = 3, .schedules = 12'000}));
    EXPECT_HOLDS(explore<explore::HashChurn<kOnDemand>>(
        {.name = "hash_on_demand", .bound = 3, .schedules = 8'000}));
    EXPECT_HOLDS(explore<explore::HashChurn<kOnDemand>>(
        {.name = "hash_on_demand_3", .cpus = 3, .schedules = 6'000}));
}

TEST(Hashtab, ChurnInRelaxedMemory) {
    EXPECT_HOLDS(explore<explore::HashChurn<0>>({.name = "hash_relaxed", .relaxed = true}));
    EXPECT_HOLDS(explore<explore::HashChurn<kOnDemand>>(
        {.name = "hash_on_demand_relaxed", .relaxed = true, .schedules = 8'000}));
}

TEST(Hashtab, Full) {
    EXPECT_HOLDS(explore<explore::HashFull>({.name = "hash_full", .cpus = 3, .bound = 3}));
    EXPECT_HOLDS(
        explore<explore::HashFull>({.name = "hash_full_relaxed", .cpus = 3, .relaxed = true}));
}

TEST(Hashtab, Chain) {
    EXPECT_HOLDS(explore<explore::HashChain<0>>({.name = "hash_chain"}));
    EXPECT_HOLDS(explore<explore::HashChain<0>>({.name = "hash_chain_relaxed", .relaxed = true}));
    EXPECT_HOLDS(explore<explore::HashChain<kOnDemand>>(
        {.name = "hash_chain_on_demand", .schedules = 4'000}));
}

TEST(Hashtab, SameKey) {
    EXPECT_HOLDS(explore<explore::HashSameKey<0>>({.name = "hash_same_key"}));
    EXPECT_HOLDS(explore<explore::HashSameKey<kOnDemand>>(
        {.name = "hash_same_key_on_demand", .schedules = 6'000}));
}

TEST(Hashtab, Nmi) {
    EXPECT_HOLDS(explore<explore::HashNmi<0>>({.name = "hash_nmi", .nmis = 2}));
    EXPECT_HOLDS(explore<explore::HashNmi<kOnDemand>>({.name = "hash_nmi_on_demand", .nmis = 2}));
}

TEST(HashKinds, PerCpuValues) {
    EXPECT_HOLDS(explore<explore::PerCpuHash<0>>({.name = "percpu", .schedules = 4'000}));
    EXPECT_HOLDS(
        explore<explore::PerCpuHash<0>>({.name = "percpu_3", .cpus = 3, .schedules = 4'000}));
    EXPECT_HOLDS(
        explore<explore::PerCpuHash<0>>({.name = "percpu_nmi", .nmis = 1, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::PerCpuHash<0>>(
        {.name = "percpu_relaxed", .relaxed = true, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::PerCpuHash<kOnDemand>>(
        {.name = "percpu_on_demand", .nmis = 1, .schedules = 4'000}));
}

template <u32 kType>
void explore_maps_of_maps(const char* name, const char* with_nmis, const char* relaxed) {
    using Scenario = explore::MapOfMaps<kType>;
    EXPECT_HOLDS(explore<Scenario>({.name = name, .cpus = 3, .schedules = 4'000}));
    EXPECT_HOLDS(explore<Scenario>({.name = with_nmis, .nmis = 1, .schedules = 4'000}));
    EXPECT_HOLDS(explore<Scenario>({.name = relaxed, .relaxed = true, .schedules = 4'000}));
}

TEST(MapOfMaps, MapsAreReplacedUnderTheirUsers) {
    explore_maps_of_maps<BPF_MAP_TYPE_ARRAY_OF_MAPS>("array_of_maps", "array_of_maps_nmi",
                                                     "array_of_maps_relaxed");
    explore_maps_of_maps<BPF_MAP_TYPE_HASH_OF_MAPS>("hash_of_maps", "hash_of_maps_nmi",
                                                    "hash_of_maps_relaxed");
}

TEST(HashKinds, Batches) {
    EXPECT_HOLDS(
        explore<explore::HashBatch<0, false>>({.name = "batch", .cpus = 3, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::HashBatch<0, false>>(
        {.name = "batch_nmi", .nmis = 1, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::HashBatch<0, false>>(
        {.name = "batch_relaxed", .relaxed = true, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::HashBatch<kOnDemand, true>>(
        {.name = "batch_on_demand", .failed_allocations = 2, .schedules = 4'000}));
}

TEST(HashKinds, Walks) {
    EXPECT_HOLDS(explore<explore::HashForEach<0>>({.name = "for_each", .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::HashForEach<kOnDemand>>(
        {.name = "for_each_on_demand", .schedules = 4'000}));
    EXPECT_HOLDS(
        explore<explore::HashForEach<0>>({.name = "for_each_nmi", .nmis = 1, .schedules = 2'000}));
}

TEST(HashKinds, TakingOut) {
    EXPECT_HOLDS(
        explore<explore::HashTakeOut<0>>({.name = "take_out", .cpus = 3, .schedules = 4'000}));
    EXPECT_HOLDS(
        explore<explore::HashTakeOut<0>>({.name = "take_out_nmi", .nmis = 1, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::HashTakeOut<kOnDemand>>(
        {.name = "take_out_on_demand", .failed_allocations = 1, .schedules = 4'000}));
}

// An NMI that waits for a lock gives up after thousands of steps: less can be tried.
TEST(LruList, Rounds) {
    using Flavour = BpfLruList::Flavour;
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::Common>>({.name = "lru"}));
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::Common>>(
        {.name = "lru_3", .cpus = 3, .schedules = 10'000}));
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::Common>>(
        {.name = "lru_nmi", .nmis = 1, .schedules = 4'000, .random_schedules = 200}));
    EXPECT_HOLDS(
        explore<explore::LruRounds<Flavour::Common>>({.name = "lru_relaxed", .relaxed = true}));
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::PerCpu>>({.name = "lru_percpu"}));
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::PerCpu>>(
        {.name = "lru_percpu_nmi", .nmis = 1, .schedules = 4'000, .random_schedules = 200}));
}

TEST(LruHash, Evicting) {
    EXPECT_HOLDS(explore<explore::LruHash<0>>({.name = "lru_hash", .schedules = 10'000}));
    EXPECT_HOLDS(
        explore<explore::LruHash<0>>({.name = "lru_hash_3", .cpus = 3, .schedules = 10'000}));
    EXPECT_HOLDS(explore<explore::LruHash<0>>(
        {.name = "lru_hash_nmi", .nmis = 1, .schedules = 4'000, .random_schedules = 200}));
    EXPECT_HOLDS(explore<explore::LruHash<0>>(
        {.name = "lru_hash_relaxed", .relaxed = true, .schedules = 10'000}));
    EXPECT_HOLDS(explore<explore::LruHash<BPF_F_NO_COMMON_LRU>>(
        {.name = "lru_hash_percpu", .schedules = 10'000}));
    EXPECT_HOLDS(explore<explore::LruHash<BPF_F_NO_COMMON_LRU>>(
        {.name = "lru_hash_percpu_nmi", .nmis = 1, .schedules = 4'000, .random_schedules = 200}));
    using Values = explore::LruHash<0, BPF_MAP_TYPE_LRU_PERCPU_HASH>;
    EXPECT_HOLDS(explore<Values>({.name = "lru_percpu_values", .schedules = 4'000}));
    EXPECT_HOLDS(explore<Values>(
        {.name = "lru_percpu_values_nmi", .nmis = 1, .schedules = 2'000, .random_schedules = 200}));
}

TEST(LruHash, NodesThatAreNowhere) {
    using explore::LruUnplaced;
    EXPECT_HOLDS(explore<LruUnplaced<false>>(
        {.name = "lru_unplaced", .nmis = 2, .schedules = 4'000, .random_schedules = 200}));
    EXPECT_HOLDS(explore<LruUnplaced<true>>(
        {.name = "lru_held", .nmis = 2, .schedules = 4'000, .random_schedules = 200}));
}

TEST(ElementLimit, GiveBack) {
    using explore::LimitGiveBack;
    EXPECT_HOLDS(explore<LimitGiveBack>({.name = "limit_back", .bound = 3}));
    EXPECT_HOLDS(explore<LimitGiveBack>({.name = "limit_back_3", .cpus = 3}));
    EXPECT_HOLDS(explore<LimitGiveBack>({.name = "limit_back_nmi", .nmis = 2}));
    EXPECT_HOLDS(
        explore<LimitGiveBack>({.name = "limit_back_relaxed", .bound = 3, .relaxed = true}));
}

TEST(ElementLimit, Fetch) {
    using explore::LimitFetch;
    EXPECT_HOLDS(explore<LimitFetch>({.name = "limit_fetch", .bound = 3}));
    EXPECT_HOLDS(explore<LimitFetch>({.name = "limit_fetch_3", .cpus = 3}));
    EXPECT_HOLDS(explore<LimitFetch>({.name = "limit_fetch_nmi", .nmis = 2}));
    EXPECT_HOLDS(explore<LimitFetch>({.name = "limit_fetch_relaxed", .relaxed = true}));
}

TEST(ElementLimit, GiveAndTake) {
    using explore::LimitGiveAndTake;
    EXPECT_HOLDS(
        explore<LimitGiveAndTake>({.name = "limit", .cpus = 3, .random_schedules = 2'000}));
    EXPECT_HOLDS(explore<LimitGiveAndTake>(
        {.name = "limit_relaxed", .cpus = 3, .bound = 6, .relaxed = true, .schedules = 50'000}));
}

TEST(ElementLimit, OfAHash) {
    using explore::HashAtLimit;
    EXPECT_HOLDS(explore<HashAtLimit<false>>({.name = "hash_last_place", .schedules = 4'000}));
    EXPECT_HOLDS(explore<HashAtLimit<false>>(
        {.name = "hash_last_place_nmi", .nmis = 1, .schedules = 4'000}));
    EXPECT_HOLDS(explore<HashAtLimit<false>>(
        {.name = "hash_last_place_relaxed", .relaxed = true, .schedules = 4'000}));
    EXPECT_HOLDS(explore<HashAtLimit<true>>({.name = "hash_plenty", .schedules = 4'000}));
    EXPECT_HOLDS(explore<HashAtLimit<true>>(
        {.name = "hash_plenty_relaxed", .relaxed = true, .schedules = 4'000}));
}

TEST(Lpm, Churn) {
    EXPECT_HOLDS(explore<explore::LpmChurn<false>>({.name = "lpm"}));
    EXPECT_HOLDS(
        explore<explore::LpmChurn<false>>({.name = "lpm_3", .cpus = 3, .schedules = 10'000}));
    EXPECT_HOLDS(
        explore<explore::LpmChurn<false>>({.name = "lpm_nmi", .nmis = 1, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::LpmChurn<false>>({.name = "lpm_relaxed", .relaxed = true}));
    EXPECT_HOLDS(explore<explore::LpmChurn<true>>(
        {.name = "lpm_short", .failed_allocations = 2, .schedules = 4'000}));
}

TEST(Lpm, Shortcut) {
    using explore::LpmShortcut;
    EXPECT_HOLDS(explore<LpmShortcut>({.name = "lpm_shortcut", .schedules = 8'000}));
    EXPECT_HOLDS(explore<LpmShortcut>({.name = "lpm_shortcut_nmi", .nmis = 1, .schedules = 2'000}));
    EXPECT_HOLDS(explore<LpmShortcut>(
        {.name = "lpm_shortcut_relaxed", .relaxed = true, .schedules = 8'000}));
}

TEST(Lpm, Cover) {
    using explore::LpmCover;
    EXPECT_HOLDS(explore<LpmCover>({.name = "lpm_cover", .schedules = 4'000}));
    EXPECT_HOLDS(explore<LpmCover>({.name = "lpm_cover_3", .cpus = 3, .schedules = 4'000}));
    EXPECT_HOLDS(explore<LpmCover>({.name = "lpm_cover_nmi", .nmis = 1, .schedules = 1'000}));
    EXPECT_HOLDS(
        explore<LpmCover>({.name = "lpm_cover_relaxed", .relaxed = true, .schedules = 4'000}));
}

TEST(Bloom, Rounds) {
    EXPECT_HOLDS(explore<explore::BloomRounds>({.name = "bloom", .nmis = 1, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::BloomRounds>({.name = "bloom_relaxed", .relaxed = true}));
}

TEST(StackMap, Ids) {
    EXPECT_HOLDS(explore<explore::StackIds>({.name = "stackmap", .bound = 3}));
    EXPECT_HOLDS(
        explore<explore::StackIds>({.name = "stackmap_nmi", .nmis = 2, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::StackIds>({.name = "stackmap_3", .cpus = 3, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::StackIds>({.name = "stackmap_relaxed", .relaxed = true}));
}

TEST(Queue, Rounds) {
    EXPECT_HOLDS(explore<explore::QueueRounds<BPF_MAP_TYPE_QUEUE>>({.name = "queue"}));
    EXPECT_HOLDS(explore<explore::QueueRounds<BPF_MAP_TYPE_QUEUE>>(
        {.name = "queue_nmi", .nmis = 2, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::QueueRounds<BPF_MAP_TYPE_QUEUE>>(
        {.name = "queue_relaxed", .relaxed = true, .schedules = 8'000}));
    EXPECT_HOLDS(explore<explore::QueueRounds<BPF_MAP_TYPE_STACK>>({.name = "stack", .cpus = 3}));
}

}  // namespace
}  // namespace barebpf
