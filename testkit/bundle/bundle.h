// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The bundle format: compiled programs with everything that libbpf does to them already done (CO-RE, data
// sections, subprograms), as the bpf(2) calls that load them. `barebpf pack` writes it, load.cc replays it in
// a kernel that has no libbpf. docs/bundle.md describes it for people.
//
//     0            Header    magic, version, size of it all, how many records and objects follow
//     24           a record  Record: its kind and its size
//                            the kind's own fields
//                            its parts, one after another: bytes whose sizes stand in the fields
//     24 + size    a record  ...
//     size         the end
//
// Everything is little-endian, fixed in size and a multiple of 8 bytes long; each part is filled up with
// zeros. Nothing holds an offset: a part begins where the one before it ends, and the last one ends its
// record, so there is one way to write a bundle down, and no part can lie outside of it or in another.
//
// Records that make an object (BTF, a map, a program) number them 0, 1, 2... in their order. Who names an
// object names an earlier one. Descriptors appear nowhere: BPF_PSEUDO_MAP_IDX and _IDX_VALUE instructions
// have an object's number for their imm.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::bundle {

inline constexpr u8 kMagic[8] = {'b', 'a', 'r', 'e', 'b', 'p', 'f', 0};
inline constexpr u32 kVersion = 1;
inline constexpr u32 kNone = 0xffffffff;  // where an object's number is asked for: there is none
inline constexpr u32 kNameSize = 16;      // of what the kernel calls an object, with its NUL
inline constexpr u32 kMaxLicense = 128;   // bytes, with the NUL

enum class Kind : u32 { Btf = 1, Map, Element, Freeze, Program };

struct Header {
    u8 magic[8];
    u32 version;
    u32 size;  // bytes, of the whole bundle
    u32 record_count;
    u32 object_count;
};
static_assert(sizeof(Header) == 24);

struct Record {
    Kind kind;
    u32 size;  // bytes, with this
};

// BPF_BTF_LOAD. Makes an object.
struct BtfRecord {
    Record record;
    u32 btf_size;
    u32 zero;
    // Parts: the BTF
};
static_assert(sizeof(BtfRecord) == 16);

// BPF_MAP_CREATE. Makes an object.
struct MapRecord {
    Record record;
    u32 type, key_size, value_size, max_entries, flags, numa_node;
    u32 inner_map;  // object; kNone
    u32 btf;        // object; kNone
    u32 btf_key_type, btf_value_type;
    u64 extra;
    char kernel_name[kNameSize];
    u32 name_size;
    u32 zero;
    // Parts: the name, whole (data sections: ".bss", ...); none: it is only made for another map
};
static_assert(sizeof(MapRecord) == 80);

// BPF_MAP_UPDATE_ELEM, of a map of plain values, or of programs or maps.
struct ElementRecord {
    Record record;
    u32 map;     // object
    u32 object;  // the program or map that the element is; kNone: it is a plain value
    u32 key_size;
    u32 value_size;  // 0 where object is given
    u64 flags;
    // Parts: key, value
};
static_assert(sizeof(ElementRecord) == 32);

// BPF_MAP_FREEZE
struct FreezeRecord {
    Record record;
    u32 map;  // object
    u32 zero;
};
static_assert(sizeof(FreezeRecord) == 16);

// BPF_PROG_LOAD. Makes an object.
struct ProgramRecord {
    Record record;
    u32 type, attach_type, flags, kernel_version;
    u32 btf;  // object; kNone: there are no func_info and line_info either
    u32 insn_count;
    u32 license_size;  // with its NUL
    u32 name_size;
    u32 func_info_count, func_info_size;  // size: of one
    u32 line_info_count, line_info_size;
    char kernel_name[kNameSize];
    // Parts: license, name (the function's, whole), instructions, func_info, line_info
};
static_assert(sizeof(ProgramRecord) == 72);

constexpr u64 padded(u64 size) {
    return (size + 7) & ~u64{7};
}

}  // namespace barebpf::bundle
