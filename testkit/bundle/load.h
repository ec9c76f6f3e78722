// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Loads a bundle (bundle.h) of any bytes: they are checked as a whole before anything is made of them, then
// replayed through barebpf::bpf_syscall(), whose verifier judges the programs. Freestanding: memory comes
// from the host contract.
//
//     bundle::Bundle bundle(close_descriptor);
//     char error[160];
//     TextBuffer text(error);
//     if (!bundle.load(bytes, size, &text)) panic(error);
//     int fd = bundle.program("count")->fd;
//
// Context: process, may sleep, outside of the library (it calls its public functions), in a world that
// barebpf::init() made. The host's usercopy must take the addresses of the bundle and of this kernel's stack
// and heap: the calls that are replayed have their attributes there.
#pragma once

#include "kernel/host/alloc.h"
#include "kernel/lib/text.h"
#include "kernel/lib/types.h"
#include "testkit/bundle/bundle.h"

namespace barebpf::bundle {

// What was made of one record.
struct Object {
    Kind kind;  // Btf, Map or Program
    int fd;     // -1: not made
    u32 type;   // of map or program
    u32 key_size, value_size, max_entries, flags;
    Bytes name;  // in the bundle's bytes
};

class Bundle {
public:
    // close: ends one of the host's descriptors; how a kernel does that is its own affair.
    explicit Bundle(void (*close)(int fd)) : close_(close) {}
    ~Bundle() { unload(); }
    Bundle(const Bundle&) = delete;
    Bundle& operator=(const Bundle&) = delete;

    // Once. The bytes must stay as long as the Bundle: names point into them. False: error says what is wrong,
    // and nothing is left behind. A verifier that rejects a program writes its log to `log`, if that is given.
    [[nodiscard]] bool load(const void* bytes, size_t size, TextBuffer* error, char* log = nullptr,
                            u32 log_size = 0);
    // Closes every descriptor; what others hold stays.
    void unload();

    u32 object_count() const { return static_cast<u32>(objects_.size()); }
    const Object& object(u32 number) const { return objects_[number]; }
    // By name; null: there is none.
    const Object* program(Bytes name) const { return find(Kind::Program, name); }
    const Object* map(Bytes name) const { return find(Kind::Map, name); }

private:
    const Object* find(Kind kind, Bytes name) const;
    bool replay_all(const u8* bytes, TextBuffer* error);
    s64 replay(const u8* at, Kind kind);  // one record
    s64 load_btf(const u8* at);
    s64 create_map(const u8* at);
    s64 load_program(const u8* at);
    s64 update(const u8* at);
    s64 freeze(const u8* at);
    int fd_of(u32 object) const { return objects_[object].fd; }

    void (*close_)(int fd);
    host::MemoryOwner memory_;
    host::Buffer<Object> objects_;
    host::Buffer<int> fds_;  // of the objects, by number: what programs' instructions index
    char* log_ = nullptr;
    u32 log_size_ = 0;
};

}  // namespace barebpf::bundle
