# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Cases of loads, stores, atomics, calls, and of every register in every role."""

from isa_values import M, M32, MAX32, MIN, MIN32, P, quads

WIDTHS = [('u8', 1), ('u16', 2), ('u32', 4), ('u64', 8)]
BYTES = bytes(range(0x81, 0xa1))  # 32 bytes, each with its sign bit set


def load_cases(add):
    for name, size in WIDTHS:
        value = int.from_bytes(BYTES[8:8 + size], 'little')
        for off in (0, 8, 16):
            add(f'ldx_{name}_at_{off}', about='Zero-extended.', memory=BYTES,
                result=int.from_bytes(BYTES[off:off + size], 'little'),
                asm=f'r0 = *({name} *)(r1 +{off})\n exit')
        add(f'ldx_{name}_negative_offset', memory=BYTES, result=value,
            asm=f'r1 += 24\n r0 = *({name} *)(r1 -16)\n exit')
        add(f'ldx_{name}_last', memory=BYTES, result=int.from_bytes(BYTES[-size:], 'little'),
            asm=f'r0 = *({name} *)(r1 +{32 - size})\n exit')
        add(f'ldx_{name}_into_base', memory=BYTES, result=value,
            asm=f'r1 = *({name} *)(r1 +8)\n r0 = r1\n exit')
        if size > 1:
            add(f'ldx_{name}_unaligned', memory=BYTES, result=int.from_bytes(BYTES[3:3 + size], 'little'),
                asm=f'r0 = *({name} *)(r1 +3)\n exit')
        for off in (127, 128, -128, -129, 255, 256):
            memory = bytearray(512)
            at = off if off >= 0 else 256 + off
            memory[at:at + size] = BYTES[:size]
            move = '' if off >= 0 else 'r1 += 256\n'
            add(f'ldx_{name}_offset_{"minus_" if off < 0 else ""}{abs(off)}', memory=bytes(memory),
                result=int.from_bytes(BYTES[:size], 'little'),
                asm=f'{move} r0 = *({name} *)(r1 {off:+d})\n exit')
    for bits in (8, 16, 32):
        name, sign, low = f's{bits}', 1 << (bits - 1), (1 << bits) - 1
        for label, value, result in [('negative', sign, M - low + sign), ('minus_1', low, M),
                                     ('positive', sign - 1, sign - 1), ('zero', 0, 0)]:
            memory = quads(P, (P & ~low & M) | value)
            add(f'ldsx_{name}_{label}', memory=memory, result=result,
                asm=f'r0 = *({name} *)(r1 +8)\n exit')
        add(f'ldsx_{name}_negative_offset', memory=quads(sign, 0, 0), result=M - low + sign,
            asm=f'r1 += 16\n r0 = *({name} *)(r1 -16)\n exit')
        add(f'ldsx_{name}_into_base', memory=quads(sign), result=M - low + sign,
            asm=f'r1 = *({name} *)(r1 +0)\n r0 = r1\n exit')


def store_cases(add):
    for name, size in WIDTHS:
        old = b'\x11' * 24
        for label, off, move in [('at_8', 8, ''), ('negative_offset', -8, 'r1 += 16\n')]:
            at = off % 16
            new = bytes(old[:at]) + P.to_bytes(8, 'little')[:size] + old[at + size:]
            add(f'stx_{name}_{label}', about='The neighbours stay.', memory=old, memory_after=new, result=P,
                asm=f'r3 = 0x{P:x}\n {move} *({name} *)(r1 {off:+d}) = r3\n r0 = r3\n exit')
        if size > 1:
            new = old[:5] + P.to_bytes(8, 'little')[:size] + old[5 + size:]
            add(f'stx_{name}_unaligned', memory=old, memory_after=new, result=0,
                asm=f'r3 = 0x{P:x}\n *({name} *)(r1 +5) = r3\n r0 = 0\n exit')
        for label, imm in [('minus_1', -1), ('negative', -2023406815), ('positive', 0x12345678), ('zero', 0),
                           ('min', -MIN32)]:
            new = old[:8] + (imm & ((1 << 8 * size) - 1)).to_bytes(size, 'little') + old[8 + size:]
            add(f'st_{name}_{label}', about='The immediate is sign-extended, then cut.', memory=old,
                memory_after=new, result=0, asm=f'*({name} *)(r1 +8) = {imm}\n r0 = 0\n exit')
        for off in (127, 128, -128, -129):
            memory = bytearray(512)
            at = off if off >= 0 else 256 + off
            move = '' if off >= 0 else 'r1 += 256\n'
            both = f'_{name}_offset_{"minus_" if off < 0 else ""}{abs(off)}'
            memory[at:at + size] = P.to_bytes(8, 'little')[:size]
            add('stx' + both, memory=bytes(512), memory_after=bytes(memory), result=0,
                asm=f'{move} r3 = 0x{P:x}\n *({name} *)(r1 {off:+d}) = r3\n r0 = 0\n exit')
            memory[at:at + size] = (-2 & ((1 << 8 * size) - 1)).to_bytes(size, 'little')
            add('st' + both, memory=bytes(512), memory_after=bytes(memory), result=0,
                asm=f'{move} *({name} *)(r1 {off:+d}) = -2\n r0 = 0\n exit')


def stack_cases(add):
    for name, size in WIDTHS:
        low = (1 << 8 * size) - 1
        add(f'stack_{name}', result=P & low, asm=f'''
            r3 = 0x{P:x}
            *({name} *)(r10 -8) = r3
            r0 = *({name} *)(r10 -8)
            exit''')
        add(f'stack_{name}_imm', result=-3 & low, asm=f'''
            *({name} *)(r10 -16) = -3
            r0 = *({name} *)(r10 -16)
            exit''')
        add(f'stack_{name}_through_copy', result=P & low, asm=f'''
            r6 = r10
            r6 += -24
            r3 = 0x{P:x}
            *({name} *)(r6 +8) = r3
            r0 = *({name} *)(r10 -16)
            exit''')
        add(f'stack_{name}_lowest', about='The far end of the 512 bytes.', result=P & low, asm=f'''
            r3 = 0x{P:x}
            *(u64 *)(r10 -512) = 0
            *({name} *)(r10 -512) = r3
            r0 = *(u64 *)(r10 -512)
            exit''')
    add('stack_parts_of_a_whole', result=0xef + 0xcdab + 0x01234567, asm=f'''
        r3 = 0x{P:x}
        *(u64 *)(r10 -8) = r3
        r0 = *(u8 *)(r10 -8)
        r4 = *(u8 *)(r10 -7)
        r5 = *(u8 *)(r10 -6)
        r4 <<= 8
        r5 |= r4
        r0 += r5
        r4 = *(u32 *)(r10 -4)
        r0 += r4
        exit''')
    add('stack_whole_of_parts', result=0x7766_5544_3322_1100, asm='\n'.join(
        [f'*(u8 *)(r10 {n - 8:+d}) = {17 * n}' for n in range(8)] + ['r0 = *(u64 *)(r10 -8)', 'exit']))
    add('stack_sign_extending_load', result=M - 0x7f, asm='''
        *(u64 *)(r10 -8) = 128
        r0 = *(s8 *)(r10 -8)
        exit''')
    add('stack_keeps_pointer', about='A pointer spilled and filled still works.', memory=quads(P), result=P,
        asm='*(u64 *)(r10 -8) = r1\n r3 = *(u64 *)(r10 -8)\n r0 = *(u64 *)(r3 +0)\n exit')


OPERATIONS = {
    ('add', '+'): [('small', 5, 7), ('wraps', M, 1), ('carry_over_32', M32, 1), ('negative', 5, -7)],
    ('or', '|'): [('bits', 0xf0f0_0000_f0f0, 0x0ff0_0000_0ff0), ('top_bits', MIN, MIN32)],
    ('and', '&'): [('bits', 0xf0f0_0000_f0f0, 0x0ff0_0000_0ff0), ('top_bits', M, MIN | MIN32)],
    ('xor', '^'): [('bits', 0xf0f0_0000_f0f0, 0x0ff0_0000_0ff0), ('inverts', P, -1)],
}
PLAIN = {'+': lambda a, b: a + b, '|': lambda a, b: a | b, '&': lambda a, b: a & b, '^': lambda a, b: a ^ b}


def atomic_operation_cases(add):
    for wide, size, bits in (('64', 'u64', 64), ('', 'u32', 32)):
        mask = (1 << bits) - 1
        for (name, op), rows in OPERATIONS.items():
            for label, a, b in rows:
                new = a & ~mask & M | PLAIN[op](a, b) & mask  # 32 bits: the upper half stays
                load = f'r3 = 0x{b & M:x}\n'
                fields = dict(memory=quads(P, a, P), memory_after=quads(P, new, P))
                add(f'atomic{bits}_{name}_{label}', result=b & M, **fields,
                    asm=f'{load} lock *({size} *)(r1 +8) {op}= r3\n r0 = r3\n exit')
                add(f'atomic{bits}_fetch_{name}_{label}', result=a & mask, **fields, asm=f'''
                    {load} r3 = atomic{wide}_fetch_{name}(({size} *)(r1 +8), r3)
                    r0 = r3
                    exit''')
            add(f'atomic{bits}_{name}_stack', result=PLAIN[op](6, 12) & mask, asm=f'''
                *(u64 *)(r10 -8) = 6
                r3 = 12
                lock *({size} *)(r10 -8) {op}= r3
                r0 = *({size} *)(r10 -8)
                exit''')
            add(f'atomic{bits}_fetch_{name}_r0_negative_offset', memory=quads(0, 6, 0), result=6,
                memory_after=quads(0, PLAIN[op](6, 12), 0), asm=f'''
                r1 += 16
                r0 = 12
                r0 = atomic{wide}_fetch_{name}(({size} *)(r1 -8), r0)
                exit''')
            add(f'atomic{bits}_fetch_{name}_keeps_others', about='Only the source register changes.',
                memory=quads(6), memory_after=quads(PLAIN[op](6, 12)), result=0x1f41, asm=f'''
                r0 = 1000
                r2 = 2000
                r4 = 4000
                r5 = 995
                r3 = 12
                r3 = atomic{wide}_fetch_{name}(({size} *)(r1 +0), r3)
                r0 += r2
                r0 += r3
                r0 += r4
                r0 += r5
                exit''')


def exchange_cases(add):
    for wide, size, bits in (('64', 'u64', 64), ('', 'u32', 32)):
        mask = (1 << bits) - 1
        old, new = 0xfedcba98_87654321, P
        stored = old & ~mask | new & mask
        add(f'atomic{bits}_xchg', memory=quads(P, old), memory_after=quads(P, stored), result=old & mask,
            asm=f'r3 = 0x{new:x}\n r3 = atomic{wide}_xchg(({size} *)(r1 +8), r3)\n r0 = r3\n exit')
        add(f'atomic{bits}_xchg_stack', result=5, asm=f'''
            *(u64 *)(r10 -8) = 5
            r0 = 6
            r0 = atomic{wide}_xchg(({size} *)(r10 -8), r0)
            exit''')
        exchange = f'r0 = atomic{wide}_cmpxchg(({size} *)(r1 +8), r0, r3)'
        for label, expected, hit in [('succeeds', old, True), ('fails', old ^ 1, False),
                                     ('fails_on_sign_bit', old ^ 1 << (bits - 1), False)]:
            add(f'atomic{bits}_cmpxchg_{label}', result=old & mask, memory=quads(P, old),
                memory_after=quads(P, stored if hit else old),
                asm=f'r0 = 0x{expected:x}\n r3 = 0x{new:x}\n {exchange}\n exit')
        add(f'atomic{bits}_cmpxchg_upper_half_differs', memory=quads(P, old),
            about='Only the low half takes part in 32 bits.', result=old & mask,
            memory_after=quads(P, stored if bits == 32 else old),
            asm=f'r0 = 0x{old ^ MIN:x}\n r3 = 0x{new:x}\n {exchange}\n exit')
        add(f'atomic{bits}_cmpxchg_keeps_source', memory=quads(P, old), memory_after=quads(P, stored),
            result=new, asm=f'r0 = 0x{old:x}\n r3 = 0x{new:x}\n {exchange}\n r0 = r3\n exit')
        add(f'atomic{bits}_cmpxchg_source_r0', about='The value compared is the value stored.',
            memory=quads(P, old), result=old & mask,
            asm=f'r0 = 0x{old:x}\n r0 = atomic{wide}_cmpxchg(({size} *)(r1 +8), r0, r0)\n exit')
        for hit in (True, False):
            add(f'atomic{bits}_cmpxchg_stack_{"succeeds" if hit else "fails"}', result=1 if hit else 5,
                asm=f'''
                *(u64 *)(r10 -8) = 5
                r0 = {5 if hit else 7}
                r3 = 1
                r0 = atomic{wide}_cmpxchg(({size} *)(r10 -8), r0, r3)
                r0 = *({size} *)(r10 -8)
                exit''')


def ordered_cases(add):
    for name, size in WIDTHS:
        value = int.from_bytes(BYTES[8:8 + size], 'little')
        add(f'load_acquire_{name}', about='Zero-extended.', memory=BYTES, result=value,
            asm=f'r0 = load_acquire(({name} *)(r1 +8))\n exit')
        add(f'load_acquire_{name}_negative_offset', memory=BYTES, result=value,
            asm=f'r1 += 24\n r6 = load_acquire(({name} *)(r1 -16))\n r0 = r6\n exit')
        add(f'load_acquire_{name}_into_base', memory=BYTES, result=value,
            asm=f'r1 = load_acquire(({name} *)(r1 +8))\n r0 = r1\n exit')
        add(f'load_acquire_{name}_stack', result=-2 & ((1 << 8 * size) - 1),
            asm=f'*(u64 *)(r10 -8) = -2\n r0 = load_acquire(({name} *)(r10 -8))\n exit')
        old = b'\x11' * 24
        new = old[:8] + P.to_bytes(8, 'little')[:size] + old[8 + size:]
        for label, off, move in (('', 8, ''), ('_negative_offset', -8, 'r1 += 16\n')):
            add(f'store_release_{name}{label}', memory=old, memory_after=new, result=P,
                asm=f'r3 = 0x{P:x}\n {move} store_release(({name} *)(r1 {off:+d}), r3)\n r0 = r3\n exit')
        add(f'store_release_{name}_stack', result=(M << 8 * size & M) | P & ((1 << 8 * size) - 1), asm=f'''
            *(u64 *)(r10 -8) = -1
            r3 = 0x{P:x}
            store_release(({name} *)(r10 -8), r3)
            r0 = *(u64 *)(r10 -8)
            exit''')


def call_cases(add):
    add('call_returns', result=42, asm='call f\n exit\n f:\n r0 = 42\n exit')
    add('call_returns_64_bits', result=P, asm=f'call f\n exit\n f:\n r0 = 0x{P:x}\n exit')
    add('call_passes_five', result=12345, asm='''
        r1 = 1
        r2 = 2
        r3 = 3
        r4 = 4
        r5 = 5
        call f
        exit
        f:
        r0 = r1
        r0 *= 10
        r0 += r2
        r0 *= 10
        r0 += r3
        r0 *= 10
        r0 += r4
        r0 *= 10
        r0 += r5
        exit''')
    add('call_preserves_r6_to_r9', about='The callee overwrites them; the caller does not see it.',
        result=6789, asm='''
        r6 = 6000
        r7 = 700
        r8 = 80
        r9 = 9
        call f
        r0 = r6
        r0 += r7
        r0 += r8
        r0 += r9
        exit
        f:
        r6 = 1
        r7 = 2
        r8 = 3
        r9 = 4
        r0 = r6
        r0 += r7
        r0 += r8
        r0 += r9
        exit''')
    add('call_preserves_64_bits', result=P, asm=f'''
        r9 = 0x{P:x}
        call f
        r0 = r9
        exit
        f:
        w9 = -1
        r0 = r9
        exit''')
    add('call_own_frames', about='The callee writes the same offsets of a frame of its own.', result=35, asm='''
        *(u64 *)(r10 -8) = 30
        *(u64 *)(r10 -16) = 4
        call f
        r1 = *(u64 *)(r10 -8)
        r0 += r1
        r1 = *(u64 *)(r10 -16)
        r0 += r1
        exit
        f:
        *(u64 *)(r10 -8) = -1
        *(u64 *)(r10 -16) = -1
        r0 = 1
        exit''')
    add('call_r10_restored', result=0, asm='''
        r6 = r10
        call f
        r0 = r10
        r0 -= r6
        exit
        f:
        *(u8 *)(r10 -1) = 0
        r0 = 1
        exit''')
    add('call_writes_caller_stack', result=77, asm='''
        *(u64 *)(r10 -8) = 1
        r1 = r10
        r1 += -8
        call f
        r0 = *(u64 *)(r10 -8)
        exit
        f:
        *(u64 *)(r1 +0) = 77
        r0 = 0
        exit''')
    add('call_writes_memory', memory=quads(1), memory_after=quads(P), result=1, asm=f'''
        r6 = *(u64 *)(r1 +0)
        r2 = 0x{P:x}
        call f
        r0 = r6
        exit
        f:
        *(u64 *)(r1 +0) = r2
        r0 = 0
        exit''')
    add('call_nested', result=321, asm='''
        call f
        r0 += 300
        exit
        f:
        r6 = 20
        call g
        r0 += r6
        exit
        g:
        r6 = 5
        r0 = 1
        exit''')
    depth = 7
    body = ['r6 = 1', 'call f1', 'r0 += r6', 'exit']
    for level in range(1, depth):
        body += [f'f{level}:', f'r6 = {10 ** level % 997}', f'*(u64 *)(r10 -8) = {level}',
                 f'call f{level + 1}' if level + 1 < depth else 'r0 = 0', 'r1 = *(u64 *)(r10 -8)',
                 'r0 += r6', 'r0 += r1', 'exit']
    add('call_seven_frames', about='Deep, each level with saved registers and a frame.',
        result=sum(10 ** n % 997 for n in range(depth)) + sum(range(depth)), asm='\n'.join(body))
    add('call_twice', result=30, asm='''
        r1 = 10
        call f
        r6 = r0
        r1 = 20
        call f
        r0 += r6
        exit
        f:
        r0 = r1
        exit''')
    add('call_in_loop', memory=quads(5), result=50, asm='''
        r7 = *(u64 *)(r1 +0)
        r7 &= 7
        r6 = 0
        loop:
        r1 = r6
        call f
        r6 = r0
        r7 -= 1
        if r7 s> 0 goto loop
        r0 = r6
        exit
        f:
        r0 = r1
        r0 += 10
        exit''')
    add('call_backward', about='The callee calls what stands before it.', result=9, asm='''
        call g
        exit
        f:
        r0 = 4
        exit
        g:
        call f
        r0 += 5
        exit''')
    add('call_early_exit', about='Either exit of the callee returns.', memory=quads(3), result=13, asm='''
        r1 = *(u64 *)(r1 +0)
        call f
        r6 = r0
        r1 = 0
        call f
        r0 += r6
        exit
        f:
        if r1 == 0 goto none
        r0 = r1
        exit
        none:
        r0 = 10
        exit''')
