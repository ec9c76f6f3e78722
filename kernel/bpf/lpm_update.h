// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of lpm_trie: what programs and bpf(2) call to change it. MapOps::update, MapOps::erase.
#pragma once

#include "kernel/bpf/lpm_trie.h"

namespace barebpf::lpm {

s64 update(Map* map, const void* key, const void* value, u64 flags);
s64 erase(Map* map, const void* key);

}  // namespace barebpf::lpm
