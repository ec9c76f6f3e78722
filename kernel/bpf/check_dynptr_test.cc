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

// -- what else ------------------------------------------------------------------------------------

constexpr u8 R0 = 0, R1 = 1, R2 = 2, R3 = 3, R4 = 4, R6 = 6, R7 = 7, R10 = 10;

Insns submitted(const Insns& use) {
    return reserve_record(16) +
           Insns{insn_jump_imm(BPF_JNE, R0, 0, 2), insn_mov_imm(R0, 0), insn_exit(),
                 insn_mov(R6, R0)} +
           use +
           Insns{insn_mov(R1, R6), insn_mov_imm(R2, 0), helper_call(BPF_FUNC_ringbuf_submit)} +
           leave();
}
Insns dynptr() {
    return load_map(R1, kRing) + Insns{insn_mov_imm(R2, 16), insn_mov_imm(R3, 0)} +
           stack_address(R4, -16) + Insns{helper_call(BPF_FUNC_ringbuf_reserve_dynptr)};
}

TEST(Records, OfTheUnprivileged) {
    const TestLoad unprivileged{.privileged = false};
    expect_verdict("a record", submitted({insn_store_imm(BPF_DW, R6, 0, 1)}), kAccepted, "",
                   unprivileged);
    expect_verdict("an address in a record", submitted({insn_store(BPF_DW, R6, 0, R10)}),
                   Errno::Acces, "R10 leaks addr into mem", unprivileged);
    expect_verdict("a record after submit",
                   submitted({insn_store(BPF_DW, R10, -8, R6), insn_mov(R1, R6),
                              insn_mov_imm(R2, 0), helper_call(BPF_FUNC_ringbuf_submit)}),
                   Errno::Acces, "R6 !read_ok", unprivileged);
    expect_verdict("a dynptr", dynptr() + leave(), Errno::Inval,
                   "unknown func bpf_ringbuf_reserve_dynptr#198", unprivileged);
    expect_verdict("a drain", Insns{helper_call(BPF_FUNC_user_ringbuf_drain)} + leave(),
                   Errno::Inval, "unknown func bpf_user_ringbuf_drain#209", unprivileged);
}

TEST(Records, InTheLog) {
    // Of what is accepted little is left in the log.
    const std::string record = verify(submitted({insn_mov(R0, R7)})).log;
    const std::string other = verify(dynptr() + leave()).log;
    const struct {
        const std::string& log;
        const char* text;
    } wanted[] = {
        {record, "R0=alloc_mem_or_null(id=2,ref_obj_id=2,off=0,"},
        {record, " refs=2"},
        {record, "R6=alloc_mem(ref_obj_id=2,off=0,"},
        {other, " fp-8=dddddddd fp-16=dddddddd refs="},
        {other, " alloc_insn=6"},
    };
    for (const auto& each : wanted)
        EXPECT_NE(each.log.find(each.text), std::string::npos) << each.text << '\n' << each.log;
}

}  // namespace
}  // namespace barebpf::test
