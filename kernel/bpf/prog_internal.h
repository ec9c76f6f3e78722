// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the files that make, show and free programs share. Process context; may sleep.
#pragma once

#include "kernel/bpf/prog.h"
#include "kernel/bpf/verifier_api.h"
#include "kernel/host/usercopy.h"

namespace barebpf {

// A program without instructions, one reference; null: no memory.
Prog* prog_alloc();
// Frees at once: nobody has seen it, or nobody can any more.
void prog_free(Prog* prog);
// Bytes as Linux counts them for fdinfo: whole pages.
u64 prog_memlock(const Prog* prog);

// The tag: SHA-1 over the instructions as loaded, without what names maps. Before the verifier.
void prog_compute_tag(Prog* prog);

// An id, and the program is visible to PROG_GET_NEXT_ID. NoMem, NoSpc.
Result<void> prog_publish(Prog* prog);
void prog_reset_ids();   // of a world that ends
void prog_forget_ids();  // see forget_world()
// The smallest id above after; NoEnt.
Result<u32> prog_next_id(u32 after);

// Chooses the engine: compiled where there is a compiler and it can, else interpreted.
void prog_select_engine(Prog* prog, bool compile);

// bpf(2)'s commands. attr is checked for unknown fields already; uattr is the caller's own copy.
Result<s64> prog_load(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> prog_test_run(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> prog_get_next_id(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> prog_get_fd_by_id(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> prog_info(Prog* prog, const bpf_attr& attr, host::UserAddress uattr);

}  // namespace barebpf
