# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A model of the instruction set after RFC 9669 and what Linux added to it since.

It is written from the document, shares nothing with the engines under test, and favours the plain
over the fast. `run` executes encoded bytes; `check` says what is malformed in them, and where a
loader finds it: `decode` (one instruction alone), `flow` (the program's shape), `operand` (well
formed by the RFC, but a constant that Linux refuses).
"""

import struct

U64 = (1 << 64) - 1
U32 = (1 << 32) - 1
MEMORY_BASE = 0x5000_0000_0000
STACK_BASE = 0x7000_0000_0000
FRAME = 512
MAX_FRAMES = 8
WIDTHS = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
MAY_GOTO_BUDGET = 1000  # Linux allows far more; no result may depend on how many


class Fault(Exception):
    """The program did what a verified one never does."""


def signed(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def decode(code):
    """The slots as (op, dst, src, off, imm), off and imm signed."""
    slots = []
    for at in range(0, len(code), 8):
        op, regs, off, imm = struct.unpack_from('<BBhi', code, at)
        slots.append((op, regs & 15, regs >> 4, off, imm))
    return slots


class Memory:
    """The case's memory and the stack frames, each access checked."""

    def __init__(self, memory):
        self.data = bytearray(memory)
        self.frames = [bytearray(FRAME) for _ in range(MAX_FRAMES)]
        self.written = [bytearray(FRAME) for _ in range(MAX_FRAMES)]

    def find(self, where, size):
        at = where - MEMORY_BASE
        if 0 <= at and at + size <= len(self.data):
            return self.data, at, None
        frame, at = divmod(where - STACK_BASE, FRAME)
        if 0 <= frame < MAX_FRAMES and at + size <= FRAME:
            return self.frames[frame], at, self.written[frame]
        raise Fault(f'access of {size} bytes at {where:#x}')

    def load(self, where, size):
        where &= U64
        area, at, written = self.find(where, size)
        if written is not None and not all(written[at:at + size]):
            raise Fault('read of stack that was never written')
        return int.from_bytes(area[at:at + size], 'little')

    def store(self, where, size, value):
        where &= U64
        area, at, written = self.find(where, size)
        area[at:at + size] = (value & ((1 << (8 * size)) - 1)).to_bytes(size, 'little')
        if written is not None:
            written[at:at + size] = b'\1' * size


def divide(op, a, b, bits, is_signed):
    """Quotients round toward zero; x / 0 is 0 and x % 0 is x; MIN / -1 is MIN, MIN % -1 is 0."""
    if is_signed:
        a, b = signed(a, bits), signed(b, bits)
    if b == 0:
        return 0 if op == 0x30 else a
    quotient = abs(a) // abs(b)
    if (a < 0) != (b < 0):
        quotient = -quotient
    return quotient if op == 0x30 else a - quotient * b


def arithmetic(op, a, b, bits, off):
    """One ALU operation on `bits`-wide operands, the result cut to that width."""
    mask = (1 << bits) - 1
    a, b = a & mask, b & mask
    shift = b & (bits - 1)
    if op in (0x30, 0x90):
        return divide(op, a, b, bits, off == 1) & mask
    if op == 0xb0:
        return (signed(b, off) if off else b) & mask
    results = {0x00: a + b, 0x10: a - b, 0x20: a * b, 0x40: a | b, 0x50: a & b, 0x60: a << shift,
               0x70: a >> shift, 0x80: -a, 0xa0: a ^ b, 0xc0: signed(a, bits) >> shift}
    return results[op] & mask


def swap_ends(op, value, bits):
    """LE truncates (the data are for little-endian machines), BE and BSWAP reverse the bytes."""
    value &= (1 << bits) - 1
    if op == 0xd4:
        return value
    return int.from_bytes(value.to_bytes(bits // 8, 'little'), 'big')


def condition(op, a, b, bits):
    mask = (1 << bits) - 1
    a, b = a & mask, b & mask
    sa, sb = signed(a, bits), signed(b, bits)
    return {0x10: a == b, 0x20: a > b, 0x30: a >= b, 0x40: a & b != 0, 0x50: a != b, 0x60: sa > sb,
            0x70: sa >= sb, 0xa0: a < b, 0xb0: a <= b, 0xc0: sa < sb, 0xd0: sa <= sb}[op]


class Machine:
    def __init__(self, code, memory):
        self.slots = decode(code)
        self.memory = Memory(memory)
        self.regs = [None] * 11
        self.regs[1], self.regs[2] = MEMORY_BASE, len(memory)
        self.frame = 0
        self.regs[10] = STACK_BASE + FRAME
        self.returns = []
        self.budget = MAY_GOTO_BUDGET
        self.pc = 0

    def get(self, number):
        if self.regs[number] is None:
            raise Fault(f'r{number} was never written')
        return self.regs[number]

    def set(self, number, value):
        if number == 10:
            raise Fault('r10 is read-only')
        self.regs[number] = value & U64

    def run(self, limit=5_000_000):
        for _ in range(limit):
            slot = self.slots[self.pc]
            self.pc += 1
            cls = slot[0] & 7
            if slot[0] == 0x95:
                if not self.returns:
                    return self.get(0)
                self.leave()
            elif cls in (4, 7):
                self.alu(*slot)
            elif cls in (5, 6):
                self.jump(*slot)
            else:
                self.move(*slot)
        raise Fault('does not end')

    def alu(self, op, dst, src, off, imm):
        bits = 64 if op & 7 == 7 else 32
        code = op & 0xf0
        if code == 0xd0:
            self.set(dst, swap_ends(op, self.get(dst), imm))
            return
        b = self.get(src) if op & 8 else imm
        a = 0 if code == 0xb0 else self.get(dst)
        self.set(dst, arithmetic(code, a, 0 if code == 0x80 else b, bits, off))

    def jump(self, op, dst, src, off, imm):
        if op == 0x05:
            self.pc += off
        elif op == 0x06:
            self.pc += imm
        elif op == 0x85:
            self.enter(imm)
        elif op == 0xe5:
            self.budget -= 1
            if self.budget < 0:
                self.pc += off
        else:
            b = self.get(src) if op & 8 else imm
            if condition(op & 0xf0, self.get(dst), b, 64 if op & 7 == 5 else 32):
                self.pc += off

    def enter(self, distance):
        self.returns.append((self.pc, self.regs[6:11]))
        self.pc += distance
        self.frame += 1
        if self.frame == MAX_FRAMES:
            raise Fault('too many frames')
        self.memory.written[self.frame] = bytearray(FRAME)
        self.regs = [None] + self.regs[1:6] + [None] * 4 + [STACK_BASE + FRAME * (self.frame + 1)]

    def leave(self):
        self.pc, saved = self.returns.pop()
        self.frame -= 1
        self.regs = [self.regs[0]] + [None] * 5 + saved

    def move(self, op, dst, src, off, imm):
        cls, mode, size = op & 7, op & 0xe0, WIDTHS[op & 0x18]
        if cls == 0:
            self.set(dst, (imm & U32) | (self.slots[self.pc][4] & U32) << 32)
            self.pc += 1
        elif cls == 1:
            value = self.memory.load(self.get(src) + off, size)
            self.set(dst, value if mode == 0x60 else signed(value, 8 * size))
        elif cls == 2:
            self.memory.store(self.get(dst) + off, size, imm)
        elif mode == 0x60:
            self.memory.store(self.get(dst) + off, size, self.get(src))
        else:
            self.atomic(size, dst, src, off, imm)

    def atomic(self, size, dst, src, off, imm):
        if imm == 0x100:
            self.set(dst, self.memory.load(self.aligned(src, off, size), size))
            return
        where = self.aligned(dst, off, size)
        operand = self.get(src)
        if imm == 0x110:
            self.memory.store(where, size, operand)
            return
        old = self.memory.load(where, size)
        mask = (1 << (8 * size)) - 1
        if imm == 0xf1:
            if old == self.get(0) & mask:
                self.memory.store(where, size, operand)
            self.set(0, old)
            return
        new = operand if imm == 0xe1 else arithmetic(imm & 0xf0, old, operand, 8 * size, 0)
        self.memory.store(where, size, new)
        if imm & 1:
            self.set(src, old)

    def aligned(self, register, off, size):
        where = self.get(register) + off
        if where % size:
            raise Fault('unaligned atomic')
        return where


def run(code, memory=b''):
    """(R0, the memory afterwards)."""
    machine = Machine(code, memory)
    return machine.run(), bytes(machine.memory.data)
