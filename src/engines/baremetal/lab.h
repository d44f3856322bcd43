/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The lab: a server that QEMU's TCG emulates, with AMD's SVM, for strata-hv to run on where there is no spare one. Its management
 * channel is a virtio-console over a socket (LAB_CHANNEL_FD); its serial console comes out of QEMU's standard output.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

#define LAB_QEMU       "qemu-system-x86_64"
#define LAB_CHANNEL_FD 3 /* in QEMU */
#define LAB_OWN_BYTES                                                                              \
	((uint64_t)96                                                                              \
	 << 20) /* of the server's memory: firmware, hypervisor, what a guest costs beyond its own */
#define LAB_HOW "lab: an emulated server (QEMU's TCG with SVM), which runs strata-hv"

struct lab_file {
	const char *path; /* absolute; the name that strata-hv sees is its last part */
};

struct lab_disk {
	const char *path;
	const char *format; /* "raw", "qcow2": said, never guessed */
	bool read_only;
	bool is_held; /* its lock (storage/disk/disk.h) is the caller's, as long as the lab lives; else QEMU takes one */
};

struct lab_server {
	const char *image; /* strata-hv */
	const char *words; /* its command line; "" */
	uint64_t memory_bytes;
	unsigned cpus;
	const struct lab_file *files; /* the boot loader's */
	size_t n_files;
	const struct lab_disk *disks; /* vd0, vd1 ... */
	size_t n_disks;
};

/* lab_argv() - QEMU's words, NULL-ended; strv of one allocation each. NULL: no memory */
char **lab_argv(const struct lab_server *server);
void lab_argv_free(char **argv); /* NULL is a no-op */
/* lab_qemu() - where QEMU is, by $PATH and the usual places; -ENOENT, with the package's name. @ret: owned */
int lab_qemu(char **ret, struct err *err);
/* lab_image() - where strata-hv is. @ret: owned */
int lab_image(char **ret, struct err *err);
