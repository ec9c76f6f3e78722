// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A bundle made by hand, for tests: one of each kind of record.
//
//     object 0  BTF                 int
//     object 1  map "numbers"       an array of one int, which is 7 and frozen
//     object 2  map "jumps"         a program array of two
//     object 3  program "inner"     XDP: returns what is in "numbers"
//     object 4  program "outer"     XDP: tail-calls what is in slot 1 of "jumps" ("inner"), or returns 1
#pragma once

#include <vector>

#include "kernel/bpf/insn.h"
#include "testkit/bundle/bundle.h"
#include "uapi/linux/bpf.h"

namespace barebpf::bundle {

using Blob = std::vector<u8>;

inline Blob blob(const void* data, size_t size) {
    const auto* bytes = static_cast<const u8*>(data);
    return Blob(bytes, bytes + size);
}

class SampleWriter {
public:
    SampleWriter() : bytes_(sizeof(Header)) {}

    // Appends a record whose size is not known yet; returns where it begins.
    template <class T>
    u32 add(T record, const std::vector<Blob>& parts) {
        const auto at = static_cast<u32>(bytes_.size());
        append(blob(&record, sizeof record));
        for (const Blob& part : parts) append(part);
        record.record.size = static_cast<u32>(bytes_.size()) - at;
        __builtin_memcpy(&bytes_[at], &record.record, sizeof record.record);
        ++records_;
        return at;
    }
    Blob finish(u32 objects) {
        Header header = {};
        __builtin_memcpy(header.magic, kMagic, sizeof kMagic);
        header.version = kVersion;
        header.size = static_cast<u32>(bytes_.size());
        header.record_count = records_;
        header.object_count = objects;
        __builtin_memcpy(&bytes_[0], &header, sizeof header);
        return bytes_;
    }

private:
    void append(const Blob& part) {
        bytes_.insert(bytes_.end(), part.begin(), part.end());
        bytes_.resize(padded(bytes_.size()));
    }
    Blob bytes_;
    u32 records_ = 0;
};

struct Sample {
    Blob bytes;
    u32 btf, numbers, value, frozen, jumps, inner, slot, outer;  // where each record begins
    u32 inner_insns, outer_insns;
};

inline Blob sample_btf() {
    struct {
        u16 magic = 0xeb9f;
        u8 version = 1, flags = 0;
        u32 header_size = 24, types = 0, types_size = 16, names = 16, names_size = 5;
        u32 name = 1, info = 1 << 24, size = 4, encoding = 0x01000020;  // int, signed, 32 bits
        char text[8] = {0, 'i', 'n', 't'};
    } btf;
    return blob(&btf, 24 + 16 + 5);
}

inline MapRecord sample_map(u32 type, u32 max_entries, u32 btf) {
    MapRecord map = {};
    map.record.kind = Kind::Map;
    map.type = type;
    map.key_size = map.value_size = 4;
    map.max_entries = max_entries;
    map.inner_map = kNone;
    map.btf = btf;
    if (btf != kNone) map.btf_key_type = map.btf_value_type = 1;
    return map;
}

inline u32 add_program(SampleWriter* writer, const char* name, const std::vector<bpf_insn>& insns,
                       u32* insns_at) {
    ProgramRecord program = {};
    program.record.kind = Kind::Program;
    program.type = BPF_PROG_TYPE_XDP;
    program.btf = kNone;
    program.insn_count = static_cast<u32>(insns.size());
    program.license_size = 4;
    program.name_size = 5;
    __builtin_memcpy(program.kernel_name, name, 5);
    const u32 at = writer->add(program, {blob("GPL", 4), blob(name, 5),
                                         blob(insns.data(), insns.size() * sizeof(bpf_insn))});
    *insns_at = at + sizeof program + 8 + 8;
    return at;
}

inline Sample make_sample() {
    using namespace insn;  // NOLINT: an assembler
    Sample sample;
    SampleWriter writer;
    const s32 zero = 0, one = 1, seven = 7;
    BtfRecord btf = {{Kind::Btf, 0}, 45, 0};
    sample.btf = writer.add(btf, {sample_btf()});

    MapRecord numbers = sample_map(BPF_MAP_TYPE_ARRAY, 1, 0);
    numbers.flags = BPF_F_RDONLY_PROG;
    numbers.name_size = 7;
    sample.numbers = writer.add(numbers, {blob("numbers", 7)});
    ElementRecord value = {{Kind::Element, 0}, 1, kNone, 4, 4, 0};
    sample.value = writer.add(value, {blob(&zero, 4), blob(&seven, 4)});
    FreezeRecord freeze = {{Kind::Freeze, 0}, 1, 0};
    sample.frozen = writer.add(freeze, {});

    MapRecord jumps = sample_map(BPF_MAP_TYPE_PROG_ARRAY, 2, kNone);
    jumps.name_size = 5;
    sample.jumps = writer.add(jumps, {blob("jumps", 5)});
    sample.inner = add_program(
        &writer, "inner",
        {raw(BPF_LD | BPF_IMM | BPF_DW, R1, BPF_PSEUDO_MAP_IDX_VALUE, 0, 1), raw(0, 0, 0, 0, 0),
         raw(BPF_LDX | BPF_MEM | BPF_W, R0, R1, 0, 0), raw(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)},
        &sample.inner_insns);
    ElementRecord slot = {{Kind::Element, 0}, 2, 3, 4, 0, 0};
    sample.slot = writer.add(slot, {blob(&one, 4)});
    sample.outer = add_program(
        &writer, "outer",
        {raw(BPF_LD | BPF_IMM | BPF_DW, R2, BPF_PSEUDO_MAP_IDX, 0, 2), raw(0, 0, 0, 0, 0),
         mov_imm(R3, 1), raw(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call), mov_imm(R0, 1),
         raw(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)},
        &sample.outer_insns);
    sample.bytes = writer.finish(5);
    return sample;
}

}  // namespace barebpf::bundle
