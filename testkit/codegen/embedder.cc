// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The smallest embedder: what docs and README promise, from installed files only.
#include <cstdio>

#include "kernel/barebpf.h"
#include "kernel/net/packet.h"
#include "uapi/linux/bpf.h"

int main() {
    using namespace barebpf;
    if (!init()) return 1;
    bpf_insn insns[2] = {};
    insns[0].code = BPF_ALU64 | BPF_MOV | BPF_K;  // r0 = XDP_DROP
    insns[0].imm = XDP_DROP;
    insns[1].code = BPF_JMP | BPF_EXIT;

    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.insns = reinterpret_cast<u64>(insns);
    attr.insn_cnt = 2;
    attr.license = reinterpret_cast<u64>("Dual BSD/GPL");
    const s64 fd = bpf_syscall(BPF_PROG_LOAD, reinterpret_cast<u64>(&attr), sizeof attr);
    auto prog = prog_from_fd(static_cast<int>(fd));
    if (!prog) return 1;

    u8 memory[512] = {};
    XdpBuff frame{};
    frame.hard_start = memory;
    frame.data = frame.data_meta = memory + kXdpHeadroom;
    frame.data_end = frame.data + 60;
    frame.hard_end = memory + sizeof memory;
    std::printf("verdict %u\n", run_xdp(prog.value(), &frame));
    put_prog(prog.value());
    shutdown();
    return 0;
}
