// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/hex_input.h"

#include <cctype>

#include "testkit/cli/errors.h"

namespace barebpf::cli {

std::vector<uint8_t> parse_hex(const std::string& what, const std::string& text) {
    std::vector<uint8_t> bytes;
    int high = -1;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto character = static_cast<unsigned char>(text[i]);
        if (std::isspace(character)) continue;
        if (!std::isxdigit(character))
            throw UsageError(
                what + ": character " + std::to_string(i + 1) + " is no hexadecimal digit",
                "pairs of digits, for example 95 00 00 00 00 00 00 00");
        const int digit =
            std::isdigit(character) ? character - '0' : std::tolower(character) - 'a' + 10;
        if (high < 0) {
            high = digit;
        } else {
            bytes.push_back(static_cast<uint8_t>(high << 4 | digit));
            high = -1;
        }
    }
    if (high >= 0) throw UsageError(what + ": an odd number of digits");
    return bytes;
}

}  // namespace barebpf::cli
