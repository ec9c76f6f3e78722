// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/bundle/load.h"

#include "kernel/barebpf.h"
#include "testkit/bundle/check.h"
#include "uapi/linux/bpf.h"

namespace barebpf::bundle {

namespace {

u64 address(const void* pointer) {
    return reinterpret_cast<u64>(pointer);
}

s64 call(u32 command, const bpf_attr& attr) {
    return bpf_syscall(command, address(&attr), sizeof attr);
}

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::Btf:
            return "BTF";
        case Kind::Map:
            return "map";
        case Kind::Element:
            return "element";
        case Kind::Freeze:
            return "freezing";
        case Kind::Program:
            return "program";
    }
    return "";
}

}  // namespace

s64 Bundle::load_btf(const u8* at) {
    const auto btf = fields<BtfRecord>(at);
    Parts parts(at, btf);
    bpf_attr attr{};
    attr.btf = address(parts.take(btf.btf_size));
    attr.btf_size = btf.btf_size;
    return call(BPF_BTF_LOAD, attr);
}

s64 Bundle::create_map(const u8* at) {
    const auto map = fields<MapRecord>(at);
    bpf_attr attr{};
    attr.map_type = map.type;
    attr.key_size = map.key_size;
    attr.value_size = map.value_size;
    attr.max_entries = map.max_entries;
    attr.map_flags = map.flags;
    attr.numa_node = map.numa_node;
    if (map.inner_map != kNone) attr.inner_map_fd = static_cast<u32>(fd_of(map.inner_map));
    if (map.btf != kNone) attr.btf_fd = static_cast<u32>(fd_of(map.btf));
    attr.btf_key_type_id = map.btf_key_type;
    attr.btf_value_type_id = map.btf_value_type;
    attr.map_extra = map.extra;
    __builtin_memcpy(attr.map_name, map.kernel_name, sizeof map.kernel_name);
    return call(BPF_MAP_CREATE, attr);
}

s64 Bundle::load_program(const u8* at) {
    const auto program = fields<ProgramRecord>(at);
    Parts parts(at, program);
    bpf_attr attr{};
    attr.prog_type = program.type;
    attr.expected_attach_type = program.attach_type;
    attr.prog_flags = program.flags;
    attr.kern_version = program.kernel_version;
    if (program.btf != kNone) attr.prog_btf_fd = static_cast<u32>(fd_of(program.btf));
    __builtin_memcpy(attr.prog_name, program.kernel_name, sizeof program.kernel_name);
    attr.license = address(parts.take(program.license_size));
    parts.take(program.name_size);
    attr.insns = address(parts.take(u64{program.insn_count} * sizeof(bpf_insn)));
    attr.insn_cnt = program.insn_count;
    attr.func_info_cnt = program.func_info_count;
    attr.func_info_rec_size = program.func_info_size;
    attr.func_info = address(parts.take(u64{program.func_info_count} * program.func_info_size));
    attr.line_info_cnt = program.line_info_count;
    attr.line_info_rec_size = program.line_info_size;
    attr.line_info = address(parts.take(u64{program.line_info_count} * program.line_info_size));
    attr.fd_array = address(fds_.data());
    const s64 result = call(BPF_PROG_LOAD, attr);
    if (result >= 0 || !log_size_) return result;
    attr.log_buf = address(log_);
    attr.log_size = log_size_;
    attr.log_level = 1;
    // The same answer, with reasons. That the log was too short for them is not the answer.
    const s64 again = call(BPF_PROG_LOAD, attr);
    if (again >= 0) close_(static_cast<int>(again));
    return result;
}

s64 Bundle::update(const u8* at) {
    const auto element = fields<ElementRecord>(at);
    Parts parts(at, element);
    bpf_attr attr{};
    attr.map_fd = static_cast<u32>(fd_of(element.map));
    attr.key = address(parts.take(element.key_size));
    attr.flags = element.flags;
    u32 fd = 0;
    if (element.object == kNone) {
        attr.value = address(parts.take(element.value_size));
    } else {
        fd = static_cast<u32>(fd_of(element.object));
        attr.value = address(&fd);
    }
    return call(BPF_MAP_UPDATE_ELEM, attr);
}

s64 Bundle::freeze(const u8* at) {
    bpf_attr attr{};
    attr.map_fd = static_cast<u32>(fd_of(fields<FreezeRecord>(at).map));
    return call(BPF_MAP_FREEZE, attr);
}

s64 Bundle::replay(const u8* at, Kind kind) {
    switch (kind) {
        case Kind::Btf:
            return load_btf(at);
        case Kind::Map:
            return create_map(at);
        case Kind::Element:
            return update(at);
        case Kind::Freeze:
            return freeze(at);
        case Kind::Program:
            return load_program(at);
    }
    return -to_int(Errno::Inval);
}

bool Bundle::replay_all(const u8* bytes, TextBuffer* error) {
    u32 made = 0;
    const u8* at = bytes + sizeof(Header);
    for (u32 i = 0; i < fields<Header>(bytes).record_count; ++i) {
        const auto record = fields<Record>(at);
        const bool makes_object = record.kind != Kind::Element && record.kind != Kind::Freeze;
        const s64 result = replay(at, record.kind);
        if (result < 0) {
            error->print("record ", i, ": ", name_of(record.kind));
            if (makes_object && objects_[made].name.size) error->print(" ", objects_[made].name);
            error->print(" refused: errno ", -result);
            return false;
        }
        if (makes_object) {
            fds_[made] = objects_[made].fd = static_cast<int>(result);
            ++made;
        }
        at += record.size;
    }
    return true;
}

bool Bundle::load(const void* bytes, size_t size, TextBuffer* error, char* log, u32 log_size) {
    if (objects_.size()) {
        error->print("loaded already");
        return false;
    }
    log_ = log;
    log_size_ = log ? log_size : 0;
    if (log_size_) log_[0] = '\0';
    const auto* begin = static_cast<const u8*>(bytes);
    if (!check_bundle(begin, size, &memory_, &objects_, error)) return false;
    if (!fds_.allocate(objects_.size(), host::AllocContext::MaySleep, memory_)) {
        objects_.reset();
        error->print("no memory");
        return false;
    }
    if (replay_all(begin, error)) return true;
    unload();
    return false;
}

void Bundle::unload() {
    for (const Object& object : objects_)
        if (object.fd >= 0) close_(object.fd);
    objects_.reset();
    fds_.reset();
}

const Object* Bundle::find(Kind kind, Bytes name) const {
    for (const Object& object : objects_) {
        if (object.kind == kind && object.name.size == name.size &&
            __builtin_memcmp(object.name.data, name.data, name.size) == 0)
            return &object;
    }
    return nullptr;
}

}  // namespace barebpf::bundle
