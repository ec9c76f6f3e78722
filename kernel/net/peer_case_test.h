// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers and test runs against the running kernel: a case is a packet, a list of helper calls and a list of
// context fields. For the kernel it is assembled into a program; here the same functions are called in the
// same order. Verdict, errno, packet and context that come out have to be the same.
//
// For the tests beside it only.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "kernel/host/cpu.h"
#include "kernel/net/helpers.h"
#include "kernel/net/test_run.h"
#include "kernel/net/types.h"
#include "testkit/test.h"

namespace barebpf::peer {

using Bytes = std::vector<u8>;

// An argument: the context, the buffer of 64 bytes on the stack at some offset, or a number.
struct Arg {
    enum Kind { Number, Context, Buffer } kind;
    u64 value;
    Arg(s64 number) : kind(Number), value(static_cast<u64>(number)) {}  // NOLINT(implicit)
    Arg(Kind what, u64 offset) : kind(what), value(offset) {}
};
inline const Arg kCtx{Arg::Context, 0};
inline Arg buffer(u64 offset) {
    return {Arg::Buffer, offset};
}

struct Call {
    u32 id;
    std::vector<Arg> args;
};

struct Case {
    std::string name;
    Bytes packet;
    std::vector<Call> calls;
    std::vector<u32> fields;  // offsets in the context of 32-bit fields, read at the end
    Bytes context_in = {};
    bool context_out = true;
    u32 data_size_out = 0;
    u32 context_size_out = 0;  // 0: all of it
    u32 repeat = 1;
};

inline constexpr u32 kBufferSize = 64;
inline u8 buffer_byte(u32 i) {
    return static_cast<u8>(i * 7 + 1);
}

// -- the kernel's side --

struct Assembler {
    std::vector<bpf_insn> code;
    void emit(u8 op, u8 dst, u8 src, s16 off, s32 imm) {
        bpf_insn insn{};
        insn.code = op;
        insn.dst_reg = dst & 15;
        insn.src_reg = src & 15;
        insn.off = off;
        insn.imm = imm;
        code.push_back(insn);
    }
    void mov(u8 dst, u8 src) { emit(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
    void mov_imm(u8 dst, s32 imm) { emit(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
    void load_imm64(u8 dst, u64 value) {
        emit(BPF_LD | BPF_DW | BPF_IMM, dst, 0, 0, static_cast<s32>(value));
        emit(0, 0, 0, 0, static_cast<s32>(value >> 32));
    }
    // R7 = R7 * 31 + reg
    void mix(u8 reg) {
        emit(BPF_ALU64 | BPF_MUL | BPF_K, 7, 0, 0, 31);
        emit(BPF_ALU64 | BPF_ADD | BPF_X, 7, reg, 0, 0);
    }
};

inline std::vector<bpf_insn> assemble(const Case& test) {
    Assembler as;
    as.mov(6, 1);
    as.mov_imm(7, 0);
    for (u32 i = 0; i < kBufferSize; i += 4) {
        u8 bytes[4];
        for (u32 b = 0; b < 4; ++b) bytes[b] = buffer_byte(i + b);
        s32 word;
        memcpy(&word, bytes, 4);
        as.emit(BPF_ST | BPF_MEM | BPF_W, 10, 0, static_cast<s16>(i - kBufferSize), word);
    }
    for (const Call& call : test.calls) {
        for (size_t i = 0; i < call.args.size(); ++i) {
            const u8 reg = static_cast<u8>(i + 1);
            const Arg& arg = call.args[i];
            if (arg.kind == Arg::Context) {
                as.mov(reg, 6);
            } else if (arg.kind == Arg::Buffer) {
                as.mov(reg, 10);
                as.emit(BPF_ALU64 | BPF_ADD | BPF_K, reg, 0, 0,
                        static_cast<s32>(arg.value) - static_cast<s32>(kBufferSize));
            } else {
                as.load_imm64(reg, arg.value);
            }
        }
        as.emit(BPF_JMP | BPF_CALL, 0, 0, 0, static_cast<s32>(call.id));
        as.mix(0);
    }
    for (u32 i = 0; i < kBufferSize; i += 4) {
        as.emit(BPF_LDX | BPF_MEM | BPF_W, 1, 10, static_cast<s16>(i - kBufferSize), 0);
        as.mix(1);
    }
    for (u32 offset : test.fields) {
        as.emit(BPF_LDX | BPF_MEM | BPF_W, 1, 6, static_cast<s16>(offset), 0);
        as.mix(1);
    }
    as.mov(0, 7);
    as.emit(BPF_ALU64 | BPF_RSH | BPF_K, 7, 0, 0, 32);
    as.emit(BPF_ALU64 | BPF_XOR | BPF_X, 0, 7, 0, 0);
    as.emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    return as.code;
}

inline long kernel_bpf(u32 command, bpf_attr* attr) {
    const long result = syscall(SYS_bpf, command, attr, sizeof *attr);
    return result < 0 ? -errno : result;
}

inline long kernel_load(u32 type, const std::vector<bpf_insn>& code, std::string* log) {
    log->assign(65536, '\0');
    bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = type;
    attr.insns = reinterpret_cast<u64>(code.data());
    attr.insn_cnt = static_cast<u32>(code.size());
    attr.license = reinterpret_cast<u64>("GPL");
    attr.log_level = 1;
    attr.log_size = static_cast<u32>(log->size());
    attr.log_buf = reinterpret_cast<u64>(log->data());
    return kernel_bpf(BPF_PROG_LOAD, &attr);
}

inline bool kernel_permits() {
    Assembler as;
    as.mov_imm(0, 0);
    as.emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    std::string log;
    const long fd = kernel_load(BPF_PROG_TYPE_XDP, as.code, &log);
    if (fd >= 0) close(static_cast<int>(fd));
    return fd >= 0;
}

// -- our side: a program whose machine code is this function --

struct OurProgram : Prog {
    const Case* test;
    const ProgTypeOps* ops;
};

inline u64 field_value(const ProgTypeOps& ops, const void* ctx, u32 offset) {
    for (u32 i = 0; i < ops.field_count; ++i) {
        const ContextField& field = ops.fields[i];
        if (offset < field.offset || offset >= u32{field.offset} + field.size) continue;
        u32 value = 0;
        memcpy(&value, static_cast<const u8*>(ctx) + field.struct_offset + (offset - field.offset),
               field.struct_size < 4 ? field.struct_size : 4);
        return value;
    }
    ADD_FAILURE() << "no field at " << offset;
    return 0;
}

inline u64 run_case(const void* ctx, const Prog* prog) {
    const OurProgram* ours = static_cast<const OurProgram*>(prog);
    u8 memory[kBufferSize];
    for (u32 i = 0; i < kBufferSize; ++i) memory[i] = buffer_byte(i);
    u64 mixed = 0;
    for (const Call& call : ours->test->calls) {
        u64 values[5] = {};
        for (size_t i = 0; i < call.args.size(); ++i) {
            const Arg& arg = call.args[i];
            values[i] = arg.kind == Arg::Context  ? reinterpret_cast<u64>(ctx)
                        : arg.kind == Arg::Buffer ? reinterpret_cast<u64>(memory + arg.value)
                                                  : arg.value;
        }
        const HelperProto* proto = ours->ops->helper_proto(call.id, prog);
        if (!proto) {
            ADD_FAILURE() << "no helper " << call.id;
            return 0;
        }
        mixed = mixed * 31 + proto->function(values[0], values[1], values[2], values[3], values[4]);
    }
    for (u32 i = 0; i < kBufferSize; i += 4) {
        u32 word;
        memcpy(&word, memory + i, 4);
        mixed = mixed * 31 + word;
    }
    for (u32 offset : ours->test->fields) mixed = mixed * 31 + field_value(*ours->ops, ctx, offset);
    return mixed ^ mixed >> 32;
}

// -- both --

struct Outcome {
    long result;
    u32 retval;
    u32 data_size_out, context_size_out;
    Bytes data = Bytes(20000, 0xee);
    Bytes context = Bytes(256, 0xee);
    bpf_attr attr;

    explicit Outcome(const Case& test) {
        memset(&attr, 0, sizeof attr);
        attr.test.data_size_in = static_cast<u32>(test.packet.size());
        attr.test.data_in = reinterpret_cast<u64>(test.packet.data());
        attr.test.data_out = reinterpret_cast<u64>(data.data());
        attr.test.data_size_out = test.data_size_out;
        attr.test.repeat = test.repeat;
        attr.test.ctx_size_in = static_cast<u32>(test.context_in.size());
        if (!test.context_in.empty()) {
            attr.test.ctx_in = reinterpret_cast<u64>(test.context_in.data());
        }
        if (test.context_out) {
            attr.test.ctx_out = reinterpret_cast<u64>(context.data());
            attr.test.ctx_size_out = test.context_size_out ? test.context_size_out : 256;
        }
    }
    void finish() {
        retval = attr.test.retval;
        data_size_out = attr.test.data_size_out;
        context_size_out = attr.test.ctx_size_out;
    }
};

inline const ProgTypeOps* ops_of(u32 type) {
    return type == BPF_PROG_TYPE_XDP             ? &kXdpType
           : type == BPF_PROG_TYPE_SCHED_CLS     ? &kSchedClsType
           : type == BPF_PROG_TYPE_SOCKET_FILTER ? &kSocketFilterType
                                                 : &kSchedActType;
}

inline Outcome run_ours(u32 type, const Case& test) {
    host::Cpu::Entry entry;
    OurProgram prog;
    prog.type = type;
    prog.run = run_case;
    prog.test = &test;
    prog.ops = ops_of(type);
    Outcome outcome(test);
    const Result<void> done = prog.ops->test_run(
        &prog, outcome.attr, host::UserAddress{reinterpret_cast<u64>(&outcome.attr)});
    outcome.result = -to_int(done.error());
    outcome.finish();
    return outcome;
}

inline void compare(u32 type, const Case& test) {
    SCOPED_TRACE(test.name + ", type " + std::to_string(type));
    std::string log;
    const long fd = kernel_load(type, assemble(test), &log);
    ASSERT_GE(fd, 0) << log.c_str();
    Outcome kernel(test);
    kernel.attr.test.prog_fd = static_cast<u32>(fd);
    kernel.result = kernel_bpf(BPF_PROG_TEST_RUN, &kernel.attr);
    kernel.finish();
    close(static_cast<int>(fd));

    const Outcome ours = run_ours(type, test);
    EXPECT_EQ(ours.result, kernel.result);
    EXPECT_EQ(ours.retval, kernel.retval);
    EXPECT_EQ(ours.data_size_out, kernel.data_size_out);
    EXPECT_EQ(ours.context_size_out, kernel.context_size_out);
    EXPECT_TRUE(ours.data == kernel.data);
    EXPECT_TRUE(ours.context == kernel.context);
    for (size_t i = 0; i < ours.data.size(); ++i) {
        if (ours.data[i] != kernel.data[i]) {
            ADD_FAILURE() << "packet differs from byte " << i;
            break;
        }
    }
}

}  // namespace barebpf::peer
