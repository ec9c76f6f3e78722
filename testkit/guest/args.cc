// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The words that QEMU was given.
#include "testkit/guest/guest.h"
#include "testkit/guest/kernel.h"

namespace barebpf::guest {

namespace {

constexpr const char* kNames[] = {"cpus", "engine", "initrd", "plant", "run",
                                  "seed", "shard",  "shards", "tests", "tick"};

// The words, each with a NUL behind it, and an empty one at the end.
char words[sizeof(Machine::args) + 1];

size_t length_of(const char* text) {
    size_t length = 0;
    while (text[length]) ++length;
    return length;
}

// The value of a word if it has this name.
const char* value_of(const char* word, const char* name) {
    while (*name && *word == *name) {
        ++word;
        ++name;
    }
    if (*name) return nullptr;
    if (*word == '=') return word + 1;
    return *word ? nullptr : word;
}

u32 digit_of(char c) {
    if (c >= '0' && c <= '9') return static_cast<u32>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<u32>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<u32>(c - 'A' + 10);
    return 16;
}

bool parse_number(const char* text, u64* value) {
    u32 base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (!*text) return false;
    *value = 0;
    for (; *text; ++text) {
        const u32 digit = digit_of(*text);
        if (digit >= base || __builtin_mul_overflow(*value, u64{base}, value) ||
            __builtin_add_overflow(*value, u64{digit}, value))
            return false;
    }
    return true;
}

bool known(const char* word) {
    for (const char* name : kNames) {
        if (value_of(word, name)) return true;
    }
    return false;
}

}  // namespace

void refuse_unknown_arguments() {
    for (const char* word = words; *word; word += length_of(word) + 1) {
        if (!known(word)) refuse("argument ", word, ": there is none of this name");
    }
}

void set_arguments(const char* text) {
    char* to = words;
    char* const end = words + sizeof(words) - 1;
    bool in_word = false;
    for (; *text && to < end; ++text) {
        const bool space = *text == ' ' || *text == '\t' || *text == '\n';
        if (!space) *to++ = *text;
        if (space && in_word) *to++ = 0;
        in_word = !space;
    }
    to[0] = 0;
    if (to < end) to[1] = 0;
}

const char* Arguments::value(const char* name) const {
    const char* found = nullptr;
    for (const char* word = words; *word; word += length_of(word) + 1) {
        if (const char* value = value_of(word, name)) found = value;
    }
    return found;
}

u64 Arguments::number(const char* name, u64 otherwise) const {
    const char* text = value(name);
    if (!text) return otherwise;
    u64 number = 0;
    if (!parse_number(text, &number)) refuse("argument ", name, "=", text, ": not a number");
    return number;
}

}  // namespace barebpf::guest
