// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/bundle/check.h"

#include "uapi/linux/bpf.h"

namespace barebpf::bundle {

namespace {

constexpr u32 kMaxNameLength = 255;
constexpr u32 kMaxInsns = 1'000'000;
constexpr u8 kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr u8 kCall = BPF_JMP | BPF_CALL;

// Whose elements are values of value_size bytes that hold nothing of this kernel's.
bool holds_plain_values(u32 map_type) {
    switch (map_type) {
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_ARRAY:
        case BPF_MAP_TYPE_LRU_HASH:
        case BPF_MAP_TYPE_LPM_TRIE:
        case BPF_MAP_TYPE_QUEUE:
        case BPF_MAP_TYPE_STACK:
        case BPF_MAP_TYPE_BLOOM_FILTER:
            return true;
        default:
            return false;
    }
}

class Checker {
public:
    Checker(host::Buffer<Object>* objects, TextBuffer* error) : objects_(*objects), error_(error) {}

    bool check(const u8* bytes, size_t size, host::MemoryOwner* memory);

private:
    bool fail(const char* what) {
        if (in_record_) error_->print("record ", record_, ": ");
        error_->print(what);
        return false;
    }
    bool check_record(const u8* at, u32 size);
    bool check_btf(const u8* at);
    bool check_map(const u8* at);
    bool check_element(const u8* at);
    bool check_freeze(const u8* at);
    bool check_program(const u8* at);
    bool check_insns(const u8* insns, u32 count);
    bool check_name(const u8* name, u32 size);

    bool is_object(u32 number, Kind kind) const {
        return number < made_ && objects_[number].kind == kind;
    }
    bool is_object_or_none(u32 number, Kind kind) const {
        return number == kNone || is_object(number, kind);
    }
    bool make(const Object& object) {
        if (made_ == objects_.size()) return fail("more objects than the header tells of");
        objects_[made_++] = object;
        return true;
    }

    host::Buffer<Object>& objects_;
    TextBuffer* error_;
    u32 made_ = 0;
    u32 record_ = 0;
    bool in_record_ = false;
};

bool Checker::check(const u8* bytes, size_t size, host::MemoryOwner* memory) {
    if (size < sizeof(Header)) return fail("shorter than a bundle's header");
    const auto header = fields<Header>(bytes);
    if (__builtin_memcmp(header.magic, kMagic, sizeof kMagic) != 0) return fail("not a bundle");
    if (header.version != kVersion) {
        error_->print("a bundle of version ", header.version, ", not of ", kVersion);
        return false;
    }
    if (header.size != size) {
        error_->print(header.size, " bytes long by its header, but there are ", size);
        return false;
    }
    if (header.record_count > size / sizeof(Record) || header.object_count > header.record_count)
        return fail("more records or objects than fit into it");
    if (!objects_.allocate(header.object_count, host::AllocContext::MaySleep, *memory))
        return fail("no memory");

    in_record_ = true;
    u32 at = sizeof(Header);
    for (; record_ < header.record_count; ++record_) {
        if (size - at < sizeof(Record)) return fail("beyond the end");
        const auto record = fields<Record>(bytes + at);
        if (record.size % 8 || record.size < sizeof(Record) || record.size > size - at)
            return fail("its size is wrong");
        if (!check_record(bytes + at, record.size)) return false;
        at += record.size;
    }
    in_record_ = false;
    if (at != size) return fail("something follows its last record");
    if (made_ != header.object_count) return fail("fewer objects than the header tells of");
    return true;
}

bool Checker::check_record(const u8* at, u32 size) {
    struct Known {
        Kind kind;
        u32 fields_size;
        bool (Checker::*check)(const u8*);
    };
    static constexpr Known kKnown[] = {
        {Kind::Btf, sizeof(BtfRecord), &Checker::check_btf},
        {Kind::Map, sizeof(MapRecord), &Checker::check_map},
        {Kind::Element, sizeof(ElementRecord), &Checker::check_element},
        {Kind::Freeze, sizeof(FreezeRecord), &Checker::check_freeze},
        {Kind::Program, sizeof(ProgramRecord), &Checker::check_program},
    };
    for (const Known& known : kKnown) {
        if (known.kind != fields<Record>(at).kind) continue;
        if (size < known.fields_size) return fail("too short for its kind");
        return (this->*known.check)(at);
    }
    return fail("of a kind that is not known");
}

bool Checker::check_btf(const u8* at) {
    const auto btf = fields<BtfRecord>(at);
    Parts parts(at, btf);
    if (!parts.take(btf.btf_size) || !parts.at_end()) return fail("its parts do not fit");
    if (btf.zero) return fail("a field that must be zero is not");
    return make({.kind = Kind::Btf, .fd = -1});
}

// What is printed, as one word.
bool Checker::check_name(const u8* name, u32 size) {
    if (size == 0 || size > kMaxNameLength) return fail("its name is empty or too long");
    for (u32 i = 0; i < size; ++i)
        if (name[i] <= ' ' || name[i] > '~') return fail("its name is not a word");
    return true;
}

bool Checker::check_map(const u8* at) {
    const auto map = fields<MapRecord>(at);
    Parts parts(at, map);
    const u8* name = parts.take(map.name_size);
    if (!name || !parts.at_end()) return fail("its parts do not fit");
    if (map.name_size && !check_name(name, map.name_size)) return false;
    if (map.zero) return fail("a field that must be zero is not");
    if (!is_object_or_none(map.inner_map, Kind::Map))
        return fail("its inner map is no earlier map");
    if (!is_object_or_none(map.btf, Kind::Btf)) return fail("its BTF is no earlier BTF");
    return make({.kind = Kind::Map,
                 .fd = -1,
                 .type = map.type,
                 .key_size = map.key_size,
                 .value_size = map.value_size,
                 .max_entries = map.max_entries,
                 .flags = map.flags,
                 .name = {reinterpret_cast<const char*>(name), map.name_size}});
}

bool Checker::check_element(const u8* at) {
    const auto element = fields<ElementRecord>(at);
    Parts parts(at, element);
    if (!parts.take(element.key_size) || !parts.take(element.value_size) || !parts.at_end())
        return fail("its parts do not fit");
    if (!is_object(element.map, Kind::Map)) return fail("its map is no earlier map");
    const Object& map = objects_[element.map];
    // bpf(2) reads as many bytes as the map says.
    if (element.key_size != map.key_size) return fail("its key is not of its map's size");
    if (element.object == kNone) {
        if (!holds_plain_values(map.type)) return fail("its map takes no plain values");
        if (element.value_size != map.value_size) return fail("its value is not of its map's size");
        return true;
    }
    if (element.value_size) return fail("an object and a value too");
    const bool programs = map.type == BPF_MAP_TYPE_PROG_ARRAY;
    const bool maps =
        map.type == BPF_MAP_TYPE_ARRAY_OF_MAPS || map.type == BPF_MAP_TYPE_HASH_OF_MAPS;
    if (!(programs && is_object(element.object, Kind::Program)) &&
        !(maps && is_object(element.object, Kind::Map)))
        return fail("its object is nothing that its map holds");
    return map.value_size == sizeof(u32) || fail("its map's values are no objects");
}

bool Checker::check_freeze(const u8* at) {
    const auto freeze = fields<FreezeRecord>(at);
    if (freeze.record.size != sizeof freeze || freeze.zero) return fail("its parts do not fit");
    return is_object(freeze.map, Kind::Map) || fail("its map is no earlier map");
}

bool Checker::check_program(const u8* at) {
    const auto program = fields<ProgramRecord>(at);
    Parts parts(at, program);
    const u8* license = parts.take(program.license_size);
    const u8* name = license ? parts.take(program.name_size) : nullptr;
    const u8* insns = name ? parts.take(u64{program.insn_count} * sizeof(bpf_insn)) : nullptr;
    const bool whole = insns && parts.take(u64{program.func_info_count} * program.func_info_size) &&
                       parts.take(u64{program.line_info_count} * program.line_info_size) &&
                       parts.at_end();
    if (!whole) return fail("its parts do not fit");
    if (!check_name(name, program.name_size)) return false;
    // bpf(2) reads the license up to its NUL.
    if (program.license_size == 0 || program.license_size > kMaxLicense ||
        license[program.license_size - 1])
        return fail("its license does not end");
    if (!is_object_or_none(program.btf, Kind::Btf)) return fail("its BTF is no earlier BTF");
    if (program.btf == kNone && (program.func_info_count || program.line_info_count))
        return fail("func_info or line_info without BTF");
    if (program.insn_count > kMaxInsns) return fail("too many instructions");
    return check_insns(insns, program.insn_count) &&
           make({.kind = Kind::Program,
                 .fd = -1,
                 .type = program.type,
                 .key_size = 0,
                 .value_size = 0,
                 .max_entries = 0,
                 .flags = program.flags,
                 .name = {reinterpret_cast<const char*>(name), program.name_size}});
}

// No instruction names a descriptor, or what is behind the end of the objects. All else is the verifier's.
bool Checker::check_insns(const u8* insns, u32 count) {
    for (u32 i = 0; i < count; ++i) {
        const auto insn = fields<bpf_insn>(insns + u64{i} * sizeof(bpf_insn));
        if (insn.code == kCall && insn.src_reg == BPF_PSEUDO_KFUNC_CALL)
            return fail("it calls a function of the kernel that it was packed on");
        if (insn.code != kLoadImm64) continue;
        ++i;
        switch (insn.src_reg) {
            case 0:
            case BPF_PSEUDO_FUNC:
                continue;
            case BPF_PSEUDO_MAP_IDX:
            case BPF_PSEUDO_MAP_IDX_VALUE:
                if (insn.imm >= 0 && is_object(static_cast<u32>(insn.imm), Kind::Map)) continue;
                return fail("an instruction names what is no earlier map");
            default:
                return fail("an instruction names a descriptor");
        }
    }
    return true;
}

}  // namespace

bool check_bundle(const u8* bytes, size_t size, host::MemoryOwner* memory,
                  host::Buffer<Object>* objects, TextBuffer* error) {
    const bool good = Checker(objects, error).check(bytes, size, memory);
    if (!good) objects->reset();
    return good;
}

}  // namespace barebpf::bundle
