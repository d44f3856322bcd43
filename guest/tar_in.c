/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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

#define TAR_META_MAX  (1U << 20) /* of a pax header or a long name */
#define TAR_HOLES_MAX 65536U

struct tar_in {
	struct tar_stream *stream;
	int root;
	const char *base; /* where it goes, below root */
	/* Of the entry under way. */
	struct buf name, link, xattrs;
	uint64_t size, real_size;
	uint32_t uid, gid, mode, major, minor;
	int64_t mtime_s;
	char type;
	bool has_name, has_link, has_size, has_uid, has_gid, has_mtime, sparse;
	char block[TAR_BLOCK];
};

static int tar_in_bytes(struct tar_in *in, void *ret, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = in->stream->read(in->stream, (char *)ret + done, len - done);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return done ? -EBADMSG : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

/* Octal, or GNU's base 256 with the first bit set. */
static int tar_in_number(const char *field, size_t len, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	if ((unsigned char)field[0] & 0x80) {
		if (((unsigned char)field[0] & 0x7f) != 0)
			return -EBADMSG; /* negative, or past 64 bits */
		for (i = 1; i < len; i++) {
			if (value >> 56)
				return -EBADMSG;
			value = value << 8 | (unsigned char)field[i];
		}
		*ret = value;
		return 0;
	}
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] && field[i] != ' '; i++) {
		if (field[i] < '0' || field[i] > '7' || value >> 60)
			return -EBADMSG;
		value = value << 3 | (unsigned)(field[i] - '0');
	}
	*ret = value;
	return 0;
}

static int tar_in_decimal(const char *text, size_t len, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
		if (value > (UINT64_MAX >> 1) / 10 - 1)
			return -EBADMSG;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*ret = value;
	return i ? 0 : -EBADMSG;
}

static int tar_in_set(struct buf *buf, const char *text, size_t len)
{
	buf->len = 0;
	if (memchr(text, '\0', len))
		return -EBADMSG;
	return buf_add(buf, text, len);
}

static bool tar_in_is(const char *key, size_t len, const char *name)
{
	return strlen(name) == len && !memcmp(key, name, len);
}

/* One record's key and value (pax, "pax Extended Header Keywords"); those we do not know are of no matter here. */
static int tar_in_keyword(struct tar_in *in, const char *key, size_t key_len, const char *value,
			  size_t len)
{
	uint64_t number;
	int r = 0;

	if (tar_in_is(key, key_len, "path") || tar_in_is(key, key_len, "GNU.sparse.name")) {
		in->has_name = true;
		return tar_in_set(&in->name, value, len);
	}
	if (tar_in_is(key, key_len, "linkpath")) {
		in->has_link = true;
		return tar_in_set(&in->link, value, len);
	}
	if (tar_in_is(key, key_len, "size")) {
		in->has_size = true;
		return tar_in_decimal(value, len, &in->size);
	}
	if (tar_in_is(key, key_len, "uid") || tar_in_is(key, key_len, "gid")) {
		bool uid = key[0] == 'u';
		r = tar_in_decimal(value, len, &number);
		if (r < 0 || number > UINT32_MAX - 1)
			return -EBADMSG;
		*(uid ? &in->uid : &in->gid) = (uint32_t)number;
		*(uid ? &in->has_uid : &in->has_gid) = true;
		return 0;
	}
	if (tar_in_is(key, key_len, "mtime") && tar_in_decimal(value, len, &number) == 0) {
		in->has_mtime = true;
		in->mtime_s = (int64_t)number;
		return 0;
	}
	if (tar_in_is(key, key_len, "GNU.sparse.major")) {
		in->sparse = tar_in_is(value, len, "1");
		return in->sparse ? 0 : -ENOTSUP;
	}
	if (tar_in_is(key, key_len, "GNU.sparse.map"))
		return -ENOTSUP; /* version 0: nothing of ours writes it */
	if (tar_in_is(key, key_len, "GNU.sparse.realsize"))
		return tar_in_decimal(value, len, &in->real_size);
	return tar_xattr_keep(&in->xattrs, key, key_len, value, len);
}

/* "LENGTH KEY=VALUE\n", LENGTH being that of the whole. */
static int tar_in_pax(struct tar_in *in, const struct buf *text)
{
	const char *at = buf_str(text), *end = at + text->len;

	while (at < end) {
		uint64_t len;
		const char *space = memchr(at, ' ', (size_t)(end - at));
		if (!space || tar_in_decimal(at, (size_t)(space - at), &len) < 0)
			return -EBADMSG;
		if (len > (uint64_t)(end - at) || len < (uint64_t)(space - at) + 2 ||
		    at[len - 1] != '\n')
			return -EBADMSG;
		const char *key = space + 1, *last = at + len - 1;
		const char *equals = memchr(key, '=', (size_t)(last - key));
		if (!equals)
			return -EBADMSG;
		int r = tar_in_keyword(in, key, (size_t)(equals - key), equals + 1,
				       (size_t)(last - equals - 1));
		if (r < 0)
			return r;
		at = last + 1;
	}
	return 0;
}

static int tar_in_skip(struct tar_in *in, uint64_t len)
{
	for (uint64_t left = (len + TAR_BLOCK - 1) / TAR_BLOCK; left; left--) {
		int r = tar_in_bytes(in, in->block, TAR_BLOCK);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The contents of a header that describes the next entry. */
static int tar_in_meta(struct tar_in *in, uint64_t size, struct buf *ret)
{
	if (size > TAR_META_MAX)
		return -E2BIG;
	while (ret->len < size) {
		int r = tar_in_bytes(in, in->block, TAR_BLOCK);
		size_t n = size - ret->len < TAR_BLOCK ? (size_t)size - ret->len : TAR_BLOCK;
		if (r == 0)
			r = buf_add(ret, in->block, n);
		if (r < 0)
			return r;
	}
	return 0;
}

static int tar_in_describe(struct tar_in *in, char type, uint64_t size)
{
	AUTO(buf_fini) struct buf text = { 0 };
	int r = tar_in_meta(in, size, &text);

	if (r < 0)
		return r;
	size_t len = strnlen(buf_str(&text), text.len);
	switch (type) {
	case 'x':
		return tar_in_pax(in, &text);
	case 'L':
		in->has_name = true;
		return tar_in_set(&in->name, buf_str(&text), len);
	case 'K':
		in->has_link = true;
		return tar_in_set(&in->link, buf_str(&text), len);
	default:
		return 0; /* 'g': of all entries; nothing in it matters here */
	}
}

static int tar_in_numbers(struct tar_in *in, const struct tar_head *head)
{
	uint64_t mode, uid, gid, size, mtime, major, minor;

	if (tar_in_number(head->mode, sizeof(head->mode), &mode) < 0 ||
	    tar_in_number(head->uid, sizeof(head->uid), &uid) < 0 ||
	    tar_in_number(head->gid, sizeof(head->gid), &gid) < 0 ||
	    tar_in_number(head->size, sizeof(head->size), &size) < 0)
		return -EBADMSG;
	if (tar_in_number(head->mtime, sizeof(head->mtime), &mtime) < 0)
		mtime = 0; /* before 1970 */
	if (tar_in_number(head->major, sizeof(head->major), &major) < 0 ||
	    tar_in_number(head->minor, sizeof(head->minor), &minor) < 0)
		major = minor = 0; /* old tars have other bytes there */
	in->mode = (uint32_t)mode & 07777;
	in->uid = in->has_uid ? in->uid : (uint32_t)uid;
	in->gid = in->has_gid ? in->gid : (uint32_t)gid;
	in->size = in->has_size ? in->size : size;
	in->mtime_s = in->has_mtime ? in->mtime_s : (int64_t)mtime;
	in->major = (uint32_t)major;
	in->minor = (uint32_t)minor;
	return in->size > INT64_MAX - TAR_BLOCK ? -EBADMSG : 0;
}

static int tar_in_names(struct tar_in *in, const struct tar_head *head)
{
	int r = 0;

	if (!in->has_name) {
		in->name.len = 0;
		if (!memcmp(head->magic, "ustar", 6) && head->prefix[0]) {
			r = buf_add(&in->name, head->prefix,
				    strnlen(head->prefix, sizeof(head->prefix)));
			if (r == 0)
				r = buf_adds(&in->name, "/");
		}
		if (r == 0)
			r = buf_add(&in->name, head->name, strnlen(head->name, sizeof(head->name)));
	}
	if (r == 0 && !in->has_link)
		r = tar_in_set(&in->link, head->link, strnlen(head->link, sizeof(head->link)));
	return r;
}

static void tar_in_forget(struct tar_in *in)
{
	in->has_name = in->has_link = in->has_size = in->has_uid = in->has_gid = in->has_mtime =
		in->sparse = false;
	in->real_size = 0;
	in->xattrs.len = 0;
}

/* 1: an entry; 0: the end of the tar. */
static int tar_in_head(struct tar_in *in)
{
	static const char zero[TAR_BLOCK];
	struct tar_head head;
	uint64_t sum, size;

	tar_in_forget(in);
	for (;;) {
		int r = tar_in_bytes(in, &head, sizeof(head));
		if (r == -ENODATA && !in->has_name)
			return 0; /* a tar without its end is one all the same */
		if (r < 0)
			return r == -ENODATA ? -EBADMSG : r;
		if (!memcmp(&head, zero, sizeof(zero)))
			return 0;
		if (tar_in_number(head.checksum, sizeof(head.checksum), &sum) < 0 ||
		    sum != tar_checksum(&head) ||
		    tar_in_number(head.size, sizeof(head.size), &size) < 0)
			return -EBADMSG;
		if (!strchr("xgLK", head.type) || !head.type) {
			r = tar_in_names(in, &head);
			in->type = head.type;
			return r < 0 ? r : tar_in_numbers(in, &head) < 0 ? -EBADMSG : 1;
		}
		r = tar_in_describe(in, head.type, size);
		if (r < 0)
			return r;
	}
}

/* ---- onto the disk ---- */

/* Below base, without a way up: a path that climbs is an attack or a mistake. */
static int tar_in_path(const struct tar_in *in, const char *name, char ret[PATH_MAX])
{
	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return -EPERM;
		p += n + (p[n] == '/');
	}
	int n = snprintf(ret, PATH_MAX, "%s/%s", in->base, name);
	if (n < 0 || n >= PATH_MAX)
		return -ENAMETOOLONG;
	while (n > 1 && (ret[n - 1] == '/' || (ret[n - 1] == '.' && ret[n - 2] == '/')))
		ret[--n] = '\0';
	return 0;
}

/* The directory that holds a path, and the last part; made where it is missing. */
static int tar_in_parent(const struct tar_in *in, const char *name, char path[PATH_MAX],
			 const char **ret_last, bool make)
{
	int r = tar_in_path(in, name, path);
	char *slash = r < 0 ? NULL : strrchr(path, '/');

	if (r < 0)
		return r;
	if (!slash || !slash[1]) {
		*ret_last = ".";
		return fd_open_in(in->root, path[0] ? path : "/", O_PATH | O_DIRECTORY, 0);
	}
	*ret_last = slash + 1;
	*slash = '\0';
	const char *dir = path[0] ? path : "/";
	return make ? fd_mkdir_in(in->root, dir, 0755)
		    : fd_open_in(in->root, dir, O_PATH | O_DIRECTORY, 0);
}

static int tar_in_copy(struct tar_in *in, int fd, uint64_t offset, uint64_t len)
{
	char chunk[16384];

	while (len) {
		size_t n = len < sizeof(chunk) ? (size_t)len : sizeof(chunk);
		int r = tar_in_bytes(in, chunk, n);
		if (r < 0)
			return r;
		for (size_t done = 0; done < n;) {
			ssize_t w = pwrite(fd, chunk + done, n - done, (off_t)(offset + done));
			if (w < 0 && errno == EINTR)
				continue;
			if (w <= 0)
				return w < 0 ? -errno : -EIO;
			done += (size_t)w;
		}
		offset += n;
		len -= n;
	}
	return 0;
}

/* The next decimal of a sparse map (GNU tar manual, "Storing Sparse Files", version 1.0). */
static int tar_in_map_number(struct tar_in *in, size_t *at, uint64_t *left, uint64_t *ret)
{
	char text[24];
	size_t n = 0;

	for (;;) {
		if (*at == TAR_BLOCK) {
			int r = *left < TAR_BLOCK ? -EBADMSG
						  : tar_in_bytes(in, in->block, TAR_BLOCK);
			if (r < 0)
				return r;
			*left -= TAR_BLOCK;
			*at = 0;
		}
		char c = in->block[(*at)++];
		if (c == '\n')
			return tar_in_decimal(text, n, ret);
		if (n == sizeof(text))
			return -EBADMSG;
		text[n++] = c;
	}
}

/* Data of the entry with holes: the map, then the pieces. Leaves in *left what it did not read. */
static int tar_in_sparse(struct tar_in *in, int fd, uint64_t *left)
{
	size_t at = TAR_BLOCK;
	uint64_t pieces, *map;

	int r = tar_in_map_number(in, &at, left, &pieces);
	if (r < 0 || pieces > TAR_HOLES_MAX)
		return r < 0 ? r : -E2BIG;
	map = calloc(pieces * 2 + 1, sizeof(*map));
	if (!map)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < pieces * 2; i++)
		r = tar_in_map_number(in, &at, left, &map[i]);
	for (size_t i = 0; r == 0 && i < pieces; i++) {
		uint64_t offset = map[i * 2], len = map[i * 2 + 1];
		if (len > *left || offset > in->real_size || len > in->real_size - offset)
			r = -EBADMSG;
		else
			r = tar_in_copy(in, fd, offset, len);
		*left -= r == 0 ? len : 0;
	}
	free(map);
	if (r == 0 && ftruncate(fd, (off_t)in->real_size) < 0)
		r = -errno;
	return r;
}

static int tar_in_attributes(const struct tar_in *in, int dir, const char *last)
{
	const struct timespec times[2] = { { .tv_sec = in->mtime_s }, { .tv_sec = in->mtime_s } };

	if (fchownat(dir, last, in->uid, in->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (in->type != '2' && fchmodat(dir, last, in->mode, 0) < 0)
		return -errno;
	if (in->type != '5')
		(void)utimensat(dir, last, times, AT_SYMLINK_NOFOLLOW); /* a time is no content */
	return 0;
}

static int tar_in_file(struct tar_in *in, int dir, const char *last)
{
	AUTO(fd_close_p)
	int fd = openat(dir, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	uint64_t left = in->size;

	if (fd < 0)
		return -errno;
	int r = in->sparse ? tar_in_sparse(in, fd, &left) : tar_in_copy(in, fd, 0, left);
	if (r < 0)
		return r;
	if (!in->sparse)
		left = 0;
	if (fchown(fd, in->uid, in->gid) < 0 || fchmod(fd, in->mode) < 0)
		return -errno;
	r = tar_xattr_set(&in->xattrs, fd);
	if (r < 0)
		return r;
	uint64_t read = in->size - left;
	if (left) /* nothing that we know of leaves any */
		return -EBADMSG;
	size_t pad = (TAR_BLOCK - read % TAR_BLOCK) % TAR_BLOCK;
	r = pad ? tar_in_bytes(in, in->block, pad) : 0;
	if (r == 0) {
		const struct timespec times[2] = { { .tv_sec = in->mtime_s },
						   { .tv_sec = in->mtime_s } };
		(void)futimens(fd, times); /* a time is no content */
	}
	return r;
}

static int tar_in_dir(const struct tar_in *in, int dir, const char *last)
{
	struct stat st;

	if (!strcmp(last, "."))
		return 0; /* the target itself keeps what it has */
	if (mkdirat(dir, last, 0700) < 0) {
		if (errno != EEXIST || fstatat(dir, last, &st, 0) < 0 || !S_ISDIR(st.st_mode))
			return -errno;
		/* A link to a directory stands for it, as in Docker: the entry's attributes are not the link's. */
		if (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			return 0;
	}
	int r = tar_in_attributes(in, dir, last);
	if (r < 0 || !in->xattrs.len)
		return r;
	AUTO(fd_close_p)
	int fd = openat(dir, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : tar_xattr_set(&in->xattrs, fd);
}

static int tar_in_hard_link(const struct tar_in *in, int dir, const char *last)
{
	char path[PATH_MAX];
	const char *target;
	AUTO(fd_close_p) int from = tar_in_parent(in, buf_str(&in->link), path, &target, false);

	if (from < 0)
		return from;
	return linkat(from, target, dir, last, 0) < 0 ? -errno : 0;
}

static int tar_in_special(const struct tar_in *in, int dir, const char *last)
{
	mode_t kind = in->type == '6' ? S_IFIFO : in->type == '3' ? S_IFCHR : S_IFBLK;

	if (mknodat(dir, last, kind | 0600, makedev(in->major, in->minor)) < 0)
		return -errno;
	return tar_in_attributes(in, dir, last);
}

static int tar_in_entry(struct tar_in *in)
{
	char path[PATH_MAX];
	const char *last;
	AUTO(fd_close_p) int dir = tar_in_parent(in, buf_str(&in->name), path, &last, true);

	if (dir < 0)
		return dir;
	if (in->type == '5')
		return tar_in_dir(in, dir, last);
	if (!strcmp(last, "."))
		return -EISDIR;
	if (unlinkat(dir, last, 0) < 0 && errno != ENOENT)
		return -errno;
	switch (in->type) {
	case '\0':
	case '0':
	case '7':
		return tar_in_file(in, dir, last);
	case '1':
		return tar_in_hard_link(in, dir, last);
	case '2':
		return symlinkat(buf_str(&in->link), dir, last) < 0
			       ? -errno
			       : tar_in_attributes(in, dir, last);
	case '3':
	case '4':
	case '6':
		return tar_in_special(in, dir, last);
	default:
		return -ENOTSUP;
	}
}

/* Only files have contents, whatever the header says of the others. */
static bool tar_in_has_data(const struct tar_in *in)
{
	return in->type == '\0' || in->type == '0' || in->type == '7';
}

static int tar_in_all(struct tar_in *in, struct err *err)
{
	int r;

	while ((r = tar_in_head(in)) > 0) {
		r = tar_in_entry(in);
		if (r < 0)
			return err_set(err, -r, "unpack %s", buf_str(&in->name));
		if (!tar_in_has_data(in) && in->type != '1' && in->size)
			r = tar_in_skip(in, in->size);
		if (r < 0)
			break;
	}
	return r < 0 ? err_set(err, -r, "read the tar") : 0;
}

int tar_in(struct tar_stream *stream, int root, const char *path, struct err *err)
{
	struct tar_in in = { .stream = stream, .root = root, .base = path };
	AUTO(fd_close_p) int base = fd_mkdir_in(root, path, 0755);
	char rest[TAR_BLOCK];

	if (base < 0)
		return err_set(err, -base, "unpack into %s", path);
	int r = tar_in_all(&in, err);
	while (r == 0) { /* what pads the tar after its end */
		ssize_t n = stream->read(stream, rest, sizeof(rest));
		if (n == 0)
			break;
		if (n < 0)
			r = err_set(err, (int)-n, "read the tar");
	}
	buf_fini(&in.name);
	buf_fini(&in.link);
	buf_fini(&in.xattrs);
	return r;
}
