/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "tar.h"
#include "tar_head.h"
#include "tar_xattr.h"

#define TAR_DEPTH_MAX 256  /* one open directory each */
#define TAR_LINKS_MAX 4096 /* files with several names that are known as such; the rest is copied */
#define TAR_OCTAL_ID  07777777U
#define TAR_OCTAL_MAX 077777777777ULL

struct tar_link {
	dev_t dev;
	ino_t ino;
	char *name; /* owned */
};

struct tar_out {
	struct tar_stream *stream;
	struct buf name;   /* of the entry under way */
	struct buf xattrs; /* pax records of the entry whose header is written next */
	struct tar_link *links;
	size_t n_links;
	unsigned depth;
};

static int tar_out_number_record(struct buf *buf, const char *key, uint64_t value, uint64_t most)
{
	char text[24];

	if (value <= most)
		return 0;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value); /* fits */
	return tar_record(buf, key, text, strlen(text));
}

static void tar_out_octal(char *field, size_t size, uint64_t value, uint64_t most)
{
	(void)snprintf(field, size, "%0*llo", (int)size - 1,
		       (unsigned long long)(value <= most ? value : 0)); /* fits */
}

static int tar_out_block(struct tar_out *out, struct tar_head *head)
{
	memcpy(head->magic, "ustar", 6);
	memcpy(head->version, "00", 2);
	(void)snprintf(head->checksum, sizeof(head->checksum), "%06o",
		       tar_checksum(head)); /* fits */
	head->checksum[7] = ' ';
	return out->stream->write(out->stream, head, sizeof(*head));
}

static int tar_out_pad(struct tar_out *out, uint64_t len)
{
	static const char zero[TAR_BLOCK];
	size_t pad = (TAR_BLOCK - len % TAR_BLOCK) % TAR_BLOCK;

	return pad ? out->stream->write(out->stream, zero, pad) : 0;
}

/* What the header has no room for goes into a pax header before it. */
static int tar_out_pax(struct tar_out *out, const struct stat *st, const char *name,
		       const char *link, uint64_t size)
{
	AUTO(buf_fini) struct buf text = { 0 };
	struct tar_head head = { .name = "pax", .type = 'x' };

	int r = strlen(name) > sizeof(head.name) ? tar_record(&text, "path", name, strlen(name))
						 : 0;
	if (strlen(link) > sizeof(head.link))
		r |= tar_record(&text, "linkpath", link, strlen(link));
	r |= tar_out_number_record(&text, "size", size, TAR_OCTAL_MAX);
	r |= tar_out_number_record(&text, "uid", st->st_uid, TAR_OCTAL_ID);
	r |= tar_out_number_record(&text, "gid", st->st_gid, TAR_OCTAL_ID);
	if (r || buf_add(&text, buf_str(&out->xattrs), out->xattrs.len) < 0)
		return -ENOMEM;
	out->xattrs.len = 0;
	if (!text.len)
		return 0;
	tar_out_octal(head.mode, sizeof(head.mode), 0644, TAR_OCTAL_ID);
	tar_out_octal(head.uid, sizeof(head.uid), 0, 0);
	tar_out_octal(head.gid, sizeof(head.gid), 0, 0);
	tar_out_octal(head.size, sizeof(head.size), text.len, TAR_OCTAL_MAX);
	tar_out_octal(head.mtime, sizeof(head.mtime), 0, 0);
	r = tar_out_block(out, &head);
	if (r == 0)
		r = out->stream->write(out->stream, text.data, text.len);
	return r == 0 ? tar_out_pad(out, text.len) : r;
}

/* Cut, not ended, where the field is full; the pax header has the whole then. */
static void tar_out_text(char *field, size_t size, const char *text)
{
	memcpy(field, text, strnlen(text, size));
}

static int tar_out_head(struct tar_out *out, const struct stat *st, char type, const char *link,
			uint64_t size)
{
	struct tar_head head = { .type = type };
	AUTO(buf_fini) struct buf name = { 0 };
	uint64_t mtime = st->st_mtime > 0 ? (uint64_t)st->st_mtime : 0;

	if (buf_add(&name, buf_str(&out->name), out->name.len) < 0 ||
	    (type == '5' && buf_adds(&name, "/") < 0))
		return -ENOMEM;
	int r = tar_out_pax(out, st, name.data, link, size);
	if (r < 0)
		return r;
	tar_out_text(head.name, sizeof(head.name), name.data);
	tar_out_text(head.link, sizeof(head.link), link);
	tar_out_octal(head.mode, sizeof(head.mode), st->st_mode & 07777, TAR_OCTAL_ID);
	tar_out_octal(head.uid, sizeof(head.uid), st->st_uid, TAR_OCTAL_ID);
	tar_out_octal(head.gid, sizeof(head.gid), st->st_gid, TAR_OCTAL_ID);
	tar_out_octal(head.size, sizeof(head.size), size, TAR_OCTAL_MAX);
	tar_out_octal(head.mtime, sizeof(head.mtime), mtime, TAR_OCTAL_MAX);
	if (type == '3' || type == '4') {
		tar_out_octal(head.major, sizeof(head.major), major(st->st_rdev), TAR_OCTAL_ID);
		tar_out_octal(head.minor, sizeof(head.minor), minor(st->st_rdev), TAR_OCTAL_ID);
	}
	return tar_out_block(out, &head);
}

/* As many bytes as the header promised: a file that grows is cut, one that shrinks is filled up. */
static int tar_out_data(struct tar_out *out, int fd, uint64_t size)
{
	char chunk[16384];

	for (uint64_t left = size; left;) {
		size_t want = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
		ssize_t n = read(fd, chunk, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset(chunk, 0, want);
			n = (ssize_t)want;
		}
		int r = out->stream->write(out->stream, chunk, (size_t)n);
		if (r < 0)
			return r;
		left -= (uint64_t)n;
	}
	return tar_out_pad(out, size);
}

static const char *tar_out_known(const struct tar_out *out, const struct stat *st)
{
	for (size_t i = 0; i < out->n_links; i++) {
		if (out->links[i].ino == st->st_ino && out->links[i].dev == st->st_dev)
			return out->links[i].name;
	}
	return NULL;
}

static int tar_out_remember(struct tar_out *out, const struct stat *st)
{
	if (out->n_links == TAR_LINKS_MAX)
		return 0;
	if (!out->links)
		out->links = calloc(TAR_LINKS_MAX, sizeof(*out->links));
	char *name = out->links ? strdup(buf_str(&out->name)) : NULL;
	if (!name)
		return -ENOMEM;
	out->links[out->n_links++] = (struct tar_link){ st->st_dev, st->st_ino, name };
	return 0;
}

static int tar_out_file(struct tar_out *out, int dir, const char *last, const struct stat *st)
{
	const char *first = st->st_nlink > 1 ? tar_out_known(out, st) : NULL;
	struct stat now;

	if (first)
		return tar_out_head(out, st, '1', first, 0);
	AUTO(fd_close_p)
	int fd = openat(dir, last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &now) < 0)
		return -errno;
	if (!S_ISREG(now.st_mode))
		return -EAGAIN; /* swapped meanwhile */
	int r = now.st_nlink > 1 ? tar_out_remember(out, &now) : 0;
	if (r == 0)
		r = tar_xattr_pack(fd, &out->xattrs);
	if (r == 0)
		r = tar_out_head(out, &now, '0', "", (uint64_t)now.st_size);
	return r == 0 ? tar_out_data(out, fd, (uint64_t)now.st_size) : r;
}

static int tar_out_symlink(struct tar_out *out, int dir, const char *last, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, last, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return tar_out_head(out, st, '2', target, 0);
}

static int tar_out_entry(struct tar_out *out, int dir, const char *last);

static int tar_out_children(struct tar_out *out, int fd)
{
	size_t len = out->name.len;
	const struct dirent *entry;
	DIR *list = fdopendir(fd);
	int r = 0;

	if (!list) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(list))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		r = buf_printf(&out->name, "/%s", entry->d_name);
		if (r == 0)
			r = tar_out_entry(out, dirfd(list), entry->d_name);
		if (r == 0 || r == -ENOENT) { /* one that went meanwhile */
			out->name.len = len;
			out->name.data[len] = '\0';
			r = 0;
		}
	}
	(void)closedir(list);
	return r;
}

static int tar_out_dir(struct tar_out *out, int dir, const char *last, const struct stat *st)
{
	if (out->depth == TAR_DEPTH_MAX)
		return -ELOOP;
	int fd = openat(dir, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = tar_xattr_pack(fd, &out->xattrs);
	if (r == 0)
		r = tar_out_head(out, st, '5', "", 0);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	out->depth++;
	r = tar_out_children(out, fd);
	out->depth--;
	return r;
}

static int tar_out_special(struct tar_out *out, const struct stat *st)
{
	char type = S_ISCHR(st->st_mode) ? '3' : S_ISBLK(st->st_mode) ? '4' : '6';

	return tar_out_head(out, st, type, "", 0);
}

static int tar_out_entry(struct tar_out *out, int dir, const char *last)
{
	struct stat st;

	if (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return tar_out_file(out, dir, last, &st);
	case S_IFDIR:
		return tar_out_dir(out, dir, last, &st);
	case S_IFLNK:
		return tar_out_symlink(out, dir, last, &st);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
		return tar_out_special(out, &st);
	default:
		return 0; /* a socket has no contents */
	}
}

/* Where the path leads, as a directory and a last part that is no link when it is followed. */
static int tar_out_start(int root, const char *path, bool follow, char parent[PATH_MAX],
			 char last[NAME_MAX + 1], bool *ret_contents)
{
	size_t len = strlen(path);

	*ret_contents = len >= 2 && !strcmp(path + len - 2, "/.");
	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(parent, path, len + 1);
	while (len > 1 &&
	       (parent[len - 1] == '/' || (parent[len - 1] == '.' && parent[len - 2] == '/')))
		parent[--len] = '\0';
	char *slash = strrchr(parent, '/');
	const char *name = slash ? slash + 1 : parent;
	if (!*name)
		name = ".";
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(last, name, strlen(name) + 1);
	/* "..", a directory's contents, or what a link leads to: the thing itself, by descriptor. */
	if (follow || *ret_contents || !strcmp(last, "..") || !strcmp(last, "."))
		return fd_open_in(root, parent, O_PATH, 0);
	if (slash)
		*slash = '\0';
	return fd_open_in(root, parent[0] && slash ? parent : "/", O_PATH | O_DIRECTORY, 0);
}

/* What a path led to. A file is opened by the path again, for reading: an O_PATH descriptor cannot be. */
static int tar_out_itself(struct tar_out *out, int root, const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return tar_out_dir(out, fd, ".", &st);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISFIFO(st.st_mode))
		return tar_out_special(out, &st);
	AUTO(fd_close_p) int file = fd_open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (file < 0 || fstat(file, &st) < 0)
		return file < 0 ? file : -errno;
	if (!S_ISREG(st.st_mode))
		return -EAGAIN; /* swapped meanwhile */
	int r = tar_xattr_pack(file, &out->xattrs);
	if (r == 0)
		r = tar_out_head(out, &st, '0', "", (uint64_t)st.st_size);
	return r == 0 ? tar_out_data(out, file, (uint64_t)st.st_size) : r;
}

static int tar_out_end(struct tar_out *out)
{
	static const char zero[2 * TAR_BLOCK];

	return out->stream->write(out->stream, zero, sizeof(zero));
}

int tar_out(struct tar_stream *stream, int root, const char *path, bool follow, const char *as,
	    struct err *err)
{
	struct tar_out out = { .stream = stream };
	char last[NAME_MAX + 1], parent[PATH_MAX];
	bool contents;
	AUTO(fd_close_p) int fd = tar_out_start(root, path, follow, parent, last, &contents);

	if (fd < 0)
		return err_set(err, -fd, "copy %s", path);
	bool itself = follow || contents || !strcmp(last, ".") || !strcmp(last, "..");
	int r = buf_adds(&out.name, contents ? "." : as ? as : last);
	if (r == 0)
		r = itself ? tar_out_itself(&out, root, parent, fd) : tar_out_entry(&out, fd, last);
	if (r == 0)
		r = tar_out_end(&out);
	if (r < 0)
		r = err_set(err, -r, "copy %s", out.name.len && out.depth ? out.name.data : path);
	for (size_t i = 0; i < out.n_links; i++)
		free(out.links[i].name);
	free(out.links);
	buf_fini(&out.name);
	buf_fini(&out.xattrs);
	return r;
}
