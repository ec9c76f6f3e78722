// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/verifier_case_test.h"

namespace barebpf::test {

using namespace insn;

namespace {

// R2 = value of the map, then the rest.
std::vector<bpf_insn> value(int fd, std::vector<bpf_insn> tail, s32 off = 0) {
    std::vector<bpf_insn> all = {ld_low(R2, BPF_PSEUDO_MAP_VALUE, fd), ld_high(off)};
    for (const bpf_insn& one : tail) all.push_back(one);
    return all;
}

}  // namespace

TEST(VerifierMem, MapValue) {
    check_cases({
        {"first", value(kArrayFd, {load(BPF_DW, R0, R2, 0), exit()})},
        {"last", value(kArrayFd, {load(BPF_DW, R0, R2, 40), exit()})},
        {"one too far", value(kArrayFd, {load(BPF_DW, R0, R2, 41), exit()}), Errno::Acces,
         "invalid access to map value, value_size=48 off=41 size=8"},
        {"before", value(kArrayFd, {load(BPF_B, R0, R2, -1), exit()}), Errno::Acces,
         "invalid access to map value, value_size=48 off=-1 size=1"},
        {"offset of the load", value(kArrayFd, {load(BPF_B, R0, R2, 8), exit()}, 40), Errno::Acces,
         "invalid access to map value, value_size=48 off=48 size=1"},
        {"offset outside", value(kArrayFd, {load(BPF_B, R0, R2, 0), exit()}, 48), Errno::Inval,
         "invalid access to map value pointer, value_size=48 off=48"},
        {"no map", value(77, {load(BPF_B, R0, R2, 0), exit()}), Errno::BadF,
         "fd 77 is not pointing to valid bpf_map"},
        {"read-only", value(kReadOnlyFd, {store_imm(BPF_B, R2, 0, 0), mov_imm(R0, 0), exit()}),
         Errno::Acces, "write into map forbidden, value_size=48 off=0 size=1"},
        {"write-only", value(kWriteOnlyFd, {load(BPF_B, R0, R2, 0), exit()}), Errno::Acces,
         "read from map forbidden, value_size=48 off=0 size=1"},
        {"a constant of a frozen map is known",
         value(kReadOnlyFd,
               {load(BPF_B, R3, R2, 40), alu(BPF_ADD, R2, R3), load(BPF_B, R0, R2, 7), exit()})},
        {"and known to be too large",
         value(kReadOnlyFd,
               {load(BPF_B, R3, R2, 41), alu(BPF_ADD, R2, R3), load(BPF_B, R0, R2, 7), exit()}),
         Errno::Acces, "invalid access to map value, value_size=48 off=48 size=1"},
        {"unprivileged leak", value(kArrayFd, {store(BPF_DW, R2, 0, R1), mov_imm(R0, 0), exit()}),
         Errno::Acces, "R1 leaks addr into map", As::Packet, 0, false},
        {"the map itself",
         {ld_low(R2, BPF_PSEUDO_MAP_FD, kArrayFd), ld_high(0), load(BPF_DW, R0, R2, 0), exit()},
         Errno::Acces,
         "R2 invalid mem access 'map_ptr'"},
    });
}

TEST(VerifierMem, VariableOffset) {
    const auto indexed = [](std::vector<bpf_insn> check, std::vector<bpf_insn> use) {
        std::vector<bpf_insn> all = {load(BPF_W, R3, R1, 0), mov_imm(R0, 0)};
        for (const bpf_insn& one : check) all.push_back(one);
        all.push_back(ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd));
        all.push_back(ld_high(0));
        for (const bpf_insn& one : use) all.push_back(one);
        all.push_back(exit());
        return all;
    };
    const std::vector<bpf_insn> use = {alu(BPF_ADD, R2, R3), load(BPF_B, R0, R2, 0)};
    check_cases({
        {"checked", indexed({jump_imm(BPF_JGE, R3, 48, 4)}, use)},
        {"checked one too far", indexed({jump_imm(BPF_JGT, R3, 48, 4)}, use), Errno::Acces,
         "R2 max value is outside of the allowed memory range"},
        {"masked", indexed({alu_imm(BPF_AND, R3, 31)}, use)},
        {"not checked", indexed({}, use), Errno::Acces,
         "R2 unbounded memory access, make sure to bounds check any such access"},
        {"may be negative",
         indexed(
             {alu_imm(BPF_LSH, R3, 32), alu_imm(BPF_ARSH, R3, 60), jump_imm(BPF_JSGT, R3, 40, 4)},
             use),
         Errno::Acces,
         "R2 min value is negative, either use unsigned index or do a if (index >=0) check."},
        {"checked in 32 bits", indexed({jump32_imm(BPF_JGE, R3, 48, 4)}, use)},
        {"without any bound",
         {load(BPF_W, R3, R1, 0), alu_imm(BPF_LSH, R3, 40),
          ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), alu(BPF_ADD, R2, R3),
          load(BPF_B, R0, R2, 0), exit()},
         Errno::Inval,
         "math between map_value pointer and register with unbounded min value is not allowed"},
        {"far away",
         {ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), add_imm(R2, 1 << 29),
          load(BPF_B, R0, R2, 0), exit()},
         Errno::Inval,
         "math between map_value pointer and 536870912 is not allowed"},
        {"and back", indexed({alu_imm(BPF_AND, R3, 31)},
                             {alu(BPF_ADD, R2, R3), add_imm(R2, 16), load(BPF_B, R0, R2, 0),
                              add_imm(R2, -16), load(BPF_B, R0, R2, 0)})},
    });
}

TEST(VerifierMem, PointerArithmetic) {
    const auto refuse = [](const char* name, std::vector<bpf_insn> body, const char* phrase) {
        body.push_back(mov_imm(R0, 0));
        body.push_back(exit());
        return VerifierCase{name, body, Errno::Acces, phrase};
    };
    check_cases({
        refuse("two pointers", {alu(BPF_ADD, R1, R10)}, "R1 pointer += pointer prohibited"),
        refuse("multiply", {alu_imm(BPF_MUL, R1, 2)},
               "R1 pointer arithmetic with *= operator prohibited"),
        refuse("and", {alu_imm(BPF_AND, R1, 2)}, "R1 bitwise operator &= on pointer prohibited"),
        refuse("32 bits", {alu32_imm(BPF_ADD, R1, 2)}, "R1 32-bit pointer arithmetic prohibited"),
        refuse("number - pointer", {mov_imm(R2, 1), alu(BPF_SUB, R2, R1)},
               "R2 tried to subtract pointer from scalar"),
        refuse("map", {ld_low(R2, BPF_PSEUDO_MAP_FD, kArrayFd), ld_high(0), add_imm(R2, 8)},
               "R2 pointer arithmetic on map_ptr prohibited"),
        {"pointer - pointer", {mov(R2, R10), alu(BPF_SUB, R2, R1), mov_imm(R0, 0), exit()}},
        {"is a number",
         {mov(R2, R10), alu(BPF_SUB, R2, R1), load(BPF_B, R0, R2, 0), exit()},
         Errno::Acces,
         "R2 invalid mem access 'scalar'"},
        {"unprivileged pointer - pointer",
         {mov(R2, R10), alu(BPF_SUB, R2, R1), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "R2 pointer -= pointer prohibited",
         As::Packet,
         0,
         false},
        {"half a pointer is a number",
         {mov32(R2, R1), load(BPF_B, R0, R2, 0), exit()},
         Errno::Acces,
         "R2 invalid mem access 'scalar'"},
        {"unprivileged half",
         {mov32(R2, R1), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "R1 partial copy of pointer",
         As::Packet,
         0,
         false},
        {"number + pointer",
         {mov_imm(R2, -8), alu(BPF_ADD, R2, R10), store_imm(BPF_DW, R2, 0, 1),
          load(BPF_DW, R0, R10, -8), exit()}},
    });
}

TEST(VerifierMem, Context) {
    check_cases({
        {"field", {load(BPF_W, R0, R1, 0), exit()}},
        {"part of it", {load(BPF_B, R0, R1, 1), exit()}},
        {"hole",
         {load(BPF_W, R0, R1, 4), exit()},
         Errno::Acces,
         "invalid bpf_context access off=4 size=4"},
        {"misaligned",
         {load(BPF_H, R0, R1, 1), exit()},
         Errno::Acces,
         "invalid bpf_context access off=1 size=2"},
        {"too wide",
         {load(BPF_DW, R0, R1, 0), exit()},
         Errno::Acces,
         "invalid bpf_context access off=0 size=8"},
        {"outside",
         {load(BPF_W, R0, R1, 400), exit()},
         Errno::Acces,
         "invalid bpf_context access off=400 size=4"},
        {"before",
         {load(BPF_W, R0, R1, -4), exit()},
         Errno::Acces,
         "invalid bpf_context access off=-4 size=4"},
        {"not writable",
         {store_imm(BPF_W, R1, 0, 1), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "invalid bpf_context access off=0 size=4"},
        {"writable", {store_imm(BPF_W, R1, 8, 1), mov_imm(R0, 0), exit()}},
        {"moved",
         {add_imm(R1, 8), load(BPF_W, R0, R1, 0), exit()},
         Errno::Acces,
         "dereference of modified ctx ptr R1 off=8 disallowed"},
        {"variable",
         {load(BPF_W, R2, R1, 0), alu_imm(BPF_AND, R2, 4), alu(BPF_ADD, R1, R2),
          load(BPF_W, R0, R1, 0), exit()},
         Errno::Acces,
         "variable ctx access var_off=(0x0; 0x4) disallowed"},
        {"atomic",
         {mov_imm(R0, 1), atomic(BPF_ADD, BPF_W, R1, 8, R0), exit()},
         Errno::Acces,
         "BPF_ATOMIC stores into R1 ctx is not allowed"},
        {"one instruction, two kinds",
         {load(BPF_W, R6, R1, 0), store_imm(BPF_DW, R10, -8, 0), mov(R2, R1),
          jump_imm(BPF_JEQ, R6, 0, 2), mov(R2, R10), add_imm(R2, -8), load(BPF_W, R0, R2, 0),
          exit()},
         Errno::Inval,
         "same insn cannot be used with different pointers"},
    });
}

TEST(VerifierMem, Atomics) {
    const auto on_value = [](std::vector<bpf_insn> body) {
        body.insert(body.begin(), {mov_imm(R0, 1), mov_imm(R3, 2)});
        std::vector<bpf_insn> all = value(kArrayFd, body);
        all.push_back(exit());
        return all;
    };
    check_cases({
        {"add", on_value({atomic(BPF_ADD, BPF_DW, R2, 8, R3)})},
        {"fetch", on_value({atomic(BPF_ADD | BPF_FETCH, BPF_W, R2, 8, R3), mov(R0, R3)})},
        {"cmpxchg", on_value({atomic(BPF_CMPXCHG, BPF_DW, R2, 8, R3)})},
        {"load", on_value({atomic(BPF_LOAD_ACQ, BPF_B, R0, 8, R2)})},
        {"store", on_value({atomic(BPF_STORE_REL, BPF_H, R2, 8, R3)})},
        {"misaligned", on_value({atomic(BPF_ADD, BPF_DW, R2, 4, R3)}), Errno::Acces,
         "misaligned value access"},
        {"outside", on_value({atomic(BPF_ADD, BPF_DW, R2, 48, R3)}), Errno::Acces,
         "invalid access to map value"},
        {"bytes", on_value({atomic(BPF_ADD, BPF_B, R2, 0, R3)}), Errno::Inval,
         "invalid atomic operand size"},
        {"unknown", on_value({atomic(0x20, BPF_W, R2, 0, R3)}), Errno::Inval,
         "BPF_ATOMIC uses invalid atomic opcode 20"},
        {"stack",
         {mov_imm(R0, 1), store_imm(BPF_DW, R10, -8, 0), atomic(BPF_ADD, BPF_DW, R10, -8, R0),
          exit()}},
        {"unset stack",
         {mov_imm(R0, 1), atomic(BPF_ADD, BPF_DW, R10, -8, R0), exit()},
         Errno::Acces,
         "invalid read from stack"},
        {"unset R0",
         {mov_imm(R3, 1), store_imm(BPF_DW, R10, -8, 0), atomic(BPF_CMPXCHG, BPF_DW, R10, -8, R3),
          exit()},
         Errno::Acces,
         "R0 !read_ok"},
        {"fetched pointer is a number",
         {mov_imm(R3, 0), store(BPF_DW, R10, -8, R1), atomic(BPF_XCHG, BPF_DW, R10, -8, R3),
          load(BPF_W, R0, R3, 0), exit()},
         Errno::Acces,
         "R3 invalid mem access 'scalar'"},
    });
}

TEST(VerifierMem, Host) {
    const auto host = [](const char* name, std::vector<bpf_insn> body, Errno verdict = kAccepted,
                         const char* phrase = "") {
        return VerifierCase{name, body, verdict, phrase, As::Host};
    };
    check_cases({
        host("memory", {load(BPF_DW, R0, R1, 56), store(BPF_DW, R1, 0, R2), exit()}),
        host("outside", {load(BPF_DW, R0, R1, 57), exit()}, Errno::Acces,
             "invalid access to memory, mem_size=64 off=57 size=8"),
        host("length is known", {alu(BPF_ADD, R1, R2), load(BPF_B, R0, R1, -1), exit()}),
        host("alignment if asked for", {load(BPF_DW, R0, R1, 4), exit()}),
        {"strict alignment",
         {load(BPF_DW, R0, R1, 4), exit()},
         Errno::Acces,
         "misaligned access off",
         As::Host,
         BPF_F_STRICT_ALIGNMENT},
        host("no packets", {mov(R6, R1), ld_abs(BPF_W, 0), exit()}, Errno::Inval,
             "BPF_LD_[ABS|IND] instructions not allowed for this program type"),
    });
}

}  // namespace barebpf::test
