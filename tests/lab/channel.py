#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The management channel of strata-hv from the host's side, for tests: include/abi/channel.h in Python, and an emulated server.

	with channel.Server(image, files=[...], cpus=2) as server:
		host = server.connect()
		host.request("INFO")
"""
import collections
import errno
import os
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import zlib

MAGIC = b"STCH"
HEAD = 16
PAYLOAD_MAX = 4096
QUIET_BYTES, QUIET_SENT = 4112, 8224
HELLO, REQUEST, REPLY, EVENT, OPEN, OPENED, DATA, CREDIT, END, CLOSE, LOST, HOLE, PACKET, AGAIN = range(1, 15)
PACKET_BYTES, PACKET_WINDOW, VERSION = 512, 4096, 2
VERBS = {name: number for number, name in enumerate(
    "INFO DISKS FILES LIST STATS CREATE START KILL STOP PAUSE RESUME UPDATE DESTROY FILE_DROP PRINTED".split(), 1)}
CONSOLE, FILE, PORT, VSOCK = range(1, 5)
CREATED, RUNS, PAUSED, ENDED = range(1, 5)
HOWS = "none power-off reset exit crashed failed killed".split()
EVENT_ENDED, EVENT_BAD = 1, 2

Info = collections.namedtuple("Info", "version virtualization cpu cpus guests disks files memory free now tsc_hz boot bad_frames longest_wait")
Guest = collections.namedtuple("Guest", "id state how status flags vcpus weight cap memory created started ended name failure")
Stats = collections.namedtuple("Stats", "guest now memory overhead cpu wait disk_reads disk_writes disk_read_bytes disk_write_bytes "
                                        "net_rx_frames net_tx_frames net_rx_bytes net_tx_bytes vcpus exits")


class Refused(Exception):
    """A reply or a CLOSE with an error."""

    def __init__(self, status, text):
        super().__init__(f"{errno.errorcode.get(status, status)}: {text}")
        self.status, self.text = status, text


def text_of(raw):
    return raw.split(b"\0")[0].decode(errors="replace")


def frame(key, kind, stream=0, payload=b""):
    body = struct.pack("<HHI", kind, len(payload), stream) + payload
    return MAGIC + struct.pack("<I", zlib.crc32(body, zlib.crc32(struct.pack("<I", key)))) + body


def hello(nonce, version=VERSION):
    return bytes(QUIET_SENT) + frame(0, HELLO, 0, struct.pack("<IIQQ", version, 0, nonce, 0))


def guest_of(raw):
    f = struct.unpack("<IHHIIIIIIQQQQ32s48s", raw)
    return Guest(f[0], f[1], HOWS[f[2]], f[3], f[4], f[5], f[6], f[7], f[9], f[10], f[11], f[12], text_of(f[13]), text_of(f[14]))


class Stream:
    """One stream: what came of it, and credit both ways. `window`: what the hypervisor may send ahead of read()."""

    def __init__(self, host, number, window):
        self.host, self.number, self.window = host, number, window
        self.data, self.credit, self.lost, self.ended, self.opened, self.closed = b"", 0, 0, False, False, None

    def write(self, data):
        while data:
            self.host.until(lambda: self.credit or self.closed)
            if self.closed:
                raise self.closed
            part = data[:min(PAYLOAD_MAX, self.credit)]
            self.credit -= len(part)
            self.host.send(DATA, self.number, part)
            data = data[len(part):]

    def take(self):
        data, self.data = self.data, b""
        if data and not self.closed:
            self.host.send(CREDIT, self.number, struct.pack("<I", len(data)))
        return data

    def read_until(self, what, seconds=300):
        """All that comes up to and with `what`."""
        got = b""

        def arrived():
            nonlocal got
            got += self.take()
            return what in got or self.closed

        self.host.until(arrived, seconds)
        if what not in got:
            raise AssertionError(f"{what!r} did not come, only {got[-300:]!r}")
        rest = got.index(what) + len(what)
        self.data = got[rest:] + self.data
        return got[:rest]

    def wait_close(self, seconds=300):
        got = b""

        def over():
            nonlocal got
            got += self.take()
            return self.closed

        self.host.until(over, seconds)
        got += self.take()
        if self.closed.status:
            raise self.closed
        return got

    def end(self):
        self.host.send(END, self.number)

    def close(self):
        self.host.send(CLOSE, self.number)
        self.host.until(lambda: self.closed)


class Link:
    """Packets, where the line is a serial one: what is put in here comes out at the other end, whatever the line loses."""

    def __init__(self, host):
        self.host, self.acked, self.sent, self.most, self.wanted = host, 0, 0, 0, 0
        self.held, self.asked, self.since, self.wait = b"", None, 0.0, 1.0

    def put(self, data):
        self.held += data
        self.pump()

    def pump(self):
        while (at := self.sent - self.acked) < min(len(self.held), PACKET_WINDOW):
            part = self.held[at:min(at + PACKET_BYTES, PACKET_WINDOW)]
            self.say(PACKET, part)
            self.sent += len(part)
            self.most = max(self.most, self.sent)
            self.since = time.monotonic()

    def say(self, kind, part=b""):
        self.host.sock.sendall(frame(self.host.key, kind, (self.sent & 0xffff) | (self.wanted & 0xffff) << 16, part))

    def take(self, kind, stream, payload):
        """What of it is new."""
        more = ((stream >> 16) - self.acked) & 0xffff
        if 0 < more <= self.most - self.acked:
            self.acked, self.held, self.wait, self.since = self.acked + more, self.held[more:], 1.0, time.monotonic()
            self.sent = max(self.sent, self.acked)
        if kind == AGAIN:
            self.sent = self.acked
        new = b""
        ahead = ((stream & 0xffff) - self.wanted) & 0xffff
        if payload and 0 < ahead < 0x8000:
            if self.asked != self.wanted:
                self.asked = self.wanted
                self.say(AGAIN)
        elif payload:
            new = payload[-ahead & 0xffff:]
            self.wanted += len(new)
            self.say(PACKET)
        self.pump()
        return new

    def tick(self):
        if self.sent > self.acked and time.monotonic() - self.since >= self.wait:
            self.wait, self.sent = min(2 * self.wait, 8.0), self.acked
            self.host.sock.sendall(bytes(PACKET_BYTES))
            self.pump()


class Host:
    """One client of the channel, on a connected socket."""

    def __init__(self, sock, nonce=None, greet=2):
        self.sock, self.nonce = sock, nonce or int.from_bytes(os.urandom(8), "little") | 1
        self.key = self.nonce & 0xffffffff
        self.raw, self.boot, self.version, self.link, self.inner = b"", None, None, None, b""
        self.replies, self.streams, self.events, self.last_id, self.last_stream = {}, {}, [], 0, 0
        if greet:
            self.greet(greet)

    def greet(self, seconds):
        self.sock.sendall(hello(self.nonce))
        self.until(lambda: self.boot, seconds)

    def send(self, kind, stream=0, payload=b""):
        (self.link.put if self.link else self.sock.sendall)(frame(self.key, kind, stream, payload))

    def close(self):
        self.sock.close()

    # ---- in ----

    def until(self, done, seconds=300):
        """Heeds what comes until done() is true."""
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the hypervisor does not answer")
            if self.link:
                self.link.tick()
            if not select.select([self.sock], [], [], min(left, 0.1) if self.link else left)[0]:
                continue
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError("the emulated server ended")
            self.raw += more
            self.parse()

    def parse(self):
        while True:
            found, self.raw = self.first(self.raw, self.link)
            if not found:
                return
            kind, stream, payload = found
            if not self.link or kind == HELLO:
                self.heed(kind, stream, payload)
                continue
            self.inner += self.link.take(kind, stream, payload)
            while True:
                found, self.inner = self.first(self.inner, False)
                if not found:
                    break
                self.heed(*found)

    def first(self, raw, is_line):
        """The first frame in it, or None, and what is left."""
        while True:
            at = raw.find(MAGIC)
            if at < 0:
                return None, raw[-3:]
            raw = raw[at:]
            if len(raw) < HEAD:
                return None, raw
            crc, kind, length, stream = struct.unpack("<IHHI", raw[4:HEAD])
            if length > PAYLOAD_MAX or is_line and (length > PACKET_BYTES or kind not in (HELLO, PACKET, AGAIN)):
                raw = raw[1:]
                continue
            if len(raw) < HEAD + length:
                return None, raw
            key = 0 if kind == HELLO else self.key
            if crc == zlib.crc32(raw[8:HEAD + length], zlib.crc32(struct.pack("<I", key))):
                return (kind, stream, raw[HEAD:HEAD + length]), raw[HEAD + length:]
            raw = raw[1:]

    def heed(self, kind, stream, payload):
        if kind == HELLO:
            version, flags, nonce, boot = struct.unpack("<IIQQ", payload)
            if nonce == self.nonce:
                self.version, self.boot = version, boot
                self.link = self.link or (Link(self) if flags & 1 else None)
        elif kind == REPLY:
            number, status = struct.unpack("<II", payload[:8])
            self.replies[number] = (status, payload[8:])
        elif kind == EVENT:
            event, _, about = struct.unpack("<HHI", payload[:8])
            body = payload[8:]
            self.events.append((event, about, guest_of(body) if event == EVENT_ENDED else body.decode()))
        else:
            self.heed_stream(kind, self.streams[stream], payload)

    def heed_stream(self, kind, s, payload):
        if kind == OPENED:
            s.opened, s.credit = True, struct.unpack("<I", payload)[0]
        elif kind == CREDIT:
            s.credit += struct.unpack("<I", payload)[0]
        elif kind == DATA:
            assert len(payload) <= s.window
            s.data += payload
        elif kind == END:
            s.ended = True
        elif kind == LOST:
            s.lost += struct.unpack("<Q", payload)[0]
        elif kind == CLOSE:
            s.closed = Refused(struct.unpack("<I", payload[:4])[0], payload[4:].decode())
            del self.streams[s.number]
        else:
            raise AssertionError(f"a frame of type {kind}")

    # ---- requests ----

    def ask(self, verb, body=b""):
        """Sends a request without waiting. Return: its id."""
        self.last_id += 1
        number = VERBS[verb] if isinstance(verb, str) else verb
        self.send(REQUEST, 0, struct.pack("<IHH", self.last_id, number, 0) + body)
        return self.last_id

    def answer(self, number, seconds=300):
        self.until(lambda: number in self.replies, seconds)
        status, body = self.replies.pop(number)
        if status:
            raise Refused(status, body.decode())
        return body

    def request(self, verb, body=b"", seconds=300):
        return self.answer(self.ask(verb, body), seconds)

    def of(self, verb, guest):
        return self.request(verb, struct.pack("<I", guest))

    def info(self):
        return self.info_of(self.request("INFO"))

    @staticmethod
    def info_of(body):
        f = struct.unpack("<32s8s48sIIIIQQQQQQQ", body)
        return Info(text_of(f[0]), text_of(f[1]), text_of(f[2]), *f[3:])

    def pages(self, verb, size):
        after = 0
        while True:
            body = self.request(verb, struct.pack("<I", after))
            if not body:
                return
            for at in range(0, len(body), size):
                yield body[at:at + size]
            after = struct.unpack("<I", body[-size:-size + 4])[0]

    def list(self):
        return [guest_of(raw) for raw in self.pages("LIST", 144)]

    def files(self):
        return {text_of(raw[16:]): struct.unpack("<IIQ", raw[:16]) for raw in self.pages("FILES", 80)}

    def disks(self):
        return [(text_of(raw[24:56]), text_of(raw[56:]), *struct.unpack("<IIQQ", raw[:24])) for raw in self.pages("DISKS", 120)]

    def stats(self, guest):
        body = self.of("STATS", guest)
        f = struct.unpack("<IHH13Q", body[:112])
        vcpus = struct.unpack_from(f"<{f[1]}Q", body, 112)
        at = 112 + 8 * f[1]
        exits = {text_of(body[at + 24 * i:at + 24 * i + 16]): struct.unpack_from("<Q", body, at + 24 * i + 16)[0] for i in range(f[2])}
        return Stats(f[0], *f[3:], vcpus, exits)

    def create(self, text):
        return struct.unpack("<I", self.request("CREATE", text.encode()))[0]

    # ---- streams ----

    def begin(self, kind, guest=0, name="", window=65536, port=0, size=0, flags=0, number=None):
        """Sends OPEN without waiting."""
        while number is None:
            self.last_stream = self.last_stream % 255 + 1
            number = None if self.last_stream in self.streams else self.last_stream
        stream = self.streams[number] = Stream(self, number, window)
        self.send(OPEN, number, struct.pack("<HHIIIQ", kind, flags, guest, window, port, size) + name.encode())
        return stream

    def open(self, kind, guest=0, name="", **more):
        stream = self.begin(kind, guest, name, **more)
        self.until(lambda: stream.opened or stream.closed)
        if not stream.opened:
            raise stream.closed
        return stream

    def upload(self, name, data, holes=False):
        stream = self.open(FILE, name=name, size=len(data))
        for at in range(0, len(data), 65536):
            part = data[at:at + 65536]
            if holes and not any(part):
                self.send(HOLE, stream.number, struct.pack("<Q", len(part)))
            else:
                stream.write(part)
        stream.end()
        stream.wait_close()


class Terminal:
    """A serial line in place of a socket."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)

    def fileno(self):
        return self.fd

    def sendall(self, data):
        while data:
            data = data[os.write(self.fd, data):]

    def recv(self, size):
        return os.read(self.fd, size)

    def close(self):
        os.close(self.fd)


class Server:
    """An emulated server with strata-hv and the channel on a socket; `serial`: on COM2 instead of a virtio-console."""

    def __init__(self, image, files=(), cpus=2, memory=1024, append="", serial=False, more=(), icount=False):
        self.dir = tempfile.mkdtemp(prefix="strata-channel-")
        self.path, self.console = os.path.join(self.dir, "channel"), os.path.join(self.dir, "console")
        words = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-M", "q35", "-m", str(memory), "-smp", str(cpus),
                 "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self.console}", "-kernel", image,
                 "-append", append + (" channel=com2" if serial else ""),
                 "-chardev", f"socket,id=channel,path={self.path},server=on,wait=off"]
        words += ["-serial", "chardev:channel"] if serial else [
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=channel,name=strata.channel"]
        words += ["-icount", "shift=1,sleep=off"] if icount else []
        words += ["-initrd", ",".join(name.replace(",", ",,") for name in files)] if files else []
        self.process = subprocess.Popen(words + list(more), stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir)

    def connect(self, **more):
        """A client; the first one may have to wait until the server is up."""
        patience = 2
        for _ in range(2000):
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.path)
                return Host(sock, **{"greet": patience, **more})
            except (FileNotFoundError, ConnectionRefusedError):
                sock.close()
                time.sleep(0.05)
            except TimeoutError:  # include/abi/channel.h, Sessions; or it is slow
                sock.close()
                patience = min(2 * patience, 60)
        raise TimeoutError("no emulated server")

    def said(self):
        """What is on the server's console so far."""
        try:
            with open(self.console, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""
