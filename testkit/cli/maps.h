// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the maps of a loaded object hold.
#pragma once

#include <string>
#include <vector>

#include "testkit/cli/map_shapes.h"
#include "testkit/cli/object.h"
#include "testkit/cli/output.h"

namespace barebpf::cli {

struct MapElement {
    std::vector<uint8_t> key, value;  // value: of all CPUs, for a map that has one each
    Json typed_key, typed_value;
};

struct MapContents {
    std::string name;  // data sections: ".bss", ...
    std::string type;
    bpf_map_type type_number = BPF_MAP_TYPE_UNSPEC;
    uint32_t key_size = 0, value_size = 0;  // value_size: of one CPU
    uint32_t max_entries = 0, flags = 0;
    uint64_t extra = 0;     // map_extra
    uint64_t memory = 0;    // bytes
    bool is_data = false;   // a data section: typed_value of its one element has the variables
    bool is_array = false;  // every element exists
    bool is_constant = false;
    std::string unreadable;  // why, if it could not be read
    std::string note;        // about what is in it, if it cannot be listed
    std::vector<MapElement> elements;
};

// Data sections by the section's name, other maps by theirs.
std::string shown_name(const bpf_map* map);

std::vector<MapContents> read_maps(const Object& object);

// The same of elements that were read elsewhere: key and value of each, and typed_value where the map holds
// objects. Elements of arrays that are not there are zero.
MapContents map_contents(const Object& object, const bpf_map* map,
                         std::vector<MapElement> elements);

// As they are shown.
std::vector<MapContents> in_order(std::vector<MapContents> maps);

// "NO_PREALLOC|INNER_MAP"; "-" for none.
std::string map_flags_text(uint32_t flags);

// At most limit elements of each map; all-zero elements of arrays are left out.
std::string maps_text(const std::vector<MapContents>& maps, size_t limit);
Json maps_json(const std::vector<MapContents>& maps);

}  // namespace barebpf::cli
