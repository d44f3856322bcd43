#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An emulated server with strata-hv on it: starts QEMU, shows its console, ends it when a line that is waited for has come.

server.py [--seconds N] [--cpus N] [--memory MIB] [--append WORDS] [--icount[=SHIFT]] --until REGEX [--times N] IMAGE [FILE...]

FILEs are the boot loader's. Exit status: 0 if the lines came, 1 if QEMU ended before, 2 if time was up.
"""
import argparse
import re
import subprocess
import sys
import threading


def initramfs(path, init, busybox, modules=()):
    """An initramfs of busybox whose /init is a shell script; modules: kernel modules, by name in /modules."""
    import os
    import stat

    import guest_image

    cpio = guest_image.Cpio()
    for folder in ("dev", "proc", "sys", "bin", "modules"):
        cpio.add(folder, stat.S_IFDIR | 0o755)
    for number, module in enumerate(modules):
        with open(module, "rb") as file:
            cpio.add(f"modules/{number:02}-{os.path.basename(module)}", stat.S_IFREG | 0o644, file.read())
    cpio.add("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    with open(busybox, "rb") as file:
        cpio.add("bin/busybox", stat.S_IFREG | 0o755, file.read())
    cpio.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    cpio.add("init", stat.S_IFREG | 0o755, init.encode())
    with open(path, "wb") as file:
        file.write(cpio.end())


def command(args):
    words = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-M", "q35", "-m", str(args.memory), "-smp", str(args.cpus),
             "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", args.image,
             "-append", args.append]
    if args.icount:
        words += ["-icount", f"shift={args.icount},sleep=off"]
    if args.file:
        words += ["-initrd", ",".join(name.replace(",", ",,") for name in args.file)]
    return words


def watch(emulator, args, banner=""):
    """Its lines, from one that begins with the banner on. The exit status: 0 if those that are waited for came, 2 if time was up."""
    left, late, begun = args.times, threading.Event(), False

    def stop():
        late.set()
        emulator.kill()

    timer = threading.Timer(args.seconds, stop)
    timer.start()
    for line in emulator.stdout:
        text = line.decode(errors="replace").rstrip("\r\n")
        begun = begun or text.startswith(banner)
        if begun:
            print(text, flush=True)
            left -= bool(re.search(args.until, text))
        if left == 0:
            break
    timer.cancel()
    emulator.kill()
    return 0 if left == 0 else 2 if late.is_set() else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=200)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--append", default="")
    parser.add_argument("--icount", nargs="?", const=1, type=int, help="an instruction takes 2^N ns")
    parser.add_argument("--until", required=True)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("image")
    parser.add_argument("file", nargs="*")
    args = parser.parse_args()
    with subprocess.Popen(command(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qemu:
        return watch(qemu, args)


if __name__ == "__main__":
    sys.exit(main())
