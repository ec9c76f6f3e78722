// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which accesses to the context each program type allows: every offset, width and direction, against what
// the running kernel's verifier says of a program that does just that.
//
// Skipped where bpf(2) is not permitted.
#include <cstring>

#include "kernel/net/packet.h"
#include "kernel/net/types.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

bpf_insn insn(u8 code, u8 dst, u8 src, s16 off, s32 imm) {
    bpf_insn out{};
    out.code = code;
    out.dst_reg = dst & 15;
    out.src_reg = src & 15;
    out.off = off;
    out.imm = imm;
    return out;
}

u8 width_code(u32 size) {
    return size == 1 ? BPF_B : size == 2 ? BPF_H : size == 4 ? BPF_W : BPF_DW;
}

int kernel_load(u32 type, const bpf_insn* insns, u32 count) {
    bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = type;
    attr.insns = reinterpret_cast<u64>(insns);
    attr.insn_cnt = count;
    attr.license = reinterpret_cast<u64>("GPL");
    return static_cast<int>(test::kernel_bpf(BPF_PROG_LOAD, &attr, sizeof attr));
}

bool kernel_allows(u32 type, u32 offset, u32 size, bool write) {
    const s16 off = static_cast<s16>(offset);
    const u8 access = static_cast<u8>(BPF_MEM | width_code(size));
    const bpf_insn program[] = {
        insn(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0),
        write ? insn(BPF_STX | access, 1, 2, off, 0) : insn(BPF_LDX | access, 2, 1, off, 0),
        insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
        insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    const int fd = kernel_load(type, program, 4);
    if (fd >= 0) test::kernel_close(fd);
    return fd >= 0;
}

// prog_type.h as it is written there.
bool rows_allow(const ProgTypeOps& ops, u32 offset, u32 size, bool write, const Prog& prog) {
    if (offset % size) return false;
    for (u32 i = 0; i < ops.field_count; ++i) {
        const ContextField& field = ops.fields[i];
        const bool array = field.size > 8;
        if (offset < field.offset || offset + size > u32{field.offset} + field.size) continue;
        if (write && !field.writable) return false;
        if (!array && size != field.size && !(write ? field.partial_write : field.narrow)) {
            return false;
        }
        return !ops.access_ok || ops.access_ok(field, write, &prog);
    }
    return false;
}

void compare(const ProgTypeOps& ops) {
    const bpf_insn empty[] = {insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
                              insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
    const int fd = kernel_load(ops.type, empty, 2);
    if (fd < 0) GTEST_SKIP() << "bpf(2) of the running kernel: error " << -fd;
    test::kernel_close(fd);
    Prog prog;
    prog.type = ops.type;
    for (u32 offset = 0; offset < ops.ctx_size + 8; ++offset) {
        for (u32 size : {1, 2, 4, 8}) {
            for (bool write : {false, true}) {
                // A pointer to the packet's socket: the model has none (docs/differences.md).
                if (ops.ctx_size == sizeof(__sk_buff) && offset == 168) continue;
                EXPECT_EQ(rows_allow(ops, offset, size, write, prog),
                          kernel_allows(ops.type, offset, size, write))
                    << ops.name << " offset " << offset << " size " << size << " write " << write;
            }
        }
    }
}

TEST(Context, SocketFilter) {
    compare(kSocketFilterType);
}
TEST(Context, SchedCls) {
    compare(kSchedClsType);
}
TEST(Context, SchedAct) {
    compare(kSchedActType);
}
TEST(Context, Xdp) {
    compare(kXdpType);
}

TEST(Context, OnlyProgramsBehindARedirectSeeWhereTheFrameLeaves) {
    Prog prog;
    EXPECT_FALSE(rows_allow(kXdpType, 20, 4, false, prog));
    prog.expected_attach_type = BPF_XDP_DEVMAP;
    EXPECT_TRUE(rows_allow(kXdpType, 20, 4, false, prog));
    EXPECT_FALSE(rows_allow(kXdpType, 20, 4, true, prog));
}

// The rows agree with both structures: nothing overlaps, nothing passes an end.
TEST(Context, RowsAreInOrderAndInBounds) {
    for (const ProgTypeOps* ops : {&kSocketFilterType, &kSchedClsType, &kSchedActType, &kXdpType}) {
        const u32 ours = ops->ctx_size == sizeof(__sk_buff) ? sizeof(SkBuff) : sizeof(XdpBuff);
        u32 end = 0;
        for (u32 i = 0; i < ops->field_count; ++i) {
            const ContextField& field = ops->fields[i];
            EXPECT_TRUE(field.offset >= end);
            end = u32{field.offset} + field.size;
            const u32 size = field.size > 8 ? field.size : field.struct_size;
            EXPECT_LE(u32{field.struct_offset} + size, ours);
            EXPECT_EQ(field.struct_offset % field.struct_size, 0);
        }
        EXPECT_LE(end, ops->ctx_size);
    }
}

TEST(ProgType, TheTableKnowsWhatIsBuilt) {
    EXPECT_EQ(prog_type_ops(BPF_PROG_TYPE_SOCKET_FILTER), &kSocketFilterType);
    EXPECT_EQ(prog_type_ops(BPF_PROG_TYPE_SCHED_CLS), &kSchedClsType);
    EXPECT_EQ(prog_type_ops(BPF_PROG_TYPE_SCHED_ACT), &kSchedActType);
    EXPECT_EQ(prog_type_ops(BPF_PROG_TYPE_XDP), &kXdpType);
    EXPECT_EQ(prog_type_ops(BPF_PROG_TYPE_UNSPEC), nullptr);
    EXPECT_EQ(prog_type_ops(BPF_PROG_TYPE_KPROBE), nullptr);
    for (u32 type = 0; type < 64; ++type) {
        const ProgTypeOps* ops = prog_type_ops(type);
        if (ops) {
            EXPECT_EQ(ops->type, type);
        }
    }
}

}  // namespace
}  // namespace barebpf
