// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Writes down as a bundle (testkit/bundle/bundle.h) what was recorded of an object.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "testkit/cli/recorder.h"

namespace barebpf::cli {

// What people call an object, by id. A map may have no name: it is only made for another one.
struct ObjectNames {
    std::map<uint32_t, std::string> maps, programs;
};

class BundleWriter {
public:
    BundleWriter(const Recording& recording, const ObjectNames& names)
        : recording_(recording), names_(names) {}

    // This one, and all that it refers to. Throws Failure for what a bundle cannot hold.
    void need_map(uint32_t id);
    void need_program(uint32_t id);

    Blob write();
    size_t maps() const { return maps_.size(); }
    size_t programs() const { return programs_.size(); }

private:
    void need_btf(uint32_t id);
    std::string map_name(uint32_t id) const;
    std::string program_name(uint32_t id) const;

    void write_btf(uint32_t id);
    void write_map(uint32_t id);
    void write_element(uint32_t map, const RecordedElement& element);
    void write_freeze(uint32_t map);
    void write_program(uint32_t id);
    void add_record(void* record, size_t size, const std::vector<Blob>& parts);
    uint32_t object(const std::map<uint32_t, uint32_t>& numbers, uint32_t id) const;

    const Recording& recording_;
    const ObjectNames& names_;
    std::set<uint32_t> btf_, maps_, programs_;                               // ids that are needed
    std::map<uint32_t, uint32_t> btf_number_, map_number_, program_number_;  // objects by id
    Blob out_;
    uint32_t records_ = 0, objects_ = 0;
};

}  // namespace barebpf::cli
