// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/net/helpers.h"

#include "kernel/host/cpu.h"
#include "kernel/net/checksum.h"

namespace barebpf {
namespace {

// An NMI that runs a program between post and take leaves its own request here, as it would leave its own
// verdict: whoever runs programs in an NMI takes the request there and then.
struct alignas(64) RedirectSlot {
    RedirectRequest request{};
};
constinit RedirectSlot redirect_slots[host::kMaxCpus];

const void* memory_at(u64 address) {
    return reinterpret_cast<const void*>(address);
}

}  // namespace

void post_redirect(const RedirectRequest& request) {
    redirect_slots[host::cpu_id()].request = request;
}

RedirectRequest take_redirect() {
    RedirectRequest& slot = redirect_slots[host::cpu_id()].request;
    const RedirectRequest request = slot;
    slot = {};
    return request;
}

u64 bpf_csum_diff(u64 from, u64 from_size, u64 to, u64 to_size, u64 seed) {
    const u32 old_size = static_cast<u32>(from_size);
    const u32 new_size = static_cast<u32>(to_size);
    if ((old_size | new_size) % 4) return helper_failure(Errno::Inval);
    u32 sum = static_cast<u32>(seed);
    if (!new_size && old_size) {
        // Subtracting by complement: which form of zero comes out differs from csum_sub().
        return csum_fold_sum(~csum_partial(memory_at(from), old_size, ~sum));
    }
    if (new_size) sum = csum_partial(memory_at(to), new_size, sum);
    if (old_size) sum = csum_sub(sum, csum_partial(memory_at(from), old_size, 0));
    return csum_fold_sum(sum);
}

}  // namespace barebpf
