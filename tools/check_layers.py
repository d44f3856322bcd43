#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails on an include that points up, sideways, or into another room's private.h.

tools/check_layers.py [SRC [LAYERS [GUEST [HYPERVISOR]]]]

The guest's program and the hypervisor lie outside of SRC, and are rooms all the same: the guest's own headers are written without
a folder, the hypervisor's from hypervisor/ ("core/page.h" is of the room hypervisor/core), those of SRC as everywhere.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def read_layers(path):
    rights = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.split("#")[0].strip()
            if not line:
                continue
            room, colon, allowed = line.partition(":")
            if not colon:
                sys.exit(f"{path}:{number}: expected ROOM: ROOMS")
            rights[room.strip()] = set(allowed.split())
    for room, allowed in rights.items():
        for name in allowed - set(rights):
            sys.exit(f"{path}: {room} may include {name}, which has no line of its own")
    return rights


def room_of(path, rights):
    """The longest room that holds the file src/<path>."""
    parts = path.split("/")[:-1]  # a line for a file is no room
    while parts:
        if "/".join(parts) in rights:
            return "/".join(parts)
        parts.pop()
    return None


def check_file(tree, path, room, src, rights):
    """Of a file tree/path in a room; what it includes is of that tree's own top (guest) or of src."""
    if room is None:
        yield f"{path}: its room has no line in tools/layers.txt"
        return
    allowed = rights[room] | rights.get(path, set()) | {room}
    with open(os.path.join(tree, path), encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            name = match.group(1)
            if name.startswith("abi/") and os.path.exists(os.path.join(src, "../include", name)):
                continue  # shared with guests: only <stdint.h>, every room may
            if tree != src and "/" not in name and os.path.exists(os.path.join(tree, name)):
                continue  # the guest's own
            here = f"{os.path.basename(tree)}/{path}:{number}"
            if tree != src and "/" in name and os.path.exists(os.path.join(tree, name)):
                target = room_of(f"{os.path.basename(tree)}/{name}", rights)
                if target not in allowed:
                    yield f'{here}: {room} may not include "{name}" (room {target}): tools/layers.txt'
                continue
            if not os.path.exists(os.path.join(src, name)):
                yield f'{here}: "{name}": includes are written from src/ ("base/os/fd.h")'
                continue
            target = room_of(name, rights)
            if target not in allowed:
                yield f'{here}: {room} may not include "{name}" (room {target}): tools/layers.txt'
            elif target != room and os.path.basename(name) == "private.h":
                yield f'{here}: "{name}" is private to {target}'


def main():
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    src = sys.argv[1] if len(sys.argv) > 1 else os.path.join(top, "src")
    rights = read_layers(sys.argv[2] if len(sys.argv) > 2 else os.path.join(top, "tools/layers.txt"))
    guest = sys.argv[3] if len(sys.argv) > 3 else os.path.join(top, "guest")
    hypervisor = sys.argv[4] if len(sys.argv) > 4 else os.path.join(top, "hypervisor")
    bad = []
    for tree in (src, guest, hypervisor):
        for folder, _, names in sorted(os.walk(tree)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.relpath(os.path.join(folder, name), tree)
                    room = "guest" if tree == guest else room_of(path if tree == src else f"hypervisor/{path}", rights)
                    bad += check_file(tree, path, room, src, rights)
    print("\n".join(bad), end="\n" if bad else "")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
