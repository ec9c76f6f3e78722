// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Of which type the records of a map are. Neither Linux nor libbpf keeps that: the user says it
// (--record-type), and the object's BTF is asked what the type is made of.
#pragma once

#include <map>
#include <string>

#include "testkit/cli/object.h"
#include "testkit/cli/options.h"
#include "testkit/cli/records.h"

namespace barebpf::cli {

class RecordTypes {
public:
    // text: MAP=TYPE, or TYPE where one map has records; several with commas between. Throws UsageError that says
    // what there is. The object must live as long.
    RecordTypes(const Object& object, const std::string& text);

    void decode(Record* record) const;
    // "event"; empty: none was given for that map.
    const std::string& name_of(const std::string& map) const;

private:
    struct Type {
        std::string name;
        uint32_t id = 0;
        size_t size = 0;
    };
    void add(const std::string& word);
    std::string only_map() const;
    Type find_type(std::string name) const;

    const Object& object_;
    std::vector<std::string> maps_;  // with records
    std::map<std::string, Type> types_;
};

// Whether programs hand records to readers through maps of this type.
bool has_records(bpf_map_type type);

inline constexpr Option kRecordTypeOption = {
    "record-type", "MAP=TYPE", "the struct that a map's records are; more with commas"};

}  // namespace barebpf::cli
