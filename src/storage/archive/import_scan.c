/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "storage/archive/unpack_path.h"

#define MEMBERS_MAX 20000

static bool scan_ends(const char *name, const char *end)
{
	size_t n = strlen(name);
	size_t m = strlen(end);

	return n > m && !strcmp(name + n - m, end);
}

static bool scan_is_hex(const char *s, size_t n)
{
	return n >= 12 && strspn(s, "0123456789abcdef") >= n;
}

/*
 * May a name be one of an image archive's? Every name of those that Docker, Podman, skopeo, umoci,
 * Bazel and Jib write passes, and the first entry of nearly every root file system does not: so a
 * tar is mostly known by its first header.
 */
static bool scan_name_fits(const char *name, bool is_dir)
{
	size_t first = strcspn(name, "/");

	if (!name[0] || !strcmp(name, "blobs") || !strncmp(name, "blobs/", 6))
		return true;
	if (name[first] == '/' || is_dir)
		return scan_is_hex(name, first);
	return !strcmp(name, "oci-layout") || !strcmp(name, "repositories") ||
	       !strcmp(name, "VERSION") || scan_ends(name, ".json") || scan_ends(name, ".tar") ||
	       scan_ends(name, ".tar.gz") || scan_ends(name, ".tgz") ||
	       !strncmp(name, "sha256:", 7) || scan_is_hex(name, strlen(name));
}

static struct member *scan_add(struct import *import, const char *name)
{
	if (import->n_members == import->cap_members) {
		size_t cap = import->cap_members * 2 + 32;
		struct member *members = reallocarray(import->members, cap, sizeof(*members));
		if (!members)
			return NULL;
		import->members = members;
		import->cap_members = cap;
	}
	char *copy = strdup(name);
	if (!copy)
		return NULL;
	struct member *member = &import->members[import->n_members++];
	*member = (struct member){ .name = copy };
	return member;
}

/* Where a symbolic link in an archive points, from the archive's root; -EXDEV when outside. */
static int scan_link(const char *from, const char *target, char ret[PATH_MAX])
{
	const char *slash = strrchr(from, '/');
	size_t len = slash && target[0] != '/' ? (size_t)(slash - from) : 0;

	memcpy(ret, from, len);
	for (const char *p = target; *p;) {
		p += strspn(p, "/");
		size_t n = strcspn(p, "/");
		if (n == 2 && !memcmp(p, "..", 2)) {
			if (!len)
				return -EXDEV;
			while (len && ret[--len] != '/')
				;
		} else if (n && !(n == 1 && p[0] == '.')) {
			if (len + n + 2 > PATH_MAX)
				return -ENAMETOOLONG;
			if (len)
				ret[len++] = '/';
			memcpy(ret + len, p, n);
			len += n;
		}
		p += n;
	}
	ret[len] = '\0';
	return 0;
}

static int scan_add_link(struct import *import, struct archive_entry *entry, const char *name,
			 struct err *err)
{
	char target[PATH_MAX];
	const char *hard = entry_link(entry);
	const char *link = hard ? hard : archive_entry_symlink(entry);

	int r = link ? scan_link(hard ? "" : name, link, target) : -EINVAL;
	if (r < 0)
		return err_say(err, EBADMSG, "%s: %s: a link to %.200s, outside the archive",
			       import->what, name, link ? link : "?");
	struct member *member = scan_add(import, name);
	if (member)
		member->link = strdup(target);
	return member && member->link ? 0 : err_set(err, ENOMEM, "%s", import->what);
}

static int scan_add_file(struct import *import, struct reader *reader, const char *name,
			 struct err *err)
{
	AUTO(blob_abort) struct blob_writer writer = { .fd = -EBADF };
	struct blob blob;
	const void *data;
	size_t len;
	int64_t offset;

	int r = blob_begin(import->blobs, &writer, err);
	if (r < 0)
		return r;
	while ((r = reader_data(reader, &data, &len, &offset, err)) == 1) {
		if (offset != writer.size && len)
			return err_say(err, EBADMSG, "%s: %s: sparse or damaged", import->what,
				       name);
		r = blob_add(&writer, data, len);
		if (r < 0)
			return err_set(err, -r, "%s: copy %s into the image store", import->what,
				       name);
	}
	if (r == 0)
		r = blob_end(&writer, &blob, err);
	if (r < 0)
		return r;
	struct member *member = scan_add(import, name);
	if (!member)
		return err_set(err, ENOMEM, "%s", import->what);
	member->blob = blob;
	return 0;
}

/* 1: it may be an image archive so far; 0: it is a tree. */
static int scan_entry(struct import *import, struct reader *reader, struct archive_entry *entry,
		      struct err *err)
{
	struct unpack_path path;
	mode_t type = archive_entry_filetype(entry);

	if (unpack_path_split(entry_path(entry), "", &path) < 0 ||
	    !scan_name_fits(path.full, type == AE_IFDIR))
		return 0;
	if (import->n_members >= MEMBERS_MAX)
		return err_say(err, E2BIG, "%s: more than %d files in an image archive",
			       import->what, MEMBERS_MAX);
	int r = 0;
	if (entry_link(entry) || type == AE_IFLNK)
		r = scan_add_link(import, entry, path.full, err);
	else if (type == AE_IFREG)
		r = scan_add_file(import, reader, path.full, err);
	else if (type != AE_IFDIR)
		return 0;
	return r < 0 ? r : 1;
}

static enum import_kind scan_kind(struct import *import)
{
	struct blob blob;

	/* Docker's own archives are both since version 25; manifest.json has the whole tags. */
	if (import_member(import, "manifest.json", &blob, NULL) == 0)
		return IMPORT_DOCKER;
	if (import_member(import, "oci-layout", &blob, NULL) == 0)
		return IMPORT_OCI;
	return IMPORT_TREE;
}

int import_scan(struct import *import, int fd, enum import_kind *ret, struct err *err)
{
	AUTO(reader_free_p) struct reader *reader = NULL;
	struct archive_entry *entry;
	bool any = false;

	int r = reader_open(fd, import->what, &reader, err);
	if (r < 0)
		return r;
	while ((r = reader_next(reader, &entry, err)) == 1) {
		any = true;
		r = scan_entry(import, reader, entry, err);
		if (r == 0) {
			*ret = IMPORT_TREE;
			return 0;
		}
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	if (!any && reader_bytes(reader) == 0)
		return err_say(err, EBADMSG, "%s: empty, not a tar", import->what);
	*ret = scan_kind(import);
	return 0;
}
