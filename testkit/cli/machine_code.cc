// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <capstone/capstone.h>

#include <memory>

#include "testkit/cli/errors.h"
#include "testkit/cli/listing.h"
#include "testkit/cli/output.h"

namespace barebpf::cli {

namespace {

#if defined(__x86_64__)
constexpr cs_arch kArch = CS_ARCH_X86;
constexpr cs_mode kMode = CS_MODE_64;
#elif defined(__aarch64__)
constexpr cs_arch kArch = CS_ARCH_ARM64;
constexpr cs_mode kMode = CS_MODE_ARM;
#endif

class Disassembler {
public:
    Disassembler() {
        if (cs_open(kArch, kMode, &handle_) != CS_ERR_OK)
            throw Failure("capstone does not know this machine");
        cs_option(handle_, CS_OPT_SKIPDATA, CS_OPT_ON);
    }
    ~Disassembler() { cs_close(&handle_); }
    Disassembler(const Disassembler&) = delete;
    Disassembler& operator=(const Disassembler&) = delete;
    csh handle() const { return handle_; }

private:
    csh handle_ = 0;
};

}  // namespace

std::vector<MachineInsn> disassemble_machine(const uint8_t* code, size_t size, uint64_t address) {
    Disassembler disassembler;
    cs_insn* found = nullptr;
    const size_t count = cs_disasm(disassembler.handle(), code, size, address, 0, &found);
    std::vector<MachineInsn> insns;
    for (size_t i = 0; i < count; ++i) {
        const cs_insn& insn = found[i];
        const auto offset = static_cast<uint32_t>(insn.address - address);
        std::string text = insn.mnemonic;
        if (insn.op_str[0]) text += std::string(" ") + insn.op_str;
        insns.push_back({offset, {code + offset, code + offset + insn.size}, text});
    }
    if (found) cs_free(found, count);
    return insns;
}

}  // namespace barebpf::cli
