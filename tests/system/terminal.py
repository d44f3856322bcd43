#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""terminal.py ROWS COLUMNS KEYS COMMAND...: run a command on a terminal of this size, type KEYS once it has
said "ready" (or anything, where it never does), print what it says and end as it does."""
import os
import pty
import sys
import fcntl
import struct
import termios

rows, columns, keys, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.execvp(command[0], command)
said = b""
while True:
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    said += data
    if keys and b"ready" in said:
        os.write(master, keys.encode().decode("unicode_escape").encode())
        keys = ""
sys.stdout.write(said.decode("utf-8", "replace"))
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
