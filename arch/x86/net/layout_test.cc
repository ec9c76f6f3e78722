// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Labels and jump sizes: exact cases at the edges of a short jump's reach, and random tangles of
// jumps against LLVM's own relaxation, byte for byte.
#include "arch/x86/net/layout.h"

#include <functional>
#include <random>

#include "arch/x86/net/assembler.h"
#include "arch/x86/net/llvm_oracle_test.h"
#include "testkit/test.h"

namespace barebpf::x86 {
namespace {

using Bytes = std::vector<u8>;

struct Program {
    explicit Program(u32 labels, u32 jumps)
        : marks(labels), records(jumps), layout(marks.data(), labels, records.data(), jumps) {}

    Bytes build(const std::function<void(Assembler&)>& generate) {
        Assembler first({}, &layout);
        generate(first);
        EXPECT_TRUE(layout.relax());
        Bytes code(65536);
        Assembler second({code.data(), static_cast<u32>(code.size())}, &layout);
        generate(second);
        EXPECT_TRUE(second.ok());
        code.resize(second.position());
        return code;
    }

    std::vector<Layout::Mark> marks;
    std::vector<Layout::Jump> records;
    Layout layout;
};

void fill(Assembler& out, u32 count) {
    for (u32 i = 0; i < count; i++) out.nop(1);
}

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

struct Item {
    enum Kind { Fill, Jmp, Jcc, Bind } kind;
    u32 argument;
};

std::vector<Item> tangle(u32 seed, u32 labels) {
    std::mt19937 random(seed);
    std::vector<Item> items;
    for (u32 i = 0; i < labels * 3; i++) {
        items.push_back({Item::Fill, static_cast<u32>(random() % 40)});
        items.push_back(
            {random() % 2 ? Item::Jmp : Item::Jcc, static_cast<u32>(random() % labels)});
    }
    for (u32 i = 0; i < labels; i++)
        items.insert(items.begin() + static_cast<long>(random() % items.size()),
                     Item{Item::Bind, i});
    return items;
}

TEST(Layout, SameBytesAsLlvmOnRandomTangles) {
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

// The same tangles with padded jumps: none crosses or ends a line, each reaches its label.
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
