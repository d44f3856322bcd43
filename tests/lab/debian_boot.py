#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""debian_boot.py SECONDS COMMAND...: COMMAND boots the Debian of debian_image, its console on its standard streams; logs in, looks at the
network and systemd's state, switches off, and ends as COMMAND does. What was said is printed; status 124 where it took too long."""
import os
import pty
import re
import sys
import time
import select

# Where nothing answers, what is known of the way there.
PING = rb'''ping -c 1 -w 60 ${GATEWAY:-10.77.0.1} >/tmp/ping 2>&1; n=$?; [ $n = 0 ] || { cat /tmp/ping; ip -s link; ip neigh; grep virtio /proc/interrupts; }; printf 'ping%s\n' "=$n"'''

# What is waited for, and what is typed then. The marks come from printf, so that what the terminal echoes does not match.
STEPS = [
    (rb"login: ", b"root\n"),
    (rb"# ", rb'''printf 'state%s\n' "=$(systemctl is-system-running --wait)"''' + b"\n"),
    (rb"state=\w+", rb'''printf 'net%s\n' "=$(ip -br -4 address show up scope global | tr -s ' ')"''' + b"\n"),
    (rb"net=\S+ UP [0-9./]+", PING + b"\n"),
    (rb"ping=\d+", rb'''printf 'cpus%s\n' "=$(nproc)"''' + b"\n"),
    (rb"cpus=\d+", b"systemctl poweroff\n"),
]


def main():
    until = time.monotonic() + float(sys.argv[1])
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    said, seen, step = b"", 0, 0
    while True:
        ready, _, _ = select.select([master], [], [], max(0, until - time.monotonic()))
        if not ready:
            os.kill(pid, 9)
            sys.stdout.write(said.decode("utf-8", "replace") + f"\ndebian_boot: stopped at step {step}\n")
            sys.exit(124)
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        said += data
        found = step < len(STEPS) and re.search(STEPS[step][0], said[seen:])
        if found:
            seen += found.end()
            os.write(master, STEPS[step][1])
            step += 1
    sys.stdout.write(said.decode("utf-8", "replace"))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(status if step == len(STEPS) else 125)


if __name__ == "__main__":
    main()
