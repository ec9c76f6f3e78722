// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Descriptors: one table of descriptions, the lowest free number first. 0, 1 and 2 are the console's.
//
// Looking one up takes no lock: a reader is inside the library, hence inside an RCU read side, and a description
// that lost its last reference is released after a grace period. Ordering: the exchange that publishes an entry
// (acq_rel) pairs with the acquire in find().
#include "testkit/guest/description.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/heap.h"
#include "testkit/machine.h"

namespace barebpf::guest {

namespace {

constexpr u32 kDescriptors = 1024;
constexpr u32 kFirst = 3;

Atomic<Description*> table[kDescriptors];

Description* find(int fd) {
    const u32 number = static_cast<u32>(fd);
    return number < kDescriptors ? table[number].load(Order::Acquire) : nullptr;
}

bool try_reference(Description* description) {
    u32 references = description->references.load(Order::Relaxed);
    while (references) {
        if (description->references.compare_exchange(references, references + 1, Order::Relaxed,
                                                     Order::Relaxed))
            return true;
    }
    return false;
}

int publish(Description* description) {
    for (u32 number = kFirst; number < kDescriptors; ++number) {
        Description* none = nullptr;
        if (table[number].load(Order::Relaxed)) continue;
        if (table[number].compare_exchange(none, description, Order::AcqRel, Order::Relaxed))
            return static_cast<int>(number);
    }
    return -to_int(Errno::MFile);
}

int close(int fd) {
    const u32 number = static_cast<u32>(fd);
    Description* description =
        number < kDescriptors ? table[number].exchange(nullptr, Order::AcqRel) : nullptr;
    if (!description) return -to_int(Errno::BadF);
    put_description(description);
    return 0;
}

u32 ready_bits(const Description* description) {
    host::FileObject* object = description->object;
    return object->file_ops->poll ? object->file_ops->poll(object) : 0;
}

// One turn of wait_fd(): false when the time is over.
bool sleep_once(host::WaitQueue* queue, const Description* description, u32 events, u64 end) {
    const auto irq = irq_save();
    queue->add(this_cpu());
    u32 ready;
    {
        host::Cpu::Entry inside;
        ready = ready_bits(description);
    }
    const u64 now = arch::clock_ns();
    const bool in_time = now < end;
    if (!(ready & events) && in_time) {
        arch::set_timer(end - now);
        arch::wait_for_interrupt();
        set_tick();
    }
    queue->remove(this_cpu());
    irq_restore(irq);
    return in_time;
}

u32 wait_for(const Description* description, u32 events, u64 timeout_ns) {
    host::FileObject* object = description->object;
    host::WaitQueue* queue =
        object->file_ops->wait_queue ? object->file_ops->wait_queue(object) : nullptr;
    if (!queue) return 0;
    const u64 end = arch::clock_ns() + timeout_ns;
    for (bool in_time = true;; in_time = sleep_once(queue, description, events, end)) {
        host::Cpu::Entry inside;
        const u32 ready = ready_bits(description) & events;
        if (ready || !in_time) return ready;
    }
}

}  // namespace

Description* reference_description(int fd) {
    Description* description = find(fd);
    return description && try_reference(description) ? description : nullptr;
}

void put_description(Description* description) {
    // acq_rel: what others did with the object happens before its release.
    if (description->references.fetch_sub(1, Order::AcqRel) != 1) return;
    host::synchronize_rcu();
    description->object->file_ops->release(description->object);
    heap::free(description, sizeof(Description));
}

u32 poll_fd(int fd) {
    host::Cpu::Entry inside;
    const Description* description = find(fd);
    return description ? ready_bits(description) : 0;
}

u32 wait_fd(int fd, u32 events, u64 timeout_ns) {
    Description* description;
    {
        host::Cpu::Entry inside;
        description = reference_description(fd);
    }
    if (!description) return 0;
    const u32 ready = wait_for(description, events, timeout_ns);
    host::Cpu::Entry inside;
    put_description(description);
    return ready;
}

}  // namespace barebpf::guest

namespace barebpf::machine {

bool fd_is_ours(int fd) {
    return guest::find(fd) != nullptr;
}

int close_fd(int fd) {
    host::Cpu::Entry inside;
    return guest::close(fd);
}

const char* fd_name(int fd) {
    host::Cpu::Entry inside;
    guest::Description* description = guest::find(fd);
    return description ? description->name : nullptr;
}

bool fd_info(int fd, TextBuffer* out) {
    host::Cpu::Entry inside;
    guest::Description* description = guest::find(fd);
    if (!description) return false;
    description->object->file_ops->show_fdinfo(description->object, out);
    return true;
}

}  // namespace barebpf::machine

namespace barebpf::backend {

int Fd::install(host::FileObject* object, host::FileMode mode) {
    if (!guest::allocation_allowed()) return -to_int(Errno::NoMem);
    void* memory = guest::heap::alloc_zeroed(sizeof(guest::Description));
    if (!memory) return -to_int(Errno::NoMem);
    auto* description = construct_at<guest::Description>(memory);
    description->object = object;
    description->mode = mode;
    description->references.store(1, Order::Relaxed);
    TextBuffer(description->name).print("anon_inode:", object->file_ops->name);
    const int fd = guest::publish(description);
    if (fd < 0) guest::heap::free(description, sizeof(guest::Description));
    return fd;
}

bool Fd::get(int fd, host::FileRef* ref, void (*pin)(host::FileObject*)) {
    guest::Description* description = guest::find(fd);
    if (!description) return false;
    pin(description->object);
    *ref = {description->object, description->mode};
    return true;
}

bool Fd::is_open(int fd) {
    return (fd >= 0 && static_cast<u32>(fd) < guest::kFirst) || machine::fd_is_ours(fd);
}

void Fd::close_all() {
    for (u32 number = guest::kFirst; number < guest::kDescriptors; ++number)
        guest::close(static_cast<int>(number));
}

}  // namespace barebpf::backend
