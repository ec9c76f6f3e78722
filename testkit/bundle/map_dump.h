// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the maps of a loaded bundle hold, in the plain form (raw_text.h).
#pragma once

#include "testkit/bundle/load.h"
#include "testkit/bundle/raw_text.h"

namespace barebpf::bundle {

// Maps that have a name, by name; their elements by the bytes of the key, those of arrays that are all zero left
// out. False: no memory. Context: as Bundle::load().
bool dump_maps(const Bundle& bundle, RawText* out);

}  // namespace barebpf::bundle
