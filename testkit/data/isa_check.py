# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What makes an encoding malformed: `check` gives (stage, slot) of the first fault, or None.

    decode   one instruction, looked at alone: unknown opcode, reserved field not zero, no such
             register, unknown atomic operation
    flow     the shape of the program: jumps and calls that leave it or land inside a 64-bit
             immediate, an end that is not reached by exit, code that nothing reaches
    operand  well formed by RFC 9669, but a constant operand that Linux refuses: division by
             constant zero, constant shift beyond the width, a write to r10
"""

from isa_model import decode

ATOMICS = {0x00, 0x40, 0x50, 0xa0, 0x01, 0x41, 0x51, 0xa1, 0xe1, 0xf1}
ORDERED = {0x100, 0x110}


def bad_alu(op, dst, src, off, imm):
    code, x, wide = op & 0xf0, op & 8, op & 7 == 7
    if code == 0xd0:
        return (wide and x) or src or off or imm not in (16, 32, 64)
    if code == 0x80:
        return x or src or off or imm
    if code > 0xd0 or (imm if x else src):
        return True
    if code == 0xb0:
        return off not in ((0, 8, 16, 32) if wide else (0, 8, 16)) if x else off
    return off not in ((0, 1) if code in (0x30, 0x90) else (0,))


def bad_jump(op, dst, src, off, imm):
    code, x, wide = op & 0xf0, op & 8, op & 7 == 5
    if code == 0x00:
        return x or dst or src or (imm if wide else off)
    if code == 0x80:
        return x or not wide or dst or off or src > 1
    if code == 0x90:
        return x or not wide or dst or src or off or imm
    if code == 0xe0:
        return x or not wide or dst or src or imm
    return code == 0xf0 or (imm if x else src)


def bad_memory(op, dst, src, off, imm):
    cls, mode, size = op & 7, op & 0xe0, op & 0x18
    if cls == 0:
        return op != 0x18 or src or off
    if cls == 1:
        return mode not in (0x60, 0x80) or (mode == 0x80 and size == 0x18) or imm
    if cls == 2:
        return mode != 0x60 or src
    if mode == 0xc0:
        return imm not in (ATOMICS | ORDERED if size in (0x00, 0x18) else ORDERED)
    return mode != 0x60 or imm


def bad_slot(slot):
    op, dst, src, _, _ = slot
    if dst > 10 or src > 10:
        return True
    family = {4: bad_alu, 7: bad_alu, 5: bad_jump, 6: bad_jump}.get(op & 7, bad_memory)
    return bool(family(*slot))


def check_decode(slots):
    """(index of the first malformed slot or None, the slots that are second halves)."""
    halves, at = set(), 0
    while at < len(slots):
        if bad_slot(slots[at]):
            return at, halves
        if slots[at][0] == 0x18:
            if at + 1 == len(slots) or slots[at + 1][:4] != (0, 0, 0, 0):
                return at, halves
            halves.add(at + 1)
            at += 1
        at += 1
    return None, halves


def next_slots(at, slot):
    """(where control may go within the function, where it calls)."""
    op, _, _, off, imm = slot
    if op == 0x95:
        return [], None
    if op == 0x05:
        return [at + 1 + off], None
    if op == 0x06:
        return [at + 1 + imm], None
    if op == 0x85 and slot[2] == 1:
        return [at + 1], at + 1 + imm
    if op & 7 in (5, 6) and op != 0x85:
        return [at + 1, at + 1 + off], None
    return [at + (2 if op == 0x18 else 1)], None


def check_flow(slots, halves):
    """The slot of the first fault in the shape of the program, or None."""
    starts = sorted({0} | {next_slots(at, s)[1] for at, s in enumerate(slots)
                           if at not in halves and next_slots(at, s)[1] is not None})
    for start in starts:
        if not 0 <= start < len(slots) or start in halves:
            return start
    reached = set()
    for start, end in zip(starts, starts[1:] + [len(slots)]):
        pending = [start]
        while pending:
            at = pending.pop()
            if not start <= at < end or at in halves:
                return at
            if at not in reached:
                reached.add(at)
                pending += next_slots(at, slots[at])[0]
    for at in range(len(slots)):
        if at not in reached and at not in halves:
            return at
    return None


def bad_operand(slot):
    op, dst, _, off, imm = slot
    cls, code = op & 7, op & 0xf0
    if cls in (4, 7):
        if dst == 10 or (not op & 8 and code in (0x30, 0x90) and imm == 0):
            return True
        return not op & 8 and code in (0x60, 0x70, 0xc0) and not 0 <= imm < (32 if cls == 4 else 64)
    return cls in (0, 1) and dst == 10


def check(code):
    if not code or len(code) % 8:
        return 'decode', 0
    slots = decode(code)
    at, halves = check_decode(slots)
    if at is not None:
        return 'decode', at
    at = check_flow(slots, halves)
    if at is not None:
        return 'flow', at
    for at, slot in enumerate(slots):
        if at not in halves and bad_operand(slot):
            return 'operand', at
    return None
