// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// barebpf disasm: what runs, side by side with what was written.
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "testkit/cli/errors.h"
#include "testkit/cli/listing.h"
#include "testkit/cli/object.h"
#include "testkit/cli/options.h"
#include "testkit/cli/output.h"
#include "testkit/cli/rejection.h"
#include "testkit/cli/world.h"

namespace barebpf::cli {

namespace {

// What BPF_OBJ_GET_INFO_BY_FD tells of a program.
struct ProgramInfo {
    bpf_prog_info info = {};
    std::vector<uint64_t> insns;
    std::vector<uint8_t> machine;
    std::vector<bpf_func_info> functions;
    std::vector<bpf_line_info> lines;
    std::vector<uint32_t> function_sizes;
};

bpf_prog_info ask(int fd, bpf_prog_info info) {
    uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &size))
        throw Failure(std::string("BPF_OBJ_GET_INFO_BY_FD: ") + std::strerror(errno));
    return info;
}

template <class T>
uint64_t pointer(std::vector<T>& to) {
    return reinterpret_cast<uint64_t>(to.data());
}

ProgramInfo read_info(int fd) {
    ProgramInfo program;
    const bpf_prog_info sizes = ask(fd, {});
    program.insns.resize(sizes.xlated_prog_len / sizeof(uint64_t));
    program.machine.resize(sizes.jited_prog_len);
    program.functions.resize(sizes.nr_func_info);
    program.lines.resize(sizes.nr_line_info);
    program.function_sizes.resize(sizes.nr_jited_func_lens);
    bpf_prog_info wanted = {};
    wanted.xlated_prog_len = sizes.xlated_prog_len;
    wanted.xlated_prog_insns = pointer(program.insns);
    wanted.jited_prog_len = sizes.jited_prog_len;
    wanted.jited_prog_insns = pointer(program.machine);
    wanted.nr_func_info = sizes.nr_func_info;
    wanted.func_info_rec_size = sizeof(bpf_func_info);
    wanted.func_info = pointer(program.functions);
    wanted.nr_line_info = sizes.nr_line_info;
    wanted.line_info_rec_size = sizeof(bpf_line_info);
    wanted.line_info = pointer(program.lines);
    wanted.nr_jited_func_lens = sizes.nr_jited_func_lens;
    wanted.jited_func_lens = pointer(program.function_sizes);
    program.info = ask(fd, wanted);
    return program;
}

std::string map_name(const Object& object, uint32_t id) {
    for (bpf_map* map : object.maps()) {
        bpf_map_info info = {};
        uint32_t size = sizeof info;
        if (bpf_map__fd(map) >= 0 && bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &size) == 0 &&
            info.id == id)
            return bpf_map__name(map);
    }
    return "id " + std::to_string(id);
}

std::string text_at(const btf* types, uint32_t offset) {
    const char* text = types ? btf__name_by_offset(types, offset) : nullptr;
    return text ? text : "";
}

std::string trimmed(const std::string& text) {
    const size_t first = text.find_first_not_of(" \t");
    return first == std::string::npos ? "" : text.substr(first);
}

std::string file_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

class Lister {
public:
    Lister(const Object& object, bpf_program* program)
        : object_(object),
          types_(bpf_object__btf(object.get())),
          program_(read_info(bpf_program__fd(program))),
          name_(bpf_program__name(program)),
          offsets_(machine_offsets(bpf_program__fd(program))) {}

    std::vector<Function> list() {
        const auto texts =
            disassemble_bpf(program_.insns, [this](uint32_t id) { return map_name(object_, id); });
        std::vector<Function> functions;
        const auto starts = function_starts();
        uint32_t machine_start = 0;
        for (size_t i = 0; i < starts.size(); ++i) {
            const auto end = i + 1 < starts.size() ? starts[i + 1]
                                                   : static_cast<uint32_t>(program_.insns.size());
            Function function;
            function.name = function_name(i);
            for (uint32_t at = starts[i]; at < end; ++at)
                if (!texts[at].empty()) function.insns.push_back({at, texts[at], "", "", {}});
            if (i < program_.function_sizes.size()) {
                function.machine_size = program_.function_sizes[i];
                add_machine_code(&function, machine_start);
                machine_start += function.machine_size;
            }
            add_lines(&function, end);
            functions.push_back(std::move(function));
        }
        return functions;
    }

private:
    std::vector<uint32_t> function_starts() const {
        if (program_.functions.empty()) return {0};
        std::vector<uint32_t> starts;
        for (const bpf_func_info& function : program_.functions)
            starts.push_back(function.insn_off);
        return starts;
    }

    std::string function_name(size_t index) const {
        if (index >= program_.functions.size()) return name_;
        const btf_type* type =
            types_ ? btf__type_by_id(types_, program_.functions[index].type_id) : nullptr;
        return type ? text_at(types_, type->name_off) : name_;
    }

    // Each machine instruction goes to the last BPF instruction whose code begins at or before it.
    void add_machine_code(Function* function, uint32_t start) const {
        const auto all =
            disassemble_machine(program_.machine.data() + start, function->machine_size, 0);
        size_t current = 0;
        bool begun = false;
        for (const MachineInsn& insn : all) {
            while (current + begun < function->insns.size() &&
                   offset_of(function->insns[current + begun].index) <= start + insn.offset) {
                current += begun;
                begun = true;
            }
            (begun ? function->insns[current].machine : function->prologue).push_back(insn);
        }
    }

    uint32_t offset_of(uint32_t index) const {
        return index < offsets_.size() ? offsets_[index] : 0;
    }

    void add_lines(Function* function, uint32_t end) const {
        for (const bpf_line_info& line : program_.lines) {
            if (line.insn_off >= end) continue;
            auto at =
                std::find_if(function->insns.begin(), function->insns.end(),
                             [&](const BpfInsn& insn) { return insn.index == line.insn_off; });
            if (at == function->insns.end()) continue;
            at->source = trimmed(text_at(types_, line.line_off));
            at->where = file_name(text_at(types_, line.file_name_off)) + ":" +
                        std::to_string(BPF_LINE_INFO_LINE_NUM(line.line_col));
        }
    }

    const Object& object_;
    const btf* types_;
    ProgramInfo program_;
    std::string name_;
    std::vector<uint32_t> offsets_;
};

constexpr size_t kLeftWidth = 58;

std::string machine_text(const MachineInsn& insn) {
    char offset[16];
    std::snprintf(offset, sizeof offset, "%5x  ", insn.offset);
    return offset + insn.text;
}

void print_row(const std::string& left, const MachineInsn* right) {
    if (!right) {
        std::printf("%s\n", left.c_str());
        return;
    }
    std::printf("%-*s |%s\n", static_cast<int>(kLeftWidth), left.c_str(),
                machine_text(*right).c_str());
}

void print_function(const Function& function) {
    std::printf("\n%s: %s", function.name.c_str(),
                counted(function.insns.size(), "instruction").c_str());
    if (function.machine_size)
        std::printf(", %s of machine code", counted(function.machine_size, "byte").c_str());
    std::printf("\n");
    for (const MachineInsn& insn : function.prologue) print_row("", &insn);
    std::string last_source;
    for (const BpfInsn& insn : function.insns) {
        if (!insn.source.empty() && insn.where + insn.source != last_source) {
            std::printf("; %s  (%s)\n", insn.source.c_str(), insn.where.c_str());
            last_source = insn.where + insn.source;
        }
        const std::string number = std::to_string(insn.index);
        const std::string left =
            std::string(number.size() < 5 ? 5 - number.size() : 0, ' ') + number + ": " + insn.text;
        print_row(left, insn.machine.empty() ? nullptr : &insn.machine[0]);
        for (size_t i = 1; i < insn.machine.size(); ++i) print_row("", &insn.machine[i]);
    }
}

Json to_json(const std::vector<MachineInsn>& insns) {
    Json all = Json::array();
    for (const MachineInsn& insn : insns)
        all.push_back({{"offset", insn.offset},
                       {"bytes", hex_bytes(insn.bytes.data(), insn.bytes.size())},
                       {"text", insn.text}});
    return all;
}

Json to_json(const Function& function) {
    Json insns = Json::array();
    for (const BpfInsn& insn : function.insns) {
        Json one = {{"index", insn.index}, {"text", insn.text}};
        if (!insn.where.empty()) {
            one["source"] = insn.source;
            one["where"] = insn.where;
        }
        one["machine"] = to_json(insn.machine);
        insns.push_back(std::move(one));
    }
    return {{"name", function.name},
            {"machine_size", function.machine_size},
            {"prologue", to_json(function.prologue)},
            {"instructions", std::move(insns)}};
}

int disasm(const Arguments& arguments) {
    const std::string& path = arguments.operands()[0];
    const auto only = arguments.text("program");
    start_world(wants_jit(arguments));
    Object object(path);
    if (only) object.program(*only);
    if (!object.load()) explain_load_failure(object);
    Json programs = Json::array();
    bool first = true;
    for (bpf_program* program : object.programs()) {
        if (only && *only != bpf_program__name(program)) continue;
        if (bpf_program__fd(program) < 0) continue;
        const auto functions = Lister(object, program).list();
        if (!arguments.json()) {
            std::printf("%s%s (%s)\n", first ? "" : "\n", bpf_program__name(program),
                        bpf_program__section_name(program));
            for (const Function& function : functions) print_function(function);
        }
        first = false;
        Json list = Json::array();
        if (arguments.json())
            for (const Function& function : functions) list.push_back(to_json(function));
        programs.push_back({{"program", bpf_program__name(program)},
                            {"type", type_name(program)},
                            {"functions", std::move(list)}});
    }
    if (arguments.json()) print_json({{"file", path}, {"programs", programs}});
    return 0;
}

}  // namespace

const Command& disasm_command() {
    static const Command command = {
        "disasm",
        "OBJECT",
        "shows BPF and machine code side by side, under their source lines",
        "Loads an object file and shows each of its functions as it runs: on the left BPF after "
        "the\n"
        "verifier's rewriting, on the right the machine code made of each instruction (offsets in\n"
        "the function), and above them the line of C they come from (compile with -g).\n",
        {kProgramOption, kEngineOption, kJsonOption},
        "    barebpf disasm filter.bpf.o\n"
        "    barebpf disasm filter.bpf.o --program ingress | less\n"
        "    barebpf disasm filter.bpf.o --engine interpreter        BPF alone\n",
        1,
        1,
        disasm};
    return command;
}

}  // namespace barebpf::cli
