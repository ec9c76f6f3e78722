// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Intrusive lists: the link is a member of the object, so that linking never allocates.
//
//     struct Node { ListLink by_age; ListLink by_use; };
//     List<Node, &Node::by_age> ages;             // an object may be in several lists, by member
//
//     struct Dead { LocklessLink link; };
//     LocklessStack<Dead, &Dead::link> dead;      // push from anywhere, NMI included; take all
//
// List is not synchronised: a lock protects it. LocklessStack needs none.
#pragma once

#include "kernel/host/atomic.h"
#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf {

// All-zero: in no list.
struct ListLink {
    ListLink* next = nullptr;
    ListLink* previous = nullptr;
    bool linked() const { return next != nullptr; }
};

namespace detail {
// From a link back to the object that it is a member of.
template <class T, class Link, Link T::*kMember>
T* container(Link* link) {
    alignas(T) static char probe[1];  // never read: only the distance counts
    const auto* base = reinterpret_cast<const T*>(probe);
    const auto distance = reinterpret_cast<const char*>(&(base->*kMember)) - probe;
    return reinterpret_cast<T*>(reinterpret_cast<char*>(link) - distance);
}
}  // namespace detail

// Doubly linked, circular through its head. The head must not move while anything is linked.
template <class T, ListLink T::*kMember>
class List {
public:
    constexpr List() : head_{&head_, &head_} {}
    List(const List&) = delete;
    List& operator=(const List&) = delete;

    bool empty() const { return head_.next == &head_; }
    T* front() { return empty() ? nullptr : object(head_.next); }
    T* back() { return empty() ? nullptr : object(head_.previous); }

    void push_front(T* item) { insert(&(item->*kMember), &head_, head_.next); }
    void push_back(T* item) { insert(&(item->*kMember), head_.previous, &head_); }
    void remove(T* item) {
        ListLink* link = &(item->*kMember);
        link->previous->next = link->next;
        link->next->previous = link->previous;
        *link = ListLink{};
    }
    T* pop_front() {
        T* item = front();
        if (item) remove(item);
        return item;
    }
    // The item after this one, or null.
    T* next(T* item) {
        ListLink* link = (item->*kMember).next;
        return link == &head_ ? nullptr : object(link);
    }

private:
    static T* object(ListLink* link) { return detail::container<T, ListLink, kMember>(link); }
    static void insert(ListLink* link, ListLink* previous, ListLink* next) {
        link->previous = previous;
        link->next = next;
        previous->next = link;
        next->previous = link;
    }
    ListLink head_;
};

struct LocklessLink {
    LocklessLink* next = nullptr;
};

// Last in, first out; many pushers, and takers who take everything at once, so that no link can
// come back while somebody still compares it. All-zero is an empty stack.
template <class T, LocklessLink T::*kMember>
class LocklessStack {
public:
    bool empty() const { return !head_.load(host::Order::Relaxed); }

    // Any context. What the pusher wrote before is visible to the taker.
    void push(T* item) {
        LocklessLink* link = &(item->*kMember);
        LocklessLink* head = head_.load(host::Order::Relaxed);
        do {
            link->next = head;  // release: pairs with the acquire in take_all
        } while (!head_.compare_exchange(head, link, host::Order::Release, host::Order::Relaxed));
    }

    // Calls each(item) for all items, the newest first. each() may free its item.
    template <class Each>
    void take_all(Each each) {
        // Acquire pairs with the release in push.
        LocklessLink* link = head_.exchange(nullptr, host::Order::Acquire);
        while (link) {
            LocklessLink* next = link->next;
            each(detail::container<T, LocklessLink, kMember>(link));
            link = next;
        }
    }

private:
    host::Atomic<LocklessLink*> head_{};
};

}  // namespace barebpf
