// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/record_types.h"

#include <bpf/btf.h>

#include <algorithm>
#include <sstream>

#include "testkit/cli/btf_value.h"
#include "testkit/cli/errors.h"
#include "testkit/cli/maps.h"

namespace barebpf::cli {

namespace {

constexpr size_t kNamesListed = 5;

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

bool is_aggregate(const btf_type* type) {
    return btf_kind(type) == BTF_KIND_STRUCT || btf_kind(type) == BTF_KIND_UNION;
}

// What a value can be of: forward declarations, functions and variables have no size of their own.
bool is_value_type(const btf_type* type) {
    switch (btf_kind(type)) {
        case BTF_KIND_INT:
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
        case BTF_KIND_ENUM:
        case BTF_KIND_ENUM64:
        case BTF_KIND_FLOAT:
        case BTF_KIND_TYPEDEF:
            return true;
        default:
            return false;
    }
}

// "struct event" as C says it.
std::string without_keyword(const std::string& name) {
    for (const char* keyword : {"struct ", "union ", "enum "})
        if (name.rfind(keyword, 0) == 0) return name.substr(std::string(keyword).size());
    return name;
}

struct NamedType {
    std::string name;
    uint32_t id;
    bool aggregate;
};

std::vector<NamedType> named_types(const btf* types) {
    std::vector<NamedType> all;
    for (uint32_t id = 1; id < btf__type_cnt(types); ++id) {
        const btf_type* type = btf__type_by_id(types, id);
        if (!is_value_type(type) || btf__resolve_size(types, id) <= 0) continue;
        const char* name = btf__name_by_offset(types, type->name_off);
        if (name && *name) all.push_back({name, id, is_aggregate(type)});
    }
    return all;
}

}  // namespace

bool has_records(bpf_map_type type) {
    return type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

RecordTypes::RecordTypes(const Object& object, const std::string& text) : object_(object) {
    for (const bpf_map* map : object.maps())
        if (has_records(bpf_map__type(map))) maps_.push_back(shown_name(map));
    if (text.empty()) return;
    if (maps_.empty())
        throw UsageError(
            "--record-type " + text + ": " + object.path() + " has no map with records",
            "ring buffers and perf event arrays have them");
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) add(word);
}

void RecordTypes::add(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string map = equals == std::string::npos ? only_map() : word.substr(0, equals);
    const std::string name = equals == std::string::npos ? word : word.substr(equals + 1);
    if (std::find(maps_.begin(), maps_.end(), map) == maps_.end()) {
        const std::string near = nearest(map, maps_);
        throw UsageError("--record-type " + word + ": " + object_.path() + " has no map '" + map +
                             "' with records",
                         (near.empty() ? "" : "did you mean " + near + "? ") +
                             ("those with records: " + joined(maps_)));
    }
    if (!types_.emplace(map, find_type(name)).second)
        throw UsageError("--record-type gives " + map + " two types");
}

std::string RecordTypes::only_map() const {
    if (maps_.size() == 1) return maps_[0];
    throw UsageError(
        "--record-type: which map's records? " + object_.path() + " has " + joined(maps_),
        "--record-type " + maps_[0] + "=TYPE");
}

RecordTypes::Type RecordTypes::find_type(std::string name) const {
    const btf* types = bpf_object__btf(object_.get());
    if (!types)
        throw UsageError(object_.path() + " says nothing of its types (it has no BTF)",
                         "compile it with -g");
    name = without_keyword(name);
    const std::vector<NamedType> all = named_types(types);
    const NamedType* found = nullptr;
    for (const NamedType& one : all)
        if (one.name == name && (!found || (one.aggregate && !found->aggregate))) found = &one;
    if (found) return {name, found->id, static_cast<size_t>(btf__resolve_size(types, found->id))};

    std::vector<std::string> names;
    for (const NamedType& one : all)
        if (one.aggregate) names.push_back(one.name);
    const std::vector<std::string> near = nearest_few(name, names, kNamesListed);
    throw UsageError(
        object_.path() + ": its BTF has no type '" + name + "'",
        (near.empty() ? "" : "it has, among others: " + joined(near) + "; ") +
            ("a type that only function bodies use gets into BTF by a global: struct " + name +
             " *unused __attribute__((unused));"));
}

void RecordTypes::decode(Record* record) const {
    const auto found = types_.find(record->map);
    if (found == types_.end() || record->bytes.size() < found->second.size) return;
    record->decoded = found->second.size;
    record->value = value_of(bpf_object__btf(object_.get()), found->second.id, record->bytes.data(),
                             record->decoded);
}

const std::string& RecordTypes::name_of(const std::string& map) const {
    static const std::string none;
    const auto found = types_.find(map);
    return found == types_.end() ? none : found->second.name;
}

}  // namespace barebpf::cli
