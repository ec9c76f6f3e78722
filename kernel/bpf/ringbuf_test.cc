// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/ringbuf_test.h"

#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "kernel/bpf/map_test.h"
#include "testkit/inject.h"

namespace barebpf {
namespace {

using host::Order;
using test::ring_of;

constexpr s64 kInval = -to_int(Errno::Inval);
constexpr s64 kAgain = -to_int(Errno::Again);
constexpr s64 kBusy = -to_int(Errno::Busy);
constexpr s64 kNoData = -to_int(Errno::NoData);
constexpr s64 kTooBig = -to_int(Errno::TooBig);
constexpr u32 kPage = static_cast<u32>(host::kPageSize);

class RingbufTest : public test::WithMap<> {
protected:
    void make(u32 size = kPage) { WithMap::make(test::map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, size)); }
    Ring* ring() { return ring_of(map_); }
    u64 produced() { return ring()->producer_position().load(Order::Relaxed); }
    u64 consumed() { return ring()->consumer_position().load(Order::Relaxed); }
    void set_consumed(u64 to) { ring()->consumer_position().store(to, Order::Relaxed); }
    s64 output(const std::string& text, u64 flags = 0) {
        return ringbuf_output(map_, text.data(), text.size(), flags);
    }
    std::vector<std::string> read(u32 most = ~u32{0}) {
        std::vector<std::string> texts;
        test::RingReader(map_).read(
            [&](const u8* data, u32 size) {
                texts.emplace_back(reinterpret_cast<const char*>(data), size);
            },
            most);
        return texts;
    }
    u32 word_at(u64 position) {
        u32 word;
        std::memcpy(&word, ring()->data() + (position & ring()->mask), sizeof word);
        return word;
    }
};

TEST_F(RingbufTest, AttributesAreCheckedAsLinuxDoes) {
    for (const u32 type : {BPF_MAP_TYPE_RINGBUF, BPF_MAP_TYPE_USER_RINGBUF}) {
        const auto ok = [&](u32 key, u32 value, u32 entries, u32 flags) {
            return map_ops(type)->check_attr(test::map_attr(type, key, value, entries, flags)).ok();
        };
        EXPECT_TRUE(ok(0, 0, kPage, 0));
        EXPECT_TRUE(ok(0, 0, 1u << 30, BPF_F_NUMA_NODE));
        EXPECT_FALSE(ok(4, 0, kPage, 0));
        EXPECT_FALSE(ok(0, 4, kPage, 0));
        EXPECT_FALSE(ok(0, 0, 0, 0));
        EXPECT_FALSE(ok(0, 0, kPage / 2, 0));
        EXPECT_FALSE(ok(0, 0, 3 * kPage, 0));
        EXPECT_FALSE(ok(0, 0, kPage + 8, 0));
        EXPECT_FALSE(ok(0, 0, kPage, BPF_F_NO_PREALLOC));
        EXPECT_FALSE(ok(0, 0, kPage, BPF_F_RDONLY));
        EXPECT_FALSE(ok(0, 0, kPage, BPF_F_MMAPABLE));
    }
}

TEST_F(RingbufTest, ARecordIsSeenOnceItIsCommitted) {
    make();
    void* first = ringbuf_reserve(map_, 5);
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(word_at(0), 5 | kRingBusy);
    EXPECT_EQ(produced(), 16u);
    void* second = ringbuf_reserve(map_, 8);
    ASSERT_NE(second, nullptr);
    std::memcpy(second, "secondly", 8);
    ringbuf_commit(second, 0, false);
    EXPECT_EQ(read().size(), 0u);  // the first is in the way
    std::memcpy(first, "first", 5);
    ringbuf_commit(first, 0, false);
    const auto texts = read();
    ASSERT_EQ(texts.size(), 2u);
    EXPECT_STREQ(texts[0].c_str(), "first");
    EXPECT_STREQ(texts[1].c_str(), "secondly");
    EXPECT_EQ(consumed(), produced());
}

TEST_F(RingbufTest, HeadersAreThoseThatUserSpaceKnows) {
    make(2 * kPage);
    set_consumed(0);
    for (const u32 size : {0u, 1u, 8u, kPage - 40, 40u}) {
        const u64 at = produced();
        void* sample = ringbuf_reserve(map_, size);
        ASSERT_NE(sample, nullptr);
        EXPECT_EQ(static_cast<u8*>(sample), ring()->data() + at + 8);
        EXPECT_EQ(word_at(at), size | kRingBusy);
        // The page of the header, counted from a page before the two of the positions.
        EXPECT_EQ(word_at(at + 4), 3 + at / kPage);
        const bool discard = size == 8;
        ringbuf_commit(sample, 0, discard);
        EXPECT_EQ(word_at(at), discard ? size | kRingDiscarded : size);
        EXPECT_EQ(produced(), at + ((size + 15) & ~7u));
    }
    EXPECT_EQ(read().size(), 4u);
}

TEST_F(RingbufTest, SizesUpToTheWholeRing) {
    make();
    EXPECT_EQ(ringbuf_reserve(map_, kPage), nullptr);
    EXPECT_EQ(ringbuf_reserve(map_, kPage - 7), nullptr);
    // A ring is never full to the last byte: its positions would look like those of an empty one... of one ago.
    EXPECT_EQ(ringbuf_reserve(map_, kPage - 8), nullptr);
    EXPECT_EQ(ringbuf_reserve(map_, kRingMaxRecord), nullptr);
    EXPECT_EQ(ringbuf_reserve(map_, kRingMaxRecord + 1), nullptr);
    EXPECT_EQ(ringbuf_reserve(map_, ~u64{0}), nullptr);
    EXPECT_EQ(produced(), 0u);
    void* sample = ringbuf_reserve(map_, kPage - 16);
    ASSERT_NE(sample, nullptr);
    EXPECT_EQ(produced(), kPage - 8);
    EXPECT_EQ(ringbuf_reserve(map_, 0), nullptr);
    ringbuf_commit(sample, 0, false);
    EXPECT_EQ(ringbuf_reserve(map_, 0), nullptr);
    EXPECT_EQ(output("x"), kAgain);
    EXPECT_EQ(read().size(), 1u);
    EXPECT_EQ(output(""), 0);
    EXPECT_EQ(read().size(), 1u);
}

TEST_F(RingbufTest, RecordsWrapAtEveryOffset) {
    make();
    for (u32 offset = 0; offset < kPage; offset += 8) {
        const u64 size = kPage - 64;
        std::string text(size, '\0');
        for (u32 i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7 + offset);
        EXPECT_EQ(produced() & ring()->mask, offset);
        ASSERT_EQ(output(text), 0);
        const auto texts = read();
        ASSERT_EQ(texts.size(), 1u);
        EXPECT_TRUE(texts[0] == text);
        // To the next offset: one record of the rest and 8 bytes.
        std::string rest(64 - 8 - 8, 'r');
        ASSERT_EQ(output(rest), 0);
        EXPECT_EQ(read().size(), 1u);
        EXPECT_EQ(produced() & ring()->mask, offset);
        ASSERT_EQ(output(""), 0);
        EXPECT_EQ(read().size(), 1u);
    }
}

TEST_F(RingbufTest, QueriesSayWhatThePagesSay) {
    make();
    EXPECT_EQ(ringbuf_query(map_, BPF_RB_RING_SIZE), kPage);
    EXPECT_EQ(output("12345678"), 0);
    EXPECT_EQ(output("1234567890"), 0);
    EXPECT_EQ(ringbuf_query(map_, BPF_RB_AVAIL_DATA), 16u + 24u);
    EXPECT_EQ(read(1).size(), 1u);
    EXPECT_EQ(ringbuf_query(map_, BPF_RB_AVAIL_DATA), 24u);
    EXPECT_EQ(ringbuf_query(map_, BPF_RB_CONS_POS), 16u);
    EXPECT_EQ(ringbuf_query(map_, BPF_RB_PROD_POS), 40u);
    EXPECT_EQ(ringbuf_query(map_, 4), 0u);
    EXPECT_EQ(ringbuf_query(map_, ~u64{0}), 0u);
}

TEST_F(RingbufTest, FlagsOfOutput) {
    make();
    EXPECT_EQ(output("a", BPF_RB_NO_WAKEUP), 0);
    EXPECT_EQ(output("b", BPF_RB_FORCE_WAKEUP), 0);
    EXPECT_EQ(output("c", BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP), 0);
    EXPECT_EQ(output("d", 4), kInval);
    EXPECT_EQ(output("e", u64{1} << 32), kInval);
    EXPECT_EQ(read().size(), 3u);
}

TEST_F(RingbufTest, ReadableExactlyWhileThereIsSomething) {
    make();
    const auto ready = [&] { return map_->ops->poll(map_); };
    EXPECT_EQ(ready(), 0u);
    void* sample = ringbuf_reserve(map_, 8);
    EXPECT_EQ(ready(), 0x41u);  // though it is not complete: Linux says so as well
    ringbuf_commit(sample, BPF_RB_NO_WAKEUP, false);
    EXPECT_EQ(ready(), 0x41u);
    EXPECT_EQ(read().size(), 1u);
    EXPECT_EQ(ready(), 0u);
}

TEST_F(RingbufTest, AnyConsumerPositionIsSurvived) {
    make();
    const u64 positions[] = {
        8, 1, kPage, kPage + 8, ~u64{0}, ~u64{7}, u64{1} << 63, u64{1} << 32, (u64{1} << 63) - 8};
    for (const u64 position : positions) {
        set_consumed(position);
        for (u32 i = 0; i < 2000; ++i) {
            const u64 before = produced();
            const s64 result = output("0123456789");
            EXPECT_TRUE(result == 0 || result == kAgain);
            EXPECT_EQ(produced(), before + (result == 0 ? 24 : 0));
        }
        ringbuf_query(map_, BPF_RB_AVAIL_DATA);
        map_->ops->poll(map_);
    }
    set_consumed(produced());
    EXPECT_EQ(output("still there"), 0);
    EXPECT_EQ(read().size(), 1u);
}

// A reader that moves its position over a record which is being written may not have it overwritten.
TEST_F(RingbufTest, ARecordBeingWrittenIsNeverOverwritten) {
    make();
    EXPECT_EQ(output("before"), 0);
    auto* held = static_cast<u8*>(ringbuf_reserve(map_, 1000));
    ASSERT_NE(held, nullptr);
    std::memset(held, 0xab, 1000);
    u32 written = 0;
    for (u32 i = 0; i < 1000; ++i) {
        set_consumed(produced());
        written += output("a hundred bytes, more or less: " + std::string(70, 'x')) == 0;
    }
    EXPECT_GT(written, 10u);
    EXPECT_LT(written, kPage / 100);
    for (u32 i = 0; i < 1000; ++i) ASSERT_EQ(held[i], 0xab);
    ringbuf_commit(held, 0, false);
    set_consumed(produced());
    EXPECT_EQ(output("after"), 0);
    EXPECT_EQ(read().size(), 1u);
}

// However many records were held back by one: once that is committed and all are read, there is room.
TEST_F(RingbufTest, RecordsThatWereHeldBackLeaveTheirRoom) {
    make();
    void* held = ringbuf_reserve(map_, 8);
    ASSERT_NE(held, nullptr);
    for (u32 i = 0; i < 100; ++i) EXPECT_EQ(output("behind it"), 0);
    ringbuf_commit(held, 0, true);
    EXPECT_EQ(read().size(), 100u);
    EXPECT_NE(ringbuf_reserve(map_, kPage - 16), nullptr);
}

TEST_F(RingbufTest, RandomOperationsGiveWhatAListGives) {
    struct Record {
        std::string text;
        void* sample = nullptr;  // not committed
        bool discarded = false;
    };
    std::mt19937 random(static_cast<u32>(test::setting("seed", 7)));
    for (const u32 pages : {1u, 2u, 8u}) {
        make(pages * kPage);
        std::deque<Record> model;
        const auto expect_read = [&](u32 most) {
            std::vector<std::string> expected;
            for (u32 i = 0; i < most && !model.empty() && !model[0].sample; ++i) {
                if (!model[0].discarded) expected.push_back(model[0].text);
                model.pop_front();
            }
            EXPECT_TRUE(read(most) == expected);
        };
        for (u32 step = 0; step < test::rounds(20'000); ++step) {
            const u32 action = random() % 8;
            if (action < 4) {
                std::string text(random() % (random() % 8 ? 100 : kPage), '\0');
                for (char& byte : text) byte = static_cast<char>(random());
                void* sample = ringbuf_reserve(map_, text.size());
                if (!sample) continue;
                std::memcpy(sample, text.data(), text.size());
                model.push_back({text, sample});
            } else if (action < 7) {
                if (model.empty()) continue;
                Record& record = model[random() % model.size()];
                if (!record.sample) continue;
                record.discarded = random() % 4 == 0;
                ringbuf_commit(record.sample, 0, record.discarded);
                record.sample = nullptr;
            } else {
                expect_read(random() % 10);
            }
        }
        for (Record& record : model) {
            if (record.sample) ringbuf_commit(record.sample, 0, false);
            record.sample = nullptr;
        }
        expect_read(~u32{0});
        EXPECT_EQ(consumed(), produced());
        drop();
    }
}

TEST_F(RingbufTest, MappingsAsLinuxAllowsThem) {
    make(2 * kPage);
    const auto try_map = [&](u64 page, u64 pages, bool writable, u64 bytes = 0) {
        const host::MmapRequest request = {.offset = page * kPage,
                                           .length = pages * kPage + bytes,
                                           .writable = writable,
                                           .shared = true,
                                           .executable = false};
        return map_->ops->mmap(map_, request);
    };
    // The consumer's page; the producer's and the data, twice.
    EXPECT_TRUE(try_map(0, 1, true).ok());
    EXPECT_EQ(try_map(0, 2, true).error(), Errno::Perm);
    EXPECT_EQ(try_map(1, 1, true).error(), Errno::Perm);
    EXPECT_EQ(try_map(2, 1, true).error(), Errno::Perm);
    EXPECT_TRUE(try_map(0, 6, false).ok());
    EXPECT_EQ(try_map(0, 7, false).error(), Errno::Inval);
    EXPECT_EQ(try_map(0, 6, false, 1).error(), Errno::Inval);
    EXPECT_EQ(try_map(6, 1, false).error(), Errno::Inval);
    EXPECT_EQ(try_map(~u64{0} / kPage, 1, false).error(), Errno::Inval);
    auto part = try_map(5, 0, false, 1);
    ASSERT_TRUE(part.ok());
    EXPECT_EQ(part.release().count, 1u);
    auto got = try_map(1, 5, false);
    ASSERT_TRUE(got.ok());
    const host::MmapPages pages = got.release();
    EXPECT_EQ(pages.count, 5u);
    EXPECT_FALSE(pages.may_write);
    // The data again, page by page.
    EXPECT_EQ(std::memcmp(&pages.pages[1], &pages.pages[3], 2 * sizeof(host::Page)), 0);
}

TEST_F(RingbufTest, EveryFailedAllocationIsClean) {
    const machine::LiveMemory before = machine::live_memory();
    const u32 allocations = inject::fail_each_allocation(
        [] {
            test::drop_map(test::make_map(test::map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, 4 * kPage)));
        },
        [&](u32) { EXPECT_EQ(machine::live_memory().blocks, before.blocks); });
    EXPECT_GE(allocations, 3u);
}

// ── The user ring buffer ──────────────────────────────────────────────────────────────────────

class UserRingbufTest : public test::WithMap<> {
protected:
    void make(u32 size = kPage) {
        WithMap::make(test::map_attr(BPF_MAP_TYPE_USER_RINGBUF, 0, 0, size));
    }
    Ring* ring() { return ring_of(map_); }
    // What a program that drains sees.
    std::vector<std::string> drain(s64* end) {
        std::vector<std::string> texts;
        EXPECT_EQ(user_ringbuf_begin(map_), 0);
        for (u32 i = 0; i < 100'000; ++i) {
            UserSample sample;
            *end = user_ringbuf_next(map_, &sample);
            if (*end == kAgain) continue;
            if (*end) break;
            texts.emplace_back(static_cast<char*>(sample.data), sample.size);
            user_ringbuf_release(map_, sample);
        }
        user_ringbuf_end(map_, 0, !texts.empty());
        return texts;
    }
    bool write(const std::string& text, bool discard = false) {
        u8* sample = test::RingWriter(map_).reserve(static_cast<u32>(text.size()));
        if (!sample) return false;
        std::memcpy(sample, text.data(), text.size());
        test::RingWriter::commit(sample, discard);
        return true;
    }
    // One header and a producer position, by a hand that does not care.
    s64 next_after(u32 word, u64 produced) {
        ring()->consumer_position().store(0, Order::Relaxed);
        host::atomic_at<u32>(ring()->data()).store(word, Order::Relaxed);
        ring()->producer_position().store(produced, Order::Relaxed);
        UserSample sample;
        EXPECT_EQ(user_ringbuf_begin(map_), 0);
        const s64 result = user_ringbuf_next(map_, &sample);
        if (result == 0) {
            EXPECT_LE(u64{sample.size} + kRingHeaderSize, ring()->size());
        }
        user_ringbuf_end(map_, 0, false);
        return result;
    }
};

TEST_F(UserRingbufTest, SamplesComeInOrder) {
    make();
    s64 end;
    EXPECT_EQ(drain(&end).size(), 0u);
    EXPECT_EQ(end, kNoData);
    for (u32 round = 0; round < 200; ++round) {
        EXPECT_TRUE(write("one"));
        EXPECT_TRUE(write("gone", true));
        EXPECT_TRUE(write("number two"));
        u8* open = test::RingWriter(map_).reserve(round);
        ASSERT_NE(open, nullptr);
        EXPECT_TRUE(write("behind"));
        auto texts = drain(&end);
        ASSERT_EQ(texts.size(), 2u);
        EXPECT_STREQ(texts[0].c_str(), "one");
        EXPECT_STREQ(texts[1].c_str(), "number two");
        EXPECT_EQ(end, kNoData);
        test::RingWriter::commit(open, true);
        texts = drain(&end);
        ASSERT_EQ(texts.size(), 1u);
        EXPECT_STREQ(texts[0].c_str(), "behind");
    }
}

TEST_F(UserRingbufTest, OneDrainsAtATime) {
    make();
    EXPECT_EQ(user_ringbuf_begin(map_), 0);
    EXPECT_EQ(user_ringbuf_begin(map_), kBusy);
    user_ringbuf_end(map_, 0, false);
    EXPECT_EQ(user_ringbuf_begin(map_), 0);
    user_ringbuf_end(map_, BPF_RB_FORCE_WAKEUP, false);
}

TEST_F(UserRingbufTest, NothingThatUserSpaceWritesIsBelieved) {
    make();
    EXPECT_EQ(next_after(8, 16), 0);
    EXPECT_EQ(next_after(8, 15), kInval);  // not a multiple of 8
    EXPECT_EQ(next_after(8, 17), kInval);
    EXPECT_EQ(next_after(8, 8), kInval);  // the record reaches beyond the position
    EXPECT_EQ(next_after(9, 16), kInval);
    EXPECT_EQ(next_after(0, 0), kNoData);
    EXPECT_EQ(next_after(8 | kRingBusy, 16), kNoData);
    EXPECT_EQ(next_after(8 | kRingDiscarded, 16), kAgain);
    EXPECT_EQ(next_after(8 | kRingDiscarded | kRingBusy, 16), kAgain);
    EXPECT_EQ(next_after(kPage - 8, ~u64{7}), 0);
    EXPECT_EQ(next_after(kPage - 7, ~u64{7}), kTooBig);
    EXPECT_EQ(next_after(kRingDiscarded - 1, ~u64{7}), kTooBig);
    EXPECT_EQ(next_after(kRingDiscarded - 1, 4096), kInval);
}

TEST_F(UserRingbufTest, RandomHeadersAndPositionsEndTheDrain) {
    make();
    std::mt19937_64 random(test::setting("seed", 11));
    for (u32 round = 0; round < test::rounds(3000); ++round) {
        for (u32 at = 0; at < kPage; at += 8) {
            const u64 word = random() % 4 ? random() % 200 : random();
            std::memcpy(ring()->data() + at, &word, sizeof word);
        }
        const u64 position = random() % 2 ? random() % (4 * kPage) & ~u64{7} : random();
        ring()->producer_position().store(position, Order::Relaxed);
        s64 end = 0;
        drain(&end);
        if (random() % 8 == 0) ring()->consumer_position().store(0, Order::Relaxed);
    }
}

TEST_F(UserRingbufTest, WritableWhileThereIsRoom) {
    make();
    const auto ready = [&] { return map_->ops->poll(map_); };
    EXPECT_EQ(ready(), 0x104u);
    EXPECT_TRUE(write(std::string(kPage - 8, 'x')));
    EXPECT_EQ(ready(), 0u);
    s64 end;
    EXPECT_EQ(drain(&end).size(), 1u);
    EXPECT_EQ(ready(), 0x104u);
}

TEST_F(UserRingbufTest, MappingsAsLinuxAllowsThem) {
    make();
    const auto try_map = [&](u64 page, u64 pages, bool writable) {
        return map_->ops->mmap(map_, {.offset = page * kPage,
                                      .length = pages * kPage,
                                      .writable = writable,
                                      .shared = true,
                                      .executable = false});
    };
    EXPECT_EQ(try_map(0, 1, true).error(), Errno::Perm);
    EXPECT_EQ(try_map(0, 4, true).error(), Errno::Perm);
    EXPECT_TRUE(try_map(0, 1, false).ok());
    EXPECT_TRUE(try_map(1, 1, true).ok());
    EXPECT_TRUE(try_map(1, 3, true).ok());
    EXPECT_EQ(try_map(1, 4, true).error(), Errno::Inval);
}

}  // namespace
}  // namespace barebpf
