# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs that no loader may take. Each is a good program with one thing wrong.

A row names the case, the good instruction, the fields that are changed in it, and the reason. The
good program around it makes sure that nothing else is wrong: `twin` is it, and the model and the
kernel must accept it.
"""

from isa_asm import assemble, encode, insn

# Sets up what the instruction under test may read, in verified programs as well.
BEFORE = '''
    r0 = 0
    r3 = 1
    r4 = 1
    *(u64 *)(r10 -8) = 0
'''

ALU = [
    ('add64_imm_src', 'r0 += 1', dict(src=1), 'source register must be 0'),
    ('add64_imm_off', 'r0 += 1', dict(off=1), 'offset must be 0'),
    ('add64_reg_imm', 'r0 += r3', dict(imm=1), 'immediate must be 0'),
    ('add64_reg_off', 'r0 += r3', dict(off=1), 'offset must be 0'),
    ('add32_imm_src', 'w0 += 1', dict(src=1), 'source register must be 0'),
    ('add32_reg_imm', 'w0 += w3', dict(imm=-1), 'immediate must be 0'),
    ('sub64_imm_off', 'r0 -= 1', dict(off=-1), 'offset must be 0'),
    ('mul64_reg_off', 'r0 *= r3', dict(off=1), 'offset must be 0, multiplication has no signed form'),
    ('or64_reg_imm', 'r0 |= r3', dict(imm=1), 'immediate must be 0'),
    ('and32_imm_off', 'w0 &= 1', dict(off=256), 'offset must be 0'),
    ('lsh64_imm_src', 'r0 <<= 1', dict(src=2), 'source register must be 0'),
    ('rsh64_reg_imm', 'r0 >>= r3', dict(imm=1), 'immediate must be 0'),
    ('arsh64_imm_off', 'r0 s>>= 1', dict(off=1), 'offset must be 0'),
    ('xor64_reg_off', 'r0 ^= r3', dict(off=8), 'offset must be 0'),
    ('div64_imm_off_2', 'r0 /= 3', dict(off=2), 'offset must be 0 or 1'),
    ('div64_reg_off_2', 'r0 /= r3', dict(off=2), 'offset must be 0 or 1'),
    ('div64_reg_off_negative', 'r0 /= r3', dict(off=-1), 'offset must be 0 or 1'),
    ('mod64_reg_off_8', 'r0 %= r3', dict(off=8), 'offset must be 0 or 1'),
    ('mod32_imm_off_2', 'w0 %= 3', dict(off=2), 'offset must be 0 or 1'),
    ('div64_reg_imm', 'r0 /= r3', dict(imm=1), 'immediate must be 0'),
    ('sdiv64_reg_imm', 'r0 s/= r3', dict(imm=1), 'immediate must be 0'),
    ('neg64_src', 'r0 = -r0', dict(src=1), 'source register must be 0'),
    ('neg64_imm', 'r0 = -r0', dict(imm=1), 'immediate must be 0'),
    ('neg64_off', 'r0 = -r0', dict(off=1), 'offset must be 0'),
    ('neg64_x', 'r0 = -r0', dict(op=0x8f), 'negation has no register form'),
    ('neg32_imm', 'w0 = -w0', dict(imm=1), 'immediate must be 0'),
    ('neg32_x', 'w0 = -w0', dict(op=0x8c), 'negation has no register form'),
    ('mov64_imm_src', 'r0 = 1', dict(src=1), 'source register must be 0'),
    ('mov64_imm_off', 'r0 = 1', dict(off=8), 'sign extension needs a register'),
    ('mov64_reg_imm', 'r0 = r3', dict(imm=1), 'immediate must be 0'),
    ('mov64_reg_off_1', 'r0 = r3', dict(off=1), 'offset must be 0, 8, 16 or 32'),
    ('mov64_reg_off_64', 'r0 = r3', dict(off=64), 'offset must be 0, 8, 16 or 32'),
    ('mov64_reg_off_24', 'r0 = r3', dict(off=24), 'offset must be 0, 8, 16 or 32'),
    ('mov32_imm_off', 'w0 = 1', dict(off=16), 'sign extension needs a register'),
    ('mov32_reg_off_32', 'w0 = w3', dict(off=32), 'offset must be 0, 8 or 16'),
    ('movsx64_imm', 'r0 = (s8)r3', dict(imm=1), 'immediate must be 0'),
    ('alu64_code_e', 'r0 += 1', dict(op=0xe7), 'no such operation'),
    ('alu64_code_f', 'r0 += 1', dict(op=0xf7), 'no such operation'),
    ('alu64_code_e_reg', 'r0 += r3', dict(op=0xef), 'no such operation'),
    ('alu32_code_e', 'w0 += 1', dict(op=0xe4), 'no such operation'),
    ('alu32_code_f', 'w0 += 1', dict(op=0xf4), 'no such operation'),
    ('alu32_code_f_reg', 'w0 += w3', dict(op=0xfc), 'no such operation'),
]

ENDIAN = [
    ('le_8', 'r0 = le16 r0', dict(imm=8), 'width must be 16, 32 or 64'),
    ('le_0', 'r0 = le16 r0', dict(imm=0), 'width must be 16, 32 or 64'),
    ('le_128', 'r0 = le64 r0', dict(imm=128), 'width must be 16, 32 or 64'),
    ('be_24', 'r0 = be16 r0', dict(imm=24), 'width must be 16, 32 or 64'),
    ('be_negative', 'r0 = be16 r0', dict(imm=-16), 'width must be 16, 32 or 64'),
    ('be_src', 'r0 = be16 r0', dict(src=1), 'source register must be 0'),
    ('be_off', 'r0 = be16 r0', dict(off=1), 'offset must be 0'),
    ('le_off', 'r0 = le32 r0', dict(off=16), 'offset must be 0'),
    ('bswap_8', 'r0 = bswap16 r0', dict(imm=8), 'width must be 16, 32 or 64'),
    ('bswap_src', 'r0 = bswap32 r0', dict(src=3), 'source register must be 0'),
    ('bswap_off', 'r0 = bswap64 r0', dict(off=1), 'offset must be 0'),
    ('bswap_x', 'r0 = bswap64 r0', dict(op=0xdf), 'an unconditional swap has no big-endian form'),
]

JUMP = [
    ('ja_imm', 'goto +0', dict(imm=1), 'immediate must be 0'),
    ('ja_dst', 'goto +0', dict(dst=1), 'destination register must be 0'),
    ('ja_src', 'goto +0', dict(src=1), 'source register must be 0'),
    ('ja_x', 'goto +0', dict(op=0x0d), 'goto has no register form'),
    ('gotol_off', 'gotol +0', dict(off=1), 'offset must be 0'),
    ('gotol_dst', 'gotol +0', dict(dst=1), 'destination register must be 0'),
    ('gotol_src', 'gotol +0', dict(src=1), 'source register must be 0'),
    ('gotol_x', 'gotol +0', dict(op=0x0e), 'gotol has no register form'),
    ('jeq_imm_src', 'if r0 == 0x0 goto +0', dict(src=3), 'source register must be 0'),
    ('jeq_reg_imm', 'if r0 == r3 goto +0', dict(imm=1), 'immediate must be 0'),
    ('jset32_imm_src', 'if w0 & 0x1 goto +0', dict(src=3), 'source register must be 0'),
    ('jslt32_reg_imm', 'if w0 s< w3 goto +0', dict(imm=-1), 'immediate must be 0'),
    ('jmp_code_f', 'if r0 == 0x0 goto +0', dict(op=0xf5), 'no such jump'),
    ('jmp_code_f_reg', 'if r0 == r3 goto +0', dict(op=0xfd), 'no such jump'),
    ('jmp32_code_e', 'if w0 == 0x0 goto +0', dict(op=0xe6), 'may_goto has no 32-bit form'),
    ('jmp32_code_f', 'if w0 == 0x0 goto +0', dict(op=0xf6), 'no such jump'),
    ('jmp32_call', 'if w0 == 0x0 goto +0', dict(op=0x86), 'call has no 32-bit form'),
    ('jmp32_exit', 'if w0 == 0x0 goto +0', dict(op=0x96), 'exit has no 32-bit form'),
    ('may_goto_src', 'may_goto +0', dict(src=1), 'source register must be 0'),
    ('may_goto_dst', 'may_goto +0', dict(dst=1), 'destination register must be 0'),
    ('may_goto_imm', 'may_goto +0', dict(imm=1), 'immediate must be 0'),
    ('may_goto_x', 'may_goto +0', dict(op=0xed), 'may_goto has no register form'),
    ('exit_imm', 'exit', dict(imm=1), 'immediate must be 0'),
    ('exit_dst', 'exit', dict(dst=1), 'destination register must be 0'),
    ('exit_src', 'exit', dict(src=1), 'source register must be 0'),
    ('exit_x', 'exit', dict(op=0x9d), 'exit has no register form'),
    ('call_dst', 'call f', dict(dst=1), 'destination register must be 0'),
    ('call_off', 'call f', dict(off=1), 'offset must be 0'),
    ('call_src_3', 'call f', dict(src=3), 'no such kind of call'),
    ('call_x', 'call f', dict(op=0x8d), 'calls by register do not exist'),
]

MEMORY = [
    ('ldx_imm', 'r0 = *(u64 *)(r10 -8)', dict(imm=1), 'immediate must be 0'),
    ('ldxb_imm', 'r0 = *(u8 *)(r10 -8)', dict(imm=-1), 'immediate must be 0'),
    ('ldsx_imm', 'r0 = *(s8 *)(r10 -8)', dict(imm=1), 'immediate must be 0'),
    ('ldsx_64', 'r0 = *(u64 *)(r10 -8)', dict(op=0x99), 'nothing to extend in 64 bits'),
    ('ldx_mode_imm', 'r0 = *(u32 *)(r10 -8)', dict(op=0x01), 'no such mode'),
    ('ldx_mode_abs', 'r0 = *(u32 *)(r10 -8)', dict(op=0x21), 'no such mode'),
    ('ldx_mode_ind', 'r0 = *(u32 *)(r10 -8)', dict(op=0x41), 'no such mode'),
    ('ldx_mode_atomic', 'r0 = *(u64 *)(r10 -8)', dict(op=0xd9), 'no such mode'),
    ('ldx_mode_e', 'r0 = *(u64 *)(r10 -8)', dict(op=0xf9), 'no such mode'),
    ('st_src', '*(u64 *)(r10 -8) = 1', dict(src=1), 'source register must be 0'),
    ('stb_src', '*(u8 *)(r10 -8) = 1', dict(src=10), 'source register must be 0'),
    ('st_mode_imm', '*(u64 *)(r10 -8) = 1', dict(op=0x1a), 'no such mode'),
    ('st_mode_memsx', '*(u32 *)(r10 -8) = 1', dict(op=0x82), 'no such mode'),
    ('st_mode_atomic', '*(u64 *)(r10 -8) = 1', dict(op=0xda), 'atomic operations take a register'),
    ('stx_imm', '*(u64 *)(r10 -8) = r3', dict(imm=1), 'immediate must be 0'),
    ('stx_mode_imm', '*(u64 *)(r10 -8) = r3', dict(op=0x1b), 'no such mode'),
    ('stx_mode_memsx', '*(u32 *)(r10 -8) = r3', dict(op=0x83), 'no such mode'),
    ('stx_mode_e', '*(u64 *)(r10 -8) = r3', dict(op=0xfb), 'no such mode'),
    ('lddw_src_7', 'r0 = 0x1', dict(src=7), 'no such kind of 64-bit immediate'),
    ('lddw_off', 'r0 = 0x1', dict(off=1), 'offset must be 0'),
    ('ld_imm_32', 'r0 = 0x1', dict(op=0x00), 'immediates are loaded with 64 bits only'),
    ('ld_imm_16', 'r0 = 0x1', dict(op=0x08), 'immediates are loaded with 64 bits only'),
    ('ld_mem', 'r0 = 0x1', dict(op=0x78), 'no such mode'),
    ('ld_abs_64', 'r0 = 0x1', dict(op=0x38), 'packet loads have at most 32 bits'),
]

ATOMIC = [
    ('atomic_8_add', 'store_release((u8 *)(r10 -8), r3)', dict(imm=0x00), 'only 32 and 64 bits'),
    ('atomic_16_fetch', 'store_release((u16 *)(r10 -8), r3)', dict(imm=0x01), 'only 32 and 64 bits'),
    ('atomic_8_cmpxchg', 'store_release((u8 *)(r10 -8), r3)', dict(imm=0xf1), 'only 32 and 64 bits'),
    ('atomic_sub', 'lock *(u64 *)(r10 -8) += r3', dict(imm=0x10), 'no such atomic operation'),
    ('atomic_fetch_alone', 'lock *(u64 *)(r10 -8) += r3', dict(imm=0x02), 'no such atomic operation'),
    ('atomic_lsh', 'lock *(u64 *)(r10 -8) += r3', dict(imm=0x60), 'no such atomic operation'),
    ('atomic_div_fetch', 'lock *(u32 *)(r10 -8) += r3', dict(imm=0x31), 'no such atomic operation'),
    ('atomic_xchg_no_fetch', 'lock *(u64 *)(r10 -8) += r3', dict(imm=0xe0),
     'exchange always fetches'),
    ('atomic_cmpxchg_no_fetch', 'lock *(u32 *)(r10 -8) += r3', dict(imm=0xf0),
     'compare-and-exchange always fetches'),
    ('atomic_high_bits', 'lock *(u64 *)(r10 -8) += r3', dict(imm=0x10000), 'no such atomic operation'),
    ('atomic_negative', 'lock *(u64 *)(r10 -8) += r3', dict(imm=-1), 'no such atomic operation'),
    ('atomic_acquire_add', 'lock *(u64 *)(r10 -8) += r3', dict(imm=0x101),
     'no such atomic operation'),
    ('atomic_ordered_120', 'lock *(u64 *)(r10 -8) += r3', dict(imm=0x120),
     'no such atomic operation'),
]

REGISTER = [
    ('dst_r11_alu', 'r0 += 1', dict(dst=11), 'there is no r11'),
    ('dst_r15_alu', 'r0 += 1', dict(dst=15), 'there is no r15'),
    ('src_r11_alu', 'r0 += r3', dict(src=11), 'there is no r11'),
    ('src_r15_mov', 'r0 = r3', dict(src=15), 'there is no r15'),
    ('dst_r12_mov32', 'w0 = 1', dict(dst=12), 'there is no r12'),
    ('dst_r13_end', 'r0 = be16 r0', dict(dst=13), 'there is no r13'),
    ('dst_r11_ldx', 'r0 = *(u64 *)(r10 -8)', dict(dst=11), 'there is no r11'),
    ('src_r11_ldx', 'r0 = *(u64 *)(r10 -8)', dict(src=11), 'there is no r11'),
    ('dst_r14_st', '*(u64 *)(r10 -8) = 1', dict(dst=14), 'there is no r14'),
    ('src_r11_stx', '*(u64 *)(r10 -8) = r3', dict(src=11), 'there is no r11'),
    ('src_r12_atomic', 'lock *(u64 *)(r10 -8) += r3', dict(src=12), 'there is no r12'),
    ('dst_r11_lddw', 'r0 = 0x1', dict(dst=11), 'there is no r11'),
    ('dst_r11_jeq', 'if r0 == 0x0 goto +0', dict(dst=11), 'there is no r11'),
    ('src_r15_jgt32', 'if w0 > w3 goto +0', dict(src=15), 'there is no r15'),
]

OPERAND = [
    ('div64_imm_zero', 'r0 /= 1', dict(imm=0), 'division by constant zero'),
    ('div32_imm_zero', 'w0 /= 1', dict(imm=0), 'division by constant zero'),
    ('sdiv64_imm_zero', 'r0 s/= 1', dict(imm=0), 'division by constant zero'),
    ('sdiv32_imm_zero', 'w0 s/= 1', dict(imm=0), 'division by constant zero'),
    ('mod64_imm_zero', 'r0 %= 1', dict(imm=0), 'division by constant zero'),
    ('mod32_imm_zero', 'w0 %= 1', dict(imm=0), 'division by constant zero'),
    ('smod64_imm_zero', 'r0 s%= 1', dict(imm=0), 'division by constant zero'),
    ('smod32_imm_zero', 'w0 s%= 1', dict(imm=0), 'division by constant zero'),
    ('lsh64_imm_64', 'r0 <<= 63', dict(imm=64), 'constant shift beyond the width'),
    ('rsh64_imm_64', 'r0 >>= 63', dict(imm=64), 'constant shift beyond the width'),
    ('arsh64_imm_64', 'r0 s>>= 63', dict(imm=64), 'constant shift beyond the width'),
    ('lsh64_imm_negative', 'r0 <<= 63', dict(imm=-1), 'constant shift beyond the width'),
    ('lsh32_imm_32', 'w0 <<= 31', dict(imm=32), 'constant shift beyond the width'),
    ('rsh32_imm_32', 'w0 >>= 31', dict(imm=32), 'constant shift beyond the width'),
    ('arsh32_imm_32', 'w0 s>>= 31', dict(imm=32), 'constant shift beyond the width'),
    ('arsh32_imm_negative', 'w0 s>>= 31', dict(imm=-1), 'constant shift beyond the width'),
    ('r10_mov', 'r0 = 1', dict(dst=10), 'r10 is read-only'),
    ('r10_add', 'r0 += 1', dict(dst=10), 'r10 is read-only'),
    ('r10_neg', 'r0 = -r0', dict(dst=10), 'r10 is read-only'),
    ('r10_load', 'r0 = *(u64 *)(r10 -8)', dict(dst=10), 'r10 is read-only'),
    ('r10_lddw', 'r0 = 0x1', dict(dst=10), 'r10 is read-only'),
]

# Whole programs whose shape is wrong, beside the nearest good one.
FLOW = [
    ('goto_past_end', 'r0 = 0\n goto +1\n exit', 'r0 = 0\n goto +0\n exit', 'jump leaves the program'),
    ('goto_before_start', 'r0 = 0\n if r0 != 0x0 goto -3\n exit',
     'r0 = 0\n if r0 != 0x0 goto -2\n exit', 'jump leaves the program'),
    ('if_past_end', 'r0 = 0\n if r0 == 0x0 goto +32767\n exit', 'r0 = 0\n if r0 == 0x0 goto +0\n exit',
     'jump leaves the program'),
    ('if_to_end', 'r0 = 0\n if w0 == 0x0 goto +1\n exit', 'r0 = 0\n if w0 == 0x0 goto +0\n exit',
     'jump leaves the program'),
    ('if_far_before', 'r0 = 0\n if r0 == r0 goto -32768\n exit',
     'r0 = 0\n if r0 == r0 goto +0\n exit', 'jump leaves the program'),
    ('gotol_past_end', 'r0 = 0\n gotol +1\n exit', 'r0 = 0\n gotol +0\n exit',
     'jump leaves the program'),
    ('gotol_far', 'r0 = 0\n gotol +2147483647\n exit', 'r0 = 0\n gotol +0\n exit',
     'jump leaves the program'),
    ('gotol_far_before', 'r0 = 0\n gotol -2147483648\n exit', 'r0 = 0\n gotol +0\n exit',
     'jump leaves the program'),
    ('may_goto_past_end', 'r0 = 0\n may_goto +1\n exit', 'r0 = 0\n may_goto +0\n exit',
     'jump leaves the program'),
    ('goto_into_lddw', 'r0 = 0\n if r0 != 0x0 goto +1\n r0 = 0x1\n exit',
     'r0 = 0\n if r0 != 0x0 goto +0\n r0 = 0x1\n exit', 'jump lands inside a 64-bit immediate'),
    ('goto_back_into_lddw', 'r0 = 0x1\n if r0 != 0x1 goto -2\n exit',
     'r0 = 0x1\n if r0 != 0x1 goto -3\n exit', 'jump lands inside a 64-bit immediate'),
    ('gotol_into_lddw', 'r0 = 0\n gotol +1\n r0 = 0x1\n exit', 'r0 = 0\n gotol +0\n r0 = 0x1\n exit',
     'jump lands inside a 64-bit immediate'),
    ('call_into_lddw', 'call +2\n exit\n r0 = 0x1\n exit', 'call +1\n exit\n r0 = 0x1\n exit',
     'call lands inside a 64-bit immediate'),
    ('no_exit', 'r0 = 0', 'r0 = 0\n exit', 'control falls off the end'),
    ('no_exit_after_if', 'r0 = 0\n if r0 == 0x0 goto -2', 'r0 = 0\n if r0 != 0x0 goto -2\n exit',
     'control falls off the end'),
    ('no_exit_after_lddw', 'r0 = 0x1', 'r0 = 0x1\n exit', 'control falls off the end'),
    ('call_at_end', 'goto +1\n exit\n r0 = 0\n call -3', 'goto +1\n exit\n r0 = 0\n goto -3',
     'control falls off the end'),
    ('function_falls_into_next', 'call +2\n call +2\n exit\n r0 = 0\n r0 = 1\n exit',
     'call +2\n call +3\n exit\n r0 = 0\n exit\n r0 = 1\n exit', 'control falls into another function'),
    ('goto_into_other_function', 'r0 = 0\n if r0 != 0x0 goto +2\n call +1\n exit\n r0 = 1\n exit',
     'r0 = 0\n if r0 != 0x0 goto +1\n call +1\n exit\n r0 = 1\n exit',
     'jump into another function'),
    ('call_past_end', 'call +1\n exit', 'call +1\n exit\n r0 = 0\n exit', 'call leaves the program'),
    ('call_before_start', 'r0 = 0\n call -3\n exit', 'call +1\n exit\n r0 = 0\n exit',
     'call leaves the program'),
    ('unreachable', 'r0 = 0\n exit\n r0 = 1\n exit', 'r0 = 0\n exit', 'code that nothing reaches'),
    ('unreachable_after_goto', 'r0 = 0\n goto +1\n r0 = 1\n exit',
     'r0 = 0\n goto +0\n r0 = 1\n exit', 'code that nothing reaches'),
]


def field_case(name, good, change, reason):
    """(name, reason, bad code, good code)"""
    tail = ('' if good == 'exit' else ' exit\n') + ('f:\n r0 = 0\n exit\n' if 'call f' in good else '')
    before = assemble(BEFORE)
    after = assemble(BEFORE + good + '\n' + tail)[len(before):]
    bad = [after[0]._replace(**{k: v & 0xffffffff if k == 'imm' else v for k, v in change.items()})]
    return (name, reason, encode(before + bad + after[1:]), encode(before + after))


def raw_cases():
    """What the fields of one instruction cannot express."""
    end = insn(0x95).encode()
    zero = assemble('r0 = 0')[0].encode()
    wide = insn(0x18, 0, 0, 0, 1).encode()
    good = encode(assemble('r0 = 0x1\n exit'))
    halves = [('op', insn(0xb7)), ('dst', insn(0, 1)), ('src', insn(0, 0, 1)),
              ('off', insn(0, 0, 0, 1))]
    for field, half in halves:
        yield (f'lddw_second_{field}', 'second half has a field set', wide + half.encode() + end, good)
    yield ('lddw_cut_short', 'second half of a 64-bit immediate is missing', zero + wide, good)
    yield ('ld_second_half_alone', 'no such opcode', zero + insn(0).encode() + end, zero + end)


def reject_cases():
    """(name, stage, reason, bad code, good twin)"""
    for rows, stage in ((ALU, 'decode'), (ENDIAN, 'decode'), (JUMP, 'decode'), (MEMORY, 'decode'),
                        (ATOMIC, 'decode'), (REGISTER, 'decode'), (OPERAND, 'operand')):
        for row in rows:
            name, reason, bad, good = field_case(*row)
            yield name, stage, reason, bad, good
    for name, reason, bad, good in raw_cases():
        yield name, 'decode', reason, bad, good
    for name, bad, good, reason in FLOW:
        yield name, 'flow', reason, encode(assemble(bad)), encode(assemble(good))
