#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""disk_initramfs.py OUT MODULES BUSYBOX: an initramfs that reads /dev/vda, writes to /dev/vdb and reads it back, and powers off."""
import os
import stat
import sys

import guest_image

INIT = """#!/bin/sh
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t devtmpfs dev /dev
for module in $($busybox cat /modules); do $busybox insmod /$module; done
echo "vda $($busybox md5sum </dev/vda)"
echo x | $busybox dd of=/dev/vda bs=512 conv=fsync 2>/dev/null || echo "vda is read-only"
echo "from the guest" | $busybox dd of=/dev/vdb bs=512 seek=5 conv=fsync 2>/dev/null
$busybox dd if=/dev/urandom of=/data bs=64k count=40 2>/dev/null
$busybox dd if=/data of=/dev/vdb bs=64k seek=16 conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
$busybox dd if=/dev/vdb bs=64k skip=16 count=40 2>/dev/null | $busybox cmp - /data && echo "same as written"
$busybox poweroff -f
"""


def main():
    out, modules, busybox = sys.argv[1:]
    cpio = guest_image.Cpio()
    for folder in ("dev", "proc", "bin"):
        cpio.add(folder, stat.S_IFDIR | 0o755)
    cpio.add("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    with open(busybox, "rb") as file:
        cpio.add("bin/busybox", stat.S_IFREG | 0o755, file.read())
    cpio.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    order = guest_image.load_order(modules, ("virtio_pci", "virtio_blk"))
    for module in order:
        with open(module, "rb") as file:
            cpio.add(os.path.basename(module), stat.S_IFREG | 0o600, file.read())
    cpio.add("modules", stat.S_IFREG | 0o600, " ".join(map(os.path.basename, order)).encode())
    cpio.add("init", stat.S_IFREG | 0o755, INIT.encode())
    with open(out, "wb") as file:
        file.write(cpio.end())


if __name__ == "__main__":
    main()
