// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// memcpy() and its like: what compilers call on their own account. Word by word, which is what an emulated CPU is
// fastest at (its `rep movsb` goes byte by byte); both machines take words at any address.
//
// Context: any. Compiled so that no loop here becomes a call of the function that it is in.
#include <stddef.h>
#include <stdint.h>

namespace {

// A word anywhere, whatever it is a part of.
using Word = uint64_t __attribute__((may_alias, aligned(1)));

constexpr size_t kWord = sizeof(Word);

Word& word_at(void* at) {
    return *static_cast<Word*>(at);
}
Word word_of(const void* at) {
    return *static_cast<const Word*>(at);
}

void copy_up(unsigned char* to, const unsigned char* from, size_t size) {
    for (; size >= 4 * kWord; to += 4 * kWord, from += 4 * kWord, size -= 4 * kWord) {
        const Word a = word_of(from), b = word_of(from + kWord), c = word_of(from + 2 * kWord),
                   d = word_of(from + 3 * kWord);
        word_at(to) = a;
        word_at(to + kWord) = b;
        word_at(to + 2 * kWord) = c;
        word_at(to + 3 * kWord) = d;
    }
    for (; size >= kWord; to += kWord, from += kWord, size -= kWord) word_at(to) = word_of(from);
    while (size--) *to++ = *from++;
}

void copy_down(unsigned char* to, const unsigned char* from, size_t size) {
    for (; size >= kWord; size -= kWord) {
        word_at(to + size - kWord) = word_of(from + size - kWord);
    }
    while (size--) to[size] = from[size];
}

}  // namespace

extern "C" {

void* memcpy(void* to, const void* from, size_t size) {
    copy_up(static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), size);
    return to;
}

void* memmove(void* to, const void* from, size_t size) {
    auto* t = static_cast<unsigned char*>(to);
    auto* f = static_cast<const unsigned char*>(from);
    // Also true where `to` is below `from`, and wraps.
    if (static_cast<size_t>(t - f) >= size) {
        copy_up(t, f, size);
    } else {
        copy_down(t, f, size);
    }
    return to;
}

void* memset(void* to, int byte, size_t size) {
    auto* t = static_cast<unsigned char*>(to);
    const Word pattern = 0x0101010101010101u * static_cast<unsigned char>(byte);
    for (; size >= 4 * kWord; t += 4 * kWord, size -= 4 * kWord) {
        word_at(t) = pattern;
        word_at(t + kWord) = pattern;
        word_at(t + 2 * kWord) = pattern;
        word_at(t + 3 * kWord) = pattern;
    }
    for (; size >= kWord; t += kWord, size -= kWord) word_at(t) = pattern;
    while (size--) *t++ = static_cast<unsigned char>(byte);
    return to;
}

int memcmp(const void* left, const void* right, size_t size) {
    auto* l = static_cast<const unsigned char*>(left);
    auto* r = static_cast<const unsigned char*>(right);
    while (size >= kWord && word_of(l) == word_of(r)) l += kWord, r += kWord, size -= kWord;
    for (; size; ++l, ++r, --size) {
        if (*l != *r) return *l < *r ? -1 : 1;
    }
    return 0;
}

void* memchr(const void* memory, int byte, size_t size) {
    auto* at = static_cast<const unsigned char*>(memory);
    for (; size; ++at, --size) {
        if (*at == static_cast<unsigned char>(byte)) return const_cast<unsigned char*>(at);
    }
    return nullptr;
}

}  // extern "C"
