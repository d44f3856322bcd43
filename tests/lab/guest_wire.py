# SPDX-License-Identifier: Apache-2.0
"""include/abi/agent.h in Python, for tests that play the host: an implementation of its own, so that it finds what two
ends made of the same C would agree on by mistake."""
import select
import socket
import struct
import time

CONFIG, SIGNAL, RESIZE, STOP = 1, 2, 3, 4
READY, STARTED, FAILED, EXIT = 64, 65, 66, 67
TAG = {"arg": 1, "env": 2, "cwd": 3, "user": 4, "group": 5, "flags": 6, "caps": 7, "rlimit": 8, "seccomp": 9,
       "size": 10, "hostname": 32, "hosts": 33, "resolv": 34, "net": 35, "mount": 36, "shm_bytes": 37, "clock": 38,
       "pids": 39}
TTY, WITH_STDIN, NO_NEW_PRIVS, INIT, READ_ONLY, PRIVILEGED = (1 << n for n in range(6))
MOUNT_ROOT, MOUNT_UPPER, MOUNT_VOLUME, MOUNT_TMPFS = 1, 2, 3, 4
READ_ONLY_MOUNT, COPY_UP = 1, 2
CAPS_DEFAULT = 0xa80425fb  # Docker's default set


def frame(kind, payload=b""):
    return struct.pack("<II", kind, len(payload)) + payload


def field(name, value):
    if isinstance(value, int):
        value = struct.pack("<Q", value)
    elif isinstance(value, str):
        value = value.encode()
    return struct.pack("<II", TAG[name], len(value)) + value


def fields(pairs):
    return b"".join(field(name, value) for name, value in pairs)


def mount(kind, source="", fstype="", target="", options="", flags=0):
    texts = "\0".join((source, fstype, target, options)) + "\0"
    return ("mount", struct.pack("<II", kind, flags) + texts.encode())


def net(mac, address, prefix, gateway):
    def ip(text):
        return socket.inet_aton(text).ljust(16, b"\0") if text else bytes(16)
    return ("net", bytes.fromhex(mac.replace(":", "")) + bytes([4, prefix]) + ip(address) + ip(gateway))


class Late(Exception):
    """Nothing came in time."""


class Conversation:
    """Frames over a connected socket."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""

    def send(self, kind, payload=b""):
        self.sock.sendall(frame(kind, payload))

    def fill(self, until):
        ready = select.select([self.sock], [], [], max(0, until - time.monotonic()))[0]
        if not ready:
            raise Late("no frame came")
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the guest closed the connection")
        self.data += data

    def receive(self, timeout=300):
        """(type, payload) of the next frame."""
        until = time.monotonic() + timeout
        while True:
            if len(self.data) >= 8:
                kind, length = struct.unpack_from("<II", self.data)
                if len(self.data) >= 8 + length:
                    payload = self.data[8:8 + length]
                    self.data = self.data[8 + length:]
                    return kind, payload
            self.fill(until)

    def expect(self, kind, timeout=300):
        got, payload = self.receive(timeout)
        if got != kind:
            raise AssertionError(f"expected frame {kind}, got {got}: {payload!r}")
        return payload


def exit_of(payload):
    status, oom, out, err = struct.unpack("<IIQQ", payload)
    return {"status": status, "oom": oom, "stdout": out, "stderr": err}


def failed_of(payload):
    status, code = struct.unpack_from("<II", payload)
    return {"status": status, "code": code, "text": payload[8:].decode()}
