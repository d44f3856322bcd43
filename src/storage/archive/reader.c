/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READER_CHUNK (256 * 1024)

/*
 * Two libarchive readers in a row: the first undoes the compression and knows no format, its output
 * passes our digest, the second parses it as a tar and knows no compression.
 */
struct reader {
	int fd; /* borrowed */
	char *what;
	struct archive *raw;
	struct archive *tar;
	struct digest digest;
	int64_t bytes;
	char *chunk;
	bool raw_ended;
};

static ssize_t reader_packed(struct archive *a, void *arg, const void **ret)
{
	struct reader *reader = arg;
	ssize_t n;

	do
		n = read(reader->fd, reader->chunk, READER_CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, errno, "%s", strerror(errno));
		return -1;
	}
	*ret = reader->chunk;
	return n;
}

/* 1 and a piece of the plain tar, 0 at its end, -1 with the words in reader->raw. */
static int reader_plain_piece(struct reader *reader, const void **ret, size_t *ret_len)
{
	la_int64_t offset;

	if (reader->raw_ended)
		return 0;
	for (;;) {
		int r = archive_read_data_block(reader->raw, ret, ret_len, &offset);
		if (r == ARCHIVE_EOF) {
			reader->raw_ended = true;
			return 0;
		}
		if (r != ARCHIVE_OK)
			return -1;
		if (*ret_len) {
			digest_add(&reader->digest, *ret, *ret_len);
			reader->bytes += (int64_t)*ret_len;
			return 1;
		}
	}
}

static ssize_t reader_plain(struct archive *a, void *arg, const void **ret)
{
	struct reader *reader = arg;
	size_t len = 0;
	int r = reader_plain_piece(reader, ret, &len);

	if (r < 0) {
		archive_set_error(a, archive_errno(reader->raw), "%s",
				  archive_error_string(reader->raw));
		return -1;
	}
	return r ? (ssize_t)len : 0;
}

static int reader_fail(const struct reader *reader, struct archive *a, struct err *err)
{
	int code = archive_errno(a);
	const char *text = archive_error_string(a);

	/* libarchive's own codes are not errnos; a failed read(2) keeps its own. */
	if (code != EIO && code != ENOMEM)
		code = EBADMSG;
	return err_say(err, code, "%s: %s", reader->what, text ? text : "damaged archive");
}

static int reader_open_raw(struct reader *reader, struct err *err)
{
	struct archive_entry *entry;

	reader->raw = archive_read_new();
	if (!reader->raw)
		return err_set(err, ENOMEM, "%s", reader->what);
	if (archive_read_support_filter_gzip(reader->raw) < ARCHIVE_WARN ||
	    archive_read_support_filter_zstd(reader->raw) < ARCHIVE_WARN ||
	    archive_read_support_format_raw(reader->raw) != ARCHIVE_OK ||
	    archive_read_support_format_empty(reader->raw) != ARCHIVE_OK ||
	    archive_read_open(reader->raw, reader, NULL, reader_packed, NULL) != ARCHIVE_OK)
		return reader_fail(reader, reader->raw, err);

	int r = archive_read_next_header(reader->raw, &entry);
	if (r == ARCHIVE_EOF)
		reader->raw_ended = true;
	else if (r != ARCHIVE_OK)
		return reader_fail(reader, reader->raw, err);
	return 0;
}

static int reader_open_tar(struct reader *reader, struct err *err)
{
	reader->tar = archive_read_new();
	if (!reader->tar)
		return err_set(err, ENOMEM, "%s", reader->what);
	if (archive_read_support_format_tar(reader->tar) != ARCHIVE_OK ||
	    archive_read_support_format_empty(reader->tar) != ARCHIVE_OK)
		return reader_fail(reader, reader->tar, err);
	if (archive_read_open(reader->tar, reader, NULL, reader_plain, NULL) == ARCHIVE_OK)
		return 0;
	/* libarchive's code for a format that nobody claims. */
	if (archive_errno(reader->tar) != EILSEQ)
		return reader_fail(reader, reader->tar, err);
	return err_say(err, EBADMSG, "%s: neither a tar (plain, gzip or zstd) nor an image archive",
		       reader->what);
}

int reader_open(int fd, const char *what, struct reader **ret, struct err *err)
{
	AUTO(reader_free_p) struct reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return err_set(err, ENOMEM, "%s", what);
	reader->fd = fd;
	reader->what = strdup(what);
	reader->chunk = malloc(READER_CHUNK);
	if (!reader->what || !reader->chunk)
		return err_set(err, ENOMEM, "%s", what);
	digest_init(&reader->digest);

	int r = reader_open_raw(reader, err);
	if (r == 0)
		r = reader_open_tar(reader, err);
	if (r < 0)
		return r;
	*ret = TAKE(reader);
	return 0;
}

void reader_free(struct reader *reader)
{
	if (!reader)
		return;
	(void)archive_read_free(reader->tar); /* nothing is left to lose */
	(void)archive_read_free(reader->raw);
	free(reader->what);
	free(reader->chunk);
	free(reader);
}

void reader_free_p(struct reader **reader)
{
	reader_free(*reader);
	*reader = NULL;
}

int reader_next(struct reader *reader, struct archive_entry **ret, struct err *err)
{
	int r = archive_read_next_header(reader->tar, ret);

	if (r == ARCHIVE_EOF)
		return 0;
	/* A warning is a name that does not convert, or an attribute that does not parse. */
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return reader_fail(reader, reader->tar, err);
	if (!entry_path(*ret))
		return err_say(err, EBADMSG, "%s: an entry has no usable name", reader->what);
	return 1;
}

int reader_data(struct reader *reader, const void **ret_data, size_t *ret_len, int64_t *ret_offset,
		struct err *err)
{
	la_int64_t offset = 0;
	int r = archive_read_data_block(reader->tar, ret_data, ret_len, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return reader_fail(reader, reader->tar, err);
	*ret_offset = offset;
	return 1;
}

int reader_end(struct reader *reader, char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	const void *data;
	size_t len;
	int r;

	do
		r = reader_plain_piece(reader, &data, &len);
	while (r == 1);
	if (r < 0)
		return reader_fail(reader, reader->raw, err);
	digest_end(&reader->digest, ret_hex);
	return 0;
}

int64_t reader_bytes(const struct reader *reader)
{
	return reader->bytes;
}

const char *reader_what(const struct reader *reader)
{
	return reader->what;
}

const char *entry_path(struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry);

	return path ? path : archive_entry_pathname_utf8(entry);
}

const char *entry_link(struct archive_entry *entry)
{
	const char *link = archive_entry_hardlink(entry);

	return link ? link : archive_entry_hardlink_utf8(entry);
}
