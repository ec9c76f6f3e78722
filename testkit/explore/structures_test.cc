// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The core's structures under the explorer.
#include <gtest/gtest.h>

#include "testkit/explore/freelist_scenarios.h"
#include "testkit/explore/hashtab_scenarios.h"
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

TEST(Memalloc, Replace) {
    EXPECT_HOLDS(explore<explore::MemallocReplace>({.name = "memalloc", .bound = 3}));
    EXPECT_HOLDS(explore<explore::MemallocReplace>({.name = "memalloc_3", .cpus = 3}));
    EXPECT_HOLDS(explore<explore::MemallocReplace>({.name = "memalloc_nmi", .nmis = 2}));
    EXPECT_HOLDS(explore<explore::MemallocReplace>({.name = "memalloc_relaxed", .relaxed = true}));
}

TEST(Hashtab, Churn) {
    EXPECT_HOLDS(explore<explore::HashChurn<0>>({.name = "hash", .bound = 3}));
    EXPECT_HOLDS(explore<explore::HashChurn<0>>({.name = "hash_3", .cpus = 3}));
    EXPECT_HOLDS(explore<explore::HashChurn<kOnDemand>>({.name = "hash_on_demand", .bound = 3}));
    EXPECT_HOLDS(explore<explore::HashChurn<kOnDemand>>({.name = "hash_on_demand_3", .cpus = 3}));
}

TEST(Hashtab, ChurnInRelaxedMemory) {
    EXPECT_HOLDS(explore<explore::HashChurn<0>>({.name = "hash_relaxed", .relaxed = true}));
    EXPECT_HOLDS(explore<explore::HashChurn<kOnDemand>>(
        {.name = "hash_on_demand_relaxed", .relaxed = true}));
}

TEST(Hashtab, Full) {
    EXPECT_HOLDS(explore<explore::HashFull>({.name = "hash_full", .cpus = 3, .bound = 3}));
    EXPECT_HOLDS(
        explore<explore::HashFull>({.name = "hash_full_relaxed", .cpus = 3, .relaxed = true}));
}

TEST(Hashtab, Chain) {
    EXPECT_HOLDS(explore<explore::HashChain>({.name = "hash_chain"}));
    EXPECT_HOLDS(explore<explore::HashChain>({.name = "hash_chain_relaxed", .relaxed = true}));
}

TEST(Hashtab, SameKey) {
    EXPECT_HOLDS(explore<explore::HashSameKey<0>>({.name = "hash_same_key"}));
    EXPECT_HOLDS(explore<explore::HashSameKey<kOnDemand>>({.name = "hash_same_key_on_demand"}));
}

TEST(Hashtab, Nmi) {
    EXPECT_HOLDS(explore<explore::HashNmi<0>>({.name = "hash_nmi", .nmis = 2}));
    EXPECT_HOLDS(explore<explore::HashNmi<kOnDemand>>({.name = "hash_nmi_on_demand", .nmis = 2}));
}

// An NMI that waits for a lock gives up after thousands of steps: less can be tried.
TEST(LruList, Rounds) {
    using Flavour = BpfLruList::Flavour;
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::Common>>({.name = "lru"}));
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::Common>>({.name = "lru_3", .cpus = 3}));
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::Common>>(
        {.name = "lru_nmi", .nmis = 1, .schedules = 4'000, .random_schedules = 200}));
    EXPECT_HOLDS(
        explore<explore::LruRounds<Flavour::Common>>({.name = "lru_relaxed", .relaxed = true}));
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::PerCpu>>({.name = "lru_percpu"}));
    EXPECT_HOLDS(explore<explore::LruRounds<Flavour::PerCpu>>(
        {.name = "lru_percpu_nmi", .nmis = 1, .schedules = 4'000, .random_schedules = 200}));
}

TEST(LruHash, Evicting) {
    EXPECT_HOLDS(explore<explore::LruHash<0>>({.name = "lru_hash"}));
    EXPECT_HOLDS(explore<explore::LruHash<0>>({.name = "lru_hash_3", .cpus = 3}));
    EXPECT_HOLDS(explore<explore::LruHash<0>>(
        {.name = "lru_hash_nmi", .nmis = 1, .schedules = 4'000, .random_schedules = 200}));
    EXPECT_HOLDS(explore<explore::LruHash<0>>({.name = "lru_hash_relaxed", .relaxed = true}));
    EXPECT_HOLDS(explore<explore::LruHash<BPF_F_NO_COMMON_LRU>>({.name = "lru_hash_percpu"}));
    EXPECT_HOLDS(explore<explore::LruHash<BPF_F_NO_COMMON_LRU>>(
        {.name = "lru_hash_percpu_nmi", .nmis = 1, .schedules = 4'000, .random_schedules = 200}));
}

TEST(Lpm, Churn) {
    EXPECT_HOLDS(explore<explore::LpmChurn>({.name = "lpm"}));
    EXPECT_HOLDS(explore<explore::LpmChurn>({.name = "lpm_3", .cpus = 3}));
    EXPECT_HOLDS(explore<explore::LpmChurn>({.name = "lpm_nmi", .nmis = 1, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::LpmChurn>({.name = "lpm_relaxed", .relaxed = true}));
}

TEST(Queue, Rounds) {
    EXPECT_HOLDS(explore<explore::QueueRounds<BPF_MAP_TYPE_QUEUE>>({.name = "queue"}));
    EXPECT_HOLDS(explore<explore::QueueRounds<BPF_MAP_TYPE_QUEUE>>(
        {.name = "queue_nmi", .nmis = 2, .schedules = 4'000}));
    EXPECT_HOLDS(explore<explore::QueueRounds<BPF_MAP_TYPE_STACK>>({.name = "stack", .cpus = 3}));
}

}  // namespace
}  // namespace barebpf
