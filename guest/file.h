/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Small files of the guest's own kernel and root, whole. */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"

/* file_line() - the first line of a file, without its newline; its length, or -errno. Cut at size - 1. */
ssize_t file_line(const char *path, char *ret, size_t size);
/* file_put() - make or overwrite a file; 0 or -errno. */
int file_put(const char *path, const void *data, size_t len, mode_t mode);
/* file_put_text() - the same for an existing file of /proc, /sys or a cgroup. */
int file_put_text(const char *path, const char *text);
/*
 * file_number() - the number after a key in a file of lines "key number" or "key: number"; "": the file is a number
 * Return: 0 where there is none.
 */
uint64_t file_number(const char *path, const char *key);
/* file_kernel_log() - where there is no host to say it to: the kernel's log, which goes to the serial console. */
void file_kernel_log(const struct err *err);
