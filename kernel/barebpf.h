// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// barebpf: the Linux eBPF subsystem as a library. The public face for whoever embeds it.
//
//     barebpf::init();
//     long fd = barebpf::bpf_syscall(BPF_PROG_LOAD, user_address_of_attr, sizeof attr);
//     barebpf::Prog* prog = barebpf::prog_from_fd(fd).value();
//     barebpf::XdpBuff frame{...};
//     u32 verdict = barebpf::run_xdp(prog, &frame);
//     barebpf::put_prog(prog);
//     barebpf::shutdown();
//
// There is one world, as a kernel has one: ids, maps, programs. init() makes it, shutdown() takes it down
// (tests do so around each test). Every function here may be called from outside the library: it takes
// the host's Entry guard itself. The core needs only what kernel/host declares.
//
// Contexts: init, shutdown, bpf_syscall and the *_from_fd functions: process context, may sleep.
// run_*: any context in which the host's CPU may be pinned, interrupts and NMIs included.
#pragma once

#include "kernel/lib/result.h"
#include "kernel/lib/types.h"

union bpf_attr;
struct bpf_insn;

namespace barebpf {

struct Prog;
struct Map;
struct XdpBuff;
struct SkBuff;

// ENOMEM: the host gave no memory; nothing is left behind. EBUSY: there is a world already.
Result<void> init();
// Every descriptor should be closed before; what is left is freed. Waits for running programs.
void shutdown();
// In a process that has a copy of another's memory (fork): the copy of the world in it is given up as
// it stands, without a look at it, and there is no world. After the host's own part of this.
void forget_world();

// bpf(2). attr is an address in the caller's space (kernel/host/usercopy.h), size its length. The result
// is what Linux returns: a descriptor, an id, 0, or -errno. EBUSY when the call interrupted the library.
s64 bpf_syscall(u32 command, u64 attr, u32 size);

// Whether programs loaded from now on are compiled (the default, where there is a compiler) or interpreted:
// what net.core.bpf_jit_enable is to Linux.
void enable_jit(bool on);

// Counted references; put_prog() gives one back.
Result<Prog*> prog_from_fd(int fd);
void put_prog(Prog* prog);

// One run, on the calling CPU. The verdict is the program's return value.
u32 run_xdp(Prog* prog, XdpBuff* frame);
u32 run_skb(Prog* prog, SkBuff* skb);  // socket filter, sched_cls, sched_act

// A point of the embedder's where programs of one type are attached: it runs what is there now.
// All-zero is valid and empty.
class Hook {
public:
    // Replaces what is attached (null: nothing); the old program is given back after its last run.
    // Takes over the caller's reference.
    void attach(Prog* prog);
    // The verdict, or fallback when nothing is attached.
    u32 run_xdp(XdpBuff* frame, u32 fallback);
    u32 run_skb(SkBuff* skb, u32 fallback);

private:
    void* slot_ = nullptr;  // RcuPointer<Prog>
};

// Host programs: R1 = memory, R2 = its length; any helper of the base set. For embedders that use BPF for
// rules of their own, and for "barebpf exec".
inline constexpr u32 kMaxHostProgramInsns = 1'000'000;

struct HostProgramOptions {
    u32 memory_size = 0;  // the length that every run will pass
    bool verify = true;   // false: only decoded; the caller answers for what it does
    bool compile = true;  // false: interpreter
    char* log = nullptr;  // the verifier's log, NUL-terminated
    u32 log_size = 0;
    u32 log_level = 0;
};
Result<Prog*> load_host_program(const bpf_insn* insns, u32 count,
                                const HostProgramOptions& options);
u64 run_host_program(Prog* prog, void* memory, u32 length);

}  // namespace barebpf
