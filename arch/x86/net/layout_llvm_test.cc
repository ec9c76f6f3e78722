// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Random tangles of jumps against LLVM's own relaxation, byte for byte. Skipped where LLVM's tools are missing.
#include "arch/x86/net/layout_program_test.h"
#include "arch/x86/net/llvm_oracle_test.h"
#include "testkit/test.h"

namespace barebpf::x86 {
namespace {

using namespace layout_test;

TEST(LayoutLlvm, SameBytesAsLlvmOnRandomTangles) {
    std::string assembler = oracle::find_program("llvm-mc");
    std::string objcopy = oracle::find_program("llvm-objcopy");
    if (assembler.empty() || objcopy.empty()) GTEST_SKIP() << "llvm-mc, llvm-objcopy not installed";
    for (u32 seed = 1; seed <= 20; seed++) {
        constexpr u32 kLabels = 60;
        auto items = tangle(seed, kLabels);
        std::string source = ".intel_syntax noprefix\n";
        for (const Item& item : items) {
            std::string label = "L" + std::to_string(item.argument);
            if (item.kind == Item::Fill)
                for (u32 i = 0; i < item.argument; i++) source += "nop\n";
            if (item.kind == Item::Jmp) source += "jmp " + label + "\n";
            if (item.kind == Item::Jcc) source += "jg " + label + "\n";
            if (item.kind == Item::Bind) source += label + ":\n";
        }
        Program program(kLabels, 3 * kLabels);
        for (u32 i = 0; i < kLabels; i++) program.layout.new_label();
        Bytes code = program.build([&](Assembler& out) {
            for (const Item& item : items) {
                if (item.kind == Item::Fill) fill(out, item.argument);
                if (item.kind == Item::Jmp) out.jump(Label{item.argument});
                if (item.kind == Item::Jcc) out.jump(Condition::Greater, Label{item.argument});
                if (item.kind == Item::Bind) out.bind(Label{item.argument});
            }
        });
        oracle::Scratch scratch;
        oracle::write_file(scratch.file("t.s"), source);
        std::string command = assembler + " --triple=x86_64 -filetype=obj " + scratch.file("t.s") +
                              " -o " + scratch.file("t.o") + " && " + objcopy +
                              " -O binary -j .text " + scratch.file("t.o") + " " +
                              scratch.file("t.bin");
        ASSERT_EQ(system(command.c_str()), 0);
        std::string expected = oracle::read_file(scratch.file("t.bin"));
        EXPECT_EQ(std::string(code.begin(), code.end()), expected) << "seed " << seed;
    }
}

}  // namespace
}  // namespace barebpf::x86
