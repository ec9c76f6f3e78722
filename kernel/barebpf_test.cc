// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The library as an embedder sees it: a world, bpf(2), programs run on frames, hooks, host programs.
#include "kernel/barebpf.h"

#include <cstring>
#include <string>

#include "kernel/bpf/prog.h"
#include "kernel/net/packet.h"
#include "testkit/test.h"
#include "testkit/machine.h"
#include "uapi/linux/bpf.h"

namespace barebpf {
namespace {

bpf_insn make(u32 code, u32 dst = 0, u32 src = 0, s32 off = 0, s32 imm = 0) {
    bpf_insn insn{};
    insn.code = u8(code);
    insn.dst_reg = dst & 15;
    insn.src_reg = src & 15;
    insn.off = s16(off);
    insn.imm = imm;
    return insn;
}
bpf_insn mov(u32 dst, s32 imm) {
    return make(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}
bpf_insn leave() {
    return make(BPF_JMP | BPF_EXIT);
}

s64 call(u32 command, bpf_attr& attr) {
    return bpf_syscall(command, reinterpret_cast<u64>(&attr), sizeof attr);
}

class World : public ::testing::Test {
protected:
    void SetUp() override {
        before_ = machine::live_memory();
        ASSERT_TRUE(init().ok());
    }
    void TearDown() override {
        shutdown();
        EXPECT_EQ(machine::live_memory().bytes, before_.bytes);
        EXPECT_EQ(machine::live_memory().blocks, before_.blocks);
    }

    static int load(const bpf_insn* insns, u32 count, u32 type = BPF_PROG_TYPE_XDP) {
        bpf_attr attr{};
        attr.prog_type = type;
        attr.insns = reinterpret_cast<u64>(insns);
        attr.insn_cnt = count;
        attr.license = reinterpret_cast<u64>("GPL");
        attr.log_buf = reinterpret_cast<u64>(log_);
        attr.log_size = sizeof log_;
        attr.log_level = 1;
        return int(call(BPF_PROG_LOAD, attr));
    }
    template <size_t N>
    static int load(const bpf_insn (&insns)[N], u32 type = BPF_PROG_TYPE_XDP) {
        return load(insns, N, type);
    }

    static char log_[4096];

private:
    machine::LiveMemory before_;
};
char World::log_[4096];

TEST_F(World, IsOne) {
    EXPECT_EQ(init().error(), Errno::Busy);
}

TEST_F(World, RunsAnXdpProgramOnAFrame) {
    const bpf_insn insns[] = {
        make(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0),  // data
        make(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4),  // data_end
        make(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2),
        make(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 14),
        mov(0, XDP_DROP),
        make(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 2),
        make(BPF_ST | BPF_MEM | BPF_B, 2, 0, 0, 0x42),
        mov(0, XDP_PASS),
        leave(),
    };
    const int fd = load(insns);
    ASSERT_GE(fd, 0) << log_;
    Prog* prog = prog_from_fd(fd).value();
    u8 memory[512] = {};
    XdpBuff frame{};
    frame.hard_start = memory;
    frame.data = frame.data_meta = memory + 256;
    frame.data_end = frame.data + 60;
    frame.hard_end = memory + sizeof memory;
    EXPECT_EQ(run_xdp(prog, &frame), u32{XDP_PASS});
    EXPECT_EQ(memory[256], 0x42);
    frame.data_end = frame.data + 10;
    EXPECT_EQ(run_xdp(prog, &frame), u32{XDP_DROP});

    Hook hook;
    EXPECT_EQ(hook.run_xdp(&frame, 77), 77u);
    hook.attach(prog);
    EXPECT_EQ(hook.run_xdp(&frame, 77), u32{XDP_DROP});
    hook.attach(nullptr);
    EXPECT_EQ(hook.run_xdp(&frame, 77), 77u);
}

TEST_F(World, RefusesAnUnsafeProgramWithTheReason) {
    const bpf_insn insns[] = {make(BPF_LDX | BPF_MEM | BPF_W, 0, 2, 0), leave()};
    EXPECT_EQ(load(insns), -EACCES);
    EXPECT_NE(std::string(log_).find("R2 !read_ok"), std::string::npos) << log_;
}

TEST_F(World, TestRunOnBothEngines) {
    for (bool jit : {true, false}) {
        enable_jit(jit);
        const bpf_insn insns[] = {mov(0, XDP_TX), leave()};
        const int fd = load(insns);
        ASSERT_GE(fd, 0) << log_;
        u8 packet[64] = {};
        bpf_attr attr{};
        attr.test.prog_fd = u32(fd);
        attr.test.data_in = reinterpret_cast<u64>(packet);
        attr.test.data_size_in = sizeof packet;
        attr.test.repeat = 100;
        EXPECT_EQ(call(BPF_PROG_TEST_RUN, attr), 0);
        EXPECT_EQ(attr.test.retval, u32{XDP_TX});

        bpf_prog_info info{};
        bpf_attr query{};
        query.info.bpf_fd = u32(fd);
        query.info.info = reinterpret_cast<u64>(&info);
        query.info.info_len = sizeof info;
        EXPECT_EQ(call(BPF_OBJ_GET_INFO_BY_FD, query), 0);
        EXPECT_EQ(info.type, u32{BPF_PROG_TYPE_XDP});
        EXPECT_EQ(info.xlated_prog_len, 16u);
        EXPECT_EQ(info.jited_prog_len != 0, jit && jit_available());
        EXPECT_EQ(machine::close_fd(fd), 0);
    }
    enable_jit(true);
}

TEST_F(World, HostProgramsSeeTheirMemory) {
    const bpf_insn insns[] = {
        make(BPF_LDX | BPF_MEM | BPF_B, 0, 1, 3),
        make(BPF_ALU64 | BPF_ADD | BPF_X, 0, 2),
        leave(),
    };
    const u8 bytes[] = {1, 2, 3, 40};
    for (bool verify : {true, false}) {
        for (bool compile : {true, false}) {
            u8 memory[4];
            memcpy(memory, bytes, sizeof memory);
            HostProgramOptions options;
            options.memory_size = sizeof memory;
            options.verify = verify;
            options.compile = compile;
            auto prog = load_host_program(insns, 3, options);
            ASSERT_TRUE(prog.ok());
            EXPECT_EQ(run_host_program(prog.value(), memory, sizeof memory), 44u);
            put_prog(prog.value());
        }
    }
    HostProgramOptions options;
    options.memory_size = 3;
    options.log = log_;
    options.log_size = sizeof log_;
    options.log_level = 1;
    EXPECT_EQ(load_host_program(insns, 3, options).error(), Errno::Acces) << log_;
}

TEST_F(World, ShutdownClosesWhatWasLeftOpen) {
    bpf_attr attr{};
    attr.map_type = BPF_MAP_TYPE_HASH;
    attr.key_size = attr.value_size = 8;
    attr.max_entries = 100;
    const s64 map = call(BPF_MAP_CREATE, attr);
    ASSERT_GE(map, 0);
    const bpf_insn insns[] = {mov(0, 0), leave()};
    const int prog = load(insns);
    ASSERT_GE(prog, 0);
    shutdown();
    EXPECT_FALSE(machine::fd_is_ours(int(map)));
    EXPECT_FALSE(machine::fd_is_ours(prog));
    ASSERT_TRUE(init().ok());
}

// Every allocation of a load and a run is made to fail in turn: an error, and nothing left behind.
TEST_F(World, FailedAllocationsLeaveNothing) {
    const bpf_insn insns[] = {mov(0, 1), leave()};
    (void)load(insns);
    u64 failures = 0;
    for (u64 n = 0; n < 200; ++n) {
        shutdown();
        ASSERT_TRUE(init().ok());
        const auto before = machine::live_memory();
        machine::fail_allocation_after(n);
        const int fd = load(insns);
        u8 packet[64] = {};
        bpf_attr attr{};
        attr.test.prog_fd = u32(fd);
        attr.test.data_in = reinterpret_cast<u64>(packet);
        attr.test.data_size_in = sizeof packet;
        const s64 run = fd < 0 ? 0 : call(BPF_PROG_TEST_RUN, attr);
        if (!machine::stop_failing_allocations()) break;
        ++failures;
        if (fd < 0) {
            EXPECT_EQ(fd, -ENOMEM) << n;
            shutdown();
            ASSERT_TRUE(init().ok());
            EXPECT_EQ(machine::live_memory().bytes, before.bytes) << n;
        } else {
            EXPECT_TRUE(run == 0 || run == -ENOMEM) << n << ": " << run;
        }
    }
    EXPECT_GT(failures, 5u);
}

}  // namespace
}  // namespace barebpf
