// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reserved records and dynptrs: what the verifier must accept and refuse, with Linux's words.
#include "kernel/bpf/ring_cases_test.h"

namespace barebpf::test {
namespace {

void run(const std::vector<RingCase>& cases) {
    for (const RingCase& c : cases) {
        TestBtf types;
        const PlacedCase placed = place(c, types);
        TestLoad load;
        load.functions = placed.functions;
        load.btf = types.finish();
        expect_verdict(c.name, placed.insns, c.error, c.text, load);
        load.flags = BPF_F_TEST_STATE_FREQ;
        expect_verdict(c.name, placed.insns, c.error, c.text, load);
    }
}

TEST(Records, AreReferences) {
    run(record_cases());
}

TEST(Dynptrs, AreTheHelpersOwn) {
    run(dynptr_cases());
}

TEST(Dynptrs, OfCallbacksAreOnlyUsed) {
    run(callback_cases());
}

}  // namespace
}  // namespace barebpf::test
