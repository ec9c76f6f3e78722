// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Test runs of XDP programs. The frame lies in one page, as a driver would have it:
//
//     0        256 - metadata       256                        3,776                 4,096
//     | headroom |     metadata     | packet, at most 3,520 ...  | what the stack needs |
//
// data_in is metadata and packet together; ctx_in says how much of it is metadata (xdp_md.data).
#include "kernel/net/helpers.h"
#include "kernel/net/packet.h"
#include "kernel/net/test_run.h"
#include "kernel/net/xdp_helpers.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::UserAddress;

Result<void> check_attr(const Prog* prog, const bpf_attr& attr) {
    // Programs that run behind a redirect are entered with what only that gives them.
    if (prog->expected_attach_type == BPF_XDP_DEVMAP ||
        prog->expected_attach_type == BPF_XDP_CPUMAP) {
        return Errno::Inval;
    }
    if (attr.test.flags || attr.test.batch_size) return Errno::Inval;
    return {};
}

// The caller's xdp_md against the bytes that it passes.
Result<void> check_layout(const xdp_md& context, u32 size) {
    if (context.data_meta || context.data_end != size || context.data > context.data_end) {
        return Errno::Inval;
    }
    if (!is_metadata_size(context.data) || context.data > kXdpHeadroom - kXdpFrameHeader) {
        return Errno::Inval;
    }
    return {};
}

Result<void> check_origin(const xdp_md& context) {
    if (context.egress_ifindex) return Errno::Inval;
    if (!context.ingress_ifindex && context.rx_queue_index) return Errno::Inval;
    if (!context.ingress_ifindex) return {};
    if (context.ingress_ifindex != kLoopbackIfindex) return Errno::NoDev;
    return context.rx_queue_index ? Result<void>{Errno::Inval} : Result<void>{};
}

Result<void> copy_frame(host::Buffer<u8>& page, host::MemoryOwner& owner, const bpf_attr& attr,
                        u32 headroom) {
    const u32 size = attr.test.data_size_in;
    if (size < kEthernetHeader || size > kTestPage - headroom - kTestTailroom) return Errno::Inval;
    if (!page.allocate(kTestPage, AllocContext::MaySleep, owner)) return Errno::NoMem;
    return host::copy_from_user(page.data() + headroom, UserAddress{attr.test.data_in}, size);
}

u32 distance(const u8* from, const u8* to) {
    return static_cast<u32>(to - from);
}

}  // namespace

Result<void> xdp_test_run(Prog* prog, const bpf_attr& attr, UserAddress uattr) {
    TRY(check_attr(prog, attr));
    xdp_md context;
    const bool has_context = TRY(test_context_in(attr, &context, sizeof context));
    if (has_context) TRY(check_layout(context, attr.test.data_size_in));
    const u32 meta = context.data;

    host::MemoryOwner owner;
    host::Buffer<u8> page;
    TRY(copy_frame(page, owner, attr, kXdpHeadroom - meta));
    if (has_context) TRY(check_origin(context));

    XdpBuff frame{};
    frame.hard_start = page.data();
    frame.hard_end = page.data() + kTestPage - kTestTailroom;
    frame.data_meta = page.data() + kXdpHeadroom - meta;
    frame.data = page.data() + kXdpHeadroom;
    frame.data_end = frame.data_meta + attr.test.data_size_in;
    frame.ingress_ifindex = kLoopbackIfindex;
    if (frame.data_end < frame.data + kEthernetHeader) return Errno::Inval;

    const TestResult result = test_run_loop(prog, &frame, attr.test.repeat);
    (void)take_redirect();

    TRY(test_finish(attr, uattr, frame.data_meta, distance(frame.data_meta, frame.data_end),
                    result));
    context.data = distance(frame.data_meta, frame.data);
    context.data_end = distance(frame.data_meta, frame.data_end);
    return test_context_out(attr, uattr, &context, sizeof context);
}

}  // namespace barebpf
