# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A small BPF assembler and disassembler for the conformance data.

The text is what the verifier's log prints (`w1 s>>= 3`, `if r1 > r2 goto pc+2`), one instruction a
line. The assembler also takes what is handy while writing cases:

    name:                     a label; `goto name`, `gotol name`, `call name` aim at it
    goto +2, r0 = 0x10        short forms of `goto pc+2` and of decimal immediates
    400 x r0 += 1             the instruction 400 times

Each instruction is kept as the five fields of RFC 9669, section 3; a 64-bit immediate is one Insn
with `imm64` set, and two slots long.
"""

import re
import struct
from collections import namedtuple

LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)  # instruction classes, low 3 bits
SIZES = {'u32': 0x00, 'u16': 0x08, 'u8': 0x10, 'u64': 0x18}
SIGNED_SIZES = {'s32': 0x00, 's16': 0x08, 's8': 0x10}
MEM, MEMSX, ATOMIC = 0x60, 0x80, 0xc0
X = 0x08  # the source operand is a register

ARITHMETIC = {'+': 0x00, '-': 0x10, '*': 0x20, '/': 0x30, '|': 0x40, '&': 0x50, '<<': 0x60,
              '>>': 0x70, '%': 0x90, '^': 0xa0, 's>>': 0xc0, 's/': 0x30, 's%': 0x90}
CONDITIONS = {'==': 0x10, '>': 0x20, '>=': 0x30, '&': 0x40, '!=': 0x50, 's>': 0x60, 's>=': 0x70,
              '<': 0xa0, '<=': 0xb0, 's<': 0xc0, 's<=': 0xd0}
ATOMIC_LOCK = {'+': 0x00, '|': 0x40, '&': 0x50, '^': 0xa0}
ATOMIC_FETCH = {'fetch_add': 0x01, 'fetch_or': 0x41, 'fetch_and': 0x51, 'fetch_xor': 0xa1,
                'xchg': 0xe1, 'cmpxchg': 0xf1}
LOAD_ACQUIRE, STORE_RELEASE = 0x100, 0x110


class Insn(namedtuple('Insn', 'op dst src off imm imm64')):
    """One instruction. `imm` is kept unsigned."""
    __slots__ = ()

    @property
    def slots(self):
        return 1 if self.imm64 is None else 2

    def encode(self):
        first = struct.pack('<BBhI', self.op, self.dst | self.src << 4, self.off, self.imm)
        if self.imm64 is None:
            return first
        return first + struct.pack('<BBhI', 0, 0, 0, self.imm64 >> 32)


def insn(op, dst=0, src=0, off=0, imm=0):
    return Insn(op, dst, src, off, imm & 0xffffffff, None)


def load_imm64(dst, value):
    value &= (1 << 64) - 1
    return Insn(0x18, dst, 0, 0, value & 0xffffffff, value)


def signed(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


# --- text to instructions ------------------------------------------------------------------------

REG = r'(r10|r\d|w\d)'
OPERAND = r'(r10|r\d|w\d|-?0x[0-9a-f]+|-?\d+)'
ADDRESS = r'\((u8|u16|u32|u64|s8|s16|s32) \*\)\(r(\d+) ([+-]\d+)\)'
TARGET = r'(?:pc)?([+-]\d+|[a-z_][a-z0-9_]*)'


class AsmError(Exception):
    pass


def alu_class(name, *others):
    """ALU64 for r registers, ALU for w registers; all operands must be of one width."""
    if any(other[0] != name[0] for other in others):
        raise AsmError('mixed widths')
    return ALU64 if name[0] == 'r' else ALU


def number(text):
    return int(text, 0)


def parse_alu(m):
    dst, op, operand = m.groups()
    code = ARITHMETIC[op]
    off = 1 if op in ('s/', 's%') else 0
    if operand[0] in 'rw':
        return insn(code | X | alu_class(dst, operand), int(dst[1:]), int(operand[1:]), off)
    return insn(code | alu_class(dst), int(dst[1:]), 0, off, number(operand))


def parse_mov(m):
    dst, cast, operand = m.groups()
    if operand[0] in 'rw':
        return insn(0xb0 | X | alu_class(dst, operand), int(dst[1:]), int(operand[1:]),
                    int(cast) if cast else 0)
    value = number(operand)
    if dst[0] == 'r' and (operand.startswith('0x') or not -2**31 <= value < 2**31):
        return load_imm64(int(dst[1:]), value)
    return insn(0xb0 | alu_class(dst), int(dst[1:]), 0, 0, value)


def parse_neg(m):
    return insn(0x80 | alu_class(m[1], m[2]), same(m, 2))


def same(m, other):
    if m[1] != m[other]:
        raise AsmError('both registers must be the same')
    return int(m[1][1:])


def parse_end(m):
    op = {'le': 0xd0 | ALU, 'be': 0xd0 | X | ALU, 'bswap': 0xd0 | ALU64}[m[2]]
    return insn(op, same(m, 4), 0, 0, int(m[3]))


def parse_load(m):
    dst, size, base, off = m.groups()
    if size in SIZES:
        return insn(LDX | MEM | SIZES[size], int(dst[1:]), int(base), int(off))
    return insn(LDX | MEMSX | SIGNED_SIZES[size], int(dst[1:]), int(base), int(off))


def parse_store(m):
    size, base, off, operand = m.groups()
    if operand[0] == 'r':
        return insn(STX | MEM | SIZES[size], int(base), int(operand[1:]), int(off))
    return insn(ST | MEM | SIZES[size], int(base), 0, int(off), number(operand))


def atomic(size, base, src, off, imm):
    return insn(STX | ATOMIC | SIZES[size], int(base), int(src), int(off), imm)


def parse_lock(m):
    size, base, off, op, src = m.groups()
    return atomic(size, base, src, off, ATOMIC_LOCK[op])


def parse_fetch(m):
    dst, wide, op, size, base, off, operands = m.groups()
    if (size == 'u64') != bool(wide):
        raise AsmError('atomic64 goes with u64')
    registers = operands.replace('r', '').split(', ')
    if op == 'cmpxchg' and (dst != 'r0' or registers[0] != '0'):
        raise AsmError('cmpxchg compares with r0')
    if op != 'cmpxchg' and registers != [dst[1:]]:
        raise AsmError('the result goes to the source register')
    return atomic(size, base, registers[-1], off, ATOMIC_FETCH[op])


def parse_acquire(m):
    dst, size, base, off = m.groups()
    return insn(STX | ATOMIC | SIZES[size], int(dst[1:]), int(base), int(off), LOAD_ACQUIRE)


def parse_release(m):
    size, base, off, src = m.groups()
    return atomic(size, base, src[1:], off, STORE_RELEASE)


def parse_if(m):
    left, op, right, target = m.groups()
    cls = JMP if left[0] == 'r' else JMP32
    if right[0] in 'rw':
        if right[0] != left[0]:
            raise AsmError('mixed widths')
        return insn(CONDITIONS[op] | X | cls, int(left[1:]), int(right[1:])), 'off', target
    return insn(CONDITIONS[op] | cls, int(left[1:]), 0, 0, number(right)), 'off', target


FORMS = [
    (rf'exit', lambda m: insn(0x95)),
    (rf'goto {TARGET}', lambda m: (insn(0x05), 'off', m[1])),
    (rf'gotol {TARGET}', lambda m: (insn(0x06), 'imm', m[1])),
    (rf'may_goto {TARGET}', lambda m: (insn(0xe5), 'off', m[1])),
    (rf'call {TARGET}', lambda m: (insn(0x85, 0, 1), 'imm', m[1])),
    (rf'if {REG} (\S+) {OPERAND} goto {TARGET}', parse_if),
    (rf'{REG} = (le|be|bswap)(16|32|64) {REG}', parse_end),
    (rf'{REG} = -{REG}', parse_neg),
    (rf'{REG} = (?:\(s(8|16|32)\))?{OPERAND}', parse_mov),
    (rf'{REG} (\S+)= {OPERAND}', parse_alu),
    (rf'{REG} = \*{ADDRESS}', parse_load),
    (rf'\*{ADDRESS} = {OPERAND}', parse_store),
    (rf'lock \*{ADDRESS} (\S)= r(\d+)', parse_lock),
    (rf'{REG} = atomic(64)?_(\w+)\({ADDRESS}, ([r\d, ]+)\)', parse_fetch),
    (rf'{REG} = load_acquire\({ADDRESS}\)', parse_acquire),
    (rf'store_release\({ADDRESS}, (r\d+)\)', parse_release),
]


def parse_line(text):
    for pattern, build in FORMS:
        m = re.fullmatch(pattern, text)
        if m:
            built = build(m)
            return built if type(built) is tuple else (
                built, None, None)
    raise AsmError('not understood')


def assemble(text):
    """The instructions of `text`, labels resolved."""
    parsed, labels, position = [], {}, 0
    for line in text.splitlines():
        line = line.split('#')[0].strip()
        if not line:
            continue
        if line.endswith(':'):
            labels[line[:-1]] = position
            continue
        m = re.fullmatch(r'(\d+) x (.*)', line)
        try:
            one = parse_line(m[2] if m else line)
        except (AsmError, KeyError) as error:
            raise AsmError(f'{line}: {error}') from error
        for _ in range(int(m[1]) if m else 1):
            parsed.append((position, *one))
            position += one[0].slots
    return [resolve(*one, labels) for one in parsed]


def resolve(position, built, field, target, labels):
    if field is None:
        return built
    distance = int(target) if target[0] in '+-' else labels[target] - position - 1
    if field == 'imm':
        distance &= 0xffffffff
    return built._replace(**{field: distance})


def encode(insns):
    return b''.join(i.encode() for i in insns)


# --- instructions to text ------------------------------------------------------------------------

SIZE_NAMES = {code: name for name, code in SIZES.items()}
SIGNED_NAMES = {code: name for name, code in SIGNED_SIZES.items()}
ARITHMETIC_NAMES = {code: name for name, code in reversed(list(ARITHMETIC.items()))}
CONDITION_NAMES = {code: name for name, code in CONDITIONS.items()}


def address(size, base, off):
    return f'({size} *)(r{base} {off:+d})'


def format_alu(i):
    wide = 'r' if i.op & 7 == ALU64 else 'w'
    dst = f'{wide}{i.dst}'
    code = i.op & 0xf0
    if code == 0x80:
        return f'{dst} = -{dst}'
    if code == 0xd0:
        kind = 'bswap' if wide == 'r' else 'be' if i.op & X else 'le'
        return f'r{i.dst} = {kind}{i.imm} r{i.dst}'
    operand = f'{wide}{i.src}' if i.op & X else str(signed(i.imm, 32))
    if code == 0xb0:
        return f'{dst} = ' + (f'(s{i.off})' if i.off else '') + operand
    name = ARITHMETIC_NAMES[code]
    return f'{dst} {"s" if i.off else ""}{name}= {operand}'


def format_jump(i):
    wide = 'r' if i.op & 7 == JMP else 'w'
    code = i.op & 0xf0
    if i.op in (0x05, 0xe5):
        return f'{"goto" if i.op == 0x05 else "may_goto"} pc{i.off:+d}'
    if i.op in (0x06, 0x85):
        return f'{"gotol" if i.op == 0x06 else "call"} pc{signed(i.imm, 32):+d}'
    if code == 0x90:
        return 'exit'
    operand = f'{wide}{i.src}' if i.op & X else hex(i.imm)
    return f'if {wide}{i.dst} {CONDITION_NAMES[code]} {operand} goto pc{i.off:+d}'


def format_atomic(i):
    size = SIZE_NAMES[i.op & 0x18]
    if i.imm == LOAD_ACQUIRE:
        return f'r{i.dst} = load_acquire({address(size, i.src, i.off)})'
    where = address(size, i.dst, i.off)
    if i.imm == STORE_RELEASE:
        return f'store_release({where}, r{i.src})'
    wide = '64' if size == 'u64' else ''
    for name, imm in ATOMIC_LOCK.items():
        if i.imm == imm:
            return f'lock *{where} {name}= r{i.src}'
    name = {imm: name for name, imm in ATOMIC_FETCH.items()}[i.imm]
    if name == 'cmpxchg':
        return f'r0 = atomic{wide}_cmpxchg({where}, r0, r{i.src})'
    return f'r{i.src} = atomic{wide}_{name}({where}, r{i.src})'


def format_insn(i):
    cls, mode, size = i.op & 7, i.op & 0xe0, i.op & 0x18
    if cls in (ALU, ALU64):
        return format_alu(i)
    if cls in (JMP, JMP32):
        return format_jump(i)
    if cls == LD:
        return f'r{i.dst} = {hex(i.imm64)}'
    if cls == LDX:
        name = SIZE_NAMES[size] if mode == MEM else SIGNED_NAMES[size]
        return f'r{i.dst} = *{address(name, i.src, i.off)}'
    if cls == STX and mode == ATOMIC:
        return format_atomic(i)
    operand = f'r{i.src}' if cls == STX else str(signed(i.imm, 32))
    return f'*{address(SIZE_NAMES[size], i.dst, i.off)} = {operand}'
