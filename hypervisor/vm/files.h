/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Files in the server's memory, by name: those that the boot loader left, and those that were uploaded. Any CPU; one lock.
 * A file that guests use (hv_file_get()) is not dropped.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/channel.h"
#include "base/core/err.h"
#include "boot/info.h"

#define FILE_MAX_BYTES (UINT64_C(1) << 40)
#define FILES_MAX      256U

struct hv_file {
	struct hv_file *next;
	uint32_t number;
	char name[CHANNEL_FILE_BYTES];
	uint8_t *data;
	uint64_t len;
	unsigned users;
	bool is_loaded, is_partial;
};

/* hv_files_init() - the boot loader's; those whose names are too long cannot be named by anybody */
void hv_files_init(const struct boot_info *info);
/*
 * hv_file_get() - somebody uses it now, until hv_file_put()
 * Return: NULL: there is none of this name, or its upload is not over.
 */
struct hv_file *hv_file_get(const char *name);
void hv_file_put(struct hv_file *file); /* NULL is a no-op */
/*
 * hv_file_begin() - a new one of `len` bytes, which are not zeroed: whoever made it writes them all, then hv_file_done()
 * Errors: -EEXIST, -EFBIG, -ENOMEM, -ENOSPC (FILES_MAX), -EINVAL (its name).
 */
int hv_file_begin(const char *name, uint64_t len, struct hv_file **ret, struct err *err);
void hv_file_done(struct hv_file *file);
void hv_file_abort(struct hv_file *file); /* instead: it is gone */
/* hv_file_drop() - Errors: -ENOENT, -EBUSY, -EPERM (the loader's) */
int hv_file_drop(const char *name, struct err *err);
/* hv_file_next() - the first behind a number, as the channel says it. Return: false: none. */
bool hv_file_next(uint32_t after, struct channel_file *ret);
unsigned hv_file_count(void);
/* hv_files_bytes() - of memory that uploads hold */
uint64_t hv_files_bytes(void);
