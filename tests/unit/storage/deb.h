/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Debian packages and kernel modules made by hand. */
#include "scene.h"

/* deb_module() - an ELF object whose .modinfo is info, len bytes with their NULs; data is the caller's to fini. */
void deb_module(struct buf *ret, const char *info, size_t len);
/* deb_vmlinuz() - 4 KiB filled with c, that say HdrS unless c is DEB_NO_KERNEL. */
#define DEB_NO_KERNEL '!'
void deb_vmlinuz(char ret[4096], char c);
/* deb_pack() - an ar archive that holds "debian-binary", "control.tar" and the tar as member, packed with filter. */
void deb_pack(struct scene *scene, const char *name, const char *member, struct tar *tar);

/* A package of kernel version, vmlinuz filled with c, with all modules that a guest needs, two built in, one packed by xz. */
void deb_kernel(struct scene *scene, const char *name, const char *version, char c);
