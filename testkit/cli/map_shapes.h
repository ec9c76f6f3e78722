// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What is particular to a map type when its elements are shown.
#pragma once

#include <bpf/libbpf.h>

#include <optional>
#include <string>
#include <vector>

#include "testkit/cli/json.h"

namespace barebpf::cli {

using MapBytes = std::vector<uint8_t>;

bool has_value_per_cpu(bpf_map_type type);
bool holds_objects(bpf_map_type type);
// Elements are taken in an order of their own; there are no keys.
bool is_queue(bpf_map_type type);

// Its size is in bytes.
bool is_ring(bpf_map_type type);

// Keys are indices or ids.
bool is_number_key(bpf_map_type type);

// Why there is nothing to list, though the map may hold something; empty: there is.
std::string why_not_listed(bpf_map_type type);

// The key of an LPM trie: "10.1.0.0/16", "2001:db8::/32" where the size is that of an address, otherwise
// the bytes that count and their bits: "c0ffee00/20".
std::string prefix_text(const MapBytes& key);

// The value of a stack trace map: addresses, from the innermost frame on.
Json frames_of(const MapBytes& value, bool with_build_ids);

// All elements of a queue or stack in the order in which they will be taken. They are taken out and put
// back: nobody else may use the map meanwhile. False: errno says why.
bool read_queue(int fd, bpf_map_type type, size_t value_size, std::vector<MapBytes>* values);

// Member by member, numbers added up over all CPUs; what is no number is left out. None: nothing is left.
std::optional<Json> sum_of(const Json::Array& values);

}  // namespace barebpf::cli
