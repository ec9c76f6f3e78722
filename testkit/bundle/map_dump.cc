// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/bundle/map_dump.h"

#include "kernel/barebpf.h"
#include "kernel/host/cpu.h"
#include "uapi/linux/bpf.h"

namespace barebpf::bundle {

namespace {

u64 address(const void* pointer) {
    return reinterpret_cast<u64>(pointer);
}

bool is_array(u32 type) {
    return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

bool has_value_per_cpu(u32 type) {
    return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

bool holds_objects(u32 type) {
    return type == BPF_MAP_TYPE_PROG_ARRAY || type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
           type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

bool is_zero(const u8* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i)
        if (bytes[i]) return false;
    return true;
}

bool comes_before(Bytes a, Bytes b) {
    const size_t common = a.size < b.size ? a.size : b.size;
    const int order = __builtin_memcmp(a.data, b.data, common);
    return order ? order < 0 : a.size < b.size;
}

// All keys of a map, one behind the other, sorted.
class Keys {
public:
    explicit Keys(u32 size) : size_(size) {}

    bool add(const u8* key) {
        if ((count_ + 1) * size_ > bytes_.size() && !grow()) return false;
        __builtin_memcpy(at(count_++), key, size_);
        return true;
    }
    // Heapsort: in place, and never slow.
    void sort() {
        for (size_t i = count_ / 2; i-- > 0;) sink(i, count_);
        for (size_t end = count_; end-- > 1;) {
            swap(0, end);
            sink(0, end);
        }
    }
    size_t count() const { return count_; }
    u8* at(size_t index) { return bytes_.data() + index * size_; }

private:
    bool grow() {
        host::Buffer<u8> larger;
        const size_t size = bytes_.size() ? 2 * bytes_.size() : size_t{64} * size_;
        if (!larger.allocate(size, host::AllocContext::MaySleep, memory_)) return false;
        if (count_) __builtin_memcpy(larger.data(), bytes_.data(), count_ * size_);
        bytes_ = move(larger);
        return true;
    }
    bool less(size_t a, size_t b) { return __builtin_memcmp(at(a), at(b), size_) < 0; }
    void swap(size_t a, size_t b) {
        for (u32 i = 0; i < size_; ++i) {
            const u8 byte = at(a)[i];
            at(a)[i] = at(b)[i];
            at(b)[i] = byte;
        }
    }
    void sink(size_t parent, size_t end) {
        for (size_t child; (child = 2 * parent + 1) < end; parent = child) {
            if (child + 1 < end && less(child, child + 1)) ++child;
            if (!less(parent, child)) return;
            swap(parent, child);
        }
    }

    u32 size_;
    size_t count_ = 0;
    host::MemoryOwner memory_;
    host::Buffer<u8> bytes_;
};

class MapDump {
public:
    MapDump(const Bundle& bundle, const Object& map, RawText* out)
        : bundle_(bundle), map_(map), out_(*out), keys_(map.key_size) {}

    bool dump() {
        out_.begin("map");
        out_.add_name(map_.name);
        const u32 numbers[] = {map_.type, map_.key_size, map_.value_size, map_.max_entries,
                               map_.flags};
        for (u32 number : numbers) out_.add(number);
        out_.end();
        if (!key_.allocate(map_.key_size, host::AllocContext::MaySleep, memory_) ||
            !value_.allocate(value_room(), host::AllocContext::MaySleep, memory_) || !read_keys())
            return false;
        keys_.sort();
        for (size_t i = 0; i < keys_.count(); ++i) dump_element(keys_.at(i));
        return true;
    }

private:
    size_t value_room() const {
        if (!has_value_per_cpu(map_.type)) return map_.value_size;
        return size_t{host::possible_cpus()} * step();
    }
    size_t step() const { return padded(map_.value_size); }

    s64 call(u32 command, const void* key, void* value) {
        bpf_attr attr{};
        attr.map_fd = static_cast<u32>(map_.fd);
        attr.key = address(key);
        attr.value = address(value);
        return bpf_syscall(command, address(&attr), sizeof attr);
    }

    bool read_keys() {
        s64 result = -to_int(Errno::Inval);  // without keys there is nothing to go through
        const u8* last = nullptr;
        while (map_.key_size && (result = call(BPF_MAP_GET_NEXT_KEY, last, key_.data())) == 0) {
            if (!keys_.add(key_.data())) return false;
            last = key_.data();
        }
        if (result == -to_int(Errno::NoEnt)) return true;
        out_.begin("unreadable");
        out_.end();
        return true;
    }

    void dump_element(const u8* key) {
        if (call(BPF_MAP_LOOKUP_ELEM, key, value_.data())) return;  // an empty slot
        if (is_array(map_.type) && is_zero(value_.data(), value_.size())) return;
        out_.begin("element");
        out_.add_hex(key, map_.key_size);
        if (holds_objects(map_.type))
            dump_object();
        else if (has_value_per_cpu(map_.type))
            dump_cpu_values();
        else
            out_.add_hex(value_.data(), value_.size());
        out_.end();
    }

    // Of a value for each CPU only what is not zero.
    void dump_cpu_values() {
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
            const u8* value = value_.data() + cpu * step();
            if (!is_zero(value, map_.value_size)) out_.add_cpu_value(cpu, value, map_.value_size);
        }
    }

    // Ids differ from kernel to kernel; names do not.
    void dump_object() {
        u32 id;
        __builtin_memcpy(&id, value_.data(), sizeof id);
        for (u32 i = 0; i < bundle_.object_count(); ++i) {
            const Object& object = bundle_.object(i);
            const bool program = map_.type == BPF_MAP_TYPE_PROG_ARRAY;
            if (object.kind != (program ? Kind::Program : Kind::Map) || id_of(object) != id)
                continue;
            out_.add("object");
            out_.add_name(object.name);
            return;
        }
        out_.add("object -");
    }

    static u32 id_of(const Object& object) {
        bpf_prog_info program{};
        bpf_map_info map{};
        const bool is_program = object.kind == Kind::Program;
        bpf_attr attr{};
        attr.info.bpf_fd = static_cast<u32>(object.fd);
        attr.info.info = is_program ? address(&program) : address(&map);
        attr.info.info_len = is_program ? sizeof program : sizeof map;
        bpf_syscall(BPF_OBJ_GET_INFO_BY_FD, address(&attr), sizeof attr);
        return is_program ? program.id : map.id;
    }

    const Bundle& bundle_;
    const Object& map_;
    RawText& out_;
    host::MemoryOwner memory_;
    host::Buffer<u8> key_, value_;
    Keys keys_;
};

}  // namespace

bool dump_maps(const Bundle& bundle, RawText* out) {
    const Object* last = nullptr;
    for (;;) {
        const Object* next = nullptr;
        for (u32 i = 0; i < bundle.object_count(); ++i) {
            const Object& object = bundle.object(i);
            if (object.kind != Kind::Map || !object.name.size) continue;
            if (last && !comes_before(last->name, object.name)) continue;
            if (!next || comes_before(object.name, next->name)) next = &object;
        }
        if (!next) return true;
        if (!MapDump(bundle, *next, out).dump()) return false;
        last = next;
    }
}

}  // namespace barebpf::bundle
