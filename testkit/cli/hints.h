// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What to do about what the verifier said.
#pragma once

#include <string>

namespace barebpf::cli {

// The next step for the reason of a rejection; empty if there is no better one than reading it.
std::string hint_for(const std::string& reason);

}  // namespace barebpf::cli
