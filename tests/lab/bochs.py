#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An emulated server as server.py's, by Bochs, which has Intel's VMX with EPT and AMD's SVM without what QEMU's lacks.

bochs.py [--seconds N] [--cpus N] [--memory MIB] [--model NAME] [--ips N] [--debug COMMANDS] [--self-test]
         [--channel PATH] --until REGEX [--times N] STRATA FILE...

STRATA is the program that makes the medium; FILEs are the boot loader's, a NAME.cfg of guests among them. --debug: commands
for Bochs's debugger before it continues. --channel: the management channel is on the second serial line, whose other end is the
terminal that PATH, a symbolic link, names. Exit status: 0 if the lines came, 1 if Bochs ended before, 2 if time was up.
"""
import argparse
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import threading
import tty

import server

CONFIG = """\
megs: {memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={folder}/server.iso, status=inserted
port_e9_hack: enabled=1
display_library: rfb, options="timeout=0"
config_interface: textconfig
sound: waveoutdrv=dummy, waveout=none, waveindrv=dummy, wavein=none, midioutdrv=dummy, midiout=none
plugin_ctrl: speaker=0
speaker: enabled=0
{com2}
clock: sync=none
mouse: enabled=0
log: {folder}/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""


def terminal():
    """A terminal's master, and the name of its other end, which stays open: who closes it last would hang it up."""
    master, end = pty.openpty()
    tty.setraw(end)
    os.set_blocking(master, False)
    return master, os.ttyname(end)


def cable(left, right):
    """What comes from one goes to the other, for ever. Of what is not taken it keeps so much, then it does not read."""
    other, waits = {left: right, right: left}, {left: b"", right: b""}
    while True:
        readable, writable, _ = select.select([end for end in other if len(waits[other[end]]) < 65536], [end for end in other if waits[end]], [])
        for end in readable:
            waits[other[end]] += os.read(end, 4096)
        for end in writable:
            waits[end] = waits[end][os.write(end, waits[end]):]


def channel(path):
    """Bochs's line for the second serial line; the terminal at path is its other end."""
    left, name = terminal()
    right, ours = terminal()
    os.symlink(ours, path)
    threading.Thread(target=cable, args=(left, right), daemon=True).start()
    return f"com2: enabled=1, mode=term, dev={name}"


def prepare(args, folder):
    """The medium and the configuration; Bochs's command line."""
    more = ["--self-test"] if args.self_test else []
    if args.channel:
        more += ["--words", "channel=com2"]
    subprocess.run([args.strata, "baremetal", "image", "-o", f"{folder}/server.iso", *more, *args.file], check=True, stdout=subprocess.DEVNULL)
    with open(f"{folder}/bochsrc", "w", encoding="ascii") as file:
        file.write(CONFIG.format(folder=folder, com2=channel(args.channel) if args.channel else "", **vars(args)))
    with open(f"{folder}/commands", "w", encoding="ascii") as file:
        file.write("".join(f"{line}\n" for line in [*args.debug, "c"]))
    # "bochs" itself is a shell script that would be killed instead of it
    return ["bochs-bin", "-q", "-f", f"{folder}/bochsrc", "-rc", f"{folder}/commands"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--memory", type=int, default=256)
    parser.add_argument("--ips", type=int, default=10000000, help="instructions of a second: what waits is sooner over with few")
    parser.add_argument("--model", default="corei7_skylake_x")
    parser.add_argument("--debug", action="append", default=[])
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--channel")
    parser.add_argument("--until", required=True)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("strata")
    parser.add_argument("file", nargs="*")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strata-bochs.") as folder:
        environment = dict(os.environ, GUEST="guest")
        with subprocess.Popen(prepare(args, folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=environment, cwd=folder) as bochs:
            # Whoever ends us ends it, too.
            signal.signal(signal.SIGTERM, lambda *_: bochs.kill())
            return server.watch(bochs, args, "Strata ")


if __name__ == "__main__":
    sys.exit(main())
