// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a command throws. Exit status 1: the program, the verifier or a file said no; 2: the command
// line is wrong. A failure says what is wrong with what, and what to do next.
#pragma once

#include <stdexcept>
#include <string>

namespace barebpf::cli {

inline constexpr int kExitNo = 1;
inline constexpr int kExitUsage = 2;

class Failure : public std::runtime_error {
public:
    explicit Failure(const std::string& message, std::string next = {})
        : std::runtime_error(message), next_(std::move(next)) {}
    const std::string& next() const { return next_; }

private:
    std::string next_;
};

class UsageError : public Failure {
public:
    using Failure::Failure;
};

}  // namespace barebpf::cli
