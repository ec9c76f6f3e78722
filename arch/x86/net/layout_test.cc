// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Labels and jump sizes: exact cases at the edges of a short jump's reach. layout_llvm_test.cc has LLVM's own
// relaxation to compare with.
#include "arch/x86/net/layout.h"

#include <cstring>

#include "arch/x86/net/layout_program_test.h"
#include "testkit/test.h"

namespace barebpf::x86 {
namespace {

using namespace layout_test;

TEST(Layout, ShortForwardJumpReaches127) {
    for (u32 gap : {0u, 1u, 127u, 128u, 1000u}) {
        Program program(1, 1);
        Label end = program.layout.new_label();
        Bytes code = program.build([&](Assembler& out) {
            out.jump(end);
            fill(out, gap);
            out.bind(end);
        });
        ASSERT_EQ(code.size(), gap + (gap <= 127 ? 2 : 5));
        if (gap <= 127) {
            EXPECT_EQ(code[0], 0xEB);
            EXPECT_EQ(code[1], gap);
        } else {
            EXPECT_EQ(code[0], 0xE9);
            EXPECT_EQ(code[1] | code[2] << 8, static_cast<int>(gap));
        }
    }
}

TEST(Layout, ShortBackwardJumpReaches128) {
    for (u32 gap : {0u, 126u, 127u}) {
        Program program(1, 1);
        Label top = program.layout.new_label();
        Bytes code = program.build([&](Assembler& out) {
            out.bind(top);
            fill(out, gap);
            out.jump(Condition::NotEqual, top);
        });
        ASSERT_EQ(code.size(), gap + (gap <= 126 ? 2 : 6));
        EXPECT_EQ(code[gap], gap <= 126 ? 0x75 : 0x0F);
    }
}

TEST(Layout, OneJumpGrowingMakesAnotherGrow) {
    Program program(2, 2);
    Label far = program.layout.new_label(), near = program.layout.new_label();
    Bytes code = program.build([&](Assembler& out) {
        out.jump(near);  // 125 bytes away only while the next one is short
        out.jump(Condition::Below, far);
        fill(out, 125);
        out.bind(near);
        fill(out, 200);
        out.bind(far);
    });
    EXPECT_EQ(code.size(), 5u + 6 + 325);
}

TEST(Layout, LabelsServeCallsAndAddresses) {
    Program program(2, 0);
    Label function = program.layout.new_label(), data = program.layout.new_label();
    Bytes code = program.build([&](Assembler& out) {
        out.call(function);                                    // 0..5
        out.lea(Width::W64, Register::Rax, Memory::at(data));  // 5..12
        out.bind(function);                                    // 12
        out.ret();
        out.bind(data);  // 13
    });
    EXPECT_EQ(code[1], 7);
    EXPECT_EQ(code[8], 1);
}

TEST(Layout, FailsOnMisuse) {
    Layout::Mark marks[2];
    Layout::Jump jumps[1];
    {
        Layout layout(marks, 1, jumps, 1);
        Label never = layout.new_label();
        Assembler out({}, &layout);
        out.jump(never);
        EXPECT_FALSE(layout.relax());  // not bound
    }
    {
        Layout layout(marks, 1, jumps, 1);
        layout.new_label();
        layout.new_label();  // too many
        EXPECT_FALSE(layout.ok());
    }
    {
        Layout layout(marks, 1, jumps, 1);
        Label twice = layout.new_label();
        layout.bind(twice, 0);
        layout.bind(twice, 4);
        EXPECT_FALSE(layout.ok());
    }
    {
        Layout layout(marks, 1, jumps, 1);
        Label label = layout.new_label();
        Assembler first({}, &layout);
        first.bind(label);
        first.jump(label);
        first.jump(label);  // table full
        EXPECT_FALSE(layout.relax());
    }
    {
        Layout layout(marks, 1, jumps, 1);
        Label label = layout.new_label();
        Assembler first({}, &layout);
        first.bind(label);
        EXPECT_TRUE(layout.relax());
        Assembler second({}, &layout);
        second.nop(1);  // the passes differ
        second.bind(label);
        EXPECT_FALSE(second.ok());
    }
}

// Random tangles with padded jumps: none crosses or ends a line, each reaches its label.
TEST(Layout, PaddedJumpsStayWithinTheirLines) {
    constexpr u32 kLabels = 60;
    struct Emitted {
        u32 begin, end, label;
    };
    for (u32 seed = 1; seed <= 20; seed++) {
        auto items = tangle(seed, kLabels);
        std::vector<Emitted> jumps;
        Program program(kLabels, 3 * kLabels);
        program.layout.reserve_labels(kLabels);
        auto generate = [&](Assembler& out) {
            jumps.clear();
            for (const Item& item : items) {
                if (item.kind == Item::Fill) fill(out, item.argument);
                if (item.kind == Item::Bind) out.bind(Label{item.argument});
                if (item.kind != Item::Jmp && item.kind != Item::Jcc) continue;
                out.keep_within_line(out.next_jump_length(item.kind == Item::Jcc));
                u32 begin = out.position();
                if (item.kind == Item::Jmp) out.jump(Label{item.argument});
                if (item.kind == Item::Jcc) out.jump(Condition::Greater, Label{item.argument});
                jumps.push_back({begin, out.position(), item.argument});
            }
        };
        Assembler first({}, &program.layout);
        generate(first);
        ASSERT_TRUE(program.layout.relax(Layout::Padding::Expected));
        do {
            Assembler placing({}, &program.layout);
            generate(placing);
        } while (!program.layout.settle());
        Bytes code(65536);
        Assembler last({code.data(), static_cast<u32>(code.size())}, &program.layout);
        generate(last);
        ASSERT_TRUE(last.ok()) << "seed " << seed;
        for (const Emitted& jump : jumps) {
            EXPECT_EQ(jump.begin / 32, jump.end / 32) << "seed " << seed;
            u32 length = jump.end - jump.begin;
            s32 distance = static_cast<s8>(code[jump.end - 1]);
            if (length > 2) memcpy(&distance, &code[jump.end - 4], 4);
            EXPECT_EQ(jump.end + static_cast<u32>(distance),
                      program.layout.position(Label{jump.label}));
        }
    }
}

}  // namespace
}  // namespace barebpf::x86
