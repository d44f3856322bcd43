#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles every header alone, so that any can be included first.

tools/check_headers.py COMPILER
"""
import concurrent.futures
import glob
import os
import subprocess
import sys

FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-Wconversion",
         "-Werror", "-Isrc", "-Iinclude", "-Iguest", "-Ihypervisor", "-Itests/unit", "-x", "c", "-"]


def compile_alone(compiler, header):
    # Included from a file, not compiled as one: a #pragma once in the main file is a warning.
    text = f'#include "{os.path.abspath(header)}"\n'
    done = subprocess.run([compiler, *FLAGS], input=text, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def main():
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    headers = sorted(h for top in ("src", "include", "guest", "hypervisor", "tests")
                     for h in glob.glob(f"{top}/**/*.h", recursive=True))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = pool.map(lambda h: compile_alone(sys.argv[1], h), headers)
        bad = [text for text in errors if text]
    print("".join(bad), end="")
    print(f"{len(headers)} headers, {len(bad)} do not stand alone")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
