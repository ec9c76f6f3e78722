# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Each operation with every register in every role.

A compiler maps registers to a machine whose shifts, divisions, exchanges and address modes prefer
some of them; these cases catch what it then gets wrong, and any register it clobbers on the way.
"""

from isa_values import quads

SEEDS = [0x11d7, -0x2b3f51, 0x3c0ffee, 0x4b1d, -0x5eed, 0x6a09e667, 0x7f4a7c15, -0x85ebca6, 0x9e3779b, 0x2545f491]


def seed(skip=()):
    return [f'r{n} = {SEEDS[n]}' for n in range(10) if n not in skip]


SEED_MEMORY = quads(*SEEDS)


def seed_from_memory():
    """The same values, but a compiler cannot know them."""
    return [f'r{n} = *(u64 *)(r1 +{8 * n})' for n in (0, 2, 3, 4, 5, 6, 7, 8, 9, 1)]


def fold(skip=()):
    """Every register goes into r0, each with its own weight."""
    return [line for n in range(1, 10) if n not in skip for line in ('r0 *= 31', f'r0 += r{n}')] + ['exit']


def arithmetic_cases(add):
    groups = [('add_sub_or_and_xor', ['+', '-', '|', '&', '^'])] + [
        (name, [op]) for name, op in [('mul', '*'), ('div', '/'), ('mod', '%'), ('sdiv', 's/'),
                                      ('smod', 's%'), ('lsh', '<<'), ('rsh', '>>'), ('arsh', 's>>')]]
    for name, ops in groups:
        for bits, r in ((64, 'r'), (32, 'w')):
            for dst in range(10):
                body = seed_from_memory()
                for src in range(10):
                    op = ops[src % len(ops)]
                    body += [f'{r}{dst} {op}= {r}{src}', f'r{dst} ^= {SEEDS[(dst + src) % 10] * 7}']
                for op in ops:
                    body += [f'{r}{dst} {op}= {dst + 3}', f'r{dst} ^= 85']
                add(f'{name}{bits}_dst_r{dst}', memory=SEED_MEMORY, asm='\n'.join(body + fold()))


def move_cases(add):
    for label, forms in [('mov', ['r{d} = r{s}', 'w{d} = w{s}']),
                         ('movsx', ['r{d} = (s8)r{s}', 'r{d} = (s16)r{s}', 'r{d} = (s32)r{s}', 'w{d} = (s8)w{s}',
                                    'w{d} = (s16)w{s}'])]:
        for dst in range(10):
            body = seed() + ['*(u64 *)(r10 -8) = 0']
            for src in range(10):
                for form in forms:
                    body += [form.format(d=dst, s=src), f'lock *(u64 *)(r10 -8) += r{dst}', f'r{dst} ^= {SEEDS[dst]}']
            add(f'{label}_dst_r{dst}', asm='\n'.join(body + [f'r{9 - dst} = *(u64 *)(r10 -8)'] + fold()))
    for dst in range(10):
        body = seed()
        for op in ('le16', 'be32', 'bswap16', 'be64', 'bswap32', 'be16', 'bswap64', 'le32', 'le64'):
            body += [f'r{dst} = {op} r{dst}', f'r{dst} *= {SEEDS[3]}']
        add(f'unary_r{dst}', asm='\n'.join(body + [f'r{dst} = -r{dst}', f'w{dst} = -w{dst}'] + fold()))


def jump_cases(add):
    """Each comparison of each pair sets a bit of a word on the stack."""
    for op, name in [('==', 'jeq'), ('>', 'jgt'), ('s<', 'jslt'), ('&', 'jset'), ('<=', 'jle'), ('s>=', 'jsge')]:
        for bits, r in ((64, 'r'), (32, 'w')):
            for dst in range(10):
                body = seed_from_memory() + ['*(u64 *)(r10 -8) = 0']
                for src in range(10):
                    body += [f'if {r}{dst} {op} {r}{src} goto over{src}', f'*(u8 *)(r10 {src % 8 - 8:+d}) = {src + 1}',
                             f'over{src}:']
                body += [f'if {r}{dst} {op} {SEEDS[dst]} goto last', '*(u8 *)(r10 -3) = 77', 'last:']
                body += ['r1 = *(u64 *)(r10 -8)'] + fold()
                add(f'{name}{bits}_dst_r{dst}', memory=SEED_MEMORY, asm='\n'.join(body))


def memory_cases(add):
    data = quads(*(0x0101010101010101 * n + 0x8070605040302010 for n in range(4)))
    for base in range(10):
        others = [n for n in range(10) if n != base]
        body = [f'r{base} = r1'] if base != 1 else []
        body += seed(skip=(base,))
        for n in others:
            size = ('u8', 'u16', 'u32', 'u64')[n % 4]
            body += [f'*({size} *)(r{base} +{n % 3 * 8}) = r{n}', f'r{n} = *({size} *)(r{base} +{n % 3 * 8 + 8})']
        for n in others[:6]:
            body += [f'r{n} = *({("s8", "s16", "s32")[n % 3]} *)(r{base} +{n * 3})']
        body += [f'*(u16 *)(r{base} +30) = -2', f'*(u8 *)(r{base} +29) = 99', f'*(u32 *)(r{base} +24) = -559038737']
        if base == 0:
            body += ['r1 += r2', 'r0 = r1']
        add(f'memory_base_r{base}', memory=data, asm='\n'.join(body + fold(skip=(base, 0) if base else (0, 1))))
        add(f'stack_value_r{base}', asm='\n'.join(seed() + [
            f'*(u64 *)(r10 -8) = r{base}', f'*(u32 *)(r10 -16) = r{base}', f'*(u16 *)(r10 -18) = r{base}',
            f'*(u8 *)(r10 -19) = r{base}', f'r{base} = *(u16 *)(r10 -18)', f'r{9 - base} = *(u8 *)(r10 -19)',
            f'lock *(u64 *)(r10 -8) += r{base}', f'r{base} = *(s32 *)(r10 -16)',
            f'lock *(u64 *)(r10 -8) ^= r{base}', f'r{9 - base} = *(u64 *)(r10 -8)'] + fold()))


def atomic_cases(add):
    """Fetching operations with each base and source; r0 in either role is the awkward one."""
    data = quads(0x1122334455667788, 0x99aabbccddeeff00)
    for base in range(10):
        for wide, size in (('64', 'u64'), ('', 'u32')):
            others = [n for n in range(10) if n != base]
            body = ([f'r{base} = r1'] if base != 1 else []) + seed(skip=(base,))
            for number, n in enumerate(others):
                op = ('fetch_or', 'fetch_and', 'fetch_xor', 'fetch_add', 'xchg')[(number + base) % 5]
                body += [f'r{n} = atomic{wide}_{op}(({size} *)(r{base} +8), r{n})',
                         f'lock *({size} *)(r{base} +0) += r{n}']
                if base:
                    body += [f'r0 = atomic{wide}_cmpxchg(({size} *)(r{base} +8), r0, r{n})']
            for number, n in enumerate(others):
                op = ('fetch_and', 'fetch_xor', 'fetch_or')[number % 3]
                body += [f'r{n} = atomic{wide}_{op}(({size} *)(r{base} +0), r{n})']
            body += [f'r{others[-1]} = load_acquire(({size} *)(r{base} +0))',
                     f'store_release(({size} *)(r{base} +8), r{others[3]})']
            if base == 0:
                body += ['r1 += r2', 'r0 = r1']
            add(f'atomic{wide or "32"}_base_r{base}', memory=data,
                asm='\n'.join(body + fold(skip=(base,) if base else (1,))))
