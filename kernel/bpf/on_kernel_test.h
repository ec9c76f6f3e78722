// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests that give the same commands to this library and to the kernel that they run on: a script records what it
// asked and what came back, line by line, and the two records must agree.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "kernel/bpf/map_client_test.h"
#include "kernel/lib/text.h"
#include "testkit/test.h"
#include "uapi/linux/btf.h"

namespace barebpf::test {

// What was asked and what came back, one line each.
using Record = std::vector<std::string>;

template <class Bpf>
class Side {
public:
    using Client = MapClient<Bpf>;
    ~Side() {
        for (int fd : fds_) Client::close(fd);
    }
    Record take() { return std::move(record_); }

    void note(const std::string& what, s64 result) {
        record_.push_back(what + " -> " + std::to_string(result));
    }
    int keep(int fd) {
        if (fd >= 0) fds_.push_back(fd);
        return fd;
    }
    static bpf_attr attr_of(u32 type, u32 value_size = 8, u32 entries = 4, u32 flags = 0) {
        return map_attr(type, 4, value_size, entries, flags);
    }
    int make(u32 type, u32 value_size = 8, u32 entries = 4, u32 flags = 0) {
        return keep(Client::create(attr_of(type, value_size, entries, flags)));
    }
    static s64 try_create(bpf_attr attr) {
        const int fd = Client::create(attr);
        if (fd >= 0) Client::close(fd);
        return fd >= 0 ? 0 : fd;
    }

    s64 batch(const std::string& what, Batch b) {
        const s64 result = Client::batch(b);
        note(what + " command " + std::to_string(b.command) + " count " + std::to_string(b.count),
             result);
        return result;
    }

private:
    Record record_;
    std::vector<int> fds_;
};

// A script of commands, for both.
class OnKernel : public ::testing::Test {
protected:
    using Kernels = MapClient<KernelBpf>;
    void SetUp() override {
        const int fd = Kernels::create(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
        if (fd < 0) GTEST_SKIP() << "this kernel's bpf(2) is not permitted here: errno " << -fd;
        Kernels::close(fd);
    }
    template <class Script>
    void compare(Script script) {
        Side<OurBpf> ours;
        Side<KernelBpf> kernels;
        script(ours);
        script(kernels);
        const Record a = ours.take(), b = kernels.take();
        for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
            EXPECT_EQ(a[i], b[i]) << "ours, the kernel's";
        }
        EXPECT_EQ(a.size(), b.size());
    }
    host::Cpu::Entry inside_;
};

// Of what fdinfo says, the lines that do not depend on the machine.
inline Record description(const std::string& fdinfo) {
    Record lines;
    std::istringstream text(fdinfo);
    for (std::string line; std::getline(text, line);) {
        const std::string field = line.substr(0, line.find(':'));
        const bool varies = field == "pos" || field == "flags" || field == "mnt_id" ||
                            field == "ino" || field == "memlock" || field == "map_id";
        if (!varies) lines.push_back(line);
    }
    return lines;
}

inline std::string fdinfo_of(Side<KernelBpf>&, int fd) {
    std::ifstream file("/proc/self/fdinfo/" + std::to_string(fd));
    return {std::istreambuf_iterator<char>(file), {}};
}
inline std::string fdinfo_of(Side<OurBpf>&, int fd) {
    char text[1024];
    TextBuffer out(text);
    EXPECT_TRUE(machine::fd_info(fd, &out));
    return text;
}

// What bpf(2) and fdinfo tell of a map, but for what belongs to its world.
template <class Bpf>
Record describe(Side<Bpf>& side, int fd) {
    bpf_map_info info{};
    u32 size = sizeof info;
    Record record = description(fdinfo_of(side, fd));
    record.push_back(std::to_string(Side<Bpf>::Client::info(fd, &info, &size)));
    for (const u64 word :
         {u64{info.type}, u64{info.key_size}, u64{info.value_size}, u64{info.max_entries},
          u64{info.map_flags}, u64{info.ifindex}, u64{info.btf_vmlinux_value_type_id},
          u64{info.btf_id != 0}, u64{info.btf_key_type_id}, u64{info.btf_value_type_id},
          u64{info.map_extra}, u64{info.netns_dev}, u64{info.netns_ino}}) {
        record.push_back(std::to_string(word));
    }
    record.push_back(info.name);
    return record;
}

// [1] int, 4 bytes; [2] struct { int }, 4 bytes. The descriptor.
template <class Bpf>
int load_two_types(Side<Bpf>& side) {
    const struct {
        btf_header header;
        u32 types[4 + 3 + 3];
        char names[4];
    } blob = {{BTF_MAGIC, BTF_VERSION, 0, sizeof(btf_header), 0, 40, 40, 3},
              {1, BTF_KIND_INT << 24, 4, 32, 1, BTF_KIND_STRUCT << 24 | 1, 4, 0, 1, 0},
              "\0i"};
    bpf_attr load{};
    load.btf = address_of(&blob);
    load.btf_size = sizeof(btf_header) + 43;
    return side.keep(static_cast<int>(Bpf::call(BPF_BTF_LOAD, &load, sizeof load)));
}

}  // namespace barebpf::test
