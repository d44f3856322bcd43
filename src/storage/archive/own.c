/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/archive/reader.h"
#include "storage/archive/unpack.h"

/* The tree's own / may belong to anybody and be closed: its parent is what is moved, and opened. */
static int own_tree(int dir, struct err *err)
{
	if (mkdirat(dir, "layer", 0700) < 0 || mkdirat(dir, "layer/fs", 0755) < 0)
		return err_set(err, errno, "make a layer directory");
	int fd = openat(dir, "layer/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_set(err, errno, "open a layer directory") : fd;
}

int own_unpack(int blobs, int dir, const char *blob, const char *diff, struct err *err)
{
	const struct unpack_opts opts = { .prefix = "", .overlay = true, .user = true };
	AUTO(reader_free_p) struct reader *reader = NULL;
	struct unpack_report report = { 0 };
	char what[32], got[DIGEST_HEX + 1];
	AUTO(fd_close_p) int fd = openat(blobs, blob, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	(void)snprintf(what, sizeof(what), "layer %.12s", blob); /* fits */
	if (fd < 0)
		return err_set(err, errno, "%s", what);
	AUTO(fd_close_p) int tree = own_tree(dir, err);
	if (tree < 0)
		return tree;
	int r = reader_open(fd, what, &reader, err);
	if (r == 0)
		r = unpack(tree, reader, &opts, &report, err);
	if (r == 0)
		r = reader_end(reader, got, err);
	if (r == 0 && strcmp(got, diff) != 0)
		return err_say(err, EBADMSG,
			       "%s: it is damaged, its tar has digest sha256:%.12s and not "
			       "sha256:%.12s: import the image again",
			       what, got, diff);
	return r;
}
