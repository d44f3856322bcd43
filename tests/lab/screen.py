#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many lines of text an emulated server's screen shows: of 16 pixels each, those that are not all black.

screen.py SOCKET FILE    QEMU's QMP socket; FILE: where the picture goes (PPM)
"""
import json
import socket
import sys

LINE = 16


def ask(stream, command, **arguments):
    """QMP: an answer that is no event."""
    stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    stream.flush()
    while True:
        answer = json.loads(stream.readline())
        if "return" in answer or "error" in answer:
            return answer


def lines(path):
    """The picture is binary PPM of 8 bits a colour, as QEMU writes it: P6, width and height, 255, each on a line."""
    with open(path, "rb") as file:
        kind, size, most, pixels = file.read().split(b"\n", 3)
    assert (kind, most) == (b"P6", b"255"), (kind, most)
    row_bytes, height = int(size.split()[0]) * 3, int(size.split()[1])
    texts = [pixels[y * row_bytes:(y + LINE) * row_bytes] for y in range(0, height, LINE)]
    return sum(1 for text in texts if any(text))


def main():
    path, picture = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as qmp:
        qmp.connect(path)
        stream = qmp.makefile("rw")
        stream.readline()  # its greeting
        ask(stream, "qmp_capabilities")
        answer = ask(stream, "screendump", filename=picture)
    if "error" in answer:
        print(answer["error"]["desc"], file=sys.stderr)
        return 1
    print(lines(picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
