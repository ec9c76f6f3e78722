// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/bundle/cpio.h"

namespace barebpf::bundle {

namespace {

constexpr size_t kHeaderSize = 110;
constexpr u32 kMaxNameSize = 4096;
constexpr u32 kKindMask = 0170000, kOrdinaryFile = 0100000;
constexpr char kMagic[] = "070701";
constexpr char kTrailer[] = "TRAILER!!!";

enum Field { kMode = 1, kFileSize = 6, kNameSize = 11, kCheck = 12, kFieldCount };

constexpr size_t aligned(size_t size) {
    return (size + 3) & ~size_t{3};
}

bool parse_hex(const u8* digits, u32* value) {
    *value = 0;
    for (u32 i = 0; i < 8; ++i) {
        const u8 digit = digits[i];
        const u8 letter = digit | 0x20;
        if (digit >= '0' && digit <= '9')
            *value = *value << 4 | u32(digit - '0');
        else if (letter >= 'a' && letter <= 'f')
            *value = *value << 4 | u32(letter - 'a' + 10);
        else
            return false;
    }
    return true;
}

bool all_zero(const u8* bytes, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (bytes[i]) return false;
    return true;
}

const char* without_root(const char* name) {
    if (name[0] == '.' && name[1] == '/') return name + 2;
    return name[0] == '/' ? name + 1 : name;
}

}  // namespace

// The file that begins at *at, which moves behind it; what is wrong with it, or null.
const char* Cpio::next(size_t* at, CpioFile* file) const {
    const u8* header = bytes_ + *at;
    const size_t left = size_ - *at;
    if (left < kHeaderSize) return "ends in a file's header, or without a trailer";
    if (__builtin_memcmp(header, kMagic, 6) != 0) return "is not a newc cpio archive here";
    u32 fields[kFieldCount];
    for (u32 i = 0; i < kFieldCount; ++i)
        if (!parse_hex(header + 6 + 8 * i, &fields[i])) return "has a number that is none";
    if (fields[kCheck]) return "has a checksum, which newc has not";

    const u32 name_size = fields[kNameSize];
    if (name_size == 0 || name_size > kMaxNameSize) return "has a name of no sensible size";
    const size_t data = aligned(kHeaderSize + name_size);
    if (data > left) return "ends in a file's name";
    const char* name = reinterpret_cast<const char*>(header) + kHeaderSize;
    if (__builtin_memchr(name, 0, name_size) != name + name_size - 1)
        return "has a name that does not end where it should";
    const u32 size = fields[kFileSize];
    if (size > left - data || aligned(size) > left - data) return "ends in a file's data";
    if (!all_zero(header + kHeaderSize + name_size, data - kHeaderSize - name_size) ||
        !all_zero(header + data + size, aligned(size) - size))
        return "has something between its files";
    *file = {without_root(name), header + data, size, fields[kMode]};
    *at += data + aligned(size);
    return nullptr;
}

bool Cpio::open(const void* bytes, size_t size, TextBuffer* error) {
    bytes_ = static_cast<const u8*>(bytes);
    size_ = size;
    size_t at = 0;
    CpioFile file = {};
    const char* wrong = nullptr;
    do {
        const size_t begin = at;
        wrong = next(&at, &file);
        if (wrong) {
            error->print("byte ", begin, ": the archive ", wrong);
            return false;
        }
    } while (__builtin_strcmp(file.name, kTrailer) != 0);
    if (!file.size && all_zero(bytes_ + at, size_ - at)) return true;
    error->print("byte ", at, ": something follows the archive's trailer");
    return false;
}

bool Cpio::find(const char* name, CpioFile* file) const {
    size_t at = 0;
    while (!next(&at, file) && __builtin_strcmp(file->name, kTrailer) != 0) {
        if ((file->mode & kKindMask) == kOrdinaryFile && __builtin_strcmp(file->name, name) == 0)
            return true;
    }
    return false;
}

}  // namespace barebpf::bundle
