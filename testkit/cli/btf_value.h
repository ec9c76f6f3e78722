// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Bytes as values, by their BTF type.
#pragma once

#include <bpf/btf.h>

#include "testkit/cli/output.h"

namespace barebpf::cli {

// Structs become objects, arrays arrays, enums their names, bytes and what looks like an address
// (of its name or type) hexadecimal text, char arrays text. A type that is not known, or larger than
// the bytes: hexadecimal text.
Json value_of(const btf* types, uint32_t type_id, const uint8_t* bytes, size_t size);

// The variables of a data section (.data, .bss, .rodata) by name.
Json variables_of(const btf* types, uint32_t section_id, const uint8_t* bytes, size_t size);

}  // namespace barebpf::cli
