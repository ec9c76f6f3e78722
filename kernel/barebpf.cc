// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The public face: every function takes the host's Entry guard and goes on inside.
#include "kernel/barebpf.h"

#include "kernel/bpf/btf.h"
#include "kernel/bpf/helpers.h"
#include "kernel/bpf/map_table.h"
#include "kernel/bpf/prog_internal.h"
#include "kernel/bpf/syscall.h"
#include "kernel/bpf/unverified.h"
#include "kernel/host/contract.h"
#include "kernel/net/flow_hash.h"
#include "kernel/net/helpers.h"
#include "kernel/net/packet.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::Atomic;
using host::Order;
using host::RcuPointer;

constinit Atomic<u32> world_exists;

// What a run needs around it: the CPU, and the promise that what it looks up stays memory.
struct RunGuard {
    host::Cpu::Entry entry;
    host::Cpu::Pin pin;
    host::RcuReadGuard rcu;
};

// The verdict. A redirect that the program asked for stands with this CPU until it is taken, hence inside
// the guard that the run was in.
template <class Context>
u32 run_pinned(const Prog* prog, Context* context) {
    const u32 verdict = u32(prog_run(prog, context));
    context->redirect = take_redirect();
    return verdict;
}

RcuPointer<Prog>* hook_pointer(void** slot) {
    static_assert(sizeof(RcuPointer<Prog>) == sizeof(void*));
    return reinterpret_cast<RcuPointer<Prog>*>(slot);
}

template <class Context>
u32 run_hook(void** slot, Context* context, u32 fallback) {
    RunGuard guard;
    const Prog* prog = hook_pointer(slot)->dereference();
    return prog ? run_pinned(prog, context) : fallback;
}

}  // namespace

Result<void> init() {
    host::Cpu::Entry entry;
    if (world_exists.exchange(1, Order::AcqRel)) return Errno::Busy;
    seed_prandom();
    seed_flow_hash();
    return {};
}

void shutdown() {
    host::Cpu::Entry entry;
    if (!world_exists.load(Order::Acquire)) return;
    backend::Fd::close_all();
    // Freeing a program queues its maps, freeing an array of programs queues those: each round takes
    // one link of such a chain, and what is left then is held by hooks of the embedder's.
    for (u32 round = 0; round < 4; ++round) host::rcu_barrier();
    prog_reset_ids();
    btf_reset_ids();
    map_ids_reset();
    world_exists.store(0, Order::Release);
}

void forget_world() {
    prog_forget_ids();
    btf_forget_ids();
    map_ids_forget();
    host::validator::forget_held();
    world_exists.store(0, Order::Release);
}

s64 bpf_syscall(u32 command, u64 attr, u32 size) {
    host::Cpu::Entry entry;
    if (entry.nested()) return -to_int(Errno::Busy);
    return bpf_command(command, host::UserAddress{attr}, size);
}

Result<Prog*> prog_from_fd(int fd) {
    host::Cpu::Entry entry;
    return prog_get_by_fd(fd);
}

void put_prog(Prog* prog) {
    host::Cpu::Entry entry;
    if (prog) prog_put(prog);
}

u32 run_xdp(Prog* prog, XdpBuff* frame) {
    RunGuard guard;
    return run_pinned(prog, frame);
}

u32 run_skb(Prog* prog, SkBuff* skb) {
    RunGuard guard;
    return run_pinned(prog, skb);
}

void Hook::attach(Prog* prog) {
    host::Cpu::Entry entry;
    Prog* old = hook_pointer(&slot_)->exchange(prog);
    // Running programs are in an RCU read section, and prog_put() frees after a grace period.
    if (old) prog_put(old);
}

u32 Hook::run_xdp(XdpBuff* frame, u32 fallback) {
    return run_hook(&slot_, frame, fallback);
}

u32 Hook::run_skb(SkBuff* skb, u32 fallback) {
    return run_hook(&slot_, skb, fallback);
}

namespace {

Result<void> fill_host_program(Prog* prog, const bpf_insn* insns, u32 count,
                               const HostProgramOptions& options) {
    if (!prog->insns.allocate(count, AllocContext::MaySleep, prog->memory)) return Errno::NoMem;
    __builtin_memcpy(prog->insns.data(), insns, size_t{count} * sizeof(bpf_insn));
    prog_compute_tag(prog);
    const VerifierInput input = {
        .log = {options.log_level, options.log_size,
                host::UserAddress{reinterpret_cast<u64>(options.log)}},
        .map_by_fd = map_get_by_fd,
        .put_map = map_put,
    };
    TRY(options.verify ? bpf_check(prog, input) : bpf_decode_only(prog, input));
    prog_select_engine(prog, options.compile);
    return {};
}

}  // namespace

Result<Prog*> load_host_program(const bpf_insn* insns, u32 count,
                                const HostProgramOptions& options) {
    host::Cpu::Entry entry;
    if (count == 0 || count > kMaxHostProgramInsns) return Errno::TooBig;
    Prog* prog = prog_alloc();
    if (!prog) return Errno::NoMem;
    prog->type = kProgTypeHost;
    prog->gpl_compatible = true;
    prog->host_memory_size = options.memory_size;
    if (auto filled = fill_host_program(prog, insns, count, options); !filled) {
        prog_free(prog);
        return filled.error();
    }
    return prog;
}

u64 run_host_program(Prog* prog, void* memory, u32 length) {
    RunGuard guard;
    if (!prog->jited) return interpret_host(prog, memory, length);
    // Compiled code takes R1 and R2 where a C function takes its first two arguments.
    auto entry = reinterpret_cast<u64 (*)(void*, u64)>(reinterpret_cast<u64>(prog->run));
    return entry(memory, length);
}

}  // namespace barebpf
