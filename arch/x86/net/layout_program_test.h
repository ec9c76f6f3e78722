// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests only: code that is generated twice, as a Layout wants it, and random tangles of jumps.
#pragma once

#include <functional>
#include <random>
#include <vector>

#include "arch/x86/net/assembler.h"
#include "arch/x86/net/layout.h"
#include "testkit/test.h"

namespace barebpf::x86::layout_test {

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

inline void fill(Assembler& out, u32 count) {
    for (u32 i = 0; i < count; i++) out.nop(1);
}

struct Item {
    enum Kind { Fill, Jmp, Jcc, Bind } kind;
    u32 argument;
};

inline std::vector<Item> tangle(u32 seed, u32 labels) {
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

}  // namespace barebpf::x86::layout_test
