// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/bundle_writer.h"

#include <cstring>
#include <functional>

#include "testkit/bundle/bundle.h"
#include "testkit/cli/errors.h"

namespace barebpf::cli {

namespace {

Blob bytes_of(const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    return size ? Blob(bytes, bytes + size) : Blob();
}

Blob bytes_of(const std::string& text) {
    return bytes_of(text.data(), text.size());
}

template <class Found>
const auto& known(const Found& all, uint32_t id, const char* what) {
    auto found = all.find(id);
    if (found == all.end())
        throw Failure(std::string("it uses a ") + what + " that was not made while it was loaded",
                      "pinned and shared maps cannot be packed: each bundle brings its own");
    return found->second;
}

}  // namespace

void BundleWriter::need_btf(uint32_t id) {
    if (!id) return;
    known(recording_.btf, id, "BTF");
    btf_.insert(id);
}

void BundleWriter::need_map(uint32_t id) {
    const RecordedMap& map = known(recording_.maps, id, "map");
    if (!maps_.insert(id).second) return;
    if (map.attr.map_ifindex || map.attr.btf_vmlinux_value_type_id)
        throw Failure("map " + map_name(id) +
                      " belongs to a network device or to the kernel it was loaded into");
    need_btf(map.btf_id);
    if (map.inner_map_id) need_map(map.inner_map_id);
    for (const RecordedElement& element : map.elements) {
        if (!element.object_id) continue;
        if (map.attr.map_type == BPF_MAP_TYPE_PROG_ARRAY)
            need_program(element.object_id);
        else
            need_map(element.object_id);
    }
}

void BundleWriter::need_program(uint32_t id) {
    const RecordedProgram& program = known(recording_.programs, id, "program");
    if (!programs_.insert(id).second) return;
    const bpf_attr& attr = program.attr;
    if (attr.attach_btf_id || attr.attach_prog_fd || attr.prog_ifindex)
        throw Failure(
            "program " + program_name(id) +
            " is made for one function, program or device of the kernel it is loaded into");
    need_btf(program.btf_id);
    for (const auto& [insn, map] : program.map_ids) need_map(map);
}

// Empty for what is only made for another map.
std::string BundleWriter::map_name(uint32_t id) const {
    auto found = names_.maps.find(id);
    return found == names_.maps.end() ? "" : found->second;
}

std::string BundleWriter::program_name(uint32_t id) const {
    return names_.programs.at(id);
}

// Fills in the record's size, and appends it.
void BundleWriter::add_record(void* record, size_t size, const std::vector<Blob>& parts) {
    size_t whole = size;
    for (const Blob& part : parts) whole += bundle::padded(part.size());
    if (out_.size() + whole > UINT32_MAX) throw Failure("a bundle holds at most 4 GiB");
    static_cast<bundle::Record*>(record)->size = static_cast<uint32_t>(whole);
    const Blob fields = bytes_of(record, size);
    out_.insert(out_.end(), fields.begin(), fields.end());
    for (const Blob& part : parts) {
        out_.insert(out_.end(), part.begin(), part.end());
        out_.resize(bundle::padded(out_.size()));
    }
    ++records_;
}

uint32_t BundleWriter::object(const std::map<uint32_t, uint32_t>& numbers, uint32_t id) const {
    return id ? numbers.at(id) : bundle::kNone;
}

void BundleWriter::write_btf(uint32_t id) {
    const Blob& btf = recording_.btf.at(id);
    bundle::BtfRecord record = {{bundle::Kind::Btf, 0}, static_cast<uint32_t>(btf.size()), 0};
    add_record(&record, sizeof record, {btf});
    btf_number_[id] = objects_++;
}

void BundleWriter::write_map(uint32_t id) {
    const RecordedMap& map = recording_.maps.at(id);
    const std::string name = map_name(id);
    bundle::MapRecord record = {};
    record.record.kind = bundle::Kind::Map;
    record.type = map.attr.map_type;
    record.key_size = map.attr.key_size;
    record.value_size = map.attr.value_size;
    record.max_entries = map.attr.max_entries;
    record.flags = map.attr.map_flags;
    record.numa_node = map.attr.numa_node;
    record.inner_map = object(map_number_, map.inner_map_id);
    record.btf = object(btf_number_, map.btf_id);
    record.btf_key_type = map.attr.btf_key_type_id;
    record.btf_value_type = map.attr.btf_value_type_id;
    record.extra = map.attr.map_extra;
    std::memcpy(record.kernel_name, map.attr.map_name, sizeof record.kernel_name);
    record.name_size = static_cast<uint32_t>(name.size());
    add_record(&record, sizeof record, {bytes_of(name)});
    map_number_[id] = objects_++;
}

void BundleWriter::write_element(uint32_t map, const RecordedElement& element) {
    const bool programs = recording_.maps.at(map).attr.map_type == BPF_MAP_TYPE_PROG_ARRAY;
    bundle::ElementRecord record = {};
    record.record.kind = bundle::Kind::Element;
    record.map = map_number_.at(map);
    record.object = object(programs ? program_number_ : map_number_, element.object_id);
    record.key_size = static_cast<uint32_t>(element.key.size());
    record.value_size = static_cast<uint32_t>(element.value.size());
    record.flags = element.flags;
    add_record(&record, sizeof record, {element.key, element.value});
}

void BundleWriter::write_freeze(uint32_t map) {
    bundle::FreezeRecord record = {{bundle::Kind::Freeze, 0}, map_number_.at(map), 0};
    add_record(&record, sizeof record, {});
}

void BundleWriter::write_program(uint32_t id) {
    const RecordedProgram& program = recording_.programs.at(id);
    const bpf_attr& attr = program.attr;
    std::vector<bpf_insn> insns = program.insns;
    for (const auto& [at, map] : program.map_ids) {
        bpf_insn& insn = insns[at];
        const bool whole = insn.src_reg == BPF_PSEUDO_MAP_FD || insn.src_reg == BPF_PSEUDO_MAP_IDX;
        insn.src_reg = (whole ? BPF_PSEUDO_MAP_IDX : BPF_PSEUDO_MAP_IDX_VALUE) & 15;
        insn.imm = static_cast<int32_t>(map_number_.at(map));
    }
    const std::string name = program_name(id);
    // Linux reads no more of it.
    const std::string license = program.license.substr(0, bundle::kMaxLicense - 1) + '\0';
    bundle::ProgramRecord record = {};
    record.record.kind = bundle::Kind::Program;
    record.type = attr.prog_type;
    record.attach_type = attr.expected_attach_type;
    record.flags = attr.prog_flags;
    record.kernel_version = attr.kern_version;
    record.btf = object(btf_number_, program.btf_id);
    record.insn_count = static_cast<uint32_t>(insns.size());
    record.license_size = static_cast<uint32_t>(license.size());
    record.name_size = static_cast<uint32_t>(name.size());
    record.func_info_count = attr.func_info_cnt;
    record.func_info_size = attr.func_info_rec_size;
    record.line_info_count = attr.line_info_cnt;
    record.line_info_size = attr.line_info_rec_size;
    std::memcpy(record.kernel_name, attr.prog_name, sizeof record.kernel_name);
    add_record(
        &record, sizeof record,
        {bytes_of(license), bytes_of(name), bytes_of(insns.data(), insns.size() * sizeof(bpf_insn)),
         program.func_info, program.line_info});
    program_number_[id] = objects_++;
}

Blob BundleWriter::write() {
    out_.resize(sizeof(bundle::Header));
    for (uint32_t id : btf_) write_btf(id);
    // The rest in the order in which it was done.
    std::map<uint64_t, std::function<void()>> steps;
    for (uint32_t id : maps_) {
        const RecordedMap& map = recording_.maps.at(id);
        steps[map.order] = [this, id] { write_map(id); };
        for (const RecordedElement& element : map.elements)
            steps[element.order] = [this, id, &element] { write_element(id, element); };
        if (map.frozen) steps[map.frozen] = [this, id] { write_freeze(id); };
    }
    for (uint32_t id : programs_)
        steps[recording_.programs.at(id).order] = [this, id] { write_program(id); };
    for (const auto& [order, step] : steps) step();

    bundle::Header header = {};
    std::memcpy(header.magic, bundle::kMagic, sizeof header.magic);
    header.version = bundle::kVersion;
    header.size = static_cast<uint32_t>(out_.size());
    header.record_count = records_;
    header.object_count = objects_;
    std::memcpy(out_.data(), &header, sizeof header);
    return std::move(out_);
}

}  // namespace barebpf::cli
