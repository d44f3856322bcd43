/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of kernel_*.c share. */
#include "storage/kernel.h"

/* kernel_read() - one that is in its place; -ENOENT: a directory that is no kernel, with no text. */
int kernel_read(struct store *store, int kernels, const char *version, struct kernel *ret,
		struct err *err);
/* kernel_default_set() - the link, by rename; NULL removes it. Under storage_lock(). */
int kernel_default_set(struct store *store, int kernels, const char *version, struct err *err);
