// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf(2): many elements in one command. batch.count is how many the caller has room for or brings, and is
// told how many were done, with errors too (but for EFAULT of look-ups, where it stays 0). in_batch and
// out_batch tell a walk where to go on: a key, or, for types that give whole buckets, a 32-bit bucket
// number.
//
// Elements pass through a buffer of kernel memory in portions of up to kPortion: one copy from or to user
// space, one pin and one RCU read section for each portion.
//
//     update, delete      user ── keys, values ──> portion ──> element, element, ...
//     look-up by key      next key, value, next key, value ... ──> portion ── keys, values ──> user
//     look-up by bucket   whole buckets ──> portion ──> user; a bucket is never split
//
// A portion of which not all can be read from user space is done element by element up to the bad one, as
// Linux would.
#include "kernel/bpf/syscall_elem.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::UserAddress;

constexpr u32 kPortion = 256;             // elements
constexpr u64 kPortionBytes = 64 * 1024;  // but at least one element
constexpr u32 kBucketsAtOnce = 4096;      // passed over in one read section
constexpr u32 kStepsAtOnce = 4096;        // from key to key, likewise

constinit host::MemoryOwner temporaries;

s64 negative(Errno error) {
    return -to_int(error);
}
Result<s64> to_result(s64 result) {
    if (result < 0) return Errno(static_cast<int>(-result));
    return result;
}

// Keys and values of some elements.
class Portion {
public:
    Result<void> allocate(const Map* map, u32 elements) {
        key_size_ = map->key_size;
        value_size_ = value_size_for_user(map);
        capacity_ = elements;
        const u64 bytes = u64{elements} * (u64{key_size_} + value_size_) + 8;
        if (!memory_.allocate(bytes, AllocContext::MaySleep, temporaries)) return Errno::NoMem;
        // Values first: sizes of per-CPU values keep them aligned.
        values_ = memory_.data();
        keys_ = values_ + u64{elements} * value_size_;
        return {};
    }
    static u32 elements_for(const Map* map, u32 wanted) {
        const u64 fit = kPortionBytes / (u64{map->key_size} + value_size_for_user(map));
        const u32 most = fit < kPortion ? static_cast<u32>(fit) : kPortion;
        const u32 elements = wanted < most ? wanted : most;
        return elements ? elements : 1;
    }
    u32 capacity() const { return capacity_; }
    u8* key(u32 i) const { return keys_ + u64{i} * key_size_; }
    u8* value(u32 i) const { return values_ + u64{i} * value_size_; }

    // Element `first` of the caller's arrays and those behind it, to or from the beginning of ours.
    Result<void> read_keys(UserAddress keys, u32 first, u32 count) {
        return host::copy_from_user(keys_, keys + u64{first} * key_size_, u64{count} * key_size_);
    }
    Result<void> read_values(UserAddress values, u32 first, u32 count) {
        return host::copy_from_user(values_, values + u64{first} * value_size_,
                                    u64{count} * value_size_);
    }
    Result<void> write(UserAddress keys, UserAddress values, u32 first, u32 count) const {
        TRY(host::copy_to_user(keys + u64{first} * key_size_, keys_, u64{count} * key_size_));
        return host::copy_to_user(values + u64{first} * value_size_, values_,
                                  u64{count} * value_size_);
    }

private:
    host::Buffer<u8> memory_;
    u8* keys_ = nullptr;
    u8* values_ = nullptr;
    u32 key_size_ = 0, value_size_ = 0, capacity_ = 0;
};

// One command's arguments, its map and its progress.
struct Batch {
    Batch(const bpf_attr& attr, UserAddress uattr)
        : count(attr.batch.count),
          flags(attr.batch.elem_flags),
          keys{attr.batch.keys},
          values{attr.batch.values},
          in_batch{attr.batch.in_batch},
          out_batch{attr.batch.out_batch},
          user_count(uattr + __builtin_offsetof(bpf_attr, batch.count)) {}

    Result<void> check_flags() const {
        if ((flags & ~u64{BPF_F_LOCK}) || !lock_flag_ok(map.get(), flags)) return Errno::Inval;
        return {};
    }

    ElementTarget map;
    u32 count;
    u64 flags;
    UserAddress keys, values, in_batch, out_batch, user_count;
    u32 done = 0;
    Portion portion;
};

// ── Update and delete ─────────────────────────────────────────────────────────────────────────

using Change = s64 (*)(Map* map, const u8* key, const u8* value, u64 flags);

// How many of the portion's elements were done before an error, which goes to *error.
u32 change_portion(Batch& batch, u32 count, Change change, s64* error) {
    for (u32 i = 0; i < count; ++i) {
        *error = change(batch.map.get(), batch.portion.key(i), batch.portion.value(i), batch.flags);
        if (*error) return i;
    }
    return count;
}

Result<void> read_portion(Batch& batch, u32 count, bool with_values) {
    TRY(batch.portion.read_keys(batch.keys, batch.done, count));
    if (!with_values) return {};
    return batch.portion.read_values(batch.values, batch.done, count);
}

// pinned: the operation is one that programs call.
Result<s64> change_all(Batch& batch, Change change, bool with_values, bool pinned) {
    TRY(batch.portion.allocate(batch.map.get(),
                               Portion::elements_for(batch.map.get(), batch.count)));
    s64 error = 0;
    bool one_by_one = false;
    while (batch.done < batch.count && !error) {
        const u32 left = batch.count - batch.done;
        u32 now = left < batch.portion.capacity() ? left : batch.portion.capacity();
        if (one_by_one) now = 1;
        if (!read_portion(batch, now, with_values).ok()) {
            if (now == 1) error = negative(Errno::Fault);
            one_by_one = true;
            continue;
        }
        if (pinned) {
            InsideProgram inside;
            batch.done += change_portion(batch, now, change, &error);
        } else {
            batch.done += change_portion(batch, now, change, &error);
        }
        host::Cpu::yield_point();
    }
    if (batch.done) batch.map.changed();
    TRY(host::put_user(batch.user_count, batch.done));
    return to_result(error);
}

// ── Look-up by key ────────────────────────────────────────────────────────────────────────────

// Where a walk is: the key that was visited last, if any was.
struct Cursor {
    host::Buffer<u8> key;
    bool valid = false;

    const u8* get() { return valid ? key.data() : nullptr; }
    void set(const u8* to) {
        if (to != key.data()) __builtin_memcpy(key.data(), to, key.size());
        valid = true;
    }
};

// Fills the portion from the cursor on; the number of elements. A key without an element (an empty slot, or
// deleted since it was found) is passed over. *error: why the walk is over.
u32 fill_portion(Batch& batch, Cursor& cursor, u32 most, s64* error) {
    InsideProgram inside;
    Map* map = batch.map.get();
    const u8* previous = cursor.get();
    u32 found = 0;
    for (u32 step = 0; found < most && step < kStepsAtOnce; ++step) {
        u8* key = batch.portion.key(found);
        *error = map->ops->next_key(map, previous, key);
        if (*error) break;
        const s64 copied = copy_element(map, key, batch.portion.value(found), batch.flags);
        if (copied == 0) {
            previous = key;
            ++found;
        } else if (copied == negative(Errno::NoEnt)) {
            cursor.set(key);  // the next one overwrites this place
            previous = cursor.get();
        } else {
            *error = copied;
            break;
        }
    }
    if (previous) cursor.set(previous);
    return found;
}

Result<s64> look_up_by_key(Batch& batch) {
    Map* map = batch.map.get();
    TRY(host::put_user(batch.user_count, u32{0}));
    TRY(batch.portion.allocate(map, Portion::elements_for(map, batch.count)));
    Cursor cursor;
    if (!cursor.key.allocate(map->key_size, AllocContext::MaySleep, temporaries)) {
        return Errno::NoMem;
    }
    if (batch.in_batch) {
        TRY(host::copy_from_user(cursor.key.data(), batch.in_batch, map->key_size));
        cursor.valid = true;
    }
    s64 error = 0;
    while (batch.done < batch.count && !error) {
        const u32 left = batch.count - batch.done;
        const u32 most = left < batch.portion.capacity() ? left : batch.portion.capacity();
        const u32 found = fill_portion(batch, cursor, most, &error);
        TRY(batch.portion.write(batch.keys, batch.values, batch.done, found));
        batch.done += found;
        host::Cpu::yield_point();
    }
    TRY(host::put_user(batch.user_count, batch.done));
    if (batch.done) TRY(host::copy_to_user(batch.out_batch, cursor.get(), map->key_size));
    return to_result(error);
}

// ── Look-up by bucket ─────────────────────────────────────────────────────────────────────────

// Why collecting stopped.
enum class Stop : u8 {
    Full,      // the next bucket does not fit into the portion, or enough buckets were seen
    NoRoom,    // it does not fit into what the caller has left
    TooSmall,  // it does not fit into a portion of this size at all
    End,       // there is no next bucket
    Failed,
};

struct Collected {
    Stop stop;
    u32 count;   // elements in the portion
    u32 needed;  // TooSmall: elements of the bucket
    s64 error;   // Failed
};

// Whole buckets from *bucket on.
Collected collect(Batch& batch, u32* bucket, bool erase) {
    InsideProgram inside;
    Map* map = batch.map.get();
    const u32 room = batch.count - batch.done;
    u32 count = 0;
    for (u32 seen = 0; seen < kBucketsAtOnce; ++seen) {
        const u32 left = room - count;
        const u32 free = batch.portion.capacity() - count;
        CollectedBucket out = {
            .keys = batch.portion.key(count),
            .values = batch.portion.value(count),
            .capacity = left < free ? left : free,
            .count = 0,
        };
        const s64 error = map->ops->collect_bucket(map, *bucket, erase, batch.flags, &out);
        if (error == negative(Errno::NoEnt)) return {Stop::End, count, 0, 0};
        if (error) return {Stop::Failed, count, 0, error};
        if (out.count > out.capacity) {
            if (out.count > left) return {Stop::NoRoom, count, 0, 0};
            return {count ? Stop::Full : Stop::TooSmall, count, out.count, 0};
        }
        count += out.count;
        ++*bucket;
    }
    return {Stop::Full, count, 0, 0};
}

// After the loop: where the walk is, and how much of it was done.
Result<s64> end_walk(Batch& batch, u32 bucket, s64 error) {
    TRY(host::copy_to_user(batch.out_batch, &bucket, sizeof bucket));
    TRY(host::put_user(batch.user_count, batch.done));
    return to_result(error);
}

Result<s64> look_up_by_bucket(Batch& batch, bool erase) {
    Map* map = batch.map.get();
    TRY(host::put_user(batch.user_count, u32{0}));
    u32 bucket = 0;
    if (batch.in_batch) TRY(host::get_user(&bucket, batch.in_batch));
    if (const auto made = batch.portion.allocate(map, Portion::elements_for(map, batch.count));
        !made) {
        return end_walk(batch, bucket, -to_int(made.error()));
    }
    const u32 first = bucket;
    for (;;) {
        const Collected got = collect(batch, &bucket, erase);
        if (erase && got.count) batch.map.changed();
        if (got.stop == Stop::End && bucket == first) return Errno::NoEnt;  // began behind the last
        TRY(batch.portion.write(batch.keys, batch.values, batch.done, got.count));
        batch.done += got.count;
        switch (got.stop) {
            case Stop::End:
                return end_walk(batch, bucket, negative(Errno::NoEnt));
            case Stop::NoRoom:
                return end_walk(batch, bucket, batch.done ? 0 : negative(Errno::NoSpc));
            case Stop::Failed:
                return end_walk(batch, bucket, got.error);
            case Stop::TooSmall:
                if (!batch.portion.allocate(map, got.needed).ok()) {
                    return end_walk(batch, bucket, negative(Errno::NoMem));
                }
                break;
            case Stop::Full:
                break;
        }
        host::Cpu::yield_point();
    }
}

// ── The commands ──────────────────────────────────────────────────────────────────────────────

Result<s64> look_up(const bpf_attr& attr, UserAddress uattr, bool erase) {
    Batch batch(attr, uattr);
    TRY(batch.map.open(attr.batch.map_fd, true, erase));
    const MapOps& ops = *batch.map->ops;
    if (!(ops.batch_commands & (erase ? kBatchLookupAndDelete : kBatchLookup))) {
        return Errno::NotSupp;
    }
    TRY(batch.check_flags());
    if (ops.collect_bucket && attr.batch.flags) return Errno::Inval;
    if (!batch.count) return s64{0};
    return ops.collect_bucket ? look_up_by_bucket(batch, erase) : look_up_by_key(batch);
}

}  // namespace

Result<s64> map_lookup_batch(const bpf_attr& attr, UserAddress uattr) {
    return look_up(attr, uattr, false);
}

Result<s64> map_lookup_and_delete_batch(const bpf_attr& attr, UserAddress uattr) {
    return look_up(attr, uattr, true);
}

Result<s64> map_update_batch(const bpf_attr& attr, UserAddress uattr) {
    Batch batch(attr, uattr);
    TRY(batch.map.open(attr.batch.map_fd, false, true));
    const MapOps& ops = *batch.map->ops;
    if (!(ops.batch_commands & kBatchUpdate)) return Errno::NotSupp;
    TRY(batch.check_flags());
    if (!batch.count) return s64{0};
    if (ops.update_from_user) {
        const Change translate = [](Map* map, const u8* key, const u8* value, u64 flags) {
            return map->ops->update_from_user(map, key, value, flags);
        };
        return change_all(batch, translate, true, false);
    }
    const Change update = [](Map* map, const u8* key, const u8* value, u64 flags) {
        return map->ops->update(map, key, value, flags);
    };
    return change_all(batch, update, true, true);
}

Result<s64> map_delete_batch(const bpf_attr& attr, UserAddress uattr) {
    Batch batch(attr, uattr);
    TRY(batch.map.open(attr.batch.map_fd, false, true));
    if (!(batch.map->ops->batch_commands & kBatchDelete)) return Errno::NotSupp;
    TRY(batch.check_flags());
    if (!batch.count) return s64{0};
    const Change erase = [](Map* map, const u8* key, const u8*, u64) {
        return map->ops->erase(map, key);
    };
    return change_all(batch, erase, false, true);
}

}  // namespace barebpf
