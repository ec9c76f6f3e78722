// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/maps.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>

#include "kernel/lib/text.h"
#include "testkit/cli/btf_value.h"
#include "testkit/cli/recorder.h"
#include "testkit/machine.h"

namespace barebpf::cli {

namespace {

class Reader {
public:
    Reader(const Object& object, const bpf_map* map)
        : object_(object),
          map_(map),
          type_(bpf_map__type(map)),
          btf_(bpf_object__btf(object.get())) {}

    MapContents read() {
        describe();
        read_elements();
        return finish();
    }
    MapContents take(std::vector<MapElement> elements) {
        describe();
        for (MapElement& element : elements) add(std::move(element));
        if (contents_.is_array) add_zeros();
        return finish();
    }

private:
    void describe() {
        contents_.type = map_type_name(map_);
        contents_.type_number = type_;
        contents_.key_size = bpf_map__key_size(map_);
        contents_.value_size = bpf_map__value_size(map_);
        contents_.max_entries = bpf_map__max_entries(map_);
        contents_.flags = bpf_map__map_flags(map_);
        contents_.is_array = type_ == BPF_MAP_TYPE_ARRAY || type_ == BPF_MAP_TYPE_PERCPU_ARRAY;
        contents_.is_data = bpf_map__is_internal(map_);
        contents_.is_constant = contents_.flags & BPF_F_RDONLY_PROG;
        contents_.name = shown_name(map_);
        contents_.extra = bpf_map__map_extra(map_);
        contents_.note = why_not_listed(type_);
        if (type_ == BPF_MAP_TYPE_BLOOM_FILTER) {
            const uint64_t hashes = contents_.extra ? contents_.extra : 5;
            contents_.note = counted(hashes, "hash function") + "; " + contents_.note;
        }
        contents_.memory = memory_of(bpf_map__fd(map_));
    }

    MapContents finish() {
        if (is_queue(type_)) return std::move(contents_);
        std::sort(contents_.elements.begin(), contents_.elements.end(),
                  [this](const auto& a, const auto& b) { return less(a.key, b.key); });
        return std::move(contents_);
    }

    // What fdinfo says; 0: there is no such map.
    static uint64_t memory_of(int fd) {
        char text[1024];
        TextBuffer info(text);
        if (fd < 0 || !machine::fd_info(fd, &info)) return 0;
        const char* line = std::strstr(text, "memlock:");
        return line ? std::strtoull(line + std::strlen("memlock:"), nullptr, 10) : 0;
    }

    // Numbers by value, everything else byte by byte.
    bool less(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) const {
        if (a.size() == 1 || a.size() == 2 || a.size() == 4 || a.size() == 8) {
            uint64_t x = 0, y = 0;
            std::memcpy(&x, a.data(), a.size());
            std::memcpy(&y, b.data(), b.size());
            return x < y;
        }
        return a < b;
    }

    size_t value_room() const {
        const size_t size = bpf_map__value_size(map_);
        if (!has_value_per_cpu(type_)) return size;
        return (size + 7) / 8 * 8 * static_cast<size_t>(libbpf_num_possible_cpus());
    }

    void read_elements() {
        const int fd = bpf_map__fd(map_);
        const size_t key_size = bpf_map__key_size(map_);
        if (!contents_.note.empty()) return;
        if (fd >= 0 && is_queue(type_)) return read_in_turn(fd);
        if (fd < 0 || key_size == 0) {
            contents_.unreadable = fd < 0 ? "not created" : "has no keys to go through";
            return;
        }
        std::vector<uint8_t> key(key_size), value(value_room());
        int failed = bpf_map_get_next_key(fd, nullptr, key.data());
        // A hash may give a key twice to who walks it while it changes; nothing runs here.
        while (!failed) {
            if (bpf_map_lookup_elem(fd, key.data(), value.data()) == 0) add({key, value, {}, {}});
            failed = bpf_map_get_next_key(fd, key.data(), key.data());
        }
        if (errno != ENOENT) contents_.unreadable = errno_name(errno);
    }

    void read_in_turn(int fd) {
        std::vector<MapBytes> values;
        if (!read_queue(fd, type_, bpf_map__value_size(map_), &values)) {
            contents_.unreadable = errno_name(errno);
        }
        for (MapBytes& value : values) add({{}, std::move(value), {}, {}});
    }

    void add(MapElement element) {
        element.typed_key = typed_key(element.key);
        if (element.typed_value.is_null()) element.typed_value = typed_value(element.value);
        contents_.elements.push_back(std::move(element));
    }

    Json typed_key(const MapBytes& key) const {
        if (is_queue(type_)) return contents_.elements.size();
        if (is_number_key(type_) && key.size() == 4) return number(key);
        if (type_ == BPF_MAP_TYPE_LPM_TRIE && key.size() > 4) return prefix_text(key);
        return value_of(btf_, object_.key_type(map_), key.data(), key.size());
    }

    void add_zeros() {
        std::set<std::vector<uint8_t>> there;
        for (const MapElement& element : contents_.elements) there.insert(element.key);
        for (uint32_t i = 0; i < contents_.max_entries; ++i) {
            const auto* bytes = reinterpret_cast<const uint8_t*>(&i);
            std::vector<uint8_t> key(bytes, bytes + sizeof i);
            if (!there.count(key)) add({key, std::vector<uint8_t>(value_room()), {}, {}});
        }
    }

    Json typed_value(const std::vector<uint8_t>& value) const {
        const uint32_t type_id = bpf_map__btf_value_type_id(map_);
        const size_t size = bpf_map__value_size(map_);
        if (contents_.is_data) return variables_of(btf_, type_id, value.data(), value.size());
        if (holds_objects(type_)) return pointee(number(value));
        if (type_ == BPF_MAP_TYPE_STACK_TRACE) {
            return frames_of(value, contents_.flags & BPF_F_STACK_BUILD_ID);
        }
        if (!has_value_per_cpu(type_)) return value_of(btf_, type_id, value.data(), size);
        Json all = Json::array();
        for (size_t at = 0; at < value.size(); at += (size + 7) / 8 * 8)
            all.push_back(value_of(btf_, type_id, value.data() + at, size));
        return all;
    }

    static uint64_t number(const std::vector<uint8_t>& bytes) {
        uint64_t value = 0;
        std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
        return value;
    }

    // The name behind an id, where it is one of this object's programs or maps.
    Json pointee(uint64_t id) const {
        if (type_ == BPF_MAP_TYPE_PROG_ARRAY) {
            for (bpf_program* program : object_.programs())
                if (bpf_program__fd(program) >= 0 && program_id(bpf_program__fd(program)) == id)
                    return bpf_program__name(program);
        } else {
            for (const bpf_map* map : object_.maps())
                if (bpf_map__fd(map) >= 0 && map_id(bpf_map__fd(map)) == id) return shown_name(map);
        }
        return "id " + std::to_string(id);
    }

    const Object& object_;
    const bpf_map* map_;
    bpf_map_type type_;
    const btf* btf_;
    MapContents contents_;
};

bool is_scalar(const Json& value) {
    return value.is_primitive() && !value.is_null();
}

// A struct of plain values, or a plain value: what fits in columns.
bool is_flat(const Json& value) {
    if (!value.is_object()) return is_scalar(value);
    const Json::Object& members = value.members();
    return !members.empty() && std::all_of(members.begin(), members.end(), [](const auto& member) {
        return is_scalar(member.second);
    });
}

void add_titles(const Json& value, const char* otherwise, std::vector<std::string>* titles) {
    if (!value.is_object()) return titles->push_back(otherwise);
    for (const auto& [name, member] : value.members()) titles->push_back(name);
}

void add_cells(const Json& value, std::vector<Json>* cells) {
    if (!value.is_object()) return cells->push_back(value);
    for (const auto& [name, member] : value.members()) cells->push_back(member);
}

std::string elements_text(const std::vector<const MapElement*>& elements) {
    const bool flat = std::all_of(elements.begin(), elements.end(), [](const MapElement* element) {
        return is_flat(element->typed_key) && is_flat(element->typed_value);
    });
    std::string text;
    if (!flat) {
        for (const MapElement* element : elements)
            text += "    " + value_text(element->typed_key) + ": " +
                    value_text(element->typed_value) + "\n";
        return text;
    }
    std::vector<std::string> titles;
    add_titles(elements[0]->typed_key, "key", &titles);
    add_titles(elements[0]->typed_value, "value", &titles);
    Table table(titles);
    for (const MapElement* element : elements) {
        std::vector<Json> cells;
        add_cells(element->typed_key, &cells);
        add_cells(element->typed_value, &cells);
        table.add(std::move(cells));
    }
    return table.text("    ");
}

// The values of all CPUs: a row for each that is not zero, and before them the sum, where there are several
// and they can be added.
class CpuTable {
public:
    explicit CpuTable(const std::vector<const MapElement*>& elements)
        : flat_(std::all_of(elements.begin(), elements.end(), is_flat_element)),
          titles_(titles_of(*elements[0])),
          table_(titles_) {
        for (const MapElement* element : elements) add(*element);
    }
    std::string text() const { return table_.text("    "); }

private:
    static bool is_flat_element(const MapElement* element) {
        const Json::Array& values = element->typed_value.elements();
        return is_flat(element->typed_key) && std::all_of(values.begin(), values.end(), is_flat);
    }

    std::vector<std::string> titles_of(const MapElement& element) {
        std::vector<std::string> titles;
        if (!flat_) return {"key", "cpu", "value"};
        add_titles(element.typed_key, "key", &titles);
        titles.push_back("cpu");
        first_value_ = titles.size();
        add_titles(element.typed_value.elements()[0], "value", &titles);
        return titles;
    }

    void add(const MapElement& element) {
        const Json::Array& values = element.typed_value.elements();
        const size_t step = element.value.size() / values.size();
        std::vector<size_t> cpus;
        for (size_t cpu = 0; cpu < values.size(); ++cpu) {
            const uint8_t* bytes = element.value.data() + cpu * step;
            if (std::any_of(bytes, bytes + step, [](uint8_t byte) { return byte; }))
                cpus.push_back(cpu);
        }
        const auto sum = sum_of(values);
        if (cpus.empty()) add_row(element, "all", values[0]);
        if (cpus.size() > 1 && sum) add_row(element, "all", *sum);
        for (const size_t cpu : cpus) add_row(element, std::to_string(cpu), values[cpu]);
    }

    void add_row(const MapElement& element, const std::string& cpu, const Json& value) {
        if (!flat_) return table_.add({value_text(element.typed_key), cpu, value_text(value)});
        std::vector<Json> cells;
        add_cells(element.typed_key, &cells);
        cells.push_back(cpu);
        if (!value.is_object()) cells.push_back(value);
        // A sum has only those members that are numbers.
        for (size_t i = first_value_; value.is_object() && i < titles_.size(); ++i) {
            Json cell = "";
            for (const auto& [name, member] : value.members())
                if (name == titles_[i]) cell = member;
            cells.push_back(std::move(cell));
        }
        table_.add(std::move(cells));
    }

    bool flat_;
    size_t first_value_ = 0;
    std::vector<std::string> titles_;
    Table table_;
};

std::string variables_text(const Json& variables) {
    if (!variables.is_object()) return "    " + value_text(variables) + "\n";
    std::string text;
    for (const auto& [name, value] : variables.members())
        text += "    " + name + " = " + value_text(value) + "\n";
    return text;
}

bool is_zero(const MapElement& element) {
    return std::all_of(element.value.begin(), element.value.end(),
                       [](uint8_t byte) { return !byte; });
}

std::string map_text(const MapContents& map, size_t limit) {
    std::string text = map.name + " (" +
                       (map.is_constant ? "constants"
                        : map.is_data   ? "variables"
                                        : map.type);
    if (!map.is_data && !map.note.empty())
        text += ", " + counted(map.max_entries, is_ring(map.type_number) ? "byte"
                                                : map.key_size           ? "slot"
                                                                         : "element");
    else if (!map.is_data)
        text +=
            ", " + grouped(map.elements.size()) + " of " + grouped(map.max_entries) + " elements";
    text += ")\n";
    if (!map.note.empty()) text += "    (" + map.note + ")\n";
    if (!map.unreadable.empty()) text += "    cannot be read: " + map.unreadable + "\n";
    if (map.is_data) {
        for (const MapElement& element : map.elements) text += variables_text(element.typed_value);
        return text;
    }
    std::vector<const MapElement*> shown;
    size_t zeros = 0, more = 0;
    for (const MapElement& element : map.elements) {
        if (map.is_array && is_zero(element))
            ++zeros;
        else if (shown.size() < limit)
            shown.push_back(&element);
        else
            ++more;
    }
    if (!shown.empty())
        text += has_value_per_cpu(map.type_number) ? CpuTable(shown).text() : elements_text(shown);
    if (zeros) text += "    (" + grouped(zeros) + " all zero)\n";
    if (more) text += "    (" + grouped(more) + " more: --elements N shows N, --json all)\n";
    return text;
}

}  // namespace

std::string shown_name(const bpf_map* map) {
    std::string name = bpf_map__name(map);
    const size_t section = name.find('.');
    if (bpf_map__is_internal(map) && section != std::string::npos) name.erase(0, section);
    return name;
}

std::string map_flags_text(uint32_t flags) {
    static constexpr struct {
        uint32_t flag;
        const char* name;
    } kNames[] = {
        {BPF_F_NO_PREALLOC, "NO_PREALLOC"},
        {BPF_F_NO_COMMON_LRU, "NO_COMMON_LRU"},
        {BPF_F_NUMA_NODE, "NUMA_NODE"},
        {BPF_F_RDONLY, "RDONLY"},
        {BPF_F_WRONLY, "WRONLY"},
        {BPF_F_STACK_BUILD_ID, "STACK_BUILD_ID"},
        {BPF_F_ZERO_SEED, "ZERO_SEED"},
        {BPF_F_RDONLY_PROG, "RDONLY_PROG"},
        {BPF_F_WRONLY_PROG, "WRONLY_PROG"},
        {BPF_F_MMAPABLE, "MMAPABLE"},
        {BPF_F_PRESERVE_ELEMS, "PRESERVE_ELEMS"},
        {BPF_F_INNER_MAP, "INNER_MAP"},
    };
    std::string text;
    for (const auto& [flag, name] : kNames) {
        if (flags & flag) text += (text.empty() ? "" : "|") + std::string(name);
        flags &= ~flag;
    }
    if (flags) text += (text.empty() ? "" : "|") + std::to_string(flags);
    return text.empty() ? "-" : text;
}

std::vector<MapContents> in_order(std::vector<MapContents> maps) {
    // What the program computed comes before what it was given.
    std::vector<MapContents> ordered;
    for (const bool constant : {false, true})
        for (MapContents& map : maps)
            if (map.is_constant == constant) ordered.push_back(std::move(map));
    return ordered;
}

MapContents map_contents(const Object& object, const bpf_map* map,
                         std::vector<MapElement> elements) {
    return Reader(object, map).take(std::move(elements));
}

std::vector<MapContents> read_maps(const Object& object) {
    std::vector<MapContents> all;
    for (const bpf_map* map : object.maps()) all.push_back(Reader(object, map).read());
    return in_order(std::move(all));
}

std::string maps_text(const std::vector<MapContents>& maps, size_t limit) {
    std::string text;
    for (const MapContents& map : maps) text += (text.empty() ? "" : "\n") + map_text(map, limit);
    return text;
}

Json maps_json(const std::vector<MapContents>& maps) {
    Json all = Json::array();
    for (const MapContents& map : maps) {
        Json elements = Json::array();
        for (const MapElement& element : map.elements) {
            elements.push_back(
                {{"key", element.typed_key},
                 {"value", element.typed_value},
                 {"key_bytes", hex_bytes(element.key.data(), element.key.size())},
                 {"value_bytes", hex_bytes(element.value.data(), element.value.size())}});
            if (!has_value_per_cpu(map.type_number)) continue;
            if (const auto sum = sum_of(element.typed_value.elements()))
                elements.back()["sum"] = *sum;
        }
        all.push_back({{"name", map.name},
                       {"type", map.type},
                       {"key_size", map.key_size},
                       {"value_size", map.value_size},
                       {"max_entries", map.max_entries},
                       {"flags", map.flags},
                       {"map_extra", map.extra},
                       {"memory", map.memory},
                       {"constant", map.is_constant},
                       {"elements", std::move(elements)}});
        if (!map.note.empty()) all.back()["note"] = map.note;
        if (!map.unreadable.empty()) all.back()["unreadable"] = map.unreadable;
    }
    return all;
}

}  // namespace barebpf::cli
