/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Kernels for virtual machines that run an image.
 *
 *   <root>/kernels/VERSION/vmlinuz           the kernel as Debian packs it
 *   <root>/kernels/VERSION/modules/NAME.ko   what a guest needs to reach its disks, network and host; unpacked
 *   <root>/kernels/VERSION/kernel.json       digest, size, load order; written last
 *   <root>/kernels/default                   a link to the VERSION that is taken where none is asked for
 *
 * A kernel is unpacked from its package below <root>/tmp by strata-archive, and comes into its place by one rename. Nothing is
 * installed into the host.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/os/digest.h"
#include "base/os/store.h"

#define KERNEL_PACKAGE "linux-image-cloud-amd64"

struct kernel {
	char *version;		     /* "6.1.0-44-cloud-amd64" */
	char *package;		     /* "linux-image-6.1.0-44-cloud-amd64_6.1.164-1_amd64.deb" */
	char digest[DIGEST_HEX + 1]; /* SHA-256 over the digests of its files */
	json_t *modules;	     /* names in load order; owned */
	char *dir;		     /* absolute: <root>/kernels/VERSION */
	char *path;		     /* absolute: of vmlinuz */
	int64_t size_bytes, created_ns;
	bool is_default;
};
void kernel_fini(struct kernel *kernel); /* a zeroed one is a no-op */
void kernels_fini(struct kernel *list, size_t n);

/*
 * kernel_add() - from a package's file; it becomes the default
 * The same kernel again is no error; another one of the same version takes its place.
 * Errors: one line that names the package and the cause; nothing is left behind.
 */
int kernel_add(struct store *store, const char *deb, struct kernel *ret, struct err *err);
/*
 * kernel_fetch() - by apt-get from the host's own Debian mirror, which checks its signature
 * @package: KERNEL_PACKAGE, or another; a package that only names the newest is followed to it
 */
int kernel_fetch(struct store *store, const char *package, struct kernel *ret, struct err *err);
/* kernel_list() - by version. */
int kernel_list(struct store *store, struct kernel **ret, size_t *ret_n, struct err *err);
/*
 * kernel_find() - by version, digest or its unique prefix of 6 digits and more; NULL: the default
 * Errors: -ENOENT; without any kernel the text says how to get one.
 */
int kernel_find(struct store *store, const char *name, struct kernel *ret, struct err *err);
/* kernel_remove() - and its initramfs. After the default's end the one that came last is the default. */
int kernel_remove(struct store *store, const char *name, struct err *err);
