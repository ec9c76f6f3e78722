// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/helpers_ringbuf.h"

#include "kernel/bpf/helper_values.h"
#include "kernel/bpf/helpers_dynptr.h"
#include "kernel/bpf/ringbuf.h"

namespace barebpf {
namespace {

// -- records by pointer ---------------------------------------------------------------------------

u64 output(u64 map, u64 data, u64 size, u64 flags, u64) {
    return u64(ringbuf_output(as_pointer<Map>(map), as_pointer<const void>(data), size, flags));
}

u64 reserve(u64 map, u64 size, u64 flags, u64, u64) {
    if (flags) return 0;
    return reinterpret_cast<u64>(ringbuf_reserve(as_pointer<Map>(map), size));
}

u64 submit(u64 sample, u64 flags, u64, u64, u64) {
    ringbuf_commit(as_pointer<void>(sample), flags, false);
    return 0;
}

u64 discard(u64 sample, u64 flags, u64, u64, u64) {
    ringbuf_commit(as_pointer<void>(sample), flags, true);
    return 0;
}

u64 query(u64 map, u64 flags, u64, u64, u64) {
    return ringbuf_query(as_pointer<Map>(map), flags);
}

// -- records by dynptr ----------------------------------------------------------------------------

u64 reserve_dynptr(u64 map, u64 size, u64 flags, u64 out, u64) {
    Dynptr* dynptr = as_pointer<Dynptr>(out);
    clear_dynptr(dynptr);
    if (flags) return failed(Errno::Inval);
    if (u32(size) > kMaxDynptrSize) return failed(Errno::TooBig);
    void* sample = ringbuf_reserve(as_pointer<Map>(map), u32(size));
    if (!sample) return failed(Errno::Inval);
    set_dynptr(dynptr, sample, u32(size));
    return 0;
}

void commit_dynptr(u64 which, u64 flags, bool discard) {
    Dynptr* dynptr = as_pointer<Dynptr>(which);
    if (!dynptr->data) return;
    ringbuf_commit(dynptr->data, flags, discard);
    clear_dynptr(dynptr);
}

u64 submit_dynptr(u64 dynptr, u64 flags, u64, u64, u64) {
    commit_dynptr(dynptr, flags, false);
    return 0;
}

u64 discard_dynptr(u64 dynptr, u64 flags, u64, u64, u64) {
    commit_dynptr(dynptr, flags, true);
    return 0;
}

// -- user space's records ---------------------------------------------------------------------------

constexpr u32 kMostUserSamples =
    128 * 1024;  // BPF_MAX_USER_RINGBUF_SAMPLES, discarded ones included

// Shows samples until the callback has enough. taken: samples seen, discarded ones included.
s64 drain(Map* map, u64 callback, u64 context, u32* taken) {
    u32 discarded = 0;
    u64 enough = 0;
    for (*taken = 0; *taken < kMostUserSamples && !enough; ++*taken) {
        UserSample sample;
        const s64 result = user_ringbuf_next(map, &sample);
        if (result == -to_int(Errno::NoData)) break;
        if (result == -to_int(Errno::Again)) {
            ++discarded;
            continue;
        }
        if (result < 0) return result;
        Dynptr dynptr;
        set_dynptr(&dynptr, sample.data, sample.size);
        enough = call_callback(callback, reinterpret_cast<u64>(&dynptr), context, 0, 0);
        user_ringbuf_release(map, sample);
    }
    return s64{*taken} - discarded;
}

u64 user_ringbuf_drain(u64 map, u64 callback, u64 context, u64 flags, u64) {
    if (flags & ~u64{BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP}) return failed(Errno::Inval);
    Map* m = as_pointer<Map>(map);
    if (const s64 begun = user_ringbuf_begin(m); begun < 0) return u64(begun);
    u32 taken;
    const s64 result = drain(m, callback, context, &taken);
    user_ringbuf_end(m, flags, taken > 0);
    return u64(result);
}

// -- prototypes -----------------------------------------------------------------------------------

using A = ArgType;
using R = RetType;

struct RingHelper {
    u32 id;
    HelperProto proto;
};

constexpr RingHelper kHelpers[] = {
    {BPF_FUNC_ringbuf_output,
     {.name = "ringbuf_output",
      .function = output,
      .ret = R::Integer,
      .args = {A::ConstMap, A::Mem, A::SizeOrZero, A::Anything}}},
    {BPF_FUNC_ringbuf_reserve,
     {.name = "ringbuf_reserve",
      .function = reserve,
      .ret = R::MemOrNull,
      .args = {A::ConstMap, A::ConstAllocSize, A::Anything}}},
    {BPF_FUNC_ringbuf_submit,
     {.name = "ringbuf_submit",
      .function = submit,
      .ret = R::Void,
      .args = {A::ReferenceToRelease, A::Anything}}},
    {BPF_FUNC_ringbuf_discard,
     {.name = "ringbuf_discard",
      .function = discard,
      .ret = R::Void,
      .args = {A::ReferenceToRelease, A::Anything}}},
    {BPF_FUNC_ringbuf_query,
     {.name = "ringbuf_query",
      .function = query,
      .ret = R::Integer,
      .args = {A::ConstMap, A::Anything}}},
    {BPF_FUNC_ringbuf_reserve_dynptr,
     {.name = "ringbuf_reserve_dynptr",
      .function = reserve_dynptr,
      .ret = R::Integer,
      .args = {A::ConstMap, A::Anything, A::Anything, A::RingDynptrUninit},
      .privileged = true}},
    {BPF_FUNC_ringbuf_submit_dynptr,
     {.name = "ringbuf_submit_dynptr",
      .function = submit_dynptr,
      .ret = R::Void,
      .args = {A::RingDynptrRelease, A::Anything},
      .privileged = true}},
    {BPF_FUNC_ringbuf_discard_dynptr,
     {.name = "ringbuf_discard_dynptr",
      .function = discard_dynptr,
      .ret = R::Void,
      .args = {A::RingDynptrRelease, A::Anything},
      .privileged = true}},
    {BPF_FUNC_user_ringbuf_drain,
     {.name = "user_ringbuf_drain",
      .function = user_ringbuf_drain,
      .ret = R::Integer,
      .args = {A::ConstMap, A::Callback, A::StackPointerOrNull, A::Anything},
      .privileged = true}},
};

}  // namespace

const HelperProto* ringbuf_helper_proto(u32 func_id) {
    for (const RingHelper& helper : kHelpers) {
        if (helper.id == func_id) return &helper.proto;
    }
    return nullptr;
}

}  // namespace barebpf
