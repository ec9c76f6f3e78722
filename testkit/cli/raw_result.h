// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A run's result in the plain form that guests print (testkit/bundle/raw_text.h).
#pragma once

#include <string>

#include "testkit/cli/object.h"
#include "testkit/cli/run_result.h"

namespace barebpf::cli {

std::string run_raw(const RunResult& result);

// Reads what a guest printed, other lines between it included; maps and programs are the loaded object's. Throws
// Failure where that is not there, not whole or not of this object.
void read_raw(const std::string& path, const Object& object, RunResult* result);

}  // namespace barebpf::cli
