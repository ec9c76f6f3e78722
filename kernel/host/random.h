// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: random bits good enough to seed hashes against an adversary. Context: process.
#pragma once

#include <host_backend/random.h>

#include "kernel/lib/concepts.h"
#include "kernel/lib/types.h"

namespace barebpf::host {

template <class R>
concept IsRandom = requires {
    { R::u64_value() } -> SameAs<barebpf::u64>;
};
static_assert(IsRandom<backend::Random>);

inline u64 random_u64() {
    return backend::Random::u64_value();
}

}  // namespace barebpf::host
