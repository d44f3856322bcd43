/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/pack.h"

#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"

#define PACK_CHUNK (256 * 1024)
/* Each level of a tree holds one fd while what is below it is written. */
#define PACK_DEPTH_MAX 512

struct pack {
	pack_write_fn write;
	void *arg;
	char *what;
	struct archive *tar;
	struct archive_entry_linkresolver *links;
	char *chunk;
	int write_error; /* negative errno of the write function */
};

static void pack_entry_p(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

static ssize_t pack_out(struct archive *a, void *arg, const void *data, size_t len)
{
	struct pack *pack = arg;
	int r = pack->write(pack->arg, data, len);

	if (r < 0) {
		pack->write_error = r;
		archive_set_error(a, -r, "%s", strerror(-r));
		return -1;
	}
	return (ssize_t)len;
}

static int pack_fail(const struct pack *pack, const char *as, struct err *err)
{
	if (pack->write_error < 0)
		return err_set(err, -pack->write_error, "%s: write", pack->what);
	const char *text = archive_error_string(pack->tar);
	return err_say(err, EIO, "%s: %s: %s", pack->what, as, text ? text : "cannot be written");
}

int pack_open(pack_write_fn write, void *arg, const char *what, struct pack **ret, struct err *err)
{
	AUTO(pack_free_p) struct pack *pack = calloc(1, sizeof(*pack));
	if (!pack)
		return err_set(err, ENOMEM, "%s", what);
	pack->write = write;
	pack->arg = arg;
	pack->what = strdup(what);
	pack->chunk = malloc(PACK_CHUNK);
	pack->tar = archive_write_new();
	pack->links = archive_entry_linkresolver_new();
	if (!pack->what || !pack->chunk || !pack->tar || !pack->links)
		return err_set(err, ENOMEM, "%s", what);

	/* A name that is not UTF-8 is written as bytes, and libarchive only warns of that. */
	if (archive_write_set_format_pax(pack->tar) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(pack->tar, 1) != ARCHIVE_OK ||
	    archive_write_open(pack->tar, pack, NULL, pack_out, NULL) != ARCHIVE_OK)
		return pack_fail(pack, "tar", err);
	archive_entry_linkresolver_set_strategy(pack->links, archive_format(pack->tar));
	*ret = TAKE(pack);
	return 0;
}

void pack_free(struct pack *pack)
{
	if (!pack)
		return;
	if (pack->tar) {
		/* A tar given up is not to be completed: freeing would write its end. */
		(void)archive_write_fail(pack->tar);
		(void)archive_write_free(pack->tar);
	}
	if (pack->links)
		archive_entry_linkresolver_free(pack->links);
	free(pack->what);
	free(pack->chunk);
	free(pack);
}

void pack_free_p(struct pack **pack)
{
	pack_free(*pack);
	*pack = NULL;
}

static int pack_xattrs(struct archive_entry *entry, int fd)
{
	AUTO(buf_fini) struct buf names = { 0 };
	AUTO(buf_fini) struct buf value = { 0 };

	if (buf_reserve(&names, XATTR_LIST_MAX) < 0 || buf_reserve(&value, XATTR_SIZE_MAX) < 0)
		return -ENOMEM;
	ssize_t n = flistxattr(fd, names.data, XATTR_LIST_MAX);
	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (const char *p = names.data; p < names.data + n; p += strlen(p) + 1) {
		if (strncmp(p, "user.", 5) && strcmp(p, "security.capability") &&
		    strncmp(p, "system.posix_acl_", 17))
			continue;
		if (!strncmp(p, "user.overlay.", 13))
			continue;
		ssize_t len = fgetxattr(fd, p, value.data, XATTR_SIZE_MAX);
		if (len >= 0)
			archive_entry_xattr_add_entry(entry, p, value.data, (size_t)len);
	}
	return 0;
}

/* Tells the tar which parts of a file hold data; a file without holes needs no map. */
static void pack_holes(struct archive_entry *entry, int fd, const struct stat *st)
{
	off_t at = 0;

	if (st->st_blocks * 512 >= st->st_size)
		return;
	while (at < st->st_size) {
		off_t data = lseek(fd, at, SEEK_DATA);
		if (data < 0)
			data = st->st_size;
		off_t hole = data < st->st_size ? lseek(fd, data, SEEK_HOLE) : st->st_size;
		if (hole < 0)
			hole = st->st_size;
		if (data < hole)
			archive_entry_sparse_add_entry(entry, data, hole - data);
		at = hole;
	}
	if (archive_entry_sparse_count(entry) == 0)
		archive_entry_sparse_add_entry(entry, 0, 0);
}

/* Exactly len bytes from offset; a file that shrank meanwhile is padded, as every tar writer does. */
static int pack_range(struct pack *pack, int fd, off_t offset, off_t len)
{
	while (len > 0) {
		size_t want = len < PACK_CHUNK ? (size_t)len : PACK_CHUNK;
		ssize_t n = pread(fd, pack->chunk, want, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset(pack->chunk, 0, want);
			n = (ssize_t)want;
		}
		if (archive_write_data(pack->tar, pack->chunk, (size_t)n) != n)
			return -EIO;
		offset += n;
		len -= n;
	}
	return 0;
}

static int pack_file_data(struct pack *pack, struct archive_entry *entry, int fd, const char *as,
			  struct err *err)
{
	/* libarchive takes the whole file, holes as zeros, and leaves them out by its map. */
	int r = pack_range(pack, fd, 0, (off_t)archive_entry_size(entry));

	if (r == -EIO)
		return pack_fail(pack, as, err);
	return r < 0 ? err_set(err, -r, "%s: read %s", pack->what, as) : 0;
}

static int pack_header(struct pack *pack, struct archive_entry *entry, const char *as,
		       struct err *err)
{
	int r = archive_write_header(pack->tar, entry);

	return r == ARCHIVE_OK || r == ARCHIVE_WARN ? 0 : pack_fail(pack, as, err);
}

static int pack_inode(struct pack *pack, int dirfd, const char *name, const char *as,
		      const struct stat *st, int fd, struct err *err)
{
	AUTO(pack_entry_p) struct archive_entry *entry = archive_entry_new();
	char target[PATH_MAX];

	if (!entry)
		return err_set(err, ENOMEM, "%s: %s", pack->what, as);
	archive_entry_copy_stat(entry, st);
	archive_entry_unset_atime(entry);
	archive_entry_unset_ctime(entry);
	archive_entry_copy_pathname(entry, as);
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);
		if (n < 0)
			return err_set(err, errno, "%s: read link %s", pack->what, as);
		target[n] = '\0';
		archive_entry_copy_symlink(entry, target);
	}

	struct archive_entry *spare = NULL;
	archive_entry_linkify(pack->links, &entry, &spare); /* tars never defer an entry */
	bool is_data = S_ISREG(st->st_mode) && !archive_entry_hardlink(entry);
	if (fd >= 0 && !archive_entry_hardlink(entry)) {
		int r = pack_xattrs(entry, fd);
		if (r < 0)
			return err_set(err, -r, "%s: attributes of %s", pack->what, as);
	}
	if (is_data)
		pack_holes(entry, fd, st);
	int r = pack_header(pack, entry, as, err);
	return r == 0 && is_data ? pack_file_data(pack, entry, fd, as, err) : r;
}

static int pack_any(struct pack *pack, int dirfd, const char *name, const char *as, unsigned depth,
		    struct err *err);

static int pack_not_dots(const struct dirent *e)
{
	return strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
}

static int pack_children(struct pack *pack, int fd, const char *as, unsigned depth, struct err *err)
{
	struct dirent **names = NULL;
	int n = scandirat(fd, ".", &names, pack_not_dots, alphasort);
	int r = n < 0 ? err_set(err, errno, "%s: list %s", pack->what, as) : 0;

	for (int i = 0; i < n; i++) {
		AUTO(buf_fini) struct buf child = { 0 };
		if (r == 0 && buf_printf(&child, "%s/%s", as, names[i]->d_name) < 0)
			r = err_set(err, ENOMEM, "%s: %s", pack->what, as);
		if (r == 0)
			r = pack_any(pack, fd, names[i]->d_name, child.data, depth + 1, err);
		free(names[i]);
	}
	free(names);
	return r;
}

/*
 * The type is looked up first, since opening a fifo or a device does something; the fd that is then
 * opened is looked at again, since a live tree may have changed in between.
 */
static int pack_any(struct pack *pack, int dirfd, const char *name, const char *as, unsigned depth,
		    struct err *err)
{
	struct stat st;
	AUTO(fd_close_p) int fd = -EBADF;

	if (depth > PACK_DEPTH_MAX)
		return err_say(err, ELOOP, "%s: %.200s...: more than %d directories deep",
			       pack->what, as, PACK_DEPTH_MAX);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT && depth)
			return 0; /* removed since it was listed */
		return err_set(err, errno, "%s: %s", pack->what, as);
	}
	if (S_ISSOCK(st.st_mode))
		return 0;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		mode_t type = st.st_mode & S_IFMT;
		fd = openat(dirfd, name,
			    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
				    (type == S_IFDIR ? O_DIRECTORY : 0));
		if (fd < 0 || fstat(fd, &st) < 0)
			return err_set(err, errno, "%s: open %s", pack->what, as);
		if ((st.st_mode & S_IFMT) != type)
			return err_say(err, EAGAIN, "%s: %s changed while it was read", pack->what,
				       as);
	}
	int r = pack_inode(pack, dirfd, name, as, &st, fd, err);
	return r == 0 && S_ISDIR(st.st_mode) ? pack_children(pack, fd, as, depth, err) : r;
}

int pack_tree(struct pack *pack, int dirfd, const char *name, const char *as, struct err *err)
{
	return pack_any(pack, dirfd, name, as, 0, err);
}

static int pack_plain(struct pack *pack, const char *as, int64_t size, struct err *err)
{
	AUTO(pack_entry_p) struct archive_entry *entry = archive_entry_new();

	if (!entry)
		return err_set(err, ENOMEM, "%s: %s", pack->what, as);
	archive_entry_copy_pathname(entry, as);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, size);
	archive_entry_set_mtime(entry, 0, 0);
	return pack_header(pack, entry, as, err);
}

int pack_bytes(struct pack *pack, const char *as, const void *data, size_t len, struct err *err)
{
	int r = pack_plain(pack, as, (int64_t)len, err);

	if (r < 0)
		return r;
	return archive_write_data(pack->tar, data, len) == (ssize_t)len ? 0
									: pack_fail(pack, as, err);
}

int pack_fd(struct pack *pack, const char *as, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "%s: %s", pack->what, as);
	int r = pack_plain(pack, as, st.st_size, err);
	if (r == 0)
		r = pack_range(pack, fd, 0, st.st_size);
	if (r == -EIO)
		return pack_fail(pack, as, err);
	return r < 0 ? err_set(err, -r, "%s: read %s", pack->what, as) : 0;
}

int pack_end(struct pack *pack, struct err *err)
{
	int r = archive_write_close(pack->tar);

	return r == ARCHIVE_OK || r == ARCHIVE_WARN ? 0 : pack_fail(pack, "end", err);
}
