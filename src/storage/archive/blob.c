/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"

#define BLOB_PART  ".part"
#define BLOB_CHUNK (256 * 1024)

static void blob_free_p(char **p)
{
	free(*p);
}

int blob_begin(int dir, struct blob_writer *ret, struct err *err)
{
	int fd =
		openat(dir, BLOB_PART, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, errno, "write to the image store");
	*ret = (struct blob_writer){ .dir = dir, .fd = fd };
	digest_init(&ret->digest);
	return 0;
}

int blob_add(struct blob_writer *writer, const void *data, size_t len)
{
	digest_add(&writer->digest, data, len);
	writer->size += (int64_t)len;
	return fd_write_all(writer->fd, data, len);
}

int blob_end(struct blob_writer *writer, struct blob *ret, struct err *err)
{
	struct blob blob = { .size = writer->size };

	digest_end(&writer->digest, blob.hex);
	if (renameat(writer->dir, BLOB_PART, writer->dir, blob.hex) < 0)
		return err_set(err, errno, "write to the image store");
	fd_close(fd_take(&writer->fd));
	*ret = blob;
	return 0;
}

void blob_abort(struct blob_writer *writer)
{
	if (writer->fd < 0)
		return;
	fd_close(fd_take(&writer->fd));
	(void)unlinkat(writer->dir, BLOB_PART, 0); /* the staging directory goes anyway */
}

int blob_copy(int dir, int fd, const char *what, struct blob *ret, struct err *err)
{
	AUTO(blob_free_p) char *chunk = malloc(BLOB_CHUNK);
	AUTO(blob_abort) struct blob_writer writer = { .fd = -EBADF };

	if (!chunk)
		return err_set(err, ENOMEM, "%s", what);
	int r = blob_begin(dir, &writer, err);
	if (r < 0)
		return r;
	for (;;) {
		ssize_t n = read(fd, chunk, BLOB_CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "read %s", what);
		if (n == 0)
			return blob_end(&writer, ret, err);
		r = blob_add(&writer, chunk, (size_t)n);
		if (r < 0)
			return err_set(err, -r, "copy %s into the image store", what);
	}
}

int blob_put(int dir, const void *data, size_t len, struct blob *ret, struct err *err)
{
	AUTO(blob_abort) struct blob_writer writer = { .fd = -EBADF };
	int r = blob_begin(dir, &writer, err);

	if (r < 0)
		return r;
	r = blob_add(&writer, data, len);
	return r < 0 ? err_set(err, -r, "write to the image store") : blob_end(&writer, ret, err);
}
