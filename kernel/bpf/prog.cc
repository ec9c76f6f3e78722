// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The life of a program: allocated, filled by PROG_LOAD, published in the id table, counted, and freed
// after a grace period when the last reference is gone.
#include "kernel/bpf/prog.h"

#include "kernel/bpf/btf.h"
#include "kernel/bpf/prog_internal.h"
#include "kernel/bpf/refcount.h"
#include "kernel/lib/id_table.h"
#include "kernel/lib/list.h"
#include "kernel/lib/sha1.h"
#include "kernel/lib/text.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::Order;

constinit IdTable<Prog> prog_ids;

void release_from_fd(host::FileObject* object) {
    prog_put(static_cast<Prog*>(object));
}

void show_fdinfo(host::FileObject* object, TextBuffer* out) {
    const Prog* prog = static_cast<const Prog*>(object);
    out->print("prog_type:\t", prog->type, "\nprog_jited:\t", prog->jited, "\nprog_tag:\t");
    for (u8 byte : prog->tag) out->print(HexDigits{byte, 2});
    out->print("\nmemlock:\t", prog_memlock(prog), "\nprog_id:\t", prog->id, "\nrun_time_ns:\t",
               prog->stats.run_time_ns.load(Order::Relaxed), "\nrun_cnt:\t",
               prog->stats.run_count.load(Order::Relaxed), "\nrecursion_misses:\t",
               prog->stats.recursion_misses.load(Order::Relaxed), "\nverified_insns:\t",
               prog->verified_insns, "\n");
}

constexpr host::FileOps kProgFileOps = {
    .kind = host::FileKind::Prog,
    .name = "bpf-prog",
    .release = release_from_fd,
    .show_fdinfo = show_fdinfo,
    .mmap = nullptr,
    .munmapped = nullptr,
    .poll = nullptr,
};

// Programs account their memory to themselves, so the struct is not in its own figure.
constinit host::MemoryOwner prog_structs;

}  // namespace

Prog* prog_alloc() {
    void* memory = host::alloc(sizeof(Prog), AllocContext::MaySleep, prog_structs);
    if (!memory) return nullptr;
    Prog* prog = construct_at<Prog>(memory);
    prog->file_ops = &kProgFileOps;
    prog->refs.store(1, Order::Relaxed);
    return prog;
}

void prog_free(Prog* prog) {
    jit_free(prog);
    for (Map* map : prog->maps) {
        if (map) map_put(map);
    }
    if (prog->debug.btf) btf_put(prog->debug.btf);
    prog->~Prog();
    host::free(prog, sizeof(Prog), prog_structs);
}

u64 prog_memlock(const Prog* prog) {
    return (prog->memory.bytes() + sizeof(Prog) + host::kPageSize - 1) & ~u64{host::kPageSize - 1};
}

void prog_get(Prog* prog) {
    ref_get(prog->refs);
}

void prog_put(Prog* prog) {
    if (!ref_put(prog->refs)) return;
    if (prog->id) prog_ids.erase(prog->id);
    // Freeing gives back maps, whose release may sleep: process context does it, not the callback.
    host::call_rcu_process(&prog->rcu, [](host::RcuHead* head) {
        prog_free(detail::container<Prog, host::RcuHead, &Prog::rcu>(head));
    });
}

Result<Prog*> prog_get_by_fd(int fd) {
    const host::FileRef ref = TRY((object_from_fd<Prog, host::FileKind::Prog>(fd)));
    return static_cast<Prog*>(ref.object);
}

Result<Prog*> prog_get_by_id(u32 id) {
    Prog* prog = prog_ids.find(id, [](Prog* found) { return ref_get_unless_zero(found->refs); });
    if (!prog) return Errno::NoEnt;
    return prog;
}

Result<void> prog_publish(Prog* prog) {
    return prog_ids.insert(prog);
}

Result<u32> prog_next_id(u32 after) {
    return prog_ids.next_id(after);
}

void prog_reset_ids() {
    prog_ids.reset();
}
void prog_forget_ids() {
    prog_ids.forget();
}

namespace {

// Whether an instruction pair carries something that differs from one load of the same program to the
// next: a map's descriptor or index.
bool names_a_map(const bpf_insn& insn) {
    return insn.code == (BPF_LD | BPF_IMM | BPF_DW) &&
           (insn.src_reg == BPF_PSEUDO_MAP_FD || insn.src_reg == BPF_PSEUDO_MAP_VALUE);
}

}  // namespace

void prog_compute_tag(Prog* prog) {
    Sha1 sha;
    for (size_t i = 0; i < prog->insns.size(); ++i) {
        bpf_insn insn = prog->insns[i];
        const bool second_half = i > 0 && names_a_map(prog->insns[i - 1]) && insn.code == 0;
        if (names_a_map(insn) || second_half) insn.imm = 0;
        sha.update(&insn, sizeof insn);
    }
    u8 digest[Sha1::kDigestSize];
    sha.finish(digest);
    __builtin_memcpy(prog->tag, digest, sizeof prog->tag);
}

}  // namespace barebpf
