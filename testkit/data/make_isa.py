#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes isa/*.isa, the conformance cases of the instruction set (docs/testing.md says the format).

    make_isa.py            write the files
    make_isa.py --check    compare them with what would be written; exit status 1 if they differ

Each case is assembled, held against the rules for well-formed code and run by the model. Where a
case states its result or memory, the model must agree; where it does not, the model's are written.
"""

import itertools
import os
import sys
from collections import namedtuple

import isa_check
import isa_memory
import isa_model
import isa_programs
import isa_registers
import isa_rejects
import isa_values
from isa_asm import assemble, encode, format_insn

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'isa')
WIDTH = 100

Case = namedtuple('Case', 'name about insns code memory result memory_after')
Reject = namedtuple('Reject', 'name stage reason code good')

FILES = {
    'mov': ('Moves, sign extension and 64-bit immediates', [isa_values.mov_cases]),
    'alu64': ('64-bit arithmetic', [lambda add: isa_values.alu_cases(add, 64, isa_values.ALU64)]),
    'alu32': ('32-bit arithmetic; each result is zero-extended, the upper halves of operands ignored',
              [lambda add: isa_values.alu_cases(add, 32, isa_values.ALU32)]),
    'endian': ('Byte order and byte swaps, on a little-endian machine', [isa_values.endian_cases]),
    'jmp': ('64-bit comparisons', [lambda add: isa_values.jump_cases(add, 64)]),
    'jmp32': ('32-bit comparisons; the upper halves of operands say the opposite',
              [lambda add: isa_values.jump_cases(add, 32)]),
    'goto': ('goto, gotol and may_goto', [isa_values.goto_cases]),
    'mem': ('Loads, stores and the stack',
            [isa_memory.load_cases, isa_memory.store_cases, isa_memory.stack_cases]),
    'atomic': ('Atomic operations, load-acquire and store-release',
               [isa_memory.atomic_operation_cases, isa_memory.exchange_cases,
                isa_memory.ordered_cases]),
    'call': ('Calls of functions in the same program', [isa_memory.call_cases]),
    'registers': ('Every register in every role',
                  [isa_registers.arithmetic_cases, isa_registers.move_cases,
                   isa_registers.jump_cases, isa_registers.memory_cases,
                   isa_registers.atomic_cases]),
    'program': ('Whole algorithms',
                [isa_programs.hash_cases, isa_programs.memory_cases, isa_programs.number_cases]),
    'far': ('Jumps of every reach; up to 40,000 instructions', [isa_programs.far_cases]),
}


def make_case(name, asm, about=None, memory=b'', result=None, memory_after=None):
    insns = assemble(asm)
    code = encode(insns)
    fault = isa_check.check(code)
    if fault:
        raise SystemExit(f'{name}: malformed: {fault}')
    try:
        r0, after = isa_model.run(code, memory)
    except isa_model.Fault as error:
        raise SystemExit(f'{name}: {error}') from error
    if result is not None and result & isa_model.U64 != r0:
        raise SystemExit(f'{name}: R0 is {r0:x} by the model, {result & isa_model.U64:x} by the case')
    if memory_after is not None and memory_after != after:
        raise SystemExit(f'{name}: memory is {after.hex()} by the model')
    if memory_after is None and result is not None and after != memory:
        raise SystemExit(f'{name}: changes memory and does not say so')
    return Case(name, about, insns, code, memory, r0, after)


def value_cases():
    """Every file's cases, by the name of the file."""
    files, names = {}, set()
    for file, (_, makers) in FILES.items():
        cases = []

        def add(name, asm, cases=cases, **fields):
            if name in names:
                raise SystemExit(f'{name}: twice')
            names.add(name)
            cases.append(make_case(name, asm, **fields))

        for maker in makers:
            maker(add)
        files[file] = cases
    return files


def rejects():
    rows = [Reject(*row) for row in isa_rejects.reject_cases()]
    for row in rows:
        bad, good = isa_check.check(row.code), isa_check.check(row.good)
        if bad is None or bad[0] != row.stage or good is not None:
            raise SystemExit(f'{row.name}: bad program gives {bad}, good one {good}')
    if len({row.name for row in rows}) != len(rows):
        raise SystemExit('a name of a rejected case is there twice')
    return rows


# --- writing -------------------------------------------------------------------------------------

def hex_tokens(data):
    """Groups of eight bytes; a run of equal groups is one token with its count."""
    groups = [data[at:at + 8].hex() for at in range(0, len(data), 8)]
    for group, run in itertools.groupby(groups):
        count = len(list(run))
        yield group if count == 1 else f'{group}*{count}'


def field(key, tokens):
    lines, line = [], f'{key}:'
    for token in tokens:
        if len(line) + 1 + len(token) > WIDTH:
            lines.append(line)
            line = '   '
        line += ' ' + token
    return '\n'.join(lines + [line]) + '\n'


def asm_field(insns):
    text = 'asm:\n'
    for line, run in itertools.groupby(format_insn(i) for i in insns):
        count = len(list(run))
        text += f'    {line}\n' * count if count < 10 else f'    {count} x {line}\n'
    return text


def case_text(case):
    text = f'case: {case.name}\n'
    if case.about:
        text += f'about: {case.about}\n'
    text += asm_field(case.insns) + field('code', hex_tokens(case.code))
    if case.memory:
        text += field('memory', hex_tokens(case.memory))
    text += f'result: {case.result:x}\n'
    if case.memory_after != case.memory:
        text += field('memory_after', hex_tokens(case.memory_after))
    return text


def reject_text(row):
    return f'case: {row.name}\n' + field('code', hex_tokens(row.code)) + f'error: {row.stage} {row.reason}\n'


def file_text(title, records):
    head = ('# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause\n'
            f'# {title}. Written by make_isa.py.\n')
    return head + ''.join('\n' + record for record in records)


def all_texts():
    texts = {file: file_text(FILES[file][0], map(case_text, cases))
             for file, cases in value_cases().items()}
    texts['reject'] = file_text('What no loader may take', map(reject_text, rejects()))
    return texts


def main():
    check = sys.argv[1:] == ['--check']
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    status = 0
    for name, text in all_texts().items():
        path = os.path.join(FOLDER, name + '.isa')
        if check:
            with open(path, encoding='ascii', newline='') as file:
                if file.read() != text:
                    print(f'{path} differs: run make_isa.py, or change the case there')
                    status = 1
        else:
            with open(path, 'w', encoding='ascii', newline='') as file:
                file.write(text)
            print(f'{name + ".isa":16} {text.count(chr(10) + "case: "):5} cases')
    sys.exit(status)


if __name__ == '__main__':
    main()
