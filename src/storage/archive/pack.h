/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Write tars: a directory tree as it is, and archives made of single files. */
#include <archive.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

/* Where the bytes go. Return: 0 or a negative errno, which then ends the writing. */
typedef int (*pack_write_fn)(void *arg, const void *data, size_t len);

struct pack;

int pack_open(pack_write_fn write, void *arg, const char *what, struct pack **ret, struct err *err);
void pack_free(struct pack *pack);
void pack_free_p(struct pack **pack); /* for AUTO */

/*
 * pack_tree() - add what a path below a directory names, a directory with all that it holds
 * @dirfd, @name: the file itself, not followed when it is a link; "." is dirfd
 * @as: its name in the tar; "." for a root, whose children then start with "./"
 * Owners, modes, times, attributes, hard links, holes and device nodes are kept; sockets are left out.
 */
int pack_tree(struct pack *pack, int dirfd, const char *name, const char *as, struct err *err);
/* pack_bytes(), pack_fd() - a plain file, 0644 of root at time 0, so that equal input gives equal tars. */
int pack_bytes(struct pack *pack, const char *as, const void *data, size_t len, struct err *err);
int pack_fd(struct pack *pack, const char *as, int fd, struct err *err);
int pack_end(struct pack *pack, struct err *err);
