// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Bundles that load, and bytes that are none: nothing outside of them is read, nothing stays behind.
#include "testkit/bundle/load.h"

#include <memory>
#include <string>

#include "kernel/barebpf.h"
#include "testkit/bundle/sample_test.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::bundle {
namespace {

void close_ours(int fd) {
    machine::close_fd(fd);
}

Bytes word(const char* text) {
    return {text, __builtin_strlen(text)};
}

s64 call(u32 command, bpf_attr& attr) {
    return bpf_syscall(command, reinterpret_cast<u64>(&attr), sizeof attr);
}

s64 run(int fd) {
    static u8 packet[64];
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<u32>(fd);
    attr.test.data_in = reinterpret_cast<u64>(packet);
    attr.test.data_size_in = sizeof packet;
    const s64 result = call(BPF_PROG_TEST_RUN, attr);
    return result ? result : attr.test.retval;
}

class BundleLoad : public ::testing::Test {
protected:
    void SetUp() override {
        before_ = machine::live_memory();
        ASSERT_TRUE(init().ok());
    }
    void TearDown() override {
        shutdown();
        EXPECT_EQ(machine::live_memory().bytes, before_.bytes);
        EXPECT_EQ(machine::live_memory().blocks, before_.blocks);
    }

    // What is wrong with these bytes; empty: they were loaded. They stand alone, so that a sanitizer sees what
    // is read behind them, and not on an address that anything would like.
    static std::string load(const Blob& bytes) {
        std::unique_ptr<u8[]> copy(new u8[bytes.size() + 1]);
        u8* begin = copy.get() + 1;
        if (!bytes.empty()) __builtin_memcpy(begin, bytes.data(), bytes.size());
        char text[160];
        TextBuffer error(text);
        Bundle bundle(close_ours);
        if (bundle.load(begin, bytes.size(), &error)) {
            EXPECT_TRUE(error.empty());
            return "";
        }
        EXPECT_FALSE(error.empty());
        EXPECT_EQ(bundle.object_count(), 0u);
        return text;
    }

    // The sample with one field of T changed.
    template <class T>
    static Blob with(u32 at, T value) {
        Blob bytes = make_sample().bytes;
        __builtin_memcpy(&bytes[at], &value, sizeof value);
        return bytes;
    }
    static bool says(const std::string& text, const char* phrase) {
        if (text.find(phrase) != std::string::npos) return true;
        ADD_FAILURE() << '"' << text << "\" does not say \"" << phrase << '"';
        return false;
    }

    machine::LiveMemory before_;
};

TEST_F(BundleLoad, MakesWhatItHolds) {
    const Sample sample = make_sample();
    char text[160];
    TextBuffer error(text);
    Bundle bundle(close_ours);
    ASSERT_TRUE(bundle.load(sample.bytes.data(), sample.bytes.size(), &error)) << text;
    EXPECT_EQ(bundle.object_count(), 5u);
    const Object* inner = bundle.program(word("inner"));
    const Object* outer = bundle.program(word("outer"));
    const Object* numbers = bundle.map(word("numbers"));
    ASSERT_TRUE(inner && outer && numbers);
    EXPECT_EQ(bundle.program(word("numbers")), nullptr);
    EXPECT_EQ(bundle.map(word("number")), nullptr);
    EXPECT_EQ(inner->type, u32{BPF_PROG_TYPE_XDP});
    EXPECT_EQ(run(inner->fd), 7);
    EXPECT_EQ(run(outer->fd), 7);

    const s32 key = 0, value = 8;
    bpf_attr attr{};
    attr.map_fd = static_cast<u32>(numbers->fd);
    attr.key = reinterpret_cast<u64>(&key);
    attr.value = reinterpret_cast<u64>(&value);
    EXPECT_EQ(call(BPF_MAP_UPDATE_ELEM, attr), -to_int(Errno::Perm));  // frozen

    bpf_map_info info{};
    bpf_attr ask{};
    ask.info.bpf_fd = static_cast<u32>(numbers->fd);
    ask.info.info = reinterpret_cast<u64>(&info);
    ask.info.info_len = sizeof info;
    EXPECT_EQ(call(BPF_OBJ_GET_INFO_BY_FD, ask), 0);
    EXPECT_EQ(info.btf_value_type_id, 1u);
    EXPECT_NE(info.btf_id, 0u);
    EXPECT_FALSE(bundle.load(sample.bytes.data(), sample.bytes.size(), &error));
    EXPECT_STREQ(text, "loaded already");
}

TEST_F(BundleLoad, EveryPrefixIsRefused) {
    const Blob whole = make_sample().bytes;
    for (u32 size = 0; size < whole.size(); ++size) {
        Blob cut(whole.begin(), whole.begin() + size);
        EXPECT_NE(load(cut), "") << size;
        if (size < sizeof(Header)) continue;
        // And if the header agrees.
        __builtin_memcpy(&cut[offsetof(Header, size)], &size, sizeof size);
        EXPECT_NE(load(cut), "") << size;
    }
}

TEST_F(BundleLoad, FlippedBitsDoNoHarm) {
    const Sample sample = make_sample();
    u32 loaded = 0, refused = 0;
    for (u32 i = 0; i < sample.bytes.size(); ++i) {
        // A map of two thousand million elements would be nothing wrong, but take its time.
        if (i == sample.numbers + offsetof(MapRecord, max_entries) + 3 ||
            i == sample.jumps + offsetof(MapRecord, max_entries) + 3)
            continue;
        Blob bytes = sample.bytes;
        bytes[i] ^= i % 9 == 8 ? 0xff : u8(1 << i % 9);
        ++(load(bytes).empty() ? loaded : refused);
    }
    // Names, values and source text may be anything; all else has to fit together.
    EXPECT_GT(loaded, 0u);
    EXPECT_GT(refused, 3 * loaded);
}

TEST_F(BundleLoad, HeaderIsChecked) {
    EXPECT_TRUE(says(load(with<u8>(0, 'x')), "not a bundle"));
    EXPECT_TRUE(says(load(with<u32>(offsetof(Header, version), 2)), "of version 2"));
    EXPECT_TRUE(says(load(with<u32>(offsetof(Header, size), 8)), "8 bytes long by its header"));
    EXPECT_TRUE(says(load(with<u32>(offsetof(Header, record_count), 7)), "something follows"));
    EXPECT_TRUE(says(load(with<u32>(offsetof(Header, record_count), 9)), "record 8: beyond"));
    EXPECT_TRUE(says(load(with<u32>(offsetof(Header, record_count), 0xffffffff)), "more records"));
    EXPECT_TRUE(
        says(load(with<u32>(offsetof(Header, object_count), 9)), "more records or objects"));
    EXPECT_TRUE(says(load(with<u32>(offsetof(Header, object_count), 4)), "record 7: more objects"));
    EXPECT_TRUE(says(load(with<u32>(offsetof(Header, object_count), 6)), "fewer objects"));
}

TEST_F(BundleLoad, RecordsAreChecked) {
    const Sample s = make_sample();
    EXPECT_TRUE(says(load(with<u32>(s.btf, 9)), "record 0: of a kind that is not known"));
    EXPECT_TRUE(says(load(with<u32>(s.btf + 4, 0)), "its size is wrong"));
    EXPECT_TRUE(says(load(with<u32>(s.btf + 4, 12)), "its size is wrong"));
    EXPECT_TRUE(says(load(with<u32>(s.numbers + 4, 16)), "too short for its kind"));
    EXPECT_TRUE(says(load(with<u32>(s.btf + offsetof(BtfRecord, btf_size), 49)), "do not fit"));
    EXPECT_TRUE(
        says(load(with<u32>(s.btf + offsetof(BtfRecord, btf_size), 0xffffffff)), "do not fit"));
    EXPECT_TRUE(says(load(with<u8>(s.btf + sizeof(BtfRecord) + 46, 1)), "do not fit"));  // padding
    EXPECT_TRUE(
        says(load(with<u32>(s.numbers + offsetof(MapRecord, inner_map), 1)), "no earlier map"));
    EXPECT_TRUE(says(load(with<u32>(s.numbers + offsetof(MapRecord, btf), 1)), "no earlier BTF"));
    EXPECT_TRUE(says(load(with<u8>(s.numbers + sizeof(MapRecord), ' ')), "not a word"));
    EXPECT_TRUE(says(load(with<u32>(s.frozen + offsetof(FreezeRecord, map), 0)), "no earlier map"));
    EXPECT_TRUE(says(load(with<u32>(s.outer + offsetof(ProgramRecord, btf), 1)), "no earlier BTF"));
    EXPECT_TRUE(says(load(with<u8>(s.outer + sizeof(ProgramRecord) + 3, 'x')), "does not end"));
}

TEST_F(BundleLoad, ElementsAreWhatTheirMapsHold) {
    const Sample s = make_sample();
    auto element = [](u32 at, u32 field, u32 value) { return with<u32>(at + field, value); };
    constexpr u32 kMap = offsetof(ElementRecord, map), kObject = offsetof(ElementRecord, object);
    EXPECT_TRUE(says(load(element(s.value, kMap, 2)), "no earlier map"));
    EXPECT_TRUE(says(load(element(s.value, kObject, 1)), "an object and a value too"));
    EXPECT_TRUE(
        says(load(element(s.value, offsetof(ElementRecord, value_size), 5)), "of its map's size"));
    EXPECT_TRUE(
        says(load(element(s.value, offsetof(ElementRecord, key_size), 8)), "of its map's size"));
    EXPECT_TRUE(says(load(element(s.slot, kObject, kNone)), "takes no plain values"));
    EXPECT_TRUE(says(load(element(s.slot, kObject, 1)), "nothing that its map holds"));
    EXPECT_TRUE(
        says(load(element(s.slot, kObject, 4)), "nothing that its map holds"));  // a later one
    EXPECT_TRUE(says(load(element(s.slot, kMap, 1)), "nothing that its map holds"));
    // A value for each CPU would be longer than what the bundle has.
    EXPECT_TRUE(
        says(load(with<u32>(s.numbers + offsetof(MapRecord, type), BPF_MAP_TYPE_PERCPU_ARRAY)),
             "takes no plain values"));
}

TEST_F(BundleLoad, InstructionsNameNoDescriptors) {
    const Sample s = make_sample();
    for (u8 kind : {BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE, BPF_PSEUDO_BTF_ID, 7})
        EXPECT_TRUE(
            says(load(with<u8>(s.inner_insns + 1, u8(1 | kind << 4))), "names a descriptor"));
    for (s32 index : {0, 3, 4, 5, -1})
        EXPECT_TRUE(says(load(with<s32>(s.inner_insns + 4, index)), "no earlier map"));
    EXPECT_TRUE(
        says(load(with<u8>(s.outer_insns + 25, BPF_PSEUDO_KFUNC_CALL << 4)), "calls a function"));
    // One that begins behind the last instruction is the verifier's to refuse.
    EXPECT_TRUE(
        says(load(with<u8>(s.inner_insns + 24, BPF_LD | BPF_IMM | BPF_DW)), "refused: errno 22"));
}

TEST_F(BundleLoad, ARejectedProgramHasALog) {
    const Sample sample = make_sample();
    Blob bytes =
        with<u8>(sample.outer_insns + 16, BPF_ALU64 | BPF_MOV | BPF_X);  // R3 = R0, with an imm
    char text[160], log[1024] = "";
    TextBuffer error(text);
    Bundle bundle(close_ours);
    EXPECT_FALSE(bundle.load(bytes.data(), bytes.size(), &error, log, sizeof log));
    EXPECT_TRUE(says(text, "record 7: program outer refused: errno"));
    EXPECT_TRUE(says(log, "uses reserved fields"));
}

TEST_F(BundleLoad, AnyAllocationMayFail) {
    const Blob bytes = make_sample().bytes;
    u32 failures = 0;
    for (bool loaded = false; !loaded; ++failures) {
        machine::fail_allocation_after(failures);
        char text[160];
        TextBuffer error(text);
        {
            Bundle bundle(close_ours);
            loaded = bundle.load(bytes.data(), bytes.size(), &error);
        }
        if (!machine::stop_failing_allocations()) break;
        ASSERT_LT(failures, 1000u);
    }
    EXPECT_GT(failures, 10u);
}

}  // namespace
}  // namespace barebpf::bundle
