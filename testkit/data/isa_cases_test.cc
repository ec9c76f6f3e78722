// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/data/isa_cases.h"

#include "testkit/data/data_file.h"
#include "testkit/test.h"

namespace barebpf::testdata {
namespace {

u8 code_buffer[kIsaMaxCode];
u8 memory_buffer[2 * kIsaMaxMemory];
constexpr IsaBuffers kBuffers{code_buffer, sizeof(code_buffer), memory_buffer, kIsaMaxMemory};

IsaReader reader_of(const DataFile& file) {
    return IsaReader(file.text, file.size, kBuffers);
}

u32 length(const char* text) {
    u32 n = 0;
    while (text[n]) ++n;
    return n;
}

IsaReader reader_of(const char* text, IsaBuffers buffers = kBuffers) {
    return IsaReader(text, length(text), buffers);
}

bool same(Text a, Text b) {
    if (a.size != b.size) return false;
    for (u32 i = 0; i < a.size; ++i) {
        if (a.data[i] != b.data[i]) return false;
    }
    return true;
}

// Calls visit(file, test) for each case of each file; a file that does not parse fails the test.
template <class Visit>
void for_each_case(Visit visit) {
    for (u32 i = 0; i < kIsaFileCount; ++i) {
        IsaReader reader = reader_of(kIsaFiles[i]);
        IsaCase test;
        for (;;) {
            Result<bool> more = reader.next(&test);
            ASSERT_TRUE(more.ok())
                << kIsaFiles[i].name << ":" << reader.error_line() << ": " << reader.error_text();
            if (!more.value()) break;
            visit(kIsaFiles[i], test);
        }
    }
}

TEST(IsaFiles, HoldEnoughCases) {
    u32 values = 0, rejects = 0, files_with_cases = 0;
    const DataFile* last = nullptr;
    for_each_case([&](const DataFile& file, const IsaCase& test) {
        if (last != &file) ++files_with_cases;
        last = &file;
        ++(test.fault == IsaFault::None ? values : rejects);
    });
    EXPECT_EQ(files_with_cases, kIsaFileCount);
    EXPECT_GE(values, 1500u);
    EXPECT_GE(rejects, 180u);
}

TEST(IsaFiles, NamesAreUnique) {
    static Text names[4096];
    u32 count = 0;
    for_each_case([&](const DataFile& file, const IsaCase& test) {
        for (u32 i = 0; i < count; ++i) {
            if (same(names[i], test.name))
                ADD_FAILURE() << file.name << ":" << test.line << ": name twice";
        }
        ASSERT_LT(count, sizeof(names) / sizeof(names[0]));
        names[count++] = test.name;
    });
}

TEST(IsaFiles, OnlyFarIsLarge) {
    for_each_case([](const DataFile& file, const IsaCase& test) {
        bool far = Text{file.name, length(file.name)}.equals("far.isa");
        EXPECT_LE(test.code.size, far ? kIsaMaxCode : kIsaNearCode)
            << file.name << ":" << test.line;
    });
}

// Each line of text is one instruction, and a 64-bit immediate has two slots.
TEST(IsaFiles, TextHasOneLineForEachInstruction) {
    for_each_case([](const DataFile& file, const IsaCase& test) {
        if (test.fault != IsaFault::None) return;
        Text rest = test.asm_text, line;
        u32 count = 0, at = 0;
        while (next_asm_line(&rest, &line, &count)) {
            for (; count > 0 && at < test.code.size; --count) {
                at += test.code.data[at] == 0x18 ? 16 : 8;
            }
            ASSERT_EQ(count, 0u) << file.name << ":" << test.line;
        }
        EXPECT_EQ(at, test.code.size) << file.name << ":" << test.line;
    });
}

// What the good programs must contain: opcode, and the field that selects among its forms.
class Coverage {
public:
    void need(u8 opcode, s32 selector = 0) {
        ASSERT_LT(count_, kMax);
        forms_[count_++] = {opcode, selector, false};
    }
    void saw(const u8* slot) {
        s32 off = static_cast<s16>(slot[2] | slot[3] << 8);
        s32 imm = static_cast<s32>(u32{slot[4]} | u32{slot[5]} << 8 | u32{slot[6]} << 16 |
                                   u32{slot[7]} << 24);
        u8 opcode = slot[0], operation = opcode & 0xf0, kind = opcode & 7;
        bool arithmetic = kind == 4 || kind == 7;
        s32 selector = arithmetic ? off : 0;
        if (arithmetic && operation == 0xd0) selector = imm;
        if (kind == 3 && (opcode & 0xe0) == 0xc0) selector = imm;
        for (u32 i = 0; i < count_; ++i) {
            if (forms_[i].opcode == opcode && forms_[i].selector == selector) forms_[i].seen = true;
        }
    }
    void expect_all() const {
        for (u32 i = 0; i < count_; ++i) {
            EXPECT_TRUE(forms_[i].seen) << "no case has opcode " << u32{forms_[i].opcode}
                                        << " selector " << forms_[i].selector;
        }
    }

private:
    static constexpr u32 kMax = 256;
    struct Form {
        u8 opcode;
        s32 selector;
        bool seen;
    };
    Form forms_[kMax] = {};
    u32 count_ = 0;
};

void need_arithmetic(Coverage* coverage) {
    for (u8 kind : {0x04, 0x07}) {
        for (u32 operation = 0; operation <= 0xc0; operation += 0x10) {
            u8 opcode = static_cast<u8>(operation | kind);
            coverage->need(opcode);
            if (operation == 0x80) continue;
            coverage->need(opcode | 8);
            if (operation != 0x30 && operation != 0x90) continue;
            coverage->need(opcode, 1);
            coverage->need(opcode | 8, 1);
        }
        coverage->need(0xb8 | kind, 8);
        coverage->need(0xb8 | kind, 16);
    }
    coverage->need(0xbf, 32);
    for (s32 bits : {16, 32, 64}) {
        coverage->need(0xd4, bits);
        coverage->need(0xdc, bits);
        coverage->need(0xd7, bits);
    }
}

void need_jumps(Coverage* coverage) {
    for (u8 kind : {0x05, 0x06}) {
        coverage->need(kind);
        for (u32 operation : {0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0}) {
            coverage->need(static_cast<u8>(operation | kind));
            coverage->need(static_cast<u8>(operation | 8 | kind));
        }
    }
    for (u8 opcode : {0x85, 0x95, 0xe5}) coverage->need(opcode);
}

void need_memory(Coverage* coverage) {
    coverage->need(0x18);
    for (u8 size : {0x00, 0x08, 0x10, 0x18}) {
        for (u8 kind : {0x61, 0x62, 0x63}) coverage->need(size | kind);
        if (size != 0x18) coverage->need(size | 0x81);
        for (s32 operation : {0x100, 0x110}) coverage->need(size | 0xc3, operation);
        if (size == 0x08 || size == 0x10) continue;
        for (s32 operation : {0x00, 0x40, 0x50, 0xa0, 0x01, 0x41, 0x51, 0xa1, 0xe1, 0xf1}) {
            coverage->need(size | 0xc3, operation);
        }
    }
}

TEST(IsaFiles, CoverEveryInstruction) {
    Coverage coverage;
    need_arithmetic(&coverage);
    need_jumps(&coverage);
    need_memory(&coverage);
    for_each_case([&](const DataFile&, const IsaCase& test) {
        if (test.fault != IsaFault::None) return;
        for (u32 at = 0; at < test.code.size; at += test.code.data[at] == 0x18 ? 16 : 8) {
            coverage.saw(test.code.data + at);
        }
    });
    coverage.expect_all();
}

TEST(IsaReader, ReadsEveryField) {
    IsaReader reader = reader_of(
        "# remark\n\n"
        "case: first_1\nabout: What it shows.\nasm:\n    r0 = 1\n    3 x r0 += 2\n"
        "code: b700000001000000*2\n    9500000000000000\nmemory: 01 ff*3\nresult: "
        "fedcba9876543210\n"
        "# remark\nmemory_after: 02030405\n\n"
        "case: second\ncode: 0000000000000000\nerror: flow falls off the end");
    IsaCase test;
    ASSERT_TRUE(reader.next(&test).release());
    EXPECT_TRUE(test.name.equals("first_1"));
    EXPECT_TRUE(test.about.equals("What it shows."));
    EXPECT_EQ(test.line, 3u);
    EXPECT_EQ(test.result, 0xfedcba9876543210u);
    ASSERT_EQ(test.code.size, 24u);
    EXPECT_EQ(test.code.data[8], 0xb7);
    EXPECT_EQ(test.code.data[12], 1);
    EXPECT_EQ(test.code.data[16], 0x95);
    ASSERT_EQ(test.memory.size, 4u);
    EXPECT_EQ(test.memory.data[0], 1);
    EXPECT_EQ(test.memory.data[3], 0xff);
    ASSERT_EQ(test.memory_after.size, 4u);
    EXPECT_EQ(test.memory_after.data[3], 5);
    EXPECT_EQ(test.fault, IsaFault::None);
    Text line;
    u32 count = 0;
    ASSERT_TRUE(next_asm_line(&test.asm_text, &line, &count));
    EXPECT_TRUE(line.equals("r0 = 1"));
    EXPECT_EQ(count, 1u);
    ASSERT_TRUE(next_asm_line(&test.asm_text, &line, &count));
    EXPECT_TRUE(line.equals("r0 += 2"));
    EXPECT_EQ(count, 3u);
    EXPECT_FALSE(next_asm_line(&test.asm_text, &line, &count));
    ASSERT_TRUE(reader.next(&test).release());
    EXPECT_TRUE(test.name.equals("second"));
    EXPECT_EQ(test.fault, IsaFault::Flow);
    EXPECT_TRUE(test.reason.equals("falls off the end"));
    EXPECT_EQ(test.memory.size, 0u);
    EXPECT_FALSE(reader.next(&test).release());
}

TEST(IsaReader, MemoryStaysUnlessSaidOtherwise) {
    IsaReader reader = reader_of("case: a\ncode: 9500000000000000\nmemory: 0102\nresult: 0\n");
    IsaCase test;
    ASSERT_TRUE(reader.next(&test).release());
    EXPECT_EQ(test.memory_after.data, test.memory.data);
    EXPECT_EQ(test.memory_after.size, 2u);
}

#define HEAD "case: a\ncode: 9500000000000000\n"

TEST(IsaReader, NamesTheLineOfWhatIsCorrupt) {
    struct {
        const char* text;
        u32 line;
        const char* why;
    } const rows[] = {
        {"name: a\n", 1, "unknown field"},
        {"case a\n", 1, "not a field"},
        {"\n# remark\ncode: 9500000000000000\n", 3, "a record starts with case:"},
        {"    r0 = 1\n", 1, "not a field"},
        {"case: A\n", 1, "a name has a-z, 0-9 and _"},
        {"case:\n", 1, "a name has a-z, 0-9 and _"},
        {"case: a\ncase: b\n", 2, "field twice or out of order"},
        {HEAD "code: 9500000000000000\n", 3, "field twice or out of order"},
        {HEAD "asm:\n", 3, "field twice or out of order"},
        {"case: a\nasm: exit\n", 2, "asm starts on a line of its own"},
        {"case: a\ncode: 950\n", 2, "hex digits come in pairs"},
        {"case: a\ncode: 95000000\n    000000 *3\n", 3, "hex digits come in pairs"},
        {"case: a\ncode: 950000000000000g\n", 2, "not a hex digit"},
        {"case: a\ncode: 9500000000000000*\n", 2, "bad count after *"},
        {"case: a\ncode: 9500000000000000*0\n", 2, "bad count after *"},
        {"case: a\ncode: 9500000000000000*100001\n", 2, "bad count after *"},
        {"case: a\ncode: 9500000000000000*99999999999\n", 2, "bad count after *"},
        {"case: a\ncode: 9500000000000000*1f\n", 2, "bad count after *"},
        {"case: a\ncode: 9500000000000000*100000\n", 2, "larger than the buffer"},
        {HEAD "memory: 00*513\n", 3, "larger than the buffer"},
        {HEAD "result:\n", 3, "not a 64-bit hex number"},
        {HEAD "result: 0x1\n", 3, "not a 64-bit hex number"},
        {HEAD "result: -1\n", 3, "not a 64-bit hex number"},
        {HEAD "result: 11112222333344445\n", 3, "not a 64-bit hex number"},
        {HEAD "error: other because\n", 3, "not decode, flow or operand"},
        {HEAD "error: flow\n", 3, "an error has a reason"},
        {HEAD "\n", 3, "a record has either result: or error:"},
        {HEAD, 2, "a record has either result: or error:"},
        {HEAD "result: 0\nerror: flow bad\n", 4, "a record has either result: or error:"},
        {"case: a\nresult: 0\n", 2, "code is whole instructions, at least one"},
        {"case: a\ncode: 95000000\nresult: 0\n", 3, "code is whole instructions, at least one"},
        {HEAD "memory: 0001\nresult: 0\nmemory_after: 00\n", 5,
         "memory_after goes with a memory of its size"},
        {HEAD "result: 0\nmemory_after: 00\n", 4, "memory_after goes with a memory of its size"},
        {HEAD "memory: 00\nerror: flow bad\nmemory_after: 00\n", 5,
         "memory_after goes with a memory of its size"},
    };
    for (const auto& row : rows) {
        IsaReader reader = reader_of(row.text);
        IsaCase test;
        Result<bool> more = reader.next(&test);
        ASSERT_FALSE(more.ok()) << row.text;
        EXPECT_STREQ(reader.error_text(), row.why) << row.text;
        EXPECT_EQ(reader.error_line(), row.line) << row.text;
        EXPECT_FALSE(reader.next(&test).release());
    }
}

TEST(IsaReader, SaysWhenTheBufferIsTooSmall) {
    u8 code[8], memory[4];
    IsaBuffers small{code, sizeof(code), memory, 2};
    IsaCase test;
    IsaReader fits = reader_of(HEAD "memory: 0102\nresult: 0\nmemory_after: 0304\n", small);
    ASSERT_TRUE(fits.next(&test).release());
    EXPECT_EQ(test.memory.data[1], 2);
    EXPECT_EQ(test.memory_after.data[1], 4);
    EXPECT_EQ(reader_of(HEAD "memory: 010203\nresult: 0\n", small).next(&test).error(),
              Errno::NoSpc);
    EXPECT_EQ(
        reader_of("case: a\ncode: 9500000000000000*2\nresult: 0\n", small).next(&test).error(),
        Errno::NoSpc);
}

// A file cut anywhere gives whole cases and then at most one error, at its last line.
TEST(IsaReader, SurvivesEveryTruncation) {
    const DataFile& file = kIsaFiles[0];
    for (u32 size = 0; size < file.size && size < 3000; ++size) {
        IsaReader reader(file.text, size, kBuffers);
        IsaCase test;
        u32 lines = 1;
        for (u32 i = 0; i < size; ++i) lines += file.text[i] == '\n';
        for (;;) {
            Result<bool> more = reader.next(&test);
            if (!more.ok()) {
                EXPECT_GE(reader.error_line() + 1, lines) << size;
                break;
            }
            if (!more.value()) break;
            ASSERT_LE(test.asm_text.data + test.asm_text.size, file.text + size);
        }
    }
}

}  // namespace
}  // namespace barebpf::testdata
