/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/export.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "storage/archive/blob.h"
#include "storage/archive/oci.h"
#include "storage/archive/pack.h"

#define LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"

static int export_write(void *arg, const void *data, size_t len)
{
	return fd_write_all(*(int *)arg, data, len);
}

static int export_index(const json_t *image, int blobs, char **ret, struct err *err)
{
	struct stat st;
	const char *hex = json_str(image, "manifest", "");
	const json_t *tags = json_object_get(image, "tags");
	AUTO(json_decref_p) json_t *entries = json_array();

	if (fstatat(blobs, hex, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, errno, "image store: manifest blob %.12s", hex);
	for (size_t i = 0; i == 0 || i < json_array_size(tags); i++) {
		const char *tag = json_string_value(json_array_get(tags, i));
		json_t *entry = json_pack("{ss ss+ sI}", "mediaType", OCI_TYPE_MANIFEST, "digest",
					  "sha256:", hex, "size", (json_int_t)st.st_size);
		if (tag)
			(void)json_object_set_new(entry, "annotations",
						  json_pack("{ss}",
							    "org.opencontainers.image.ref.name",
							    tag)); /* checked by the append */
		if (json_array_append_new(entries, entry) < 0)
			return err_set(err, ENOMEM, "make an index");
	}
	AUTO(json_decref_p)
	json_t *index = json_pack("{si ss sO}", "schemaVersion", 2, "mediaType", OCI_TYPE_INDEX,
				  "manifests", entries);
	char *text = index ? json_text(index, 0) : NULL;
	if (!text)
		return err_set(err, ENOMEM, "make an index");
	*ret = text;
	return 0;
}

static int export_docker_manifest(const json_t *image, char **ret, struct err *err)
{
	const json_t *layers = json_object_get(image, "layers");
	AUTO(json_decref_p) json_t *paths = json_array();

	for (size_t i = 0; i < json_array_size(layers); i++)
		(void)json_array_append_new(
			paths, json_pack("s+", "blobs/sha256/",
					 json_string_value(json_array_get(layers, i)))); /* below */
	AUTO(json_decref_p)
	json_t *doc =
		json_pack("[{ss+ sO sO}]", "Config", "blobs/sha256/", json_str(image, "config", ""),
			  "RepoTags", json_object_get(image, "tags"), "Layers", paths);
	char *text =
		doc && json_array_size(paths) == json_array_size(layers) ? json_text(doc, 0) : NULL;
	if (!text)
		return err_set(err, ENOMEM, "make manifest.json");
	*ret = text;
	return 0;
}

static int export_blob_open(int blobs, const char *hex, int *ret, struct err *err)
{
	if (!hex || !digest_is_hex(hex))
		return err_say(err, EINVAL, "image store: a blob name that is no digest");
	int fd = openat(blobs, hex, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "image store: blob %.12s", hex);
	*ret = fd;
	return 0;
}

static int export_tar(struct pack *pack, const json_t *image, int blobs, bool docker,
		      struct err *err)
{
	const json_t *list = json_object_get(image, "blobs");
	AUTO(buf_fini) struct buf index = { 0 };
	AUTO(buf_fini) struct buf manifest = { 0 };

	int r = export_index(image, blobs, &index.data, err);
	if (r == 0 && docker)
		r = export_docker_manifest(image, &manifest.data, err);
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		AUTO(fd_close_p) int fd = -EBADF;
		const char *hex = json_string_value(json_array_get(list, i));
		char name[sizeof("blobs/sha256/") + DIGEST_HEX];
		r = export_blob_open(blobs, hex, &fd, err);
		if (r < 0)
			break;
		(void)snprintf(name, sizeof(name), "blobs/sha256/%s",
			       hex); /* fits: it is a digest */
		r = pack_fd(pack, name, fd, err);
	}
	if (r == 0)
		r = pack_bytes(pack, "index.json", index.data, strlen(index.data), err);
	if (r == 0 && docker)
		r = pack_bytes(pack, "manifest.json", manifest.data, strlen(manifest.data), err);
	if (r == 0)
		r = pack_bytes(pack, "oci-layout", LAYOUT_TEXT, strlen(LAYOUT_TEXT), err);
	return r == 0 ? pack_end(pack, err) : r;
}

static int export_to_fd(const char *format, const json_t *image, int blobs, int fd,
			const char *what, struct err *err)
{
	AUTO(pack_free_p) struct pack *pack = NULL;

	int r = pack_open(export_write, &fd, what, &pack, err);
	return r < 0 ? r : export_tar(pack, image, blobs, !strcmp(format, "docker"), err);
}

/* A file appears whole or not at all; a device or a pipe is written to as it is. */
static int export_to_file(const char *format, const json_t *image, int blobs, const char *path,
			  struct err *err)
{
	char part[PATH_MAX];
	struct stat st;
	bool whole = stat(path, &st) < 0 || S_ISREG(st.st_mode);

	int n = snprintf(part, sizeof(part), whole ? "%s.part.%ld" : "%s", path, (long)getpid());
	if (n < 0 || (size_t)n >= sizeof(part))
		return err_set(err, ENAMETOOLONG, "%s", path);
	AUTO(fd_close_p)
	int fd = open(part, O_WRONLY | O_CLOEXEC | (whole ? O_CREAT | O_EXCL : 0), 0644);
	if (fd < 0)
		return err_set(err, errno, "write %s", path);
	int r = export_to_fd(format, image, blobs, fd, path, err);
	if (r == 0 && whole && rename(part, path) < 0)
		r = err_set(err, errno, "write %s", path);
	if (r < 0 && whole)
		(void)unlink(part); /* the first error is the one to report */
	return r;
}

static int export_dir_fill(const json_t *image, int blobs, int dir, struct err *err)
{
	const json_t *list = json_object_get(image, "blobs");
	AUTO(buf_fini) struct buf index = { 0 };

	int r = export_index(image, blobs, &index.data, err);
	if (r < 0)
		return r;
	if (mkdirat(dir, "blobs", 0755) < 0 || mkdirat(dir, "blobs/sha256", 0755) < 0)
		return err_set(err, errno, "make blobs/sha256");
	AUTO(fd_close_p)
	int to = openat(dir, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return err_set(err, errno, "open blobs/sha256");
	for (size_t i = 0; i < json_array_size(list); i++) {
		AUTO(fd_close_p) int fd = -EBADF;
		struct blob blob;
		const char *hex = json_string_value(json_array_get(list, i));
		r = export_blob_open(blobs, hex, &fd, err);
		if (r == 0)
			r = blob_copy(to, fd, hex, &blob, err);
		if (r < 0)
			return r;
		if (strcmp(blob.hex, hex))
			return err_say(err, EBADMSG, "image store: blob %s is damaged", hex);
		(void)fchmodat(to, blob.hex, 0644, 0); /* 0600 is readable by its owner, too */
	}
	r = file_replace(dir, "index.json", 0644, index.data, strlen(index.data), false);
	if (r == 0)
		r = file_replace(dir, "oci-layout", 0644, LAYOUT_TEXT, strlen(LAYOUT_TEXT), false);
	return r < 0 ? err_set(err, -r, "write index.json") : 0;
}

static int export_to_dir(const json_t *image, int blobs, const char *path, struct err *err)
{
	if (mkdir(path, 0755) < 0)
		return err_set(err, errno, "make directory %s", path);
	AUTO(fd_close_p) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? err_set(err, errno, "open directory %s", path)
			: export_dir_fill(image, blobs, dir, err);
	if (r < 0) {
		(void)dir_remove(AT_FDCWD, path); /* the first error is the one to report */
		return err_wrap(err, "export to %s", path);
	}
	return 0;
}

int export_run(const char *format, const json_t *image, int blobs, const char *path,
	       struct err *err)
{
	bool is_dir = !strcmp(format, "oci-dir");

	if (!is_dir && strcmp(format, "oci") && strcmp(format, "docker"))
		return err_say(err, EINVAL, "export format \"%s\": must be docker, oci or oci-dir",
			       format);
	if (is_dir && !strcmp(path, "-"))
		return err_say(err, EINVAL, "a directory cannot go to standard output: use oci");
	if (is_dir)
		return export_to_dir(image, blobs, path, err);
	if (!strcmp(path, "-"))
		return export_to_fd(format, image, blobs, STDOUT_FILENO, "standard output", err);
	return export_to_file(format, image, blobs, path, err);
}
