// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Hexadecimal input.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace barebpf::cli {

// Pairs of digits; white space anywhere. Throws UsageError that begins with `what` and says where.
std::vector<uint8_t> parse_hex(const std::string& what, const std::string& text);

}  // namespace barebpf::cli
