#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cable between an emulator's serial line and a terminal, that damages what it carries, always in the same places.

line.py [--rate N] [--drop N] [--flip N] [--double N] [--seed N] SOCKET PATH

SOCKET: the emulator's; PATH: a symbolic link to the terminal, made here. --rate: bytes a second each way, 0: as fast as it goes.
--drop, --flip, --double: one byte in about N is lost, has another bit, comes twice; 0: none. SIGUSR1 pulls the cable out: what comes
is lost; SIGUSR2 puts it in. What it carried is said at its end, which comes when the emulator goes, or by SIGTERM.
"""
import argparse
import os
import pty
import random
import select
import signal
import socket
import sys
import time
import tty

KEPT = 4096  # of each way, before its end is read no further


class Way:
    """One direction: from a descriptor to another."""

    def __init__(self, source, sink, args, seed):
        self.source, self.sink, self.args = source, sink, args
        self.random, self.waits, self.free_at = random.Random(seed), b"", 0.0
        self.carried, self.spoiled = 0, 0

    def spoil(self, data):
        """What is left of it."""
        rates = [(getattr(self.args, name), name) for name in ("drop", "flip", "double") if getattr(self.args, name)]
        left = bytearray()
        for byte in data:
            for rate, name in rates:
                if self.random.randrange(rate):
                    continue
                self.spoiled += 1
                if name == "flip":
                    byte ^= 1 << self.random.randrange(8)
                elif name == "double":
                    left.append(byte)
                else:
                    break
            else:
                left.append(byte)
        return bytes(left)

    def read(self, is_out):
        data = os.read(self.source, KEPT)
        self.carried += len(data)
        if not is_out:
            self.waits += self.spoil(data)
        return data

    def write(self):
        part = self.waits
        if self.args.rate:
            part = part[:max(1, self.args.rate // 200)]
        try:
            done = os.write(self.sink, part)
        except BlockingIOError:
            done = 0
        self.waits = self.waits[done:]
        if self.args.rate:
            self.free_at = max(self.free_at, time.monotonic() - 0.05) + done / self.args.rate


def carry(ways, cable):
    """Until one end is gone."""
    while True:
        now = time.monotonic()
        writable = [way.sink for way in ways if way.waits and way.free_at <= now]
        readable = [way.source for way in ways if len(way.waits) < KEPT]
        pauses = [way.free_at - now for way in ways if way.waits and way.free_at > now]
        readable, writable, _ = select.select(readable, writable, [], min(pauses, default=None))
        for way in ways:
            if way.source in readable and not way.read(cable["out"]):
                return
            if way.sink in writable:
                way.write()


def main():
    parser = argparse.ArgumentParser()
    for name in ("rate", "drop", "flip", "double", "seed"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("socket")
    parser.add_argument("path")
    args = parser.parse_args()
    cable = {"out": False}
    signal.signal(signal.SIGUSR1, lambda *_: cable.update(out=True))
    signal.signal(signal.SIGUSR2, lambda *_: cable.update(out=False))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    emulator = socket.socket(socket.AF_UNIX)
    emulator.connect(args.socket)
    emulator.setblocking(False)
    # Its other end stays open: who closes it last would hang it up.
    master, terminal = pty.openpty()
    tty.setraw(terminal)
    os.set_blocking(master, False)
    os.symlink(os.ttyname(terminal), args.path)
    ways = [Way(master, emulator.fileno(), args, args.seed), Way(emulator.fileno(), master, args, args.seed + 1)]
    try:
        carry(ways, cable)
    except (ConnectionError, BrokenPipeError):
        pass
    finally:
        print(*(f"{name}: {way.carried} bytes, {way.spoiled} of them spoiled" for name, way in zip(("to the server", "from it"), ways)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
