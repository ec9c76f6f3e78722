// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/recorder.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>
#include <exception>

#include "testkit/preload/observe.h"

namespace barebpf::cli {

namespace {

Recorder* current;

template <class Info>
uint32_t id_of(int fd, uint32_t Info::*id) {
    Info info = {};
    uint32_t size = sizeof info;
    return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.*id : 0;
}

uint32_t btf_id(int fd) {
    return id_of(fd, &bpf_btf_info::id);
}

Blob bytes_at(uint64_t address, size_t size) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(address);
    return size ? Blob(bytes, bytes + size) : Blob();
}

bool names_map(const bpf_insn& insn) {
    return insn.code == (BPF_LD | BPF_IMM | BPF_DW) &&
           (insn.src_reg == BPF_PSEUDO_MAP_FD || insn.src_reg == BPF_PSEUDO_MAP_VALUE ||
            insn.src_reg == BPF_PSEUDO_MAP_IDX || insn.src_reg == BPF_PSEUDO_MAP_IDX_VALUE);
}

}  // namespace

uint32_t map_id(int fd) {
    return id_of(fd, &bpf_map_info::id);
}

uint32_t program_id(int fd) {
    return id_of(fd, &bpf_prog_info::id);
}

Recorder::Recorder() {
    current = this;
    preload::observer = observe;
}

Recorder::~Recorder() {
    preload::observer = nullptr;
    current = nullptr;
}

void Recorder::observe(uint32_t command, uint64_t attr, uint32_t size, long result) {
    // Questions of its own come back here.
    if (result < 0 || current->recording_now_) return;
    bpf_attr copy = {};
    std::memcpy(&copy, reinterpret_cast<const void*>(attr), std::min<size_t>(size, sizeof copy));
    current->recording_now_ = true;
    try {
        current->record(command, copy, static_cast<int>(result));
    } catch (const std::exception& error) {  // no memory; libbpf must not see it
        current->recording_.problem = error.what();
    }
    current->recording_now_ = false;
}

void Recorder::record(uint32_t command, const bpf_attr& attr, int fd) {
    ++order_;
    switch (command) {
        case BPF_MAP_CREATE:
            return record_map(attr, fd);
        case BPF_BTF_LOAD:
            recording_.btf[btf_id(fd)] = bytes_at(attr.btf, attr.btf_size);
            return;
        case BPF_PROG_LOAD:
            return record_program(attr, fd);
        case BPF_MAP_UPDATE_ELEM:
            return record_element(attr);
        case BPF_MAP_FREEZE:
            return record_freeze(attr);
        default:
            return;
    }
}

void Recorder::record_map(const bpf_attr& attr, int fd) {
    RecordedMap map = {};
    map.attr = attr;
    map.order = order_;
    // 0 is "none" in both, as it is to bpf(2).
    if (attr.btf_fd) map.btf_id = btf_id(static_cast<int>(attr.btf_fd));
    if (attr.inner_map_fd) map.inner_map_id = map_id(static_cast<int>(attr.inner_map_fd));
    recording_.maps[map_id(fd)] = std::move(map);
}

void Recorder::record_program(const bpf_attr& attr, int fd) {
    RecordedProgram program = {};
    program.attr = attr;
    program.order = order_;
    if (attr.prog_btf_fd) program.btf_id = btf_id(static_cast<int>(attr.prog_btf_fd));
    if (attr.license) program.license = reinterpret_cast<const char*>(attr.license);
    const auto* insns = reinterpret_cast<const bpf_insn*>(attr.insns);
    program.insns.assign(insns, insns + attr.insn_cnt);
    const auto* fds = reinterpret_cast<const int*>(attr.fd_array);
    for (size_t i = 0; i < program.insns.size(); ++i) {
        const bpf_insn& insn = insns[i];
        if (!names_map(insn)) continue;
        const bool indexed =
            insn.src_reg == BPF_PSEUDO_MAP_IDX || insn.src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
        program.map_ids[i] = map_id(indexed ? fds[insn.imm] : insn.imm);
        ++i;
    }
    program.func_info =
        bytes_at(attr.func_info, size_t{attr.func_info_cnt} * attr.func_info_rec_size);
    program.line_info =
        bytes_at(attr.line_info, size_t{attr.line_info_cnt} * attr.line_info_rec_size);
    recording_.programs[program_id(fd)] = std::move(program);
}

void Recorder::record_freeze(const bpf_attr& attr) {
    auto found = recording_.maps.find(map_id(static_cast<int>(attr.map_fd)));
    if (found != recording_.maps.end()) found->second.frozen = order_;
}

void Recorder::record_element(const bpf_attr& attr) {
    auto found = recording_.maps.find(map_id(static_cast<int>(attr.map_fd)));
    if (found == recording_.maps.end()) return;
    RecordedMap& map = found->second;
    RecordedElement element;
    element.key = bytes_at(attr.key, map.attr.key_size);
    element.flags = attr.flags;
    element.order = order_;
    int fd = 0;
    switch (map.attr.map_type) {
        case BPF_MAP_TYPE_PROG_ARRAY:
            std::memcpy(&fd, reinterpret_cast<const void*>(attr.value), sizeof fd);
            element.object_id = program_id(fd);
            break;
        case BPF_MAP_TYPE_ARRAY_OF_MAPS:
        case BPF_MAP_TYPE_HASH_OF_MAPS:
            std::memcpy(&fd, reinterpret_cast<const void*>(attr.value), sizeof fd);
            element.object_id = map_id(fd);
            break;
        default:
            element.value = bytes_at(attr.value, map.attr.value_size);
            break;
    }
    map.elements.push_back(std::move(element));
}

}  // namespace barebpf::cli
