// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/host/lock_validator.h"

#include "kernel/host/contract.h"
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

void take_in_order(Low& low, High& high) {
    Guard<Low, IrqSave> outer(low);
    Guard<High, NoIrq> inner(high);
}

TEST(LockValidator, RightOrderIsSilent) {
    Cpu::Entry inside;
    Low low;
    High high;
    take_in_order(low, high);
    { Guard<High, IrqSave> alone(high); }
    take_in_order(low, high);
}

}  // namespace
}  // namespace barebpf::host

#endif
