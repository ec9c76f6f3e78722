// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Every method of the assembler over registers, widths, addressing forms and immediates, against
// LLVM: each form is written as text and encoded by us. LLVM parses the text and prints it; LLVM
// disassembles our bytes and prints them; both must read the same, and LLVM's own encoding of the
// text must not be shorter than ours.
#include "arch/x86/net/assembler.h"
#include "arch/x86/net/llvm_oracle_test.h"
#include "testkit/test.h"

namespace barebpf::x86 {
namespace {

using R = Register;
using W = Width;

constexpr W kWidths[] = {W::W8, W::W16, W::W32, W::W64};
constexpr W kWide[] = {W::W16, W::W32, W::W64};
constexpr W kWidest[] = {W::W32, W::W64};
constexpr R kSome[] = {R::Rax, R::Rbx, R::Rsp, R::Rbp, R::Rsi, R::R8, R::R12, R::R13, R::R15};

const char* name(R reg, W width) {
    static const char* names[4][16] = {
        {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b",
         "r13b", "r14b", "r15b"},
        {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w",
         "r13w", "r14w", "r15w"},
        {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d",
         "r12d", "r13d", "r14d", "r15d"},
        {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
         "r13", "r14", "r15"}};
    return names[static_cast<u32>(width)][number(reg)];
}

std::string text(R reg) {
    return name(reg, W::W64);
}

std::string text(W width, const Memory& memory) {
    static const char* sizes[] = {"byte ptr ", "word ptr ", "dword ptr ", "qword ptr "};
    static const char* segments[] = {"", "fs:", "gs:"};
    std::string out = sizes[static_cast<u32>(width)];
    out += segments[static_cast<u32>(memory.segment())];
    out += "[";
    if (memory.form() == Memory::Form::Rip) out += "rip + ";
    if (memory.has_base()) out += text(memory.base()) + " + ";
    if (memory.has_index())
        out += std::to_string(1 << static_cast<u32>(memory.scale())) + "*" + text(memory.index()) +
               " + ";
    return out + std::to_string(memory.displacement()) + "]";
}

std::vector<Memory> memories() {
    std::vector<Memory> all;
    for (u32 base = 0; base < 16; base++)
        for (s32 disp : {0, 1, -128, 127, 128, -129, 0x12345678})
            all.push_back(Memory(static_cast<R>(base), disp));
    for (R base : kSome)
        for (u32 index = 0; index < 16; index++)
            if (static_cast<R>(index) != R::Rsp)
                for (u32 scale = 0; scale < 4; scale++)
                    all.push_back(Memory(base, static_cast<R>(index), static_cast<Scale>(scale),
                                         scale == 0   ? 0
                                         : scale == 1 ? -4
                                                      : 4096));
    // With a scale of one LLVM takes [index + disp] as a base, which is shorter but not what an
    // index-only operand says.
    for (u32 index : {0u, 5u, 13u, 15u})
        for (u32 scale = 1; scale < 4; scale++)
            all.push_back(Memory::index_only(static_cast<R>(index), static_cast<Scale>(scale), 64));
    all.push_back(Memory::absolute(0x1000));
    all.push_back(Memory::absolute(-4096));
    all.push_back(Memory::absolute(64).in(Segment::Gs));
    all.push_back(Memory(R::Rbx, 8).in(Segment::Fs));
    all.push_back(Memory(R::R12, R::R9, Scale::X8, 8).in(Segment::Gs));
    all.push_back(Memory::rip(0x100));
    all.push_back(Memory::rip(-0x100));
    return all;
}

std::vector<Memory> few_memories() {
    return {Memory(R::Rax), Memory(R::R13, 8), Memory(R::R12, R::R9, Scale::X4, -1000),
            Memory(R::Rsp, R::Rbp, Scale::X1, 16), Memory::rip(64)};
}

class Llvm : public ::testing::Test {
protected:
    void SetUp() override {
        program_ = oracle::find_program("llvm-mc");
        if (program_.empty()) GTEST_SKIP() << "llvm-mc is not installed";
    }

    // Encodes one form and files it beside its text.
    template <class Emit>
    void form(const std::string& source, Emit emit) {
        u8 buffer[32];
        Layout layout(nullptr, 0, nullptr, 0);
        Assembler assembler({buffer, sizeof buffer}, &layout);
        emit(assembler);
        EXPECT_TRUE(assembler.ok()) << source;
        std::string line;
        for (u32 i = 0; i < assembler.position(); i++) {
            char byte[8];
            snprintf(byte, sizeof byte, "0x%02x ", buffer[i]);
            line += byte;
        }
        text_ += source + "\n";
        hex_ += line + "\n";
        sources_.push_back(source);
        lengths_.push_back(assembler.position());
    }

    void TearDown() override {
        if (IsSkipped()) return;
        oracle::Scratch scratch;
        auto expected = oracle::assemble(program_, scratch, text_);
        auto seen = oracle::disassemble(program_, scratch, hex_);
        ASSERT_EQ(expected.size(), sources_.size());
        ASSERT_EQ(seen.size(), sources_.size());
        for (size_t i = 0; i < sources_.size(); i++) {
            ASSERT_EQ(seen[i], expected[i].text) << sources_[i];
            EXPECT_LE(lengths_[i], expected[i].length) << sources_[i];
        }
        RecordProperty("forms", static_cast<int>(sources_.size()));
    }

    std::string program_, text_, hex_;
    std::vector<std::string> sources_;
    std::vector<u32> lengths_;
};

// As LLVM prints it: 16 and 32-bit immediates unsigned unless they are sign-extended bytes.
std::string literal(W width, s32 value, bool has_byte_form) {
    bool sign_extended = has_byte_form && fits_s8(value);
    if (width == W::W16 && !sign_extended) value &= 0xFFFF;
    if (width == W::W32 && !sign_extended) return std::to_string(static_cast<u32>(value));
    return std::to_string(value);
}

std::string two(const std::string& mnemonic, const std::string& a, const std::string& b) {
    return mnemonic + " " + a + ", " + b;
}

std::string three(const std::string& mnemonic, const std::string& a, const std::string& b,
                  const std::string& c) {
    return two(mnemonic, a, b) + ", " + c;
}

template <class Body>
void each_pair(Body body) {
    for (u32 a = 0; a < 16; a++)
        for (u32 b = 0; b < 16; b++) body(static_cast<R>(a), static_cast<R>(b));
}

template <class Body>
void each(Body body) {
    for (u32 a = 0; a < 16; a++) body(static_cast<R>(a));
}

TEST_F(Llvm, MoveRegisters) {
    for (W w : kWidths)
        each_pair([&](R a, R b) {
            form(two("mov", name(a, w), name(b, w)), [&](Assembler& out) { out.mov(w, a, b); });
        });
}

TEST_F(Llvm, MoveMemoryInEveryAddressingForm) {
    for (W w : kWidths)
        for (const Memory& memory : memories())
            for (R reg : {R::Rbx, R::Rsi, R::R14}) {
                form(two("mov", name(reg, w), text(w, memory)),
                     [&](Assembler& out) { out.mov(w, reg, memory); });
                form(two("mov", text(w, memory), name(reg, w)),
                     [&](Assembler& out) { out.mov(w, memory, reg); });
            }
}

TEST_F(Llvm, MoveImmediates) {
    for (W w : kWidths)
        for (s32 value : {0, 1, -1, 100, 0x7f}) {
            each([&](R reg) {
                form(two("mov", name(reg, w), literal(w, value, false)),
                     [&](Assembler& out) { out.mov(w, reg, value); });
            });
            for (const Memory& memory : memories())
                form(two("mov", text(w, memory), literal(w, value, false)),
                     [&](Assembler& out) { out.mov(w, memory, value); });
        }
    each([&](R reg) {
        form(two("movabs", text(reg), "0x123456789abcdef0"),
             [&](Assembler& out) { out.mov64(reg, 0x123456789abcdef0); });
    });
}

TEST_F(Llvm, Constants) {
    for (u64 value : {0ull, 1ull, 0x7fffffffull, 0x80000000ull, 0xffffffffull, 0x100000000ull,
                      0xffffffff80000000ull, ~0ull, 0xffffffff7fffffffull}) {
        s64 printed = static_cast<s64>(value);
        each([&](R reg) {
            std::string source;
            if (value == 0)
                source = two("xor", name(reg, W::W32), name(reg, W::W32));
            else if (fits_u32(value))
                source = two("mov", name(reg, W::W32), std::to_string(printed));
            else if (fits_s32(printed))
                source = two("mov", name(reg, W::W64), std::to_string(printed));
            else
                source = two("movabs", name(reg, W::W64), std::to_string(printed));
            form(source, [&](Assembler& out) { out.load_constant(reg, value); });
        });
    }
}

TEST_F(Llvm, Extensions) {
    for (W from : {W::W8, W::W16}) {
        each_pair([&](R a, R b) {
            form(two("movzx", name(a, W::W32), name(b, from)),
                 [&](Assembler& out) { out.movzx(a, from, b); });
        });
        for (const Memory& memory : memories())
            form(two("movzx", name(R::R9, W::W32), text(from, memory)),
                 [&](Assembler& out) { out.movzx(R::R9, from, memory); });
    }
    for (W from : {W::W8, W::W16, W::W32})
        for (W to : kWide) {
            if (to <= from) continue;
            const char* mnemonic = from == W::W32 ? "movsxd" : "movsx";
            each_pair([&](R a, R b) {
                form(two(mnemonic, name(a, to), name(b, from)),
                     [&](Assembler& out) { out.movsx(to, a, from, b); });
            });
            for (const Memory& memory : memories())
                form(two(mnemonic, name(R::Rdi, to), text(from, memory)),
                     [&](Assembler& out) { out.movsx(to, R::Rdi, from, memory); });
        }
}

TEST_F(Llvm, LeaMovbeXchgBswap) {
    for (W w : kWide)
        for (const Memory& memory : memories()) {
            std::string bare = text(w, memory).substr(text(w, memory).find('['));
            if (memory.segment() == Segment::None)
                form(two("lea", name(R::R10, w), bare),
                     [&](Assembler& out) { out.lea(w, R::R10, memory); });
            form(two("movbe", name(R::Rdx, w), text(w, memory)),
                 [&](Assembler& out) { out.movbe(w, R::Rdx, memory); });
            form(two("movbe", text(w, memory), name(R::R11, w)),
                 [&](Assembler& out) { out.movbe(w, memory, R::R11); });
        }
    for (W w : kWidths)
        each_pair([&](R a, R b) {
            if (a == b && a == R::Rax) return;  // LLVM makes a nop of it
            // LLVM prints the operands of the memory-form opcode swapped; both say the same.
            bool short_form = w != W::W8 && a != b && (a == R::Rax || b == R::Rax);
            std::string source = short_form
                                     ? two("xchg", name(a == R::Rax ? b : a, w), name(R::Rax, w))
                                     : two("xchg", name(b, w), name(a, w));
            form(source, [&](Assembler& out) { out.xchg(w, a, b); });
        });
    for (W w : kWidest)
        each([&](R reg) {
            form(std::string("bswap ") + name(reg, w), [&](Assembler& out) { out.bswap(w, reg); });
        });
}

TEST_F(Llvm, Stack) {
    each([&](R reg) {
        form("push " + text(reg), [&](Assembler& out) { out.push(reg); });
        form("pop " + text(reg), [&](Assembler& out) { out.pop(reg); });
    });
    for (const Memory& memory : memories()) {
        form("push " + text(W::W64, memory), [&](Assembler& out) { out.push(memory); });
        form("pop " + text(W::W64, memory), [&](Assembler& out) { out.pop(memory); });
    }
    for (s32 value : {0, 127, -128, 128, 0x12345678})
        form("push " + std::to_string(value), [&](Assembler& out) { out.push(value); });
}

const char* const kConditions[16] = {"o", "no", "b", "ae", "e", "ne", "be", "a",
                                     "s", "ns", "p", "np", "l", "ge", "le", "g"};

TEST_F(Llvm, Conditionals) {
    for (u32 c = 0; c < 16; c++) {
        auto condition = static_cast<Condition>(c);
        std::string suffix = kConditions[c];
        for (W w : kWide) {
            each_pair([&](R a, R b) {
                form(two("cmov" + suffix, name(a, w), name(b, w)),
                     [&](Assembler& out) { out.cmov(condition, w, a, b); });
            });
            for (const Memory& memory : few_memories())
                form(two("cmov" + suffix, name(R::R8, w), text(w, memory)),
                     [&](Assembler& out) { out.cmov(condition, w, R::R8, memory); });
        }
        each([&](R reg) {
            form("set" + suffix + " " + name(reg, W::W8),
                 [&](Assembler& out) { out.set(condition, reg); });
        });
        for (const Memory& memory : few_memories())
            form("set" + suffix + " " + text(W::W8, memory),
                 [&](Assembler& out) { out.set(condition, memory); });
    }
}

const char* const kAlu[8] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};

TEST_F(Llvm, AluRegisters) {
    for (u32 op = 0; op < 8; op++)
        for (W w : kWidths)
            each_pair([&](R a, R b) {
                form(two(kAlu[op], name(a, w), name(b, w)),
                     [&](Assembler& out) { out.alu(static_cast<Alu>(op), w, a, b); });
            });
}

std::vector<s32> immediates(W width) {
    if (width == W::W8) return {0, 1, -1, 127, -128};
    if (width == W::W16) return {0, 1, -1, 127, -128, 128, -129, 0x7fff};
    return {0, 1, -1, 127, -128, 128, -129, 0x12345678};
}

TEST_F(Llvm, AluImmediatesAndMemory) {
    for (u32 o = 0; o < 8; o++)
        for (W w : kWidths) {
            auto op = static_cast<Alu>(o);
            for (s32 value : immediates(w)) {
                each([&](R reg) {
                    form(two(kAlu[o], name(reg, w), literal(w, value, true)),
                         [&](Assembler& out) { out.alu(op, w, reg, value); });
                });
                for (const Memory& memory : few_memories()) {
                    std::string source = two(kAlu[o], text(w, memory), literal(w, value, true));
                    form(source, [&](Assembler& out) { out.alu(op, w, memory, value); });
                    if (op != Alu::Cmp)
                        form("lock " + source,
                             [&](Assembler& out) { out.lock_alu(op, w, memory, value); });
                }
            }
            for (const Memory& memory : few_memories())
                for (R reg : kSome) {
                    form(two(kAlu[o], name(reg, w), text(w, memory)),
                         [&](Assembler& out) { out.alu(op, w, reg, memory); });
                    form(two(kAlu[o], text(w, memory), name(reg, w)),
                         [&](Assembler& out) { out.alu(op, w, memory, reg); });
                    if (op != Alu::Cmp)
                        form("lock " + two(kAlu[o], text(w, memory), name(reg, w)),
                             [&](Assembler& out) { out.lock_alu(op, w, memory, reg); });
                }
        }
}

TEST_F(Llvm, Test) {
    for (W w : kWidths) {
        each_pair([&](R a, R b) {
            form(two("test", name(a, w), name(b, w)), [&](Assembler& out) { out.test(w, a, b); });
        });
        for (s32 value : immediates(w)) {
            each([&](R reg) {
                form(two("test", name(reg, w), literal(w, value, false)),
                     [&](Assembler& out) { out.test(w, reg, value); });
            });
            for (const Memory& memory : few_memories())
                form(two("test", text(w, memory), literal(w, value, false)),
                     [&](Assembler& out) { out.test(w, memory, value); });
        }
        for (const Memory& memory : few_memories())
            form(two("test", text(w, memory), name(R::Rdi, w)),
                 [&](Assembler& out) { out.test(w, memory, R::Rdi); });
    }
}

TEST_F(Llvm, OneOperandArithmetic) {
    static const std::pair<const char*, Unary> operations[] = {
        {"not", Unary::Not},   {"neg", Unary::Neg}, {"mul", Unary::Mul},
        {"imul", Unary::Imul}, {"div", Unary::Div}, {"idiv", Unary::Idiv}};
    for (W w : kWidths) {
        for (auto& [mnemonic, operation] : operations) {
            each([&, m = mnemonic, o = operation](R reg) {
                form(std::string(m) + " " + name(reg, w),
                     [&](Assembler& out) { out.unary(o, w, reg); });
            });
            for (const Memory& memory : few_memories())
                form(std::string(mnemonic) + " " + text(w, memory),
                     [&, o = operation](Assembler& out) { out.unary(o, w, memory); });
        }
        each([&](R reg) {
            form(std::string("inc ") + name(reg, w), [&](Assembler& out) { out.inc(w, reg); });
            form(std::string("dec ") + name(reg, w), [&](Assembler& out) { out.dec(w, reg); });
        });
        for (const Memory& memory : few_memories()) {
            form("inc " + text(w, memory), [&](Assembler& out) { out.inc(w, memory); });
            form("dec " + text(w, memory), [&](Assembler& out) { out.dec(w, memory); });
        }
    }
    form("cdq", [](Assembler& out) { out.cdq(); });
    form("cqo", [](Assembler& out) { out.cqo(); });
}

TEST_F(Llvm, Multiply) {
    for (W w : kWide) {
        each_pair([&](R a, R b) {
            form(two("imul", name(a, w), name(b, w)), [&](Assembler& out) { out.imul(w, a, b); });
            for (s32 value : {3, -128, 1000})
                form(three("imul", name(a, w), name(b, w), std::to_string(value)),
                     [&](Assembler& out) { out.imul(w, a, b, value); });
        });
        for (const Memory& memory : few_memories()) {
            form(two("imul", name(R::R15, w), text(w, memory)),
                 [&](Assembler& out) { out.imul(w, R::R15, memory); });
            for (s32 value : {3, 1000})
                form(three("imul", name(R::R15, w), text(w, memory), std::to_string(value)),
                     [&](Assembler& out) { out.imul(w, R::R15, memory, value); });
        }
    }
}

TEST_F(Llvm, Shifts) {
    static const std::pair<const char*, Shift> operations[] = {{"rol", Shift::Rol},
                                                               {"ror", Shift::Ror},
                                                               {"shl", Shift::Shl},
                                                               {"shr", Shift::Shr},
                                                               {"sar", Shift::Sar}};
    for (auto& [m, operation] : operations)
        for (W w : kWidths) {
            std::string mnemonic = m;
            auto op = operation;
            for (u32 count : {1u, 2u, bytes(w) * 8 - 1}) {
                each([&](R reg) {
                    form(two(mnemonic, name(reg, w), std::to_string(count)),
                         [&](Assembler& out) { out.shift(op, w, reg, count); });
                });
                for (const Memory& memory : few_memories())
                    form(two(mnemonic, text(w, memory), std::to_string(count)),
                         [&](Assembler& out) { out.shift(op, w, memory, count); });
            }
            each([&](R reg) {
                form(two(mnemonic, name(reg, w), "cl"),
                     [&](Assembler& out) { out.shift_cl(op, w, reg); });
            });
            for (const Memory& memory : few_memories())
                form(two(mnemonic, text(w, memory), "cl"),
                     [&](Assembler& out) { out.shift_cl(op, w, memory); });
        }
}

TEST_F(Llvm, Bmi) {
    static const std::pair<const char*, Shift> operations[] = {
        {"shlx", Shift::Shl}, {"shrx", Shift::Shr}, {"sarx", Shift::Sar}};
    for (W w : kWidest) {
        each_pair([&](R a, R b) {
            for (R c : kSome) {
                for (auto& [mnemonic, operation] : operations)
                    form(three(mnemonic, name(a, w), name(b, w), name(c, w)),
                         [&, o = operation](Assembler& out) { out.shiftx(o, w, a, b, c); });
                form(three("andn", name(a, w), name(b, w), name(c, w)),
                     [&](Assembler& out) { out.andn(w, a, b, c); });
                form(three("bextr", name(a, w), name(b, w), name(c, w)),
                     [&](Assembler& out) { out.bextr(w, a, b, c); });
                form(three("bzhi", name(a, w), name(b, w), name(c, w)),
                     [&](Assembler& out) { out.bzhi(w, a, b, c); });
            }
            form(three("rorx", name(a, w), name(b, w), "17"),
                 [&](Assembler& out) { out.rorx(w, a, b, 17); });
        });
        for (const Memory& memory : memories()) {
            for (auto& [mnemonic, operation] : operations)
                form(three(mnemonic, name(R::Rsi, w), text(w, memory), name(R::R9, w)),
                     [&, o = operation](Assembler& out) {
                         out.shiftx(o, w, R::Rsi, memory, R::R9);
                     });
            form(three("rorx", name(R::R11, w), text(w, memory), "5"),
                 [&](Assembler& out) { out.rorx(w, R::R11, memory, 5); });
        }
    }
}

TEST_F(Llvm, Bits) {
    static const std::pair<const char*, BitTest> operations[] = {
        {"bt", BitTest::Bt}, {"bts", BitTest::Bts}, {"btr", BitTest::Btr}, {"btc", BitTest::Btc}};
    for (W w : kWide) {
        for (auto& [m, operation] : operations) {
            std::string mnemonic = m;
            auto op = operation;
            each_pair([&](R a, R b) {
                form(two(mnemonic, name(a, w), name(b, w)),
                     [&](Assembler& out) { out.bit_test(op, w, a, b); });
            });
            u32 last = bytes(w) * 8 - 1;
            each([&](R reg) {
                form(two(mnemonic, name(reg, w), std::to_string(last)),
                     [&](Assembler& out) { out.bit_test(op, w, reg, last); });
            });
            for (const Memory& memory : few_memories())
                form(two(mnemonic, text(w, memory), "5"),
                     [&](Assembler& out) { out.bit_test(op, w, memory, 5u); });
        }
        each_pair([&](R a, R b) {
            form(two("popcnt", name(a, w), name(b, w)),
                 [&](Assembler& out) { out.popcnt(w, a, b); });
            form(two("tzcnt", name(a, w), name(b, w)), [&](Assembler& out) { out.tzcnt(w, a, b); });
            form(two("lzcnt", name(a, w), name(b, w)), [&](Assembler& out) { out.lzcnt(w, a, b); });
        });
    }
}

TEST_F(Llvm, Prefetches) {
    for (const Memory& memory : memories())
        form("prefetcht0 " + text(W::W8, memory), [&](Assembler& out) { out.prefetch(memory); });
}

TEST_F(Llvm, Atomics) {
    for (W w : kWidths)
        for (const Memory& memory : memories())
            for (R reg : {R::Rax, R::Rdi, R::R13}) {
                form("lock " + two("xadd", text(w, memory), name(reg, w)),
                     [&](Assembler& out) { out.lock_xadd(w, memory, reg); });
                form("lock " + two("cmpxchg", text(w, memory), name(reg, w)),
                     [&](Assembler& out) { out.lock_cmpxchg(w, memory, reg); });
                form(two("xchg", text(w, memory), name(reg, w)),
                     [&](Assembler& out) { out.xchg(w, memory, reg); });
            }
    form("movabs rax, qword ptr [0x123456789abcdef]",
         [](Assembler& out) { out.mov_absolute(0x123456789abcdef); });
    form("lfence", [](Assembler& out) { out.lfence(); });
    form("sfence", [](Assembler& out) { out.sfence(); });
    form("mfence", [](Assembler& out) { out.mfence(); });
    form("pause", [](Assembler& out) { out.pause(); });
}

TEST_F(Llvm, Control) {
    each([&](R reg) {
        form("jmp " + text(reg), [&](Assembler& out) { out.jump(reg); });
        form("call " + text(reg), [&](Assembler& out) { out.call(reg); });
    });
    for (const Memory& memory : memories()) {
        form("jmp " + text(W::W64, memory), [&](Assembler& out) { out.jump(memory); });
        form("call " + text(W::W64, memory), [&](Assembler& out) { out.call(memory); });
    }
    form("ret", [](Assembler& out) { out.ret(); });
    form("leave", [](Assembler& out) { out.leave(); });
    form("int3", [](Assembler& out) { out.int3(); });
    form("ud2", [](Assembler& out) { out.ud2(); });
    form("endbr64", [](Assembler& out) { out.endbr64(); });
    static const char* nops[] = {"nop",
                                 "xchg ax, ax",
                                 "nop dword ptr [rax]",
                                 "{disp8} nop dword ptr [rax + 0]",
                                 "{disp8} nop dword ptr [rax + rax + 0]",
                                 "{disp8} nop word ptr [rax + rax + 0]",
                                 "{disp32} nop dword ptr [rax + 0]",
                                 "{disp32} nop dword ptr [rax + rax + 0]",
                                 "{disp32} nop word ptr [rax + rax + 0]"};
    // Two bytes, 66 90, print as a plain nop; assembler_bytes_test.cc has them.
    for (u32 length : {1u, 3u, 4u, 5u, 6u, 7u, 8u, 9u})
        form(nops[length - 1], [&](Assembler& out) { out.nop(length); });
}

}  // namespace
}  // namespace barebpf::x86
