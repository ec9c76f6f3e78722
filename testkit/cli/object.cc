// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/object.h"

#include <elf.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "testkit/cli/errors.h"
#include "testkit/cli/options.h"
#include "testkit/cli/world.h"

namespace barebpf::cli {

namespace {

constexpr const char* kCompile =
    "compile it with: clang -target bpf -g -O2 -c prog.bpf.c -o prog.bpf.o";

constexpr const char* kDamaged = "the file is probably damaged: compile or copy it again";

std::vector<std::string> kept_messages;

int keep_message(libbpf_print_level level, const char* format, va_list values) {
    if (level != LIBBPF_WARN) return 0;
    char text[1024];
    int length = std::vsnprintf(text, sizeof text, format, values);
    std::string line = text;
    while (!line.empty() && line.back() == '\n') line.pop_back();
    if (line.rfind("libbpf: ", 0) == 0) line.erase(0, 8);
    if (!line.empty()) kept_messages.push_back(line);
    return length;
}

// What libelf would only call "Invalid argument".
void check_elf(const std::string& path) {
    struct stat status;
    if (stat(path.c_str(), &status)) throw Failure(path + ": " + std::strerror(errno));
    if (S_ISDIR(status.st_mode)) throw Failure(path + ": is a folder", "name an object file in it");
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Failure(path + ": " + std::strerror(errno));
    Elf64_Ehdr header;
    file.read(reinterpret_cast<char*>(&header), sizeof header);
    const auto got = static_cast<size_t>(file.gcount());
    if (got < SELFMAG || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        throw Failure(path + ": is not an ELF object", kCompile);
    if (got < sizeof header) throw Failure(path + ": ends in its ELF header", kCompile);
    if (header.e_machine != EM_BPF)
        throw Failure(path + ": is an ELF file for machine " + std::to_string(header.e_machine) +
                          ", not for BPF (" + std::to_string(EM_BPF) + ")",
                      kCompile);
    if (header.e_shoff > static_cast<uint64_t>(status.st_size))
        throw Failure(path + ": is cut off: its section table would begin at byte " +
                          std::to_string(header.e_shoff) + " of " + std::to_string(status.st_size),
                      "compile or copy it again");
}

struct Opening {
    const char* path;
    bpf_object* object;
    int error;
};

void open_now(void* argument) {
    auto* opening = static_cast<Opening*>(argument);
    opening->object = bpf_object__open_file(opening->path, nullptr);
    opening->error = errno;
}

struct Loading {
    bpf_object* object;
    int result;
};

void load_now(void* argument) {
    auto* loading = static_cast<Loading*>(argument);
    loading->result = bpf_object__load(loading->object);
}

}  // namespace

Object::Object(const std::string& path) : path_(path) {
    libbpf_set_print(keep_message);
    forget_messages();
    check_elf(path);
    Opening opening = {path.c_str(), nullptr, 0};
    catching_faults(path + ": reading it failed", open_now, &opening, kDamaged);
    if (!opening.object) {
        const std::string why = joined_messages();
        throw Failure(path + ": " + (why.empty() ? std::strerror(opening.error) : why),
                      "is it complete, and compiled with -g? " + std::string(kCompile));
    }
    object_.reset(opening.object);
    // What others would find in a file system of their own is this process's alone.
    for (bpf_map* map : maps()) bpf_map__set_pin_path(map, nullptr);
    for (const bpf_map* map : maps()) key_types_[map] = bpf_map__btf_key_type_id(map);
    if (programs().empty()) throw Failure(path + ": holds no BPF program", kCompile);
}

void Object::Closer::operator()(bpf_object* object) const {
    if (!is_damaged()) bpf_object__close(object);
}

std::vector<bpf_program*> Object::programs() const {
    std::vector<bpf_program*> all;
    bpf_program* program;
    bpf_object__for_each_program(program, object_.get()) all.push_back(program);
    return all;
}

std::vector<bpf_map*> Object::maps() const {
    std::vector<bpf_map*> all;
    bpf_map* map;
    bpf_object__for_each_map(map, object_.get()) all.push_back(map);
    return all;
}

bpf_program* Object::program(const std::string& name) const {
    std::vector<std::string> names;
    std::string list;
    for (bpf_program* program : programs()) {
        if (name == bpf_program__name(program)) return program;
        names.emplace_back(bpf_program__name(program));
        list += (list.empty() ? "" : ", ") + names.back();
    }
    const std::string near = nearest(name, names);
    throw UsageError(path_ + " has no program '" + name + "'",
                     (near.empty() ? "" : "did you mean " + near + "? ") + ("it has: " + list));
}

bool Object::load() {
    forget_messages();
    Loading loading = {object_.get(), 0};
    catching_faults(path_ + ": loading it failed", load_now, &loading, kDamaged);
    return loading.result == 0;
}

const std::vector<std::string>& messages() {
    return kept_messages;
}

void forget_messages() {
    kept_messages.clear();
}

std::string joined_messages() {
    std::string all;
    for (const std::string& line : kept_messages) all += (all.empty() ? "" : "; ") + line;
    return all;
}

std::string type_name(const bpf_program* program) {
    const char* name = libbpf_bpf_prog_type_str(bpf_program__type(program));
    return name ? name : "unknown";
}

std::string map_type_name(const bpf_map* map) {
    const char* name = libbpf_bpf_map_type_str(bpf_map__type(map));
    return name ? name : "unknown";
}

}  // namespace barebpf::cli
