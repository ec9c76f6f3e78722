// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: what the caller of bpf(2) may do. Context: process.
#pragma once

#include <host_backend/cred.h>

#include "kernel/lib/concepts.h"
#include "kernel/lib/types.h"

namespace barebpf::host {

// Linux's capability numbers.
enum class Capability : u8 { NetAdmin = 12, SysAdmin = 21, Perfmon = 38, Bpf = 39 };

template <class C>
concept IsCred = requires(u8 capability) {
    { C::capable(capability) } -> SameAs<bool>;
    { C::unprivileged_bpf_disabled() } -> SameAs<bool>;
    { C::uid() } -> SameAs<u32>;
    { C::tgid() } -> SameAs<u32>;
    { C::pid() } -> SameAs<u32>;
    C::comm(static_cast<char*>(nullptr));  // fills 16 bytes, NUL-terminated
};
static_assert(IsCred<backend::Cred>);

// CAP_SYS_ADMIN stands in for Bpf, Perfmon and NetAdmin, as on Linux.
inline bool capable(Capability capability) {
    using C = backend::Cred;
    return C::capable(static_cast<u8>(capability)) ||
           C::capable(static_cast<u8>(Capability::SysAdmin));
}

}  // namespace barebpf::host
