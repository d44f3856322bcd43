#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write seccomp_default.json as a C string without its comments, and the string's SHA-256.

usage: embed_profile.py PROFILE.json OUT.c
"""
import hashlib
import json
import sys


def without_comments(value):
    if isinstance(value, dict):
        return {k: without_comments(v) for k, v in value.items() if k != "comment"}
    return [without_comments(v) for v in value] if isinstance(value, list) else value


def main():
    source, target = sys.argv[1:]
    with open(source, encoding="ascii") as f:
        text = json.dumps(without_comments(json.load(f)), separators=(",", ":"))
    pieces = [text[i:i + 80] for i in range(0, len(text), 80)]
    with open(target, "w", encoding="ascii") as f:
        f.write('#include "engines/seccomp/seccomp.h"\n\nconst char seccomp_default_profile[] =\n')
        f.write("\n".join("\t" + json.dumps(piece) for piece in pieces) + ";\n")
        digest = hashlib.sha256(text.encode("ascii")).hexdigest()
        f.write(f'const char seccomp_default_digest[] = "{digest}";\n')


if __name__ == "__main__":
    main()
