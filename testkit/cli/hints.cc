// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/hints.h"

#include <initializer_list>

namespace barebpf::cli {

namespace {

struct Hint {
    const char* phrase;  // in the verifier's log
    const char* next;
};

// The first phrase found decides: special ones before general ones.
constexpr Hint kHints[] = {
    {"_or_null'",
     "the pointer may be NULL here: test it before using it (if (!value) return ...;)"},
    {"possibly NULL pointer",
     "the pointer may be NULL here: test it before passing it (if (!value) return ...;)"},
    {"invalid access to packet",
     "compare with data_end before the access, for as many bytes as are accessed: "
     "if ((void*)(header + 1) > data_end) return ...;"},
    {"invalid access to map value",
     "bound the index or offset before the access (if (i >= SIZE) return ...;), and keep it "
     "unsigned"},
    {"min value is negative",
     "make the number unsigned, or test for < 0, before using it as an offset"},
    {"unbounded memory access", "bound the length or offset first: if (length > MAX) return ...;"},
    {"back-edge", "give the loop a constant bound, or unroll it (#pragma unroll)"},
    {"infinite loop detected",
     "the loop changes nothing that ends it: give it a bound that is counted"},
    {"program is too large",
     "too many paths: move parts into global functions (verified once each), or bound loops "
     "tighter"},
    {"The sequence of", "too many jumps are open at once: move parts into functions of their own"},
    {"unreachable insn", "the program holds code that nothing jumps to: compile with -O2"},
    {"!read_ok",
     "the register has no value on this path: initialize the variable (or the return value)"},
    {"invalid read from stack",
     "part of that memory was never written: initialize it, padding included (= {})"},
    {"invalid indirect read from stack",
     "part of that memory was never written: initialize it, padding included (= {})"},
    {"indirect access to stack", "part of that memory was never written: initialize it (= {})"},
    {"combined stack size", "512 bytes for all nested calls: move large variables into a map"},
    {"stack", "the access is outside the function's stack (512 bytes), or not aligned"},
    {"GPL-restricted",
     "that helper wants a GPL-compatible licence: char LICENSE[] SEC(\"license\") = \"GPL\";"},
    {"At program exit", "return only what this program type knows (XDP_PASS, TC_ACT_OK, ...)"},
    {"unknown func", "programs of this type cannot call that helper, or it is not built here yet"},
    {"invalid func", "there is no such helper: is the program built for a newer kernel?"},
    {"cannot write into rdonly", "constants (.rodata) and read-only maps are not to be written"},
    {"write into map forbidden",
     "the map is read-only for programs (const data, BPF_F_RDONLY_PROG)"},
    {"invalid bpf_context access",
     "this program type has no such field in its context, or it is read-only"},
    {"dereference of modified ctx", "use the context pointer itself, with constant offsets"},
    {"variable ctx access", "the context can only be accessed at constant offsets"},
    {"misaligned", "access it in smaller parts, or align it"},
    {"leaks addr", "a pointer would be stored where others see it: store a number instead"},
    {"Unreleased reference",
     "release what the helper returned on every path (bpf_sk_release, ...)"},
    {"pointer arithmetic",
     "only adding and subtracting bounded numbers is allowed with this pointer"},
    {"prohibited", "that operation is not allowed with a pointer"},
    {"invalid mem access 'scalar'",
     "this is a number, not a pointer: if it comes from the packet or a map, copy what it points "
     "to by a helper"},
    {"invalid mem access 'inv'",
     "this is a number, not a pointer: if it comes from the packet or a map, copy what it points "
     "to by a helper"},
    {"expected=", "the helper wants another kind of argument there: compare with bpf-helpers(7)"},
};

}  // namespace

std::string hint_for(const std::string& reason) {
    for (const Hint& hint : kHints)
        if (reason.find(hint.phrase) != std::string::npos) return hint.next;
    return {};
}

}  // namespace barebpf::cli
