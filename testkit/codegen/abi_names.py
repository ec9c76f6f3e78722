#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""List every name that C headers give: macros, enumerators, structs, unions and their fields.

    abi_names.py --include '<linux/bpf.h>' --keep 'linux/(bpf|btf)[.]h$' --output FILE
                 --depfile FILE [--skip-macros REGEX] -- COMPILER [ARGUMENTS...]

The compiler preprocesses the headers; what comes from a file that --keep matches is parsed. The
output holds one macro call per name, for a C++ file that gives the macros a meaning:

    VALUE(name)                   a macro without parameters
    ENUMERATOR(tag, name)         an enumerator; the tag is "unnamed" where the enum has none
    FUNCTION(name)                a macro with one parameter, a number
    TYPE(type)                    a struct or union with a tag
    FIELD(type, path)             a field; the path starts at the outermost struct: test.data_in
    FLEXIBLE(type, path)          a field of the form name[]
    BITS(type, path)              a bit-field

It understands the C that ABI headers are written in (declarations only) and stops with an error
at anything else, so that nothing is skipped silently.
"""

import argparse
import re
import subprocess
import sys

TOKEN = re.compile(r'[A-Za-z_]\w*|0[xX][0-9a-fA-F]+\w*|\d+\w*|"[^"]*"|<<|>>|[^\s\w]')
MARKER = re.compile(r'# \d+ "([^"]*)"')
DEFINE = re.compile(r'#define (\w+)(\(([^)]*)\))?\s*(.*)')
UNDEF = re.compile(r'#undef (\w+)')


def preprocess(compiler, includes, depfile, output):
    source = ''.join(f'#include {name}\n' for name in includes)
    dependencies = ['-MD', '-MF', depfile, '-MT', output] if depfile else []
    command = compiler + ['-x', 'c++', '-E', '-dD', *dependencies, '-']
    return subprocess.run(command, input=source, text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def split(text, keep):
    """The text's macros {name: (parameters or None, body)} and its tokens, of kept files only."""
    macros, tokens, kept = {}, [], False
    for line in text.splitlines():
        if marker := MARKER.match(line):
            kept = bool(keep.search(marker[1]))
        elif not kept:
            continue
        elif define := DEFINE.match(line):
            macros[define[1]] = (define[3], define[4])
        elif undef := UNDEF.match(line):
            macros.pop(undef[1], None)
        elif not line.startswith('#'):
            tokens += TOKEN.findall(line)
    return macros, tokens


class Parser:
    """Walks declarations and collects `names`: (kind, type, name), in order of appearance."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.at = 0
        self.names = []

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ''

    def take(self, expected=None):
        token = self.peek()
        if not token or (expected and token != expected):
            near = ' '.join(self.tokens[max(0, self.at - 12):self.at + 4])
            sys.exit(f'abi_names: expected {expected or "more"}, found {token!r} near: {near}')
        self.at += 1
        return token

    def accept(self, token):
        if self.peek() != token:
            return False
        self.at += 1
        return True

    def skip_parentheses(self):
        self.take('(')
        depth = 1
        while depth:
            depth += {'(': 1, ')': -1}.get(self.take(), 0)

    def skip_attributes(self):
        while self.accept('__attribute__'):
            self.skip_parentheses()

    def declarations(self):
        while self.peek():
            if self.peek() in ('static_assert', '_Static_assert'):
                self.take()
                self.skip_parentheses()
                self.take(';')
            elif self.peek() == 'typedef':
                while self.take() != ';':
                    pass
            elif self.peek() == 'enum':
                self.enumeration()
                self.take(';')
            elif self.peek() in ('struct', 'union'):
                self.record()
            else:
                self.take('a declaration')
        return self.names

    def enumeration(self):
        """An enum specifier; with a body its enumerators are collected."""
        self.take('enum')
        tag = self.take() if self.peek() != '{' else 'unnamed'
        if not self.accept('{'):
            return
        while not self.accept('}'):
            self.names.append(('ENUMERATOR', tag, self.take()))
            while self.peek() not in (',', '}'):
                self.skip_parentheses() if self.peek() == '(' else self.take()
            self.accept(',')

    def record(self):
        """A struct or union at file scope."""
        key, tag = self.take(), self.take()
        if self.accept(';'):
            return
        self.names.append(('TYPE', f'{key} {tag}', ''))
        self.names += self.body(f'{key} {tag}', '')
        self.skip_attributes()
        self.take(';')

    def body(self, type_name, prefix):
        """The fields between braces, each with the path that leads to it."""
        fields = []
        self.take('{')
        while not self.accept('}'):
            fields += self.member(type_name, prefix)
        return fields

    def member(self, type_name, prefix):
        if self.peek() in ('struct', 'union'):
            self.take()
            if self.peek() != '{':
                self.take()
            if self.peek() == '{':
                return self.nested(type_name, prefix)
        elif self.peek() == 'enum':
            self.enumeration()
        else:
            self.base_type()
        return self.declarators(type_name, prefix)

    def nested(self, type_name, prefix):
        """A struct or union inside: its own field, if it has a name, then its fields."""
        fields = self.body(type_name, '')
        self.skip_attributes()
        if self.accept(';'):
            return [(kind, type_name, prefix + path) for kind, type_name, path in fields]
        own = self.declarators(type_name, prefix)
        return own + [(kind, type_name, f'{outer}.{path}')
                      for _, _, outer in own for kind, _, path in fields]

    def base_type(self):
        words = 0
        while re.match(r'[A-Za-z_]', self.peek()):
            following = self.tokens[self.at + 1]
            if words and following in (';', ',', '[', ':'):
                break
            if self.peek() == '__attribute__':
                self.skip_attributes()
                continue
            self.take()
            words += 1

    def declarators(self, type_name, prefix):
        """What follows a type up to the semicolon: names with stars, bounds or widths."""
        fields = []
        while True:
            while self.accept('*'):
                pass
            name = '' if self.peek() == ':' else self.take()
            kind = 'FIELD'
            while self.accept('['):
                if self.peek() == ']':
                    kind = 'FLEXIBLE'
                while self.take() != ']':
                    pass
            if self.accept(':'):
                kind = 'BITS'
                self.take()
            self.skip_attributes()
            if name:
                fields.append((kind, type_name, prefix + name))
            if not self.accept(','):
                self.take(';')
                return fields


def macro_names(macros, skip):
    for name, (parameters, body) in macros.items():
        if not body or (skip and skip.fullmatch(name)):
            continue
        if parameters is None:
            yield f'VALUE({name})'
        elif ',' not in parameters and '...' not in parameters:
            yield f'FUNCTION({name})'
        else:
            sys.exit(f'abi_names: {name} has more than one parameter: add it to --skip-macros')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--include', action='append', required=True)
    parser.add_argument('--keep', type=re.compile, required=True)
    parser.add_argument('--skip-macros', type=re.compile)
    parser.add_argument('--output', required=True)
    parser.add_argument('--depfile')
    parser.add_argument('compiler', nargs='+')
    options = parser.parse_args()

    text = preprocess(options.compiler, options.include, options.depfile, options.output)
    macros, tokens = split(text, options.keep)
    lines = list(macro_names(macros, options.skip_macros))
    for kind, type_name, name in Parser(tokens).declarations():
        arguments = ', '.join(part for part in (type_name, name) if part)
        lines.append(f'{kind}({arguments})')
    if not lines:
        sys.exit(f'abi_names: no name found in files that match {options.keep.pattern}')
    with open(options.output, 'w', encoding='ascii') as output:
        output.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
