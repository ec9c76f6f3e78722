// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The ring buffers under the explorer: the litmus tests of docs/memory-model.md over the real code.
#include <gtest/gtest.h>

#include "testkit/explore/ring_scenarios.h"

namespace barebpf {
namespace {

using explore::explore;
using explore::RingWakeups;

TEST(Ring, OneProducer) {
    using Scenario = RingWakeups<1, 3, false>;
    EXPECT_HOLDS(explore<Scenario>({.name = "ring_1", .bound = 3}));
    EXPECT_HOLDS(explore<Scenario>({.name = "ring_1_nmi", .nmis = 2, .schedules = 8'000}));
    EXPECT_HOLDS(explore<Scenario>({.name = "ring_1_relaxed", .bound = 3, .relaxed = true}));
}

TEST(Ring, TwoProducers) {
    using Scenario = RingWakeups<2, 2, false>;
    EXPECT_HOLDS(explore<Scenario>({.name = "ring_2", .cpus = 3}));
    EXPECT_HOLDS(explore<Scenario>({.name = "ring_2_relaxed", .cpus = 3, .relaxed = true}));
}

TEST(Ring, DiscardedRecords) {
    using Scenario = RingWakeups<1, 2, true>;
    EXPECT_HOLDS(explore<Scenario>({.name = "ring_discard"}));
    EXPECT_HOLDS(explore<Scenario>({.name = "ring_discard_relaxed", .relaxed = true}));
}

TEST(Ring, Bounded) {
    using explore::RingBounded;
    EXPECT_HOLDS(explore<RingBounded>({.name = "ring_bounded", .cpus = 3, .schedules = 8'000}));
    EXPECT_HOLDS(explore<RingBounded>(
        {.name = "ring_bounded_nmi", .cpus = 3, .nmis = 1, .schedules = 8'000}));
    EXPECT_HOLDS(explore<RingBounded>(
        {.name = "ring_bounded_relaxed", .cpus = 3, .relaxed = true, .schedules = 8'000}));
}

TEST(Ring, Overrun) {
    using explore::RingOverrun;
    EXPECT_HOLDS(explore<RingOverrun>({.name = "ring_overrun"}));
    EXPECT_HOLDS(explore<RingOverrun>(
        {.name = "ring_overrun_relaxed", .relaxed = true, .schedules = 8'000}));
}

TEST(UserRing, Drain) {
    using explore::UserRingDrain;
    EXPECT_HOLDS(explore<UserRingDrain>({.name = "user_ring", .bound = 3}));
    EXPECT_HOLDS(
        explore<UserRingDrain>({.name = "user_ring_2", .cpus = 3, .nmis = 1, .schedules = 8'000}));
    EXPECT_HOLDS(explore<UserRingDrain>(
        {.name = "user_ring_relaxed", .cpus = 3, .relaxed = true, .schedules = 8'000}));
}

TEST(UserRing, HostileWriter) {
    using explore::UserRingHostile;
    EXPECT_HOLDS(explore<UserRingHostile>({.name = "user_ring_hostile", .bound = 4}));
    EXPECT_HOLDS(explore<UserRingHostile>(
        {.name = "user_ring_hostile_relaxed", .relaxed = true, .schedules = 8'000}));
}

}  // namespace
}  // namespace barebpf
