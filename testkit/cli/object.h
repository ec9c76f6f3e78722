// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A BPF object file: opened and loaded by libbpf.
#pragma once

#include <bpf/libbpf.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace barebpf::cli {

class Object {
public:
    // Opens and checks the file. Throws Failure that says what is wrong with it.
    explicit Object(const std::string& path);

    const std::string& path() const { return path_; }
    bpf_object* get() const { return object_.get(); }
    std::vector<bpf_program*> programs() const;
    std::vector<bpf_map*> maps() const;
    // The BTF of its keys, also where libbpf forgets it when it loads: of a map of maps. 0: none.
    uint32_t key_type(const bpf_map* map) const { return key_types_.at(map); }
    // The program of that name, or a usage error that lists what there is.
    bpf_program* program(const std::string& name) const;

    // True: loaded. False: libbpf's messages say why.
    bool load();

private:
    struct Closer {
        void operator()(bpf_object* object) const;
    };
    std::string path_;
    std::unique_ptr<bpf_object, Closer> object_;
    std::map<const bpf_map*, uint32_t> key_types_;
};

// libbpf's warnings since the last call of forget_messages(), one a line.
const std::vector<std::string>& messages();
void forget_messages();
std::string joined_messages();

// "xdp", "sched_cls", as libbpf and bpftool call them.
std::string type_name(const bpf_program* program);
std::string map_type_name(const bpf_map* map);

}  // namespace barebpf::cli
