# SPDX-License-Identifier: Apache-2.0
"""What a VM that runs an OCI image is booted from: a kernel of Debian's, an initramfs with strata-init, a root disk."""
import fcntl
import os
import re
import shutil
import stat
import subprocess

WANTED = ("virtio_pci", "virtio_blk", "virtio_console", "virtio_net", "erofs", "overlay", "vmw_vsock_virtio_transport")


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options).stdout


def unpack_kernel(cache, unpacked):
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64").decode()
    package = re.search(r"Depends: (linux-image-\S+)", depends).group(1)
    debs = os.path.join(cache, "deb")
    os.makedirs(debs, exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(debs, "_apt")
    run("apt-get", "download", package, cwd=debs)
    partial = unpacked + ".new"
    shutil.rmtree(partial, ignore_errors=True)
    run("dpkg", "-x", os.path.join(debs, os.listdir(debs)[0]), partial)
    os.rename(partial, unpacked)


def fetch_kernel(cache):
    """Debian's cloud kernel, unpacked below cache: (vmlinuz, directory of modules). Nothing is installed."""
    unpacked = os.path.join(cache, "kernel")
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # files of tests run side by side: one fetches, the others find it
        if not os.path.isdir(unpacked):
            unpack_kernel(cache, unpacked)
    boot = os.path.join(unpacked, "boot")
    kernel = next(os.path.join(boot, n) for n in os.listdir(boot) if n.startswith("vmlinuz"))
    modules = os.path.join(unpacked, "lib/modules")
    return kernel, os.path.join(modules, os.listdir(modules)[0])


def module_files(modules):
    """name -> path, in the kernel's spelling of names (with _)."""
    found = {}
    for folder, _, names in os.walk(os.path.join(modules, "kernel")):
        for name in names:
            if re.search(r"\.ko$", name):
                found[name[:-3].replace("-", "_")] = os.path.join(folder, name)
    return found


def load_order(modules, wanted=WANTED):
    """Paths, each after what it depends on: the "depends=" of .modinfo, which modules.dep is made from."""
    files = module_files(modules)
    with open(os.path.join(modules, "modules.builtin"), encoding="ascii") as text:
        builtin = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in text}
    order = []

    def add(name):
        if name in builtin or files.get(name) in order:
            return
        with open(files[name], "rb") as file:
            depends = re.search(rb"\0depends=([^\0]*)\0", file.read())
        for needed in depends.group(1).decode().split(",") if depends else ():
            if needed:
                add(needed.replace("-", "_"))
        order.append(files[name])

    for name in wanted:
        add(name)
    return order


class Cpio:
    """A "newc" archive (Linux: Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self.parts = []
        self.count = 0

    def add(self, name, mode, data=b"", rdev=(0, 0)):
        self.count += 1
        name = name.encode() + b"\0"
        words = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0]
        head = b"070701" + b"".join(b"%08x" % word for word in words) + name
        self.parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def end(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def make_initramfs(path, init, modules):
    cpio = Cpio()
    cpio.add("dev", stat.S_IFDIR | 0o755)
    cpio.add("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    cpio.add("strata", stat.S_IFDIR | 0o755)
    order = load_order(modules)
    for module in order:
        with open(module, "rb") as file:
            cpio.add("strata/" + os.path.basename(module), stat.S_IFREG | 0o600, file.read())
    listing = "".join(os.path.basename(module) + "\n" for module in order)
    cpio.add("strata/modules", stat.S_IFREG | 0o600, listing.encode())
    with open(init, "rb") as file:
        cpio.add("init", stat.S_IFREG | 0o755, file.read())
    with open(path, "wb") as file:
        file.write(cpio.end())


def make_tree(path):
    """A root file system of busybox."""
    for name in ("bin", "etc", "tmp", "root", "home/user", "opt"):
        os.makedirs(os.path.join(path, name))
    os.chmod(os.path.join(path, "tmp"), 0o1777)
    shutil.copy(shutil.which("busybox"), os.path.join(path, "bin/busybox"))
    for applet in ("sh cat echo id hostname mount sleep true false ls touch kill stty env tr wc ip nproc tail tty grep dd sync "
                   "seq head ps readlink stat mknod test ln mkdir rm chmod trap date df").split():
        os.symlink("busybox", os.path.join(path, "bin", applet))
    with open(os.path.join(path, "etc/passwd"), "w", encoding="ascii") as file:
        file.write("root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
    with open(os.path.join(path, "etc/group"), "w", encoding="ascii") as file:
        file.write("root:x:0:\nuser:x:1000:\nextra:x:1234:user\n")


def make_root_disk(path, folder):
    tree = os.path.join(folder, "tree")
    make_tree(tree)
    run("mkfs.erofs", path, tree)
