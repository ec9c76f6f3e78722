// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BPF_PROG_TEST_RUN: what is checked for every program type.
#include "kernel/bpf/prog_internal.h"
#include "kernel/bpf/prog_type.h"

namespace barebpf {
namespace {

// A context has an address and a size, or neither.
bool context_pairs(const bpf_attr& attr) {
    return !attr.test.ctx_in == !attr.test.ctx_size_in &&
           !attr.test.ctx_out == !attr.test.ctx_size_out;
}

Result<void> run(Prog* prog, const bpf_attr& attr, host::UserAddress uattr) {
    const ProgTypeOps* ops = prog_type_ops(prog->type);
    if (!ops || !ops->test_run) return Errno::NotSupp;
    return ops->test_run(prog, attr, uattr);
}

}  // namespace

Result<s64> prog_test_run(const bpf_attr& attr, host::UserAddress uattr) {
    if (!context_pairs(attr)) return Errno::Inval;
    Prog* prog = TRY(prog_get_by_fd(static_cast<int>(attr.test.prog_fd)));
    const Result<void> done = run(prog, attr, uattr);
    prog_put(prog);
    if (!done) return done.error();
    return s64{0};
}

}  // namespace barebpf
