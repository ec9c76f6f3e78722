// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the lock validator finds ends the run: each case in a process of its own.
#include "kernel/host/contract.h"
#include "kernel/host/lock_validator.h"
#include "testkit/test.h"

#if defined(BAREBPF_LOCK_VALIDATOR)

namespace barebpf::host {
namespace {

struct LowClass {
    static constexpr LockClass kClass{"low_lock", 10};
};
struct HighClass {
    static constexpr LockClass kClass{"high_lock", 20};
};
using Low = SpinLock<LowClass>;
using High = SpinLock<HighClass>;

class LockValidatorDeathTest : public testing::Test {
protected:
    void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

void take_in_wrong_order() {
    Cpu::Entry inside;
    Low low;
    High high;
    Guard<High, IrqSave> outer(high);
    Guard<Low, NoIrq> inner(low);
}

TEST_F(LockValidatorDeathTest, WrongOrderNamesBoth) {
    EXPECT_DEATH(take_in_wrong_order(),
                 "wrong order: low_lock .rank 10. while holding high_lock .rank 20.");
}

void wait_in_wrong_order() {
    Cpu::Entry inside;
    Low low;
    High high;
    IrqState outer, inner;
    if (!high.acquire_in_any_context(&outer)) return;
    Guard<High, Adopt> outer_guard(high, outer);
    if (!low.acquire_in_any_context(&inner)) return;
    Guard<Low, Adopt> inner_guard(low, inner);
}

void try_in_wrong_order() {
    Cpu::Entry inside;
    Low low;
    High high;
    IrqState irq;
    Guard<High, IrqSave> outer(high);
    if (low.try_acquire(&irq)) Guard<Low, Adopt> inner(low, irq);
}

TEST_F(LockValidatorDeathTest, WaitingInAnyContextKeepsTheOrderAndTryingNeedNot) {
    EXPECT_DEATH(wait_in_wrong_order(), "wrong order: low_lock .rank 10. while holding high_lock");
    try_in_wrong_order();
}

void take_two_of_one_class() {
    Cpu::Entry inside;
    Low first;
    Low second;
    Guard<Low, IrqSave> outer(first);
    Guard<Low, NoIrq> inner(second);
}

TEST_F(LockValidatorDeathTest, TwoOfOneClassAreAWrongOrder) {
    EXPECT_DEATH(take_two_of_one_class(), "wrong order: low_lock");
}

// The compiler would see these by itself; what it cannot see goes through a pointer.
void take(Low* lock) {
    validator::acquiring(LowClass::kClass, lock);
    validator::acquired(LowClass::kClass, lock);
}

void take_twice() {
    Cpu::Entry inside;
    Low lock;
    take(&lock);
    take(&lock);
}

void release_another() {
    Cpu::Entry inside;
    Low held;
    Low other;
    take(&held);
    validator::released(LowClass::kClass, &other);
}

TEST_F(LockValidatorDeathTest, TakenTwiceAndReleasedButNotHeld) {
    EXPECT_DEATH(take_twice(), "taken twice: low_lock");
    EXPECT_DEATH(release_another(), "released but not held: low_lock");
}

void sleep_with_a_lock() {
    Cpu::Entry inside;
    Low lock;
    Guard<Low, IrqSave> guard(lock);
    synchronize_rcu();
}

void leave_with_a_lock() {
    Low lock;
    Cpu::Entry inside;
    take(&lock);
}

TEST_F(LockValidatorDeathTest, SleepingAndLeavingWithALock) {
    EXPECT_DEATH(sleep_with_a_lock(), "synchronize_rcu.. while holding low_lock");
    EXPECT_DEATH(leave_with_a_lock(), "leaving the library while holding low_lock");
}

}  // namespace
}  // namespace barebpf::host

#endif
