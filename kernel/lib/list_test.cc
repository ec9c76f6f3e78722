// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/list.h"

#include <vector>

#include "testkit/test.h"

namespace barebpf {
namespace {

struct Node {
    int value = 0;
    ListLink by_age;
    ListLink by_use;
    LocklessLink stacked;
};
using Ages = List<Node, &Node::by_age>;
using Uses = List<Node, &Node::by_use>;

std::vector<int> values(Ages& list) {
    std::vector<int> result;
    for (Node* node = list.front(); node; node = list.next(node)) result.push_back(node->value);
    return result;
}

TEST(List, KeepsOrderAndForgetsWhatIsRemoved) {
    Ages list;
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.front(), nullptr);
    EXPECT_EQ(list.pop_front(), nullptr);
    Node a{1}, b{2}, c{3};
    list.push_back(&b);
    list.push_back(&c);
    list.push_front(&a);
    EXPECT_EQ(values(list), (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(list.back(), &c);
    list.remove(&b);
    EXPECT_FALSE(b.by_age.linked());
    EXPECT_EQ(values(list), (std::vector<int>{1, 3}));
    EXPECT_EQ(list.pop_front(), &a);
    EXPECT_EQ(list.pop_front(), &c);
    EXPECT_TRUE(list.empty());
}

TEST(List, OneObjectInTwoLists) {
    Ages ages;
    Uses uses;
    Node a{1}, b{2};
    ages.push_back(&a);
    ages.push_back(&b);
    uses.push_back(&b);
    uses.push_back(&a);
    EXPECT_EQ(ages.front(), &a);
    EXPECT_EQ(uses.front(), &b);
    ages.remove(&a);
    EXPECT_EQ(uses.back(), &a);
    EXPECT_TRUE(a.by_use.linked());
    uses.remove(&a);
    uses.remove(&b);
    ages.remove(&b);
}

TEST(LocklessStack, EveryItemIsTakenOnce) {
    NEEDS_CPUS(2);
    const u32 pushing = test::cpus_up_to(4) - 1;
    constexpr u32 kEach = 2000;
    std::vector<Node> nodes(pushing * kEach);
    std::vector<u32> taken(nodes.size());
    LocklessStack<Node, &Node::stacked> stack;
    host::Atomic<u32> pushers{pushing};
    for (u32 i = 0; i < nodes.size(); ++i) nodes[i].value = static_cast<int>(i);
    const auto drain = [&] {
        stack.take_all([&](Node* node) { ++taken[static_cast<size_t>(node->value)]; });
    };
    test::run_on_cpus(pushing + 1, [&](u32 cpu) {
        if (cpu < pushing) {
            for (u32 i = 0; i < kEach; ++i) stack.push(&nodes[cpu * kEach + i]);
            pushers.fetch_sub(1, host::Order::Release);
            return;
        }
        while (pushers.load(host::Order::Acquire)) drain();
        drain();
    });
    EXPECT_TRUE(stack.empty());
    for (u32 i = 0; i < taken.size(); ++i) ASSERT_EQ(taken[i], u32{1}) << i;
}

}  // namespace
}  // namespace barebpf
