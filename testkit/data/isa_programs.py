# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Whole algorithms, their results computed by ordinary Python, and jumps that go far."""

import math
import struct
import zlib

from isa_values import M, M32, quads

TEXT = b'The quick brown fox jumps over the lazy dog, 0123456789 times'


def rotl32(value, by):
    return (value << by | value >> (32 - by)) & M32


def hash_cases(add):
    state = 0x811c9dc5
    for byte in TEXT:
        state = (state ^ byte) * 0x01000193 & M32
    add('fnv1a_32', memory=TEXT, result=state, asm=f'''
        w0 = {0x811c9dc5 - (1 << 32)}
        r3 = 0
        loop:
        r4 = r1
        r4 += r3
        r4 = *(u8 *)(r4 +0)
        w0 ^= w4
        w0 *= {0x01000193}
        r3 += 1
        if r3 < {len(TEXT)} goto loop
        exit''')
    add('crc32_bitwise', memory=TEXT[:16], result=zlib.crc32(TEXT[:16]), asm='''
        w0 = -1
        r3 = 0
        byte:
        r4 = r1
        r4 += r3
        r4 = *(u8 *)(r4 +0)
        w0 ^= w4
        r5 = 8
        bit:
        w4 = w0
        w4 &= 1
        w4 = -w4
        w4 &= -306674912
        w0 >>= 1
        w0 ^= w4
        r5 -= 1
        if r5 != 0 goto bit
        r3 += 1
        if r3 < 16 goto byte
        w0 ^= -1
        exit''')
    add('adler32', memory=TEXT, result=zlib.adler32(TEXT), asm=f'''
        w0 = 0
        w5 = 1
        r3 = 0
        loop:
        r4 = r1
        r4 += r3
        r4 = *(u8 *)(r4 +0)
        w5 += w4
        w5 %= 65521
        w0 += w5
        w0 %= 65521
        r3 += 1
        if r3 != {len(TEXT)} goto loop
        w0 <<= 16
        w0 |= w5
        exit''')
    mix_case(add)
    siphash_round_case(add)


def mix_case(add):
    """Three words mixed by subtraction, rotation and exclusive or, as jhash does."""
    a, b, c = 0xdeadbef7, 0x12345678, 0x9abcdef0
    memory, lines = struct.pack('<3I', a, b, c), []
    words = {'a': a, 'b': b, 'c': c}
    registers = {'a': 3, 'b': 4, 'c': 5}
    for x, z, y, by in [('a', 'c', 'b', 4), ('b', 'a', 'c', 6), ('c', 'b', 'a', 8), ('a', 'c', 'b', 16),
                        ('b', 'a', 'c', 19), ('c', 'b', 'a', 4)]:
        words[x] = (words[x] - words[z] & M32) ^ rotl32(words[z], by)
        words[z] = words[z] + words[y] & M32
        p, q, r = registers[x], registers[z], registers[y]
        lines += [f'w{p} -= w{q}', f'w6 = w{q}', f'w6 <<= {by}', f'w7 = w{q}', f'w7 >>= {32 - by}', 'w6 |= w7',
                  f'w{p} ^= w6', f'w{q} += w{r}']
    loads = [f'r{registers[n]} = *(u32 *)(r1 +{4 * i})' for i, n in enumerate('abc')]
    stores = [f'*(u32 *)(r1 +{4 * i}) = r{registers[n]}' for i, n in enumerate('abc')]
    add('mix_of_three_words', memory=memory, memory_after=struct.pack('<3I', *words.values()),
        result=words['c'], asm='\n'.join(loads + lines + stores + ['r0 = r5', 'exit']))


def siphash_round_case(add):
    state = [0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573]

    def rotl(v, by):
        return (v << by | v >> (64 - by)) & M

    lines, v = [], list(state)
    memory = quads(*state)
    for d, s, by, swap in [(0, 1, 13, 1), (2, 3, 16, 0), (0, 3, 21, 0), (2, 1, 17, 1)]:
        v[d] = v[d] + v[s] & M
        v[s] = rotl(v[s], by) ^ v[d]
        lines += [f'r{d + 3} += r{s + 3}', f'r7 = r{s + 3}', f'r7 <<= {by}', f'r{s + 3} >>= {64 - by}',
                  f'r{s + 3} |= r7', f'r{s + 3} ^= r{d + 3}']
        if swap:
            v[d] = rotl(v[d], 32)
            lines += [f'r7 = r{d + 3}', 'r7 <<= 32', f'r{d + 3} >>= 32', f'r{d + 3} |= r7']
    loads = [f'r{n + 3} = *(u64 *)(r1 +{8 * n})' for n in range(4)]
    stores = [f'*(u64 *)(r1 +{8 * n}) = r{n + 3}' for n in range(4)]
    add('siphash_round', memory=memory, memory_after=quads(*v), result=v[0] ^ v[1] ^ v[2] ^ v[3],
        asm='\n'.join(loads + lines + stores + ['r0 = r3', 'r0 ^= r4', 'r0 ^= r5', 'r0 ^= r6', 'exit']))


def memory_cases(add):
    values = [170, 3, 255, 0, 9, 99, 42, 7, 128, 1, 64, 200]
    count = len(values)
    add('bubble_sort', memory=bytes(values), memory_after=bytes(sorted(values)), result=count, asm=f'''
        r3 = 0
        pass:
        r4 = 0
        pair:
        r5 = r1
        r5 += r4
        r6 = *(u8 *)(r5 +0)
        r7 = *(u8 *)(r5 +1)
        if r6 <= r7 goto ordered
        *(u8 *)(r5 +0) = r7
        *(u8 *)(r5 +1) = r6
        ordered:
        r4 += 1
        if r4 < {count - 1} goto pair
        r3 += 1
        if r3 < {count} goto pass
        r0 = r3
        exit''')
    compare = '''
        r3 = 0
        loop:
        r4 = r1
        r4 += r3
        r0 = *(u8 *)(r4 +0)
        r5 = *(u8 *)(r4 +16)
        r0 -= r5
        if r0 != 0 goto end
        r3 += 1
        if r3 < 16 goto loop
        end:
        exit'''
    for label, second in [('equal', TEXT[:16]), ('less', TEXT[:15] + b'~'),
                          ('greater', TEXT[:4] + b'A' + TEXT[5:16])]:
        text = TEXT[:16]
        result = next((x - y for x, y in zip(text, second) if x != y), 0)
        add(f'memcmp_{label}', memory=text + second, result=result & M, asm=compare)
    add('memcpy_backward', memory=TEXT[:16] + bytes(16), memory_after=TEXT[:16] * 2, result=0, asm='''
        r3 = 16
        loop:
        r3 -= 1
        r4 = r1
        r4 += r3
        r5 = *(u8 *)(r4 +0)
        *(u8 *)(r4 +16) = r5
        if r3 != 0 goto loop
        r0 = r3
        exit''')
    add('string_length', memory=b'barebpf\0' + bytes(8), result=7, asm='''
        r0 = 0
        loop:
        r3 = r1
        r3 += r0
        r3 = *(u8 *)(r3 +0)
        if r3 == 0 goto end
        r0 += 1
        if r0 < 16 goto loop
        end:
        exit''')
    words = struct.unpack('>10H', TEXT[:20])
    total = sum(words)
    total = (total & 0xffff) + (total >> 16)
    add('internet_checksum', memory=TEXT[:20], result=~total & 0xffff, asm='''
        r0 = 0
        r3 = 0
        loop:
        r4 = r1
        r4 += r3
        r4 = *(u16 *)(r4 +0)
        r4 = be16 r4
        r0 += r4
        r3 += 2
        if r3 < 20 goto loop
        r4 = r0
        r4 >>= 16
        r0 &= 65535
        r0 += r4
        r0 ^= -1
        r0 &= 65535
        exit''')
    histogram_case(add)
    sieve_case(add)


def histogram_case(add):
    data = bytes(x * x % 7 for x in range(32))
    counts = [data.count(n) for n in range(8)]
    add('histogram_atomic', memory=data + bytes(64), memory_after=data + quads(*counts), result=32, asm='''
        r0 = 0
        loop:
        r3 = r1
        r3 += r0
        r3 = *(u8 *)(r3 +0)
        r3 &= 7
        r3 <<= 3
        r4 = r1
        r4 += r3
        r5 = 1
        lock *(u64 *)(r4 +32) += r5
        r0 += 1
        if r0 < 32 goto loop
        exit''')


def sieve_case(add):
    limit = 64
    composite = bytes(int(n > 3 and any(n % d == 0 for d in range(2, n))) for n in range(limit))
    primes = sum(1 for n in range(2, limit) if not composite[n])
    add('sieve_of_primes', memory=bytes(limit), memory_after=composite, result=primes, asm=f'''
        r3 = 2
        outer:
        r4 = r3
        r4 += r3
        inner:
        if r4 >= {limit} goto next
        r5 = r1
        r5 += r4
        *(u8 *)(r5 +0) = 1
        r4 += r3
        goto inner
        next:
        r3 += 1
        if r3 < {limit // 2} goto outer
        r0 = 0
        r3 = 2
        count:
        r5 = r1
        r5 += r3
        r5 = *(u8 *)(r5 +0)
        r5 ^= 1
        r0 += r5
        r3 += 1
        if r3 < {limit} goto count
        exit''')


def number_cases(add):
    a, b = 1071 * 97, 462 * 97
    add('gcd', memory=quads(a, b), result=math.gcd(a, b), asm='''
        r3 = *(u64 *)(r1 +0)
        r4 = *(u64 *)(r1 +8)
        r6 = 0
        loop:
        if r4 == 0 goto end
        r5 = r3
        r5 %= r4
        r3 = r4
        r4 = r5
        r6 += 1
        if r6 < 64 goto loop
        end:
        r0 = r3
        exit''')
    add('fibonacci', result=12200160415121876738, asm='''
        r0 = 0
        r3 = 1
        r4 = 93
        loop:
        r5 = r0
        r5 += r3
        r0 = r3
        r3 = r5
        r4 -= 1
        if r4 != 0 goto loop
        exit''')
    add('factorial_20', result=math.factorial(20), asm='r0 = 1\n r3 = 20\n loop:\n r0 *= r3\n r3 -= 1\n'
        ' if r3 s> 1 goto loop\n exit')
    add('population_count', memory=quads(0xf0e1d2c3b4a59687), result=32, asm='''
        r3 = *(u64 *)(r1 +0)
        r0 = 0
        r5 = 64
        loop:
        r4 = r3
        r4 &= 1
        r0 += r4
        r3 >>= 1
        r5 -= 1
        if r5 != 0 goto loop
        exit''')
    n = 0x7fff_1234_5678_9abc
    add('square_root', memory=quads(n), result=math.isqrt(n), asm='''
        r3 = *(u64 *)(r1 +0)
        r0 = 0
        r4 = 0x80000000
        loop:
        r5 = r0
        r5 |= r4
        r6 = r5
        r6 *= r5
        if r6 > r3 goto skip
        r0 = r5
        skip:
        r4 >>= 1
        if r4 != 0 goto loop
        exit''')
    state = 0x9e3779b97f4a7c15
    for _ in range(20):
        state ^= state >> 12
        state = (state ^ state << 25) & M
        state ^= state >> 27
    add('xorshift_star', memory=quads(0x9e3779b97f4a7c15), result=state * 0x2545f4914f6cdd1d & M, asm='''
        r0 = *(u64 *)(r1 +0)
        r5 = 20
        loop:
        r3 = r0
        r3 >>= 12
        r0 ^= r3
        r3 = r0
        r3 <<= 25
        r0 ^= r3
        r3 = r0
        r3 >>= 27
        r0 ^= r3
        r5 -= 1
        if r5 != 0 goto loop
        r3 = 0x2545f4914f6cdd1d
        r0 *= r3
        exit''')
    add('decimal_digits', memory=quads(9007199254740993) + bytes(16), result=0,
        memory_after=quads(9007199254740993) + b'9007199254740993', asm='''
        r0 = *(u64 *)(r1 +0)
        r3 = 16
        loop:
        r3 -= 1
        r4 = r0
        r4 %= 10
        r4 += 48
        r5 = r1
        r5 += r3
        *(u8 *)(r5 +8) = r4
        r0 /= 10
        if r3 != 0 goto loop
        exit''')
    add('power_by_function', about='Square and multiply; the product is a function of its own.',
        result=pow(7, 45, 1000003), asm='''
        r6 = 1
        r7 = 7
        r8 = 45
        loop:
        r1 = r8
        r1 &= 1
        if r1 == 0 goto even
        r1 = r6
        r2 = r7
        call times
        r6 = r0
        even:
        r1 = r7
        r2 = r7
        call times
        r7 = r0
        r8 >>= 1
        if r8 != 0 goto loop
        r0 = r6
        exit
        times:
        r0 = r1
        r0 *= r2
        r0 %= 1000003
        exit''')
    steps, value = 0, 97
    while value != 1:
        value = value // 2 if value % 2 == 0 else 3 * value + 1
        steps += 1
    add('collatz_97', result=steps, asm='''
        r3 = 97
        r0 = 0
        loop:
        r4 = r3
        r4 &= 1
        if r4 != 0 goto odd
        r3 >>= 1
        goto step
        odd:
        r3 *= 3
        r3 += 1
        step:
        r0 += 1
        if r3 != 1 goto loop
        exit''')


def far_cases(add):
    """What lies between is either skipped or run: jumps of every reach a compiler tells apart."""
    for count in (10, 30, 31, 32, 33, 41, 42, 43, 60, 120, 2000, 32767):
        for label, value, result in (('taken', 0, 5), ('falls_through', 1, 5 + count)):
            add(f'if_forward_{count}_{label}', memory=quads(value), result=result, asm=f'''
                r3 = *(u64 *)(r1 +0)
                r0 = 5
                if r3 == 0 goto end
                {count} x r0 += 1
                end:
                exit''')
        for word in ('goto', 'gotol'):
            add(f'{word}_forward_{count}', memory=quads(0), result=5, asm=f'''
                r3 = *(u64 *)(r1 +0)
                r0 = 5
                if r3 != 0 goto +1
                {word} end
                {count} x r0 += 1
                end:
                exit''')
    add('gotol_forward_40000', about='Farther than 16 bits reach.', memory=quads(0), result=5, asm='''
        r3 = *(u64 *)(r1 +0)
        r0 = 5
        if r3 != 0 goto +1
        gotol end
        40000 x r0 += 1
        end:
        exit''')
    for count, word in ((2000, 'goto'), (32000, 'goto'), (40000, 'gotol')):
        add(f'{word}_backward_{count}', memory=quads(2), result=2 * count + 3, asm=f'''
            r3 = *(u64 *)(r1 +0)
            r3 &= 3
            r0 = 0
            again:
            r0 += 1
            if r3 == 0 goto +1
            goto +1
            exit
            {count} x r0 += 1
            r3 -= 1
            {word} again''')
    add('call_over_40000', memory=quads(0), result=9, asm='''
        r3 = *(u64 *)(r1 +0)
        r1 = r3
        if r3 != 0 goto +1
        gotol direct
        r0 = 0
        40000 x r0 += 1
        exit
        direct:
        call f
        exit
        f:
        r0 = 9
        exit''')
