// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Each allocation of a verification made to fail in turn: ENOMEM, and nothing is left behind (which
// verify() checks).
#include "kernel/bpf/verifier_case_test.h"
#include "testkit/machine.h"

namespace barebpf::test {

using namespace insn;

TEST(VerifierFault, EachAllocation) {
    // Calls, a loop, the stack, maps, branches: a bit of all that allocates. Straight lines make it
    // long enough for a second chunk of states.
    std::vector<bpf_insn> insns = {mov(R6, R1), mov_imm(R7, 0)};
    for (s16 i = 0; i < 300; ++i) {
        insns.push_back(load(BPF_W, R2, R6, 0));
        insns.push_back(store(BPF_DW, R10, s16(-8 - 8 * (i % 32)), R2));
        insns.push_back(jump_imm(BPF_JEQ, R2, i, 1));
        insns.push_back(add_imm(R7, 1));
    }
    const std::vector<bpf_insn> rest = {ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd),
                                        ld_high(0),
                                        load(BPF_B, R1, R2, 0),
                                        call_subprog(1),
                                        insn::exit(),
                                        mov(R0, R1),
                                        insn::exit()};
    insns.insert(insns.end(), rest.begin(), rest.end());
    const VerifierCase one{"", insns, kAccepted, "", As::Packet, BPF_F_TEST_STATE_FREQ};
    u32 failures = 0;
    for (u64 n = 1;; ++n) {  // the first one is the program itself
        machine::fail_allocation_after(n);
        const Verdict verdict = verify(one, 4);
        if (!machine::stop_failing_allocations()) {
            EXPECT_EQ(to_int(verdict.error), 0) << verdict.log;
            break;
        }
        ++failures;
        EXPECT_EQ(to_int(verdict.error), to_int(Errno::NoMem)) << n;
    }
    EXPECT_GT(failures, 8u);
}

}  // namespace barebpf::test
