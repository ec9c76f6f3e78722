// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How results are shown: numbers for people, JSON for programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "testkit/cli/json.h"

namespace barebpf::cli {

// One document on standard output.
void print_json(const Json& json);

// 12,345
std::string grouped(uint64_t number);
// 870 ns, 12.3 us, 4.56 ms, 1.2 s
std::string duration_text(double nanoseconds);
// 3 packets, 1 packet
std::string counted(uint64_t number, const std::string& noun);
std::string hex_bytes(const uint8_t* bytes, size_t size);
// ENOENT for 2; "error 4711" for what has no name.
std::string errno_name(int error);

// A value as a person reads it: {port: 80, hosts: [1, 2, 0 (x6)]}.
std::string value_text(const Json& value);

// Columns: numbers to the right, words to the left.
class Table {
public:
    explicit Table(std::vector<std::string> titles) : titles_(std::move(titles)) {}
    void add(std::vector<Json> row) { rows_.push_back(std::move(row)); }
    std::string text(const std::string& indent) const;

private:
    std::vector<std::string> titles_;
    std::vector<std::vector<Json>> rows_;
};

}  // namespace barebpf::cli
