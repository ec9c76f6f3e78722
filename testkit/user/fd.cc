// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Descriptors: a real one for the process, a table from its number to the object.
//
//     table     fd / 1024 -> chunk, fd % 1024 -> Description*
//     Description { object, mode, references }    one reference for each descriptor and each mapping
//
// Reading the table takes no lock: a reader is inside the library, hence inside an RCU read side,
// and a description that lost its last reference is released after a grace period. Ordering: the
// publishing exchange of an entry (acq_rel) pairs with the acquire in find().
//
// Two marks stand in the table in place of a description: a descriptor that the library keeps for
// itself, and one that fork() inherited from a process whose object it was.
//
// The last close waits for that grace period itself and releases the object before it returns, so
// what bpf(2) shows afterwards does not depend on luck. A close in a signal handler that
// interrupted the library cannot wait: the thread releases the object when it leaves.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "testkit/user/description.h"
#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::user {

namespace {

constexpr u32 kChunkEntries = 1024;
constexpr u32 kChunks = 4096;
constexpr int kHiddenNumbers = 16;  // below the limit: where hidden descriptors begin

using Entry = Atomic<Description*>;
Atomic<Entry*> chunks[kChunks];
Atomic<Description*> deferred;
__thread bool inherited_used __attribute__((tls_model("initial-exec")));

// No description has such an address.
enum Mark : uintptr_t { kNothing, kHidden, kInherited };

Description* mark(Mark which) {
    return reinterpret_cast<Description*>(which);
}
bool is_mark(const Description* description) {
    return reinterpret_cast<uintptr_t>(description) <= kInherited;
}

Entry* entry_of(int fd) {
    const u32 number = static_cast<u32>(fd);
    if (number >= kChunks * kChunkEntries) return nullptr;
    // Pairs with the release in make_entry().
    Entry* chunk = chunks[number / kChunkEntries].load(Order::Acquire);
    return chunk ? chunk + number % kChunkEntries : nullptr;
}

Entry* make_entry(int fd) {
    const u32 number = static_cast<u32>(fd);
    if (number >= kChunks * kChunkEntries) return nullptr;
    auto& slot = chunks[number / kChunkEntries];
    if (!slot.load(Order::Acquire)) {
        constexpr size_t kSize = sizeof(Entry) * kChunkEntries;
        auto* fresh = static_cast<Entry*>(map_anonymous(kSize));
        if (!fresh) return nullptr;
        Entry* none = nullptr;
        if (!slot.compare_exchange(none, fresh, Order::AcqRel, Order::Acquire))
            munmap(fresh, kSize);
    }
    return entry_of(fd);
}

// A live reference more; false: it had none left.
bool try_reference(Description* description) {
    u32 references = description->references.load(Order::Relaxed);
    while (references) {
        if (description->references.compare_exchange(references, references + 1, Order::Relaxed,
                                                     Order::Relaxed))
            return true;
    }
    return false;
}

void release(Description* description) {
    description->object->file_ops->release(description->object);
    ::free(description);
}

// Null: nothing is ever announced.
host::WaitQueue* wait_queue_of(host::FileObject* object) {
    const host::FileOps& ops = *object->file_ops;
    return ops.wait_queue ? ops.wait_queue(object) : nullptr;
}

int make_real_descriptor(host::FileObject* object) {
    host::WaitQueue* queue = wait_queue_of(object);
    if (!queue) {
        // What never changes is told at once: that there is nothing to wait for.
        int fd = eventfd(object->file_ops->poll ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
    }
    int event = queue->descriptor();
    if (event < 0) return event;
    int fd = fcntl(event, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

// Outside of the library or inside of it: what is needed to touch descriptions.
Description* find(int fd) {
    Entry* entry = fd < 0 ? nullptr : entry_of(fd);
    Description* description = entry ? entry->load(Order::Acquire) : nullptr;
    return LIKELY(!is_mark(description)) ? description : nullptr;
}

bool has_mark(int fd, Mark which) {
    Entry* entry = fd < 0 ? nullptr : entry_of(fd);
    return entry && entry->load(Order::Relaxed) == mark(which);
}

}  // namespace

Description* reference_description(int fd) {
    Description* description = find(fd);
    return description && try_reference(description) ? description : nullptr;
}

void put_description(Description* description, bool nested) {
    if (is_mark(description)) return;
    // acq_rel: what others did with the object happens before its release.
    if (description->references.fetch_sub(1, Order::AcqRel) != 1) return;
    if (!nested) {
        host::synchronize_rcu();
        release(description);
        return;
    }
    Description* first = deferred.load(Order::Relaxed);
    do {
        description->next_deferred = first;
        // Pairs with the acquire in run_deferred_releases().
    } while (!deferred.compare_exchange(first, description, Order::Release, Order::Relaxed));
    backend::attention.fetch_or(backend::kAttentionDeferred, Order::AcqRel);
}

// By this thread, further down its stack.
__thread bool releasing __attribute__((visibility("hidden"), tls_model("initial-exec")));

// While this thread waits for its grace period it leaves the library now and then, and comes here again: what others
// have left behind meanwhile is for the next round, or the stack would grow with each.
void run_deferred_releases() {
    if (releasing) return;
    releasing = true;
    backend::attention.fetch_and(~backend::kAttentionDeferred, Order::AcqRel);
    Description* description = deferred.exchange(nullptr, Order::Acquire);
    if (description) host::synchronize_rcu();
    while (description) {
        Description* next = description->next_deferred;
        release(description);
        description = next;
    }
    releasing = false;
}

}  // namespace barebpf::user

namespace barebpf::machine {

using namespace user;  // NOLINT: its own parts

bool fd_is_ours(int fd) {
    return find(fd) != nullptr;
}

}  // namespace barebpf::machine

namespace barebpf::user {

bool fd_is_hidden(int fd) {
    return has_mark(fd, kHidden);
}

bool fd_is_inherited(int fd) {
    return has_mark(fd, kInherited);
}

bool take_inherited_use() {
    const bool used = inherited_used;
    inherited_used = false;
    return used;
}

int next_fd(int from) {
    for (u32 number = from < 0 ? 0 : static_cast<u32>(from); number < kChunks * kChunkEntries;) {
        Entry* chunk = chunks[number / kChunkEntries].load(Order::Acquire);
        if (!chunk) {
            number = (number / kChunkEntries + 1) * kChunkEntries;
            continue;
        }
        if (chunk[number % kChunkEntries].load(Order::Relaxed)) return static_cast<int>(number);
        ++number;
    }
    return -1;
}

int hide_descriptor(int fd) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t highest = limit.rlim_cur > 65536 ? 65536 : limit.rlim_cur;
    int hidden =
        highest < 64 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, static_cast<int>(highest) - kHiddenNumbers);
    if (hidden < 0) {
        hidden = fd;
    } else {
        close(fd);
    }
    // Without memory for the entry it is hidden no better than by its number.
    if (Entry* entry = make_entry(hidden)) entry->store(mark(kHidden), Order::Release);
    return hidden;
}

void close_hidden(int fd) {
    if (Entry* entry = entry_of(fd)) entry->store(nullptr, Order::Release);
    close(fd);
}

void fd_closed(int fd) {
    Entry* entry = fd < 0 ? nullptr : entry_of(fd);
    if (!entry || !entry->load(Order::Relaxed) || fd_is_hidden(fd)) return;
    host::Cpu::Entry inside;
    put_description(entry->exchange(nullptr, Order::AcqRel), inside.nested());
}

void fd_duplicated(int old_fd, int new_fd) {
    const bool inherited = fd_is_inherited(old_fd);
    if (old_fd == new_fd || new_fd < 0) return;
    if (!inherited && !fd_is_inherited(new_fd) && !find(old_fd) && !find(new_fd)) return;
    host::Cpu::Entry inside;
    Description* description = inherited ? mark(kInherited) : reference_description(old_fd);
    Entry* entry = description ? make_entry(new_fd) : entry_of(new_fd);
    if (!entry) {
        put_description(description, inside.nested());
        return;
    }
    put_description(entry->exchange(description, Order::AcqRel), inside.nested());
}

}  // namespace barebpf::user

namespace barebpf::machine {

using namespace user;  // NOLINT: its own parts

int close_fd(int fd) {
    if (!fd_is_ours(fd)) return -EBADF;
    fd_closed(fd);
    return close(fd) == 0 ? 0 : -errno;
}

const char* fd_name(int fd) {
    static_assert(static_cast<int>(host::FileKind::PerfEvent) == 4, "a name for each kind");
    host::Cpu::Entry inside;
    Description* description = find(fd);
    return description ? description->name : nullptr;
}

bool fd_info(int fd, TextBuffer* out) {
    host::Cpu::Entry inside;
    Description* description = find(fd);
    if (!description) return false;
    description->object->file_ops->show_fdinfo(description->object, out);
    return true;
}

}  // namespace barebpf::machine

namespace barebpf::user {

u32 fd_poll(int fd) {
    host::Cpu::Entry inside;
    Description* description = find(fd);
    if (!description || !description->object->file_ops->poll) return 0;
    return description->object->file_ops->poll(description->object);
}

void fd_drain(int fd) {
    host::Cpu::Entry inside;
    Description* description = find(fd);
    if (!description) return;
    if (host::WaitQueue* queue = wait_queue_of(description->object)) queue->drain();
}

void fd_announce(int fd) {
    host::Cpu::Entry inside;
    Description* description = find(fd);
    // A perf event's readiness is over once it was told, and each has its wake-up.
    if (!description || description->object->file_ops->kind == host::FileKind::PerfEvent) return;
    host::WaitQueue* queue = wait_queue_of(description->object);
    if (queue && description->object->file_ops->poll(description->object)) queue->wake_all();
}

namespace {

void forget_chunk(Entry* chunk, u32 first) {
    for (u32 i = 0; i < kChunkEntries; ++i) {
        Description* description = chunk[i].load(Order::Relaxed);
        if (description == mark(kHidden)) {
            close_hidden(static_cast<int>(first + i));
        } else if (!is_mark(description)) {
            chunk[i].store(mark(kInherited), Order::Relaxed);
        }
    }
}

}  // namespace

void forget_descriptors() {
    for (auto& slot : chunks) {
        Entry* chunk = slot.load(Order::Relaxed);
        if (chunk) forget_chunk(chunk, static_cast<u32>(&slot - chunks) * kChunkEntries);
    }
    inherited_used = false;
    deferred.store(nullptr, Order::Relaxed);
}

}  // namespace barebpf::user

namespace barebpf::backend {

int Fd::install(host::FileObject* object, host::FileMode mode) {
    if (!user::allocation_allowed()) return -ENOMEM;
    auto* description = static_cast<user::Description*>(calloc(1, sizeof(user::Description)));
    if (!description) return -ENOMEM;
    const int fd = user::make_real_descriptor(object);
    user::Entry* entry = fd < 0 ? nullptr : user::make_entry(fd);
    if (!entry) {
        ::free(description);
        if (fd < 0) return fd;
        close(fd);
        return -ENOMEM;
    }
    user::fill_description(description, object, mode);
    // The kernel gave us a number that the table still holds: it was closed behind our back.
    user::put_description(entry->exchange(description, Order::AcqRel), false);
    return fd;
}

bool Fd::get(int fd, host::FileRef* ref, void (*pin)(host::FileObject*)) {
    user::Description* description = user::find(fd);
    if (UNLIKELY(!description)) {
        if (user::fd_is_inherited(fd)) user::inherited_used = true;
        return false;
    }
    pin(description->object);
    *ref = {description->object, description->mode};
    return true;
}

bool Fd::is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

void Fd::close_all() {
    for (u32 chunk = 0; chunk < user::kChunks; ++chunk) {
        // Pairs with the release in make_entry().
        user::Entry* entries = user::chunks[chunk].load(Order::Acquire);
        for (u32 i = 0; entries && i < user::kChunkEntries; ++i) {
            if (!entries[i].load(Order::Relaxed)) continue;
            machine::close_fd(static_cast<int>(chunk * user::kChunkEntries + i));
        }
    }
}

}  // namespace barebpf::backend
