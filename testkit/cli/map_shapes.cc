// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/map_shapes.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "testkit/cli/output.h"

namespace barebpf::cli {

bool has_value_per_cpu(bpf_map_type type) {
    return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

bool holds_objects(bpf_map_type type) {
    return type == BPF_MAP_TYPE_PROG_ARRAY || type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
           type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

bool is_queue(bpf_map_type type) {
    return type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK;
}

bool is_ring(bpf_map_type type) {
    return type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_USER_RINGBUF;
}

bool is_number_key(bpf_map_type type) {
    return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
           type == BPF_MAP_TYPE_PROG_ARRAY || type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
           type == BPF_MAP_TYPE_STACK_TRACE;
}

std::string why_not_listed(bpf_map_type type) {
    switch (type) {
        case BPF_MAP_TYPE_BLOOM_FILTER:
            return "a filter keeps bits, not elements";
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
        case BPF_MAP_TYPE_CGROUP_ARRAY:
            return "what was put in cannot be read";
        case BPF_MAP_TYPE_RINGBUF:
        case BPF_MAP_TYPE_USER_RINGBUF:
            return "records are for a reader that maps it";
        default:
            return "";
    }
}

std::string prefix_text(const MapBytes& key) {
    uint32_t bits;
    std::memcpy(&bits, key.data(), sizeof bits);
    const uint8_t* data = key.data() + sizeof bits;
    const size_t size = key.size() - sizeof bits;
    char address[INET6_ADDRSTRLEN];
    const int family = size == 4 ? AF_INET : AF_INET6;
    const bool is_address = size == 4 || size == 16;
    return (is_address ? inet_ntop(family, data, address, sizeof address) : hex_bytes(data, size)) +
           ("/" + std::to_string(bits));
}

Json frames_of(const MapBytes& value, bool with_build_ids) {
    // struct bpf_stack_build_id: status, 20 bytes of id, offset or address.
    const size_t step = with_build_ids ? 32 : 8;
    Json frames = Json::array();
    for (size_t at = 0; at + step <= value.size(); at += step) {
        const uint8_t* frame = value.data() + at;
        if (std::all_of(frame, frame + step, [](uint8_t byte) { return !byte; })) break;
        uint64_t address;
        std::memcpy(&address, frame + step - 8, sizeof address);
        uint8_t bytes[8];
        for (int i = 0; i < 8; ++i) bytes[7 - i] = static_cast<uint8_t>(address >> (8 * i));
        std::string text = "0x" + hex_bytes(bytes, 8);
        if (with_build_ids) text = hex_bytes(frame + 4, 20) + "+" + text;
        frames.push_back(text);
    }
    return frames;
}

bool read_queue(int fd, bpf_map_type type, size_t value_size, std::vector<MapBytes>* values) {
    MapBytes value(value_size);
    while (bpf_map_lookup_and_delete_elem(fd, nullptr, value.data()) == 0) values->push_back(value);
    const int reason = errno;
    const auto put = [&](const MapBytes& one) {
        return bpf_map_update_elem(fd, nullptr, one.data(), BPF_ANY) == 0;
    };
    const bool restored = type == BPF_MAP_TYPE_QUEUE
                              ? std::all_of(values->begin(), values->end(), put)
                              : std::all_of(values->rbegin(), values->rend(), put);
    if (restored) errno = reason;
    return restored && reason == ENOENT;
}

std::optional<Json> sum_of(const Json::Array& values) {
    if (values.empty()) return std::nullopt;
    if (values[0].is_object()) {
        Json sums = Json::object();
        for (const auto& [name, first] : values[0].members()) {
            Json::Array column;
            for (const Json& value : values) {
                for (const auto& [other, member] : value.members()) {
                    if (other == name) column.push_back(member);
                }
            }
            if (const auto sum = sum_of(column)) sums[name] = *sum;
        }
        if (sums.members().empty()) return std::nullopt;
        return sums;
    }
    Json sum = values[0];
    if (!sum.is_integer()) return std::nullopt;
    for (size_t i = 1; i < values.size(); ++i) {
        if (!sum.add(values[i])) return std::nullopt;
    }
    return sum;
}

}  // namespace barebpf::cli
