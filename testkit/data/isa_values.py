# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Cases of moves, arithmetic, byte order and jumps.

Operands come from memory wherever they can, so that no engine can fold the instruction away. Each
row of a table states its result; the model must agree.
"""

import struct

M, MIN, MAX = (1 << 64) - 1, 1 << 63, (1 << 63) - 1
M32, MIN32, MAX32 = (1 << 32) - 1, 1 << 31, (1 << 31) - 1
P = 0x0123456789abcdef  # a pattern in which each nibble differs
HIGH_A, HIGH_B = 0xa5a5a5a5 << 32, 0x5a5a5a5a << 32  # what 32-bit operations must not see


def quads(*values):
    return struct.pack('<%dQ' % len(values), *(v & M for v in values))


def as_s32(value, bits):
    """The signed 32-bit immediate that stands for `value`, or None."""
    value &= (1 << bits) - 1
    if bits == 32:
        return value - (1 << 32) if value >> 31 else value
    if value < MIN32:
        return value
    return value - (1 << 64) if value >= (1 << 64) - MIN32 else None


# operation: rows of (what is special, a, b, result) in 64 bits
ALU64 = {
    ('add', '+'): [('small', 5, 7, 12), ('wraps_to_zero', M, 1, 0), ('to_min', MAX, 1, MIN),
                   ('negative', 5, -7, M - 1), ('carry_over_32', M32, 1, 1 << 32)],
    ('sub', '-'): [('small', 7, 5, 2), ('below_zero', 0, 1, M), ('min_minus_1', MIN, 1, MAX),
                   ('negative', 5, -7, 12), ('borrow_over_32', 1 << 32, 1, M32)],
    ('mul', '*'): [('small', 6, 7, 42), ('high_half_lost', MIN, 2, 0), ('minus_1', 5, -1, M - 4),
                   ('large', P, M32, 0x8888888776543211), ('wide', 1 << 32, 1 << 31, MIN),
                   ('zero', M, 0, 0)],
    ('div', '/'): [('small', 42, 5, 8), ('by_zero', 42, 0, 0), ('zero_by_zero', 0, 0, 0),
                   ('unsigned', M, 2, MAX), ('by_huge', M, -1, 1), ('less', 3, 5, 0),
                   ('min_by_minus_1', MIN, -1, 0), ('wide', MIN, 1 << 32, 1 << 31), ('by_1', P, 1, P)],
    ('mod', '%'): [('small', 42, 5, 2), ('by_zero', P, 0, P), ('zero_by_zero', 0, 0, 0),
                   ('unsigned', M, 16, 15), ('by_huge', M - 1, -1, M - 1), ('less', 3, 5, 3),
                   ('min_by_minus_1', MIN, -1, MIN), ('by_1', P, 1, 0)],
    ('sdiv', 's/'): [('both_positive', 42, 5, 8), ('negative_by_positive', -42, 5, -8),
                     ('positive_by_negative', 42, -5, -8), ('both_negative', -42, -5, 8),
                     ('by_zero', -42, 0, 0), ('min_by_minus_1', MIN, -1, MIN),
                     ('minus_1_by_2', -1, 2, 0), ('min_by_1', MIN, 1, MIN), ('max_by_min', MAX, MIN, 0),
                     ('wide', MIN, 1 << 32, -(1 << 31))],
    ('smod', 's%'): [('both_positive', 42, 5, 2), ('negative_by_positive', -42, 5, -2),
                     ('positive_by_negative', 42, -5, 2), ('both_negative', -42, -5, -2),
                     ('by_zero', -42, 0, -42), ('min_by_minus_1', MIN, -1, 0),
                     ('minus_1_by_2', -1, 2, -1), ('max_by_min', MAX, MIN, MAX),
                     ('min_by_3', MIN, 3, -2)],
    ('or', '|'): [('bits', 0xf0f0, 0x0ff0, 0xfff0), ('sign_extended', 0, MIN32 - (1 << 32), MIN32 | M32 << 32),
                  ('zero', P, 0, P), ('all', P, -1, M)],
    ('and', '&'): [('bits', 0xf0f0, 0x0ff0, 0x00f0), ('sign_extended', M, -256, M - 255),
                   ('low_half_only', M, 0x7fffffff, 0x7fffffff), ('zero', P, 0, 0)],
    ('xor', '^'): [('bits', 0xf0f0, 0x0ff0, 0xff00), ('inverts', P, -1, 0xfedcba9876543210),
                   ('zero', P, 0, P), ('self', P, P, 0)],
    ('lsh', '<<'): [('by_0', P, 0, P), ('by_1', P, 1, 0x02468acf13579bde), ('by_31', 1, 31, MIN32),
                    ('by_32', P, 32, 0x89abcdef00000000), ('by_63', 3, 63, MIN), ('by_64', P, 64, P),
                    ('by_65', 1, 65, 2), ('by_minus_1', 3, -1, MIN), ('by_256', P, 256, P),
                    ('by_2_to_32', P, 1 << 32, P)],
    ('rsh', '>>'): [('by_0', P, 0, P), ('by_1', M, 1, MAX), ('by_32', P, 32, 0x01234567),
                    ('by_63', MIN, 63, 1), ('by_64', P, 64, P), ('by_65', MIN, 65, 1 << 62),
                    ('by_minus_1', M, -1, 1), ('by_256', P, 256, P), ('by_2_to_32', P, 1 << 32, P)],
    ('arsh', 's>>'): [('by_0', MIN, 0, MIN), ('by_1', MIN, 1, 0xc000000000000000),
                      ('positive', MAX, 62, 1), ('by_32', MIN, 32, M - M32 | MIN32),
                      ('by_63', MIN, 63, M), ('by_64', MIN, 64, MIN), ('by_65', MIN, 65, 0xc000000000000000),
                      ('by_minus_1', MIN, -1, M), ('by_2_to_32', MIN, 1 << 32, MIN)],
}

ALU32 = {
    ('add', '+'): [('small', 5, 7, 12), ('wraps_to_zero', M32, 1, 0), ('to_min', MAX32, 1, MIN32),
                   ('negative', 5, -7, M32 - 1), ('zero_extends', MIN32, 5, MIN32 + 5)],
    ('sub', '-'): [('small', 7, 5, 2), ('below_zero', 0, 1, M32), ('min_minus_1', MIN32, 1, MAX32),
                   ('negative', 5, -7, 12)],
    ('mul', '*'): [('small', 6, 7, 42), ('high_half_lost', MIN32, 2, 0), ('minus_1', 5, -1, M32 - 4),
                   ('large', 0x89abcdef, 0x01234567, 0xc94e4629), ('square', M32, M32, 1)],
    ('div', '/'): [('small', 42, 5, 8), ('by_zero', 42, 0, 0), ('unsigned', M32, 2, MAX32),
                   ('by_huge', M32, -1, 1), ('less', 3, 5, 0), ('min_by_minus_1', MIN32, -1, 0),
                   ('by_1', 0x89abcdef, 1, 0x89abcdef)],
    ('mod', '%'): [('small', 42, 5, 2), ('by_zero', 0x89abcdef, 0, 0x89abcdef), ('unsigned', M32, 16, 15),
                   ('by_huge', M32 - 1, -1, M32 - 1), ('min_by_minus_1', MIN32, -1, MIN32),
                   ('by_1', 0x89abcdef, 1, 0)],
    ('sdiv', 's/'): [('both_positive', 42, 5, 8), ('negative_by_positive', -42, 5, -8),
                     ('positive_by_negative', 42, -5, -8), ('both_negative', -42, -5, 8),
                     ('by_zero', -42, 0, 0), ('min_by_minus_1', MIN32, -1, MIN32),
                     ('minus_1_by_2', -1, 2, 0)],
    ('smod', 's%'): [('both_positive', 42, 5, 2), ('negative_by_positive', -42, 5, -2),
                     ('positive_by_negative', 42, -5, 2), ('both_negative', -42, -5, -2),
                     ('by_zero', -42, 0, -42), ('min_by_minus_1', MIN32, -1, 0),
                     ('minus_1_by_2', -1, 2, -1)],
    ('or', '|'): [('bits', 0xf0f0, 0x0ff0, 0xfff0), ('negative', 0, -16, M32 - 15), ('zero', MIN32, 0, MIN32)],
    ('and', '&'): [('bits', 0xf0f0, 0x0ff0, 0x00f0), ('negative', M32, -16, M32 - 15), ('all', M32, -1, M32)],
    ('xor', '^'): [('bits', 0xf0f0, 0x0ff0, 0xff00), ('inverts', 0x89abcdef, -1, 0x76543210),
                   ('zero', 0x89abcdef, 0, 0x89abcdef)],
    ('lsh', '<<'): [('by_0', 0x89abcdef, 0, 0x89abcdef), ('by_1', 0x89abcdef, 1, 0x13579bde),
                    ('by_31', 3, 31, MIN32), ('by_32', 0x89abcdef, 32, 0x89abcdef), ('by_33', 1, 33, 2),
                    ('by_63', 1, 63, MIN32), ('by_minus_1', 3, -1, MIN32), ('by_256', 0x89abcdef, 256, 0x89abcdef)],
    ('rsh', '>>'): [('by_0', 0x89abcdef, 0, 0x89abcdef), ('by_1', M32, 1, MAX32), ('by_31', MIN32, 31, 1),
                    ('by_32', 0x89abcdef, 32, 0x89abcdef), ('by_33', MIN32, 33, 1 << 30),
                    ('by_minus_1', M32, -1, 1)],
    ('arsh', 's>>'): [('by_0', MIN32, 0, MIN32), ('by_1', MIN32, 1, 0xc0000000), ('positive', MAX32, 30, 1),
                      ('by_31', MIN32, 31, M32), ('by_32', MIN32, 32, MIN32), ('by_33', MIN32, 33, 0xc0000000),
                      ('by_minus_1', MIN32, -1, M32)],
}


def alu_cases(add, bits, table):
    r = 'r' if bits == 64 else 'w'
    mask = (1 << bits) - 1
    for (name, op), rows in table.items():
        for label, a, b, result in rows:
            high_a, high_b = (HIGH_A, HIGH_B) if bits == 32 else (0, 0)
            memory = quads(a & mask | high_a, b & mask | high_b)
            full = f'{name}{bits}_%s_{label}'
            add(full % 'reg', memory=memory, result=result & mask, asm=f'''
                r3 = *(u64 *)(r1 +0)
                r4 = *(u64 *)(r1 +8)
                {r}3 {op}= {r}4
                r0 = r3
                exit''')
            imm = as_s32(b, bits)
            shift = '<<' in op or '>>' in op
            if imm is None or (shift and not 0 <= imm < bits) or (op[-1] in '/%' and imm == 0):
                continue
            add(full % 'imm', memory=memory[:8], result=result & mask, asm=f'''
                r0 = *(u64 *)(r1 +0)
                {r}0 {op}= {imm}
                exit''')
    for label, a, result in [('one', 1, -1), ('zero', 0, 0), ('min', mask // 2 + 1, mask // 2 + 1),
                             ('minus_one', -1, 1), ('max', mask // 2, mask // 2 + 2)]:
        add(f'neg{bits}_{label}', memory=quads(a & mask | (HIGH_A if bits == 32 else 0)),
            result=result & mask, asm=f'''
                r0 = *(u64 *)(r1 +0)
                {r}0 = -{r}0
                exit''')


def mov_cases(add):
    for label, imm, result in [('zero', 0, 0), ('positive', MAX32, MAX32), ('minus_1', -1, M),
                               ('min', -MIN32, M - MAX32)]:
        add(f'mov64_imm_{label}', about='The immediate is sign-extended.', result=result,
            asm=f'r0 = {imm}\n exit')
        add(f'mov32_imm_{label}', about='The immediate is zero-extended.', result=result & M32,
            asm=f'r0 = 0x{M:x}\n w0 = {imm}\n exit')
    add('mov64_reg', memory=quads(P), result=P, asm='r3 = *(u64 *)(r1 +0)\n r0 = r3\n exit')
    add('mov32_reg', memory=quads(HIGH_A | 0x89abcdef), result=0x89abcdef,
        asm='r3 = *(u64 *)(r1 +0)\n w0 = w3\n exit')
    add('mov32_reg_self', about='A move to itself clears the upper half.', memory=quads(M), result=M32,
        asm='r0 = *(u64 *)(r1 +0)\n w0 = w0\n exit')
    add('mov64_keeps_source', memory=quads(P), result=P,
        asm='r3 = *(u64 *)(r1 +0)\n r4 = r3\n r4 = 0\n r0 = r3\n r0 += r4\n exit')
    for width, bits in [('8', 64), ('16', 64), ('32', 64), ('8', 32), ('16', 32)]:
        r, top = ('r', 64) if bits == 64 else ('w', 32)
        sign = 1 << (int(width) - 1)
        low = (1 << int(width)) - 1
        ones = (1 << top) - 1
        for label, value, result in [('negative', sign, ones - low | sign), ('minus_1', low, ones),
                                     ('positive', sign - 1, sign - 1), ('zero', 0, 0)]:
            upper = P & ~low  # what lies above the narrow value is ignored
            add(f'movsx{bits}_{width}_{label}', memory=quads(upper | value), result=result,
                asm=f'r3 = *(u64 *)(r1 +0)\n {r}0 = (s{width}){r}3\n exit')
    add('movsx64_32_self', memory=quads(MIN32), result=M - MAX32,
        asm='r0 = *(u64 *)(r1 +0)\n r0 = (s32)r0\n exit')
    for label, value in [('zero', 0), ('pattern', P), ('all_ones', M), ('min', MIN), ('low_half', M32),
                         ('sign_of_low_half', MIN32), ('high_half', M - M32), ('small', 1)]:
        add(f'lddw_{label}', result=value, asm=f'r0 = 0x{value:x}\n exit')
    add('lddw_every_register', result=sum(P ^ n for n in range(10)) & M, asm='\n'.join(
        [f'r{n} = 0x{P ^ n:x}' for n in range(10)] + [f'r0 += r{n}' for n in range(1, 10)] + ['exit']))
    add('length_in_r2', about='R2 is the length of the memory.', memory=bytes(24), result=24,
        asm='r0 = r2\n exit')


def endian_cases(add):
    rows = [('le16', 0xcdef), ('le32', 0x89abcdef), ('le64', P), ('be16', 0xefcd), ('be32', 0xefcdab89),
            ('be64', 0xefcdab8967452301), ('bswap16', 0xefcd), ('bswap32', 0xefcdab89),
            ('bswap64', 0xefcdab8967452301)]
    for op, result in rows:
        bits = int(op.lstrip('lebswap'))
        add(f'{op}_pattern', about='A little-endian machine; narrow forms clear what is above.',
            memory=quads(P), result=result, asm=f'r0 = *(u64 *)(r1 +0)\n r0 = {op} r0\n exit')
        add(f'{op}_upper_ones', memory=quads(M << bits & M | 1), asm=f'''
            r0 = *(u64 *)(r1 +0)
            r0 = {op} r0
            exit''', result=1 if op[0] == 'l' else 1 << (bits - 8))
        add(f'{op}_sign_bit', about='No sign extension.', memory=quads(0x80 if op[0] != 'l' else 1 << (bits - 1)),
            result=1 << (bits - 1), asm=f'r0 = *(u64 *)(r1 +0)\n r0 = {op} r0\n exit')
        add(f'{op}_twice', memory=quads(P), result=P & ((1 << bits) - 1),
            asm=f'r7 = *(u64 *)(r1 +0)\n r7 = {op} r7\n r7 = {op} r7\n r0 = r7\n exit')


CONDITIONS = [
    ('jeq', '==', lambda a, b: a == b, False), ('jne', '!=', lambda a, b: a != b, False),
    ('jgt', '>', lambda a, b: a > b, False), ('jge', '>=', lambda a, b: a >= b, False),
    ('jlt', '<', lambda a, b: a < b, False), ('jle', '<=', lambda a, b: a <= b, False),
    ('jset', '&', lambda a, b: a & b != 0, False),
    ('jsgt', 's>', lambda a, b: a > b, True), ('jsge', 's>=', lambda a, b: a >= b, True),
    ('jslt', 's<', lambda a, b: a < b, True), ('jsle', 's<=', lambda a, b: a <= b, True),
]


def to_signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


def jump_pairs(bits):
    """(label, a, b), b an immediate where the label says so."""
    top, minimum, maximum = (1 << bits) - 1, 1 << (bits - 1), (1 << (bits - 1)) - 1
    both = [('equal', 5, 5), ('less', 5, 6), ('greater', 6, 5), ('zero_minus1', 0, top),
            ('minus1_zero', top, 0), ('minus1_minus1', top, top), ('min_minus1', minimum, top),
            ('max_minus1', maximum, top)]
    return both + [('max_min', maximum, minimum), ('min_max', minimum, maximum), ('min_min', minimum, minimum)]


JSET_PAIRS = [('one_common', 0b1100, 0b0110), ('none_common', 0b1010, 0b0101), ('zero', 0, 0),
              ('top_bit', MIN, -1), ('sign_bits_only', MIN, MIN32 - (1 << 32)), ('low_bits_only', MAX32, 1)]


def jump_cases(add, bits):
    r = 'r' if bits == 64 else 'w'
    suffix = '' if bits == 64 else '32'
    mask = (1 << bits) - 1
    for name, op, holds, is_signed in CONDITIONS:
        pairs = jump_pairs(bits)
        if name == 'jset':
            pairs = [(label, a & mask, b & mask) for label, a, b in JSET_PAIRS]
            if bits == 32:
                pairs.append(('top_bit_of_32', MIN32, MIN32))
        for label, a, b in pairs:
            x, y = (to_signed(a, bits), to_signed(b, bits)) if is_signed else (a, b)
            taken = int(holds(x, y))
            # In 32 bits the upper halves say the opposite of the lower ones.
            upper_a, upper_b = (0x1 << 32, 0x2 << 32) if bits == 32 and a >= b else (0, 0)
            if bits == 32 and a < b:
                upper_a, upper_b = M32 << 32, 0x1 << 32
            full = f'{name}{suffix}_%s_{label}_{"taken" if taken else "falls_through"}'
            memory = quads(a | upper_a, b | upper_b)
            tail = 'goto yes\n r0 = 0\n exit\n yes:\n r0 = 1\n exit'
            add(full % 'reg', memory=memory, result=taken,
                asm=f'r3 = *(u64 *)(r1 +0)\n r4 = *(u64 *)(r1 +8)\n if {r}3 {op} {r}4 {tail}')
            imm = as_s32(b, bits)
            if imm is not None:
                add(full % 'imm', memory=memory[:8], result=taken,
                    asm=f'r3 = *(u64 *)(r1 +0)\n if {r}3 {op} {imm} {tail}')
    shape_cases(add, r, suffix)


def shape_cases(add, r, suffix):
    """Backward jumps and comparisons of a register with itself."""
    add(f'jne{suffix}_backward', about='A loop of ten rounds.', memory=quads(10), result=20, asm=f'''
        r3 = *(u64 *)(r1 +0)
        r3 &= 15
        r3 |= 8
        r0 = 0
        loop:
        r0 += 2
        {r}3 -= 1
        if {r}3 != 0 goto loop
        exit''')
    for op, taken in [('==', 1), ('!=', 0), ('>=', 1), ('s<', 0), ('&', 1)]:
        name = dict((o, n) for n, o, _, _ in CONDITIONS)[op]
        add(f'{name}{suffix}_with_itself', memory=quads(P), result=taken, asm=f'''
            r3 = *(u64 *)(r1 +0)
            r0 = 1
            if {r}3 {op} {r}3 goto end
            r0 = 0
            end:
            exit''')


def goto_cases(add):
    add('goto_forward', memory=quads(0), result=7, asm='''
        r3 = *(u64 *)(r1 +0)
        r0 = 7
        if r3 == 0 goto over
        goto +1
        over:
        goto end
        r0 = 8
        end:
        exit''')
    add('goto_zero', result=3, asm='r0 = 3\n goto +0\n exit')
    add('goto_backward', result=4, asm='''
        goto second
        first:
        r0 += 1
        exit
        second:
        r0 = 3
        goto first''')
    add('gotol_zero', result=3, asm='r0 = 3\n gotol +0\n exit')
    add('gotol_forward', memory=quads(0), result=7, asm='''
        r3 = *(u64 *)(r1 +0)
        r0 = 7
        if r3 != 0 goto other
        gotol end
        other:
        r0 = 8
        end:
        exit''')
    add('gotol_backward', result=4, asm='''
        gotol second
        first:
        r0 += 1
        exit
        second:
        r0 = 3
        gotol first''')
    add('may_goto_loop', about='The budget is far above these ten rounds.', memory=quads(10), result=20,
        asm='''
        r3 = *(u64 *)(r1 +0)
        r0 = 0
        loop:
        may_goto end
        r0 += 2
        r3 -= 1
        if r3 != 0 goto loop
        end:
        exit''')
    add('may_goto_ends_endless_loop', about='At last the budget is spent and the jump is taken.',
        result=7, asm='''
        r0 = 7
        loop:
        may_goto end
        goto loop
        end:
        exit''')
    add('may_goto_zero', result=5, asm='r0 = 5\n may_goto +0\n exit')
