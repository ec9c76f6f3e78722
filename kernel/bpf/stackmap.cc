// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/stackmap.h"

#include "kernel/bpf/free_in_steps.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"
#include "kernel/bpf/map_value.h"
#include "kernel/host/cred.h"
#include "kernel/host/stack_trace.h"
#include "kernel/lib/bits.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::Order;

constexpr u32 kCreateFlags = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_STACK_BUILD_ID;
constexpr u32 kMaxRetries = 1024;

auto links(const StackMap* map) {
    return [map](u32 index) -> host::Atomic<u32>& { return map->trace(index)->link; };
}

// ── Making and freeing ────────────────────────────────────────────────────────────────────────

Result<void> check_attr(const bpf_attr& attr) {
    if (!host::capable(host::Capability::Bpf)) return Errno::Perm;
    if (attr.map_flags & ~kCreateFlags) return Errno::Inval;
    if (attr.max_entries == 0 || attr.key_size != 4 || attr.value_size < 8 ||
        attr.value_size % 8 != 0) {
        return Errno::Inval;
    }
    const u32 frame = attr.map_flags & BPF_F_STACK_BUILD_ID ? sizeof(bpf_stack_build_id) : 8;
    if (attr.value_size % frame != 0 || attr.value_size / frame > kMaxStackDepth) {
        return Errno::Inval;
    }
    return attr.max_entries <= 1u << 31 ? Result<void>{} : Errno::TooBig;
}

size_t trace_bytes(const StackMap* map) {
    return (size_t{map->max_entries}) * map->stride;
}
size_t scratch_bytes(const StackMap* map) {
    return sizeof(u64) * (1 + StackMap::kLevels * map->max_depth);
}

bool make_parts(StackMap* map) {
    const u64 buckets = round_up_to_power_of_two(map->max_entries);
    if (!map->buckets.allocate(buckets, AllocContext::MaySleep, map->memory)) return false;
    auto* memory =
        static_cast<u8*>(host::alloc(trace_bytes(map), AllocContext::MaySleep, map->memory));
    if (!memory) return false;
    map->traces = memory - map->stride;  // there is no trace 0
    if (!map->free_traces.create(map->memory)) return false;
    if (!map->scratch.create(scratch_bytes(map), map->memory)) return false;
    map->free_traces.populate(1, map->max_entries, links(map));
    return true;
}

void free(Map* generic) {
    auto* map = static_cast<StackMap*>(generic);
    map->scratch.destroy();
    map->free_traces.destroy();
    if (map->traces) free_in_steps(map->traces + map->stride, trace_bytes(map), map->memory);
    map->buckets.reset();
    delete_map(map);
}

Result<Map*> create(const bpf_attr& attr) {
    auto* map = new_map<StackMap>();
    if (!map) return Errno::NoMem;
    map->max_entries = attr.max_entries;
    map->frame_bytes = attr.map_flags & BPF_F_STACK_BUILD_ID ? sizeof(bpf_stack_build_id) : 8;
    map->max_depth = attr.value_size / map->frame_bytes;
    map->stride = static_cast<u32>(__builtin_offsetof(StackMap::Trace, words)) + attr.value_size;
    map->seed = make_hash_seed(host::random_u64());
    if (!make_parts(map)) {
        free(map);
        return Errno::NoMem;
    }
    return static_cast<Map*>(map);
}

// ── Traces ────────────────────────────────────────────────────────────────────────────────────

// Word number i of a trace's value, of the addresses that it is made from.
u64 value_word(const StackMap* map, const u64* frames, u32 i) {
    if (map->frame_bytes == 8) return frames[i];
    constexpr u32 kWords = sizeof(bpf_stack_build_id) / 8;
    bpf_stack_build_id record{};
    record.status = BPF_STACK_BUILD_ID_IP;
    record.ip = frames[i / kWords];
    u64 words[kWords];
    __builtin_memcpy(words, &record, sizeof words);
    return words[i % kWords];
}
u32 word_count(const StackMap* map, u32 frames) {
    return frames * (map->frame_bytes / 8);
}
u64* word(StackMap::Trace* trace, u32 i) {
    return trace->words + i;
}

bool holds(const StackMap* map, StackMap::Trace* trace, const u64* frames, u32 count) {
    if (trace->frames.load(Order::Relaxed) != count) return false;
    for (u32 i = 0; i < word_count(map, count); ++i) {
        if (host::atomic_at<u64>(word(trace, i)).load(Order::Relaxed) !=
            value_word(map, frames, i)) {
            return false;
        }
    }
    return true;
}

// Into a trace that is in no bucket; a reader that is still at it sees the version, which is odd meanwhile.
void write(const StackMap* map, StackMap::Trace* trace, const u64* frames, u32 count, u32 hash) {
    const u32 version = trace->version.load(Order::Relaxed) + 1;
    trace->version.store(version, Order::Relaxed);
    host::fence(Order::Release);  // pairs with the acquire fence in copy_value
    trace->hash.store(hash, Order::Relaxed);
    trace->frames.store(count, Order::Relaxed);
    for (u32 i = 0; i < word_count(map, count); ++i) {
        host::atomic_at<u64>(word(trace, i)).store(value_word(map, frames, i), Order::Relaxed);
    }
    trace->version.store(version + 1, Order::Release);  // pairs with the acquire in copy_value
}

void give_back(StackMap* map, u32 index) {
    if (index) map->free_traces.push(index, links(map));
}

// The id of a trace, which is kept if it is not there yet; or -errno.
s64 keep(StackMap* map, const u64* frames, u32 count, u64 flags) {
    const u32 hash = static_cast<u32>(hash_bytes(frames, size_t{count} * 8, map->seed));
    const u32 id = hash & static_cast<u32>(map->buckets.size() - 1);
    host::Atomic<u32>& bucket = map->buckets[id];
    const u32 there = bucket.load(Order::Acquire);  // pairs with the exchange below
    if (there) {
        StackMap::Trace* trace = map->trace(there);
        if (trace->hash.load(Order::Relaxed) == hash &&
            ((flags & BPF_F_FAST_STACK_CMP) || holds(map, trace, frames, count))) {
            return id;
        }
        if (!(flags & BPF_F_REUSE_STACKID)) return -to_int(Errno::Exist);
    }
    const u32 fresh = map->free_traces.pop(links(map));
    if (!fresh) return -to_int(Errno::NoMem);
    write(map, map->trace(fresh), frames, count, hash);
    // Release: what was written; acquire: what we take out may be written by its next user.
    give_back(map, bucket.exchange(fresh, Order::AcqRel));
    return id;
}

// The scratch space of this CPU for one level of re-entry, in strict nesting.
class ScratchSpace {
public:
    explicit ScratchSpace(const StackMap* map)
        : scratch_(static_cast<StackMap::Scratch*>(map->scratch.this_cpu())),
          depth_(scratch_->depth.load(Order::Relaxed)) {
        if (depth_ == StackMap::kLevels) return;
        frames_ = scratch_->frames + depth_ * map->max_depth;
        scratch_->depth.store(depth_ + 1, Order::Relaxed);
    }
    ~ScratchSpace() { scratch_->depth.store(depth_, Order::Relaxed); }
    ScratchSpace(const ScratchSpace&) = delete;
    ScratchSpace& operator=(const ScratchSpace&) = delete;
    u64* frames() const { return frames_; }  // null: nested too deep

private:
    StackMap::Scratch* scratch_;
    u32 depth_;
    u64* frames_ = nullptr;
};

// ── Helpers ───────────────────────────────────────────────────────────────────────────────────

// Expanded in the helper, so that the first frame is where the program called it.
ALWAYS_INLINE u32 take_trace(u32 skip, u64* to, u32 capacity, u64 flags) {
    // Linux takes so many in all and leaves out some of these.
    const u32 room = skip < kMaxStackDepth ? kMaxStackDepth - skip : 0;
    const u32 most = capacity < room ? capacity : room;
    if (flags & BPF_F_USER_STACK) return host::walk_user_stack(skip, to, most);
    return host::walk_stack(skip, to, most);
}

u64 get_stackid(u64, u64 map_address, u64 flags, u64, u64) {
    auto* map = reinterpret_cast<StackMap*>(map_address);
    constexpr u64 kFlags =
        BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP | BPF_F_REUSE_STACKID;
    if (flags & ~kFlags) return static_cast<u64>(-to_int(Errno::Inval));
    const ScratchSpace space(map);
    if (!space.frames()) return static_cast<u64>(-to_int(Errno::Fault));
    const u32 skip = flags & BPF_F_SKIP_FIELD_MASK;
    const u32 seen = take_trace(skip, space.frames(), map->max_depth, flags);
    if (seen <= skip) return static_cast<u64>(-to_int(Errno::Fault));
    return static_cast<u64>(keep(map, space.frames(), seen - skip, flags));
}

// Addresses at the beginning of the buffer become records of 32 bytes, from the last on: each moves up.
void spread_to_build_ids(u8* buffer, u32 count) {
    while (count--) {
        bpf_stack_build_id record{};
        record.status = BPF_STACK_BUILD_ID_IP;
        __builtin_memcpy(&record.ip, buffer + size_t{count} * 8, 8);
        __builtin_memcpy(buffer + size_t{count} * sizeof record, &record, sizeof record);
    }
}

u64 get_stack(u64, u64 address, u64 size, u64 flags, u64) {
    auto* buffer = reinterpret_cast<u8*>(address);
    constexpr u64 kFlags = BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_USER_BUILD_ID;
    const bool build_ids = flags & BPF_F_USER_BUILD_ID;
    const u32 each = build_ids ? sizeof(bpf_stack_build_id) : 8;
    __builtin_memset(buffer, 0, size);
    if ((flags & ~kFlags) || (build_ids && !(flags & BPF_F_USER_STACK)) || size % each) {
        return static_cast<u64>(-to_int(Errno::Inval));
    }
    const u32 skip = flags & BPF_F_SKIP_FIELD_MASK;
    const u32 seen =
        take_trace(skip, reinterpret_cast<u64*>(buffer), static_cast<u32>(size / each), flags);
    if (seen < skip || seen == 0) {
        __builtin_memset(buffer, 0, size);
        return static_cast<u64>(-to_int(Errno::Fault));
    }
    if (build_ids) spread_to_build_ids(buffer, seen - skip);
    return u64{seen - skip} * each;
}

// ── Operations ────────────────────────────────────────────────────────────────────────────────

s64 copy_value(Map* generic, const void* key, void* value, u64) {
    auto* map = static_cast<StackMap*>(generic);
    const u32 id = *static_cast<const u32*>(key);
    if (id >= map->buckets.size()) return -to_int(Errno::NoEnt);
    host::Atomic<u32>& bucket = map->buckets[id];
    for (u32 retry = 0; retry < kMaxRetries; ++retry) {
        const u32 index = bucket.load(Order::Acquire);  // pairs with the exchange in keep
        if (!index) return -to_int(Errno::NoEnt);
        StackMap::Trace* trace = map->trace(index);
        const u32 version = trace->version.load(Order::Acquire);  // pairs with write
        if (version & 1) continue;
        const u32 bytes = trace->frames.load(Order::Relaxed) * map->frame_bytes;
        if (bytes > map->value_size) continue;  // in the middle of being written
        load_bytes(value, trace->words, bytes);
        host::fence(Order::Acquire);  // pairs with the fence in write
        if (trace->version.load(Order::Relaxed) != version) continue;
        if (bucket.load(Order::Relaxed) != index) continue;
        __builtin_memset(static_cast<u8*>(value) + bytes, 0, map->value_size - bytes);
        return 0;
    }
    return -to_int(Errno::Busy);
}

s64 erase(Map* generic, const void* key) {
    auto* map = static_cast<StackMap*>(generic);
    const u32 id = *static_cast<const u32*>(key);
    if (id >= map->buckets.size()) return -to_int(Errno::TooBig);
    const u32 old = map->buckets[id].exchange(0, Order::AcqRel);  // pairs with keep
    if (!old) return -to_int(Errno::NoEnt);
    give_back(map, old);
    return 0;
}

s64 next_key(Map* generic, const void* key, void* next) {
    auto* map = static_cast<StackMap*>(generic);
    const auto there = [&](u32 bucket) { return map->buckets[bucket].load(Order::Relaxed) != 0; };
    u32 id = 0;
    if (key) {
        const u32 after = *static_cast<const u32*>(key);
        if (after < map->buckets.size() && there(after)) id = after + 1;
    }
    while (id < map->buckets.size() && !there(id)) ++id;
    if (id >= map->buckets.size()) return -to_int(Errno::NoEnt);
    *static_cast<u32*>(next) = id;
    return 0;
}

constexpr HelperProto kGetStackId = {
    .name = "get_stackid",
    .function = get_stackid,
    .ret = RetType::Integer,
    .args = {ArgType::Anything, ArgType::ConstMap, ArgType::Anything},
    .gpl_only = true,
    .privileged = true,
};
constexpr HelperProto kGetStack = {
    .name = "get_stack",
    .function = get_stack,
    .ret = RetType::Integer,
    .args = {ArgType::Anything, ArgType::UninitMem, ArgType::SizeOrZero, ArgType::Anything},
    .gpl_only = true,
    .privileged = true,
};

}  // namespace

const HelperProto* stack_helper_proto(u32 func_id) {
    switch (func_id) {
        case BPF_FUNC_get_stackid:
            return &kGetStackId;
        case BPF_FUNC_get_stack:
            return &kGetStack;
        default:
            return nullptr;
    }
}

constinit const MapOps kStackTraceMapOps = {
    .check_attr = check_attr,
    .create = create,
    .free = free,
    .update = [](Map*, const void*, const void*, u64) -> s64 { return -to_int(Errno::Inval); },
    .erase = erase,
    .next_key = next_key,
    .copy_value = copy_value,
    .meta_equal = map_meta_equal,
};

}  // namespace barebpf
