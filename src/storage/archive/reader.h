/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A tar read once: plain, gzip or zstd, found out by its first bytes. The digest of the plain tar
 * (an image's "diff id") is taken on the way; nothing is ever seeked.
 */
#include <archive.h>
#include <archive_entry.h>
#include <stdint.h>

#include "base/core/err.h"
#include "base/os/digest.h"

struct reader;

/*
 * reader_open() - start reading
 * @fd: borrowed, read from where it stands   @what: names the tar in errors; copied
 */
int reader_open(int fd, const char *what, struct reader **ret, struct err *err);
void reader_free(struct reader *reader);
void reader_free_p(struct reader **reader); /* for AUTO */

/* reader_next() - 1 and the next entry, borrowed until the next call; 0 at the end; -EBADMSG. */
int reader_next(struct reader *reader, struct archive_entry **ret, struct err *err);
/* reader_data() - 1 and the next piece of the entry's data and its place in the file; 0; -EBADMSG. */
int reader_data(struct reader *reader, const void **ret_data, size_t *ret_len, int64_t *ret_offset,
		struct err *err);
/* reader_end() - read what follows the last entry too, then give the digest of the plain tar. */
int reader_end(struct reader *reader, char ret_hex[DIGEST_HEX + 1], struct err *err);
/* reader_bytes() - bytes of plain tar read so far. */
int64_t reader_bytes(const struct reader *reader);
const char *reader_what(const struct reader *reader);

/* entry_path() - the path of an entry as bytes; NULL where it has none. entry_link() likewise. */
const char *entry_path(struct archive_entry *entry);
const char *entry_link(struct archive_entry *entry);
