// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BPF_PROG_LOAD: from attr to a descriptor. The order of the checks is Linux's, because programs probe
// for features by the errno they get.
#include "kernel/barebpf.h"
#include "kernel/bpf/prog_internal.h"
#include "kernel/bpf/syscall.h"
#include "kernel/host/clock.h"
#include "kernel/host/cred.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::Capability;
using host::capable;
using host::UserAddress;

constexpr u32 kKnownFlags = BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_STATE_FREQ |
                            BPF_F_SLEEPABLE | BPF_F_TEST_RND_HI32 | BPF_F_XDP_HAS_FRAGS;
constexpr u32 kMaxInsnsUnprivileged = BPF_MAXINSNS;
constexpr u32 kMaxInsns = 1'000'000;
constexpr u32 kLicenseLength = 128;

constinit host::Atomic<u32> jit_enabled{1};

bool equal(const char* a, const char* b) {
    while (*a && *a == *b) ++a, ++b;
    return *a == *b;
}

// The licence names under which helpers marked gpl_only may be called.
bool is_gpl_compatible(const char* license) {
    static const char* const kNames[] = {
        "GPL",          "GPL v2",       "GPL and additional rights",
        "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};
    for (const char* name : kNames) {
        if (equal(license, name)) return true;
    }
    return false;
}

// Reads at most kLicenseLength - 1 characters; a longer one is cut, not refused.
Result<bool> read_license(UserAddress from) {
    char license[kLicenseLength];
    for (u32 i = 0; i < kLicenseLength; ++i) {
        TRY(host::get_user(&license[i], from + i));
        if (i == kLicenseLength - 1) license[i] = '\0';
        if (!license[i]) break;
    }
    return is_gpl_compatible(license);
}

bool unprivileged_may_load(u32 type) {
    return type == BPF_PROG_TYPE_SOCKET_FILTER || type == BPF_PROG_TYPE_CGROUP_SKB;
}

// Program types that touch the network, whether or not they are built here: probes must see EPERM
// before EINVAL.
bool needs_net_admin(u32 type) {
    switch (type) {
        case BPF_PROG_TYPE_SCHED_CLS:
        case BPF_PROG_TYPE_SCHED_ACT:
        case BPF_PROG_TYPE_XDP:
        case BPF_PROG_TYPE_LWT_IN:
        case BPF_PROG_TYPE_LWT_OUT:
        case BPF_PROG_TYPE_LWT_XMIT:
        case BPF_PROG_TYPE_LWT_SEG6LOCAL:
        case BPF_PROG_TYPE_SK_SKB:
        case BPF_PROG_TYPE_SK_MSG:
        case BPF_PROG_TYPE_FLOW_DISSECTOR:
        case BPF_PROG_TYPE_CGROUP_DEVICE:
        case BPF_PROG_TYPE_CGROUP_SOCK:
        case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
        case BPF_PROG_TYPE_CGROUP_SOCKOPT:
        case BPF_PROG_TYPE_CGROUP_SYSCTL:
        case BPF_PROG_TYPE_SOCK_OPS:
        case BPF_PROG_TYPE_EXT:
        case BPF_PROG_TYPE_CGROUP_SKB:
        case BPF_PROG_TYPE_SK_REUSEPORT:
            return type != BPF_PROG_TYPE_CGROUP_SKB;
        default:
            return false;
    }
}

bool needs_perfmon(u32 type) {
    switch (type) {
        case BPF_PROG_TYPE_KPROBE:
        case BPF_PROG_TYPE_TRACEPOINT:
        case BPF_PROG_TYPE_PERF_EVENT:
        case BPF_PROG_TYPE_RAW_TRACEPOINT:
        case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
        case BPF_PROG_TYPE_TRACING:
        case BPF_PROG_TYPE_LSM:
        case BPF_PROG_TYPE_STRUCT_OPS:
            return true;
        default:
            return false;
    }
}

Result<void> check_permissions(const bpf_attr& attr) {
    const bool bpf = capable(Capability::Bpf);
    if (attr.insn_cnt == 0 || attr.insn_cnt > (bpf ? kMaxInsns : kMaxInsnsUnprivileged)) {
        return Errno::TooBig;
    }
    if (!unprivileged_may_load(attr.prog_type) && !bpf) return Errno::Perm;
    if (needs_net_admin(attr.prog_type) && !capable(Capability::NetAdmin)) return Errno::Perm;
    if (needs_perfmon(attr.prog_type) && !capable(Capability::Perfmon)) return Errno::Perm;
    return {};
}

// Programs of the types built here attach to no function and no other program.
Result<void> check_attach(const bpf_attr& attr, const ProgTypeOps* ops) {
    if (attr.attach_prog_fd || attr.attach_btf_id) return Errno::Inval;
    if (ops && ops->attach_type_ok && !ops->attach_type_ok(attr.expected_attach_type)) {
        return Errno::Inval;
    }
    return {};
}

Result<void> copy_insns(Prog* prog, const bpf_attr& attr) {
    if (!prog->insns.allocate(attr.insn_cnt, AllocContext::MaySleep, prog->memory)) {
        return Errno::NoMem;
    }
    return host::copy_from_user(prog->insns.data(), UserAddress{attr.insns},
                                size_t{attr.insn_cnt} * sizeof(bpf_insn));
}

Result<void> fill_prog(Prog* prog, const bpf_attr& attr) {
    TRY(copy_insns(prog, attr));
    if (!prog_type_ops(attr.prog_type)) return Errno::Inval;
    prog->load_time_ns = host::Clock::boottime_ns();
    TRY(copy_object_name(prog->name, attr.prog_name));
    prog_compute_tag(prog);

    const VerifierInput input = {
        .log = {attr.log_level, attr.log_size, UserAddress{attr.log_buf}},
        .ops = prog_type_ops(attr.prog_type),
        .bpf_capable = capable(Capability::Bpf),
        .perfmon_capable = capable(Capability::Perfmon),
        .fd_array = UserAddress{attr.fd_array},
        .map_by_fd = map_get_by_fd,
        .put_map = map_put,
        .btf = &kVerifierBtf,
        .attr = &attr,
    };
    TRY(bpf_check(prog, input));
    prog_select_engine(prog, jit_enabled.load(host::Order::Relaxed));
    return prog_publish(prog);
}

// Takes over a reference to a program that the id table shows.
Result<s64> install_prog(Prog* prog) {
    auto fd = host::install_fd(prog, host::FileMode::ReadWrite);
    if (!fd) {
        prog_put(prog);
        return fd.error();
    }
    return s64{fd.value()};
}

}  // namespace

void enable_jit(bool on) {
    jit_enabled.store(on, host::Order::Relaxed);
}

void prog_select_engine(Prog* prog, bool compile) {
    prog->run = interpret;
    if (compile && jit_available()) prog->jited = jit_compile(prog).ok();
}

Result<s64> prog_test_run(const bpf_attr& attr, UserAddress uattr) {
    const auto& test = attr.test;
    if (!test.ctx_size_in != !test.ctx_in || !test.ctx_size_out != !test.ctx_out)
        return Errno::Inval;
    Prog* prog = TRY(prog_get_by_fd(s32(test.prog_fd)));
    const ProgTypeOps* ops = prog_type_ops(prog->type);
    Result<void> result = Errno::NotSupp;
    if (ops && ops->test_run) result = ops->test_run(prog, attr, uattr);
    prog_put(prog);
    if (!result) return result.error();
    return s64{0};
}

Result<s64> prog_get_next_id(const bpf_attr& attr, UserAddress uattr) {
    return put_next_id(attr, uattr, prog_next_id);
}

Result<s64> prog_get_fd_by_id(const bpf_attr& attr, UserAddress) {
    if (!capable(Capability::SysAdmin)) return Errno::Perm;
    return install_prog(TRY(prog_get_by_id(attr.prog_id)));
}

Result<s64> prog_load(const bpf_attr& attr, UserAddress) {
    if (attr.prog_flags & ~kKnownFlags) return Errno::Inval;
    const bool gpl = TRY(read_license(UserAddress{attr.license}));
    TRY(check_permissions(attr));
    TRY(check_attach(attr, prog_type_ops(attr.prog_type)));

    Prog* prog = prog_alloc();
    if (!prog) return Errno::NoMem;
    prog->type = attr.prog_type;
    prog->expected_attach_type = attr.expected_attach_type;
    prog->flags = attr.prog_flags;
    prog->gpl_compatible = gpl;
    prog->created_by_uid = backend::Cred::uid();
    prog->unprivileged = !capable(Capability::Bpf);
    prog->bypass_spec_v1 = capable(Capability::Perfmon);

    if (auto filled = fill_prog(prog, attr); !filled) {
        prog_free(prog);
        return filled.error();
    }
    return install_prog(prog);
}

}  // namespace barebpf
