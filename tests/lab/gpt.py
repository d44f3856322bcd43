#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk of 64 MiB with a GUID partition table: "boot" of 8 MiB from sector 2048, "data" from sector 18432. gpt.py FILE"""
import struct
import sys
import zlib

SECTORS = 131072


def entry(first, last, name):
    return b"\x11" * 32 + struct.pack("<QQQ", first, last, 0) + name.encode("utf-16-le").ljust(72, b"\0")


def header(lba, other, entries, table):
    def pack(crc):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, lba, other, 34, SECTORS - 34,
                           b"\x22" * 16, entries, 128, 128, zlib.crc32(table))
    return pack(zlib.crc32(pack(0)))


def main():
    table = (entry(2048, 18431, "boot") + entry(18432, 131038, "data")).ljust(128 * 128, b"\0")
    with open(sys.argv[1], "wb") as disk:
        disk.truncate(SECTORS * 512)
        for lba, data in ((1, header(1, SECTORS - 1, 2, table)), (2, table), (SECTORS - 33, table),
                          (SECTORS - 1, header(SECTORS - 1, 1, SECTORS - 33, table))):
            disk.seek(lba * 512)
            disk.write(data)


if __name__ == "__main__":
    main()
