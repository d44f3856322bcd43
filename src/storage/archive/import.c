/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"

#define LINK_HOPS_MAX 16

static int import_dir(int at, const char *name, int *ret, struct err *err)
{
	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "make staging directory %s", name);
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "open staging directory %s", name);
	*ret = fd;
	return 0;
}

int import_open(int staging, int store_layers, const char *what, struct import *ret,
		struct err *err)
{
	struct import import = {
		.what = what,
		.arch = oci_host_arch(),
		.blobs = -EBADF,
		.layers = -EBADF,
		.layout = -EBADF,
		.store_layers = store_layers,
	};

	import.images = json_array();
	int r = import.images ? 0 : err_set(err, ENOMEM, "%s", what);
	if (r == 0)
		r = import_dir(staging, "blobs", &import.blobs, err);
	if (r == 0)
		r = import_dir(staging, "layers", &import.layers, err);
	if (r < 0) {
		import_fini(&import);
		return r;
	}
	*ret = import;
	return 0;
}

void import_fini(struct import *import)
{
	for (size_t i = 0; i < import->n_members; i++) {
		free(import->members[i].name);
		free(import->members[i].link);
	}
	free(import->members);
	fd_close(import->blobs);
	fd_close(import->layers);
	fd_close(import->layout);
	json_decref(import->images);
	*import = (struct import){ .blobs = -EBADF, .layers = -EBADF, .layout = -EBADF };
}

static int import_directory(struct import *import, int fd, struct err *err)
{
	if (faccessat(fd, "oci-layout", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return import_tree_dir(import, fd, err);
	import->layout = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (import->layout < 0)
		return err_set(err, errno, "%s", import->what);
	return import_oci(import, err);
}

/* A tar whose bytes cannot be read twice becomes a blob first; a plain tree's tar needs that anyway. */
static int import_tar(struct import *import, int fd, bool is_file, struct err *err)
{
	AUTO(fd_close_p) int copy = -EBADF;
	struct blob blob = { 0 };
	enum import_kind kind;
	int r = 0;

	if (!is_file) {
		r = blob_copy(import->blobs, fd, import->what, &blob, err);
		if (r < 0)
			return r;
		copy = openat(import->blobs, blob.hex, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (copy < 0)
			return err_set(err, errno, "%s", import->what);
	}
	r = import_scan(import, is_file ? fd : copy, &kind, err);
	if (r < 0)
		return r;
	if (kind != IMPORT_TREE) {
		if (!is_file)
			(void)unlinkat(import->blobs, blob.hex, 0); /* only takes room */
		return kind == IMPORT_OCI ? import_oci(import, err) : import_docker(import, err);
	}
	if (is_file) {
		if (lseek(fd, 0, SEEK_SET) < 0)
			return err_set(err, errno, "%s", import->what);
		r = blob_copy(import->blobs, fd, import->what, &blob, err);
	}
	return r < 0 ? r : import_tree_tar(import, &blob, err);
}

int import_run(struct import *import, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "%s", import->what);
	if (S_ISDIR(st.st_mode))
		return import_directory(import, fd, err);
	bool is_file = S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) == 0;
	return import_tar(import, fd, is_file, err);
}

static int import_layout_file(struct import *import, const char *name, struct blob *ret,
			      struct err *err)
{
	AUTO(fd_close_p) int fd = fd_open_in(import->layout, name, O_RDONLY | O_NONBLOCK, 0);
	if (fd == -ENOENT)
		return -ENOENT;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, fd < 0 ? -fd : errno, "%s: %s", import->what, name);
	if (!S_ISREG(st.st_mode))
		return err_say(err, EBADMSG, "%s: %s is not a file", import->what, name);
	return blob_copy(import->blobs, fd, name, ret, err);
}

int import_member(struct import *import, const char *name, struct blob *ret, struct err *err)
{
	if (import->layout >= 0)
		return import_layout_file(import, name, ret, err);

	for (unsigned hop = 0; hop < LINK_HOPS_MAX; hop++) {
		const struct member *found = NULL;
		for (size_t i = 0; i < import->n_members; i++) {
			if (!strcmp(import->members[i].name, name))
				found = &import->members[i]; /* the last one counts */
		}
		if (!found)
			return -ENOENT;
		if (!found->link) {
			*ret = found->blob;
			return 0;
		}
		name = found->link;
	}
	return err_say(err, ELOOP, "%s: %s: links that lead in a circle", import->what, name);
}

int import_descriptor(struct import *import, const struct oci_descriptor *descriptor,
		      struct blob *ret, struct err *err)
{
	char name[sizeof("blobs/sha256/") + DIGEST_HEX];
	struct blob blob;

	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", descriptor->hex); /* fits */
	int r = import_member(import, name, &blob, err);
	if (r == -ENOENT)
		return err_say(err, EBADMSG, "%s: %s is missing: the copy is incomplete",
			       import->what, name);
	if (r < 0)
		return r;
	if (strcmp(blob.hex, descriptor->hex))
		return err_say(
			err, EBADMSG,
			"%s: %s: damaged or tampered with: expected sha256:%s, got sha256:%s",
			import->what, name, descriptor->hex, blob.hex);
	if (descriptor->size >= 0 && descriptor->size != blob.size)
		return err_say(err, EBADMSG, "%s: %s: expected %lld bytes, got %lld", import->what,
			       name, (long long)descriptor->size, (long long)blob.size);
	*ret = blob;
	return 0;
}

int import_json(struct import *import, const struct blob *blob, const char *what, json_t **ret,
		struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	char name[300];

	(void)snprintf(name, sizeof(name), "%.150s: %.140s", import->what, what); /* may be cut */
	int r = file_read(import->blobs, blob->hex, OCI_JSON_MAX, &text);
	if (r == -EFBIG)
		return err_say(err, EFBIG, "%s: larger than %u MiB", name, OCI_JSON_MAX >> 20);
	if (r < 0)
		return err_set(err, -r, "%s", name);
	return json_parse(buf_str(&text), text.len, name, ret, err);
}

const char *import_blob_type(struct import *import, const struct blob *blob)
{
	static const unsigned char zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
	unsigned char magic[4] = { 0 };
	AUTO(fd_close_p)
	int fd = openat(import->blobs, blob->hex, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || read(fd, magic, sizeof(magic)) < 0)
		return OCI_TYPE_LAYER; /* the reader will say what is wrong with it */
	if (magic[0] == 0x1f && magic[1] == 0x8b)
		return OCI_TYPE_LAYER "+gzip";
	return memcmp(magic, zstd, sizeof(zstd)) ? OCI_TYPE_LAYER : OCI_TYPE_LAYER "+zstd";
}
