#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The library as installed: an embedder that has nothing but the headers, the archive and pkg-config.

    embed_test.py BUILD_DIR EMBEDDER.cc COMPILER
"""
import os
import subprocess
import sys
import tempfile


def main():
    build, source, compiler = sys.argv[1:]
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(['meson', 'install', '-C', build, '--no-rebuild', '--quiet', '--destdir', root,
                        '--tags', 'devel'], check=True, stdout=subprocess.DEVNULL)
        pc = subprocess.run(['find', root, '-name', 'barebpf.pc'], capture_output=True, text=True).stdout.strip()
        assert pc, 'barebpf.pc is not installed'
        env = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(pc), PKG_CONFIG_SYSROOT_DIR=root)
        flags = subprocess.run(['pkg-config', '--cflags', '--libs', '--static', 'barebpf'], env=env, check=True,
                               capture_output=True, text=True).stdout.split()
        program = os.path.join(root, 'embedder')
        subprocess.run([compiler, '-std=c++20', '-Wall', '-Wextra', '-Werror', source, '-o', program, *flags],
                       check=True)
        out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        assert out == 'verdict 1\n', out
    return 0


if __name__ == '__main__':
    sys.exit(main())
