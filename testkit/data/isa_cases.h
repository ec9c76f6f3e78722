// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads the conformance cases of the instruction set, testkit/data/isa/*.isa, whose format
// docs/testing.md describes. Freestanding and without allocation: names and texts point into the
// file, bytes go into the caller's buffers and stay there until the next case is read.
//
//     IsaReader reader(file.text, file.size, buffers);
//     IsaCase test;
//     while (TRY(reader.next(&test))) ...
//
// Errors: Inval for text that breaks the format, NoSpc for a case larger than the buffers; then
// error_line() and error_text() say where and why, and the reader is at its end.
#pragma once

#include "kernel/lib/result.h"
#include "kernel/lib/types.h"

namespace barebpf::testdata {

// Buffers of these sizes hold every case there is. Only far.isa needs so much code: all others fit
// in kIsaNearCode bytes.
constexpr u32 kIsaMaxCode = 320 * 1024;
constexpr u32 kIsaNearCode = 4096;
constexpr u32 kIsaMaxMemory = 512;

struct Text {
    const char* data = nullptr;
    u32 size = 0;

    bool equals(const char* other) const;
};

struct Bytes {
    const u8* data = nullptr;
    u32 size = 0;
};

// Where a loader finds the fault of a program that it must refuse.
enum class IsaFault : u8 {
    None,     // a good program, which gives `result`
    Decode,   // one instruction is malformed
    Flow,     // jumps, calls or the end are wrong
    Operand,  // a constant operand that Linux refuses, though the RFC does not
};

struct IsaCase {
    Text name;
    Text about;          // may be empty
    Text asm_text;       // lines for next_asm_line(); may be empty
    Bytes code;          // whole instruction slots
    Bytes memory;        // what R1 points to and R2 counts; at an address that is a multiple of 8
    Bytes memory_after;  // the same size; equals `memory` where the program leaves it alone
    u64 result = 0;      // R0
    IsaFault fault = IsaFault::None;
    Text reason;   // of the fault
    u32 line = 0;  // of the case in its file, from 1
};

struct IsaBuffers {
    u8* code;
    u32 code_size;
    u8* memory;  // this much twice: before and after
    u32 memory_size;
};

class IsaReader {
public:
    IsaReader(const char* text, u32 size, IsaBuffers buffers)
        : text_(text), size_(size), buffers_(buffers) {}

    // True: `out` is the next case. False: there are no more.
    Result<bool> next(IsaCase* out);

    u32 error_line() const { return error_line_; }
    const char* error_text() const { return error_text_; }

private:
    enum class Field : u8 { Case, About, Asm, Code, Memory, Result, Error, MemoryAfter };

    bool next_line();
    void unread_line();
    Errno fail(Errno error, const char* why);
    Result<void> read_record(IsaCase* out);
    Result<Field> split_field(Text* value);
    Result<void> read_field(Field field, Text value, IsaCase* out);
    Result<void> read_lines(Field field, Text value, IsaCase* out);
    Result<void> read_bytes(Text value, u8* to, u32 room, u32* used);
    Result<void> read_token(Text token, u8* to, u32 room, u32* used);
    Result<void> read_name(Text value, IsaCase* out);
    Result<void> read_result(Text value, IsaCase* out);
    Result<void> read_error(Text value, IsaCase* out);
    Result<void> check_record(u32 fields, IsaCase* out);

    const char* text_;
    u32 size_;
    IsaBuffers buffers_;
    u32 at_ = 0;       // where the next line starts
    u32 line_at_ = 0;  // where this line starts
    Text line_;        // this line, without its end
    u32 line_number_ = 0;
    u32 error_line_ = 0;
    const char* error_text_ = "";
};

// Takes the next line off `rest` (a case's asm_text): one instruction, `count` times in a row.
bool next_asm_line(Text* rest, Text* line, u32* count);

}  // namespace barebpf::testdata
