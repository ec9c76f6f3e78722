// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Fuzzes programs: an input is a header and instructions (prog_run.h). Whatever they are, they are printed
// and decoded; then the verifier judges them, and what it takes runs, interpreted and compiled, within
// memory that has nothing around it. A fault, or two engines that disagree, is a finding.
#include <algorithm>

#include "kernel/bpf/decode.h"
#include "kernel/bpf/disasm.h"
#include "testkit/fuzz/byte_source.h"
#include "testkit/fuzz/prog_run.h"
#include "testkit/fuzz/world.h"

namespace barebpf::fuzz {
namespace {

// Printing and decoding take any bytes. A text that is cut must end at its end.
void print_and_decode(const bpf_insn* insns, u32 count) {
    char line[256];
    for (u32 i = 0; i < count; ++i) {
        TextBuffer whole(line);
        disasm_insn(whole, insns + i);
        TextBuffer cut(line, i % 24);
        disasm_insn(cut, insns + i);
    }
    u32 where;
    TextBuffer why(line);
    if (!decode_program(insns, count, &where, why) && where >= count)
        World::fail("refused beyond the end");
}

void one_input(ByteSource in) {
    if (in.left() < sizeof(ProgHeader) + sizeof(bpf_insn)) return;
    const auto header = in.take<ProgHeader>();
    const u32 count = u32(std::min<size_t>(in.left() / sizeof(bpf_insn), kMaxInsns));
    // One more, zero: who prints the last may look at two.
    auto* insns = new bpf_insn[count + 1]();
    in.take_bytes(insns, count * sizeof(bpf_insn));
    print_and_decode(insns, count);
    const Verdict verdict = run_program(header, insns, count);
    if (printing()) {
        print_program(insns, count);
        static const char* const kVerdicts[] = {"refused", "ran", "ran, both engines agree"};
        fprintf(stderr, "%s\n", kVerdicts[u32(verdict)]);
    }
    delete[] insns;
}

}  // namespace
}  // namespace barebpf::fuzz

// The two engines must see the same stack addresses modulo what prog_run.cc varies.
extern "C" const char* __asan_default_options() {
    return "detect_stack_use_after_return=0";
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    barebpf::user::set_cpu_count(1);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const barebpf::u8* data, size_t size) {
    barebpf::fuzz::one_input(barebpf::fuzz::ByteSource(data, size));
    return 0;
}
