/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/kernel.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "storage/archive/modules.h"
#include "storage/archive/reader.h"

#define CHUNK_BYTES	(256 * 1024)
#define FILE_BYTES_MAX	(INT64_C(256) << 20) /* the largest kernels have 15 MiB, modules 8 */
#define TOTAL_BYTES_MAX (INT64_C(4) << 30)
#define VERSION_MAX	96

struct package {
	const char *what;
	struct archive *deb, *data; /* data reads a member of deb */
	char *chunk;
	int dir, all; /* borrowed; all/ below it */
	char version[VERSION_MAX];
	int64_t total;
	struct modules modules;
	struct err *err;
};

static void package_fini(struct package *package)
{
	(void)archive_read_free(package->data); /* NULL is fine; nothing was written */
	(void)archive_read_free(package->deb);
	free(package->chunk);
	fd_close(package->all);
	modules_fini(&package->modules);
}

static int package_fail(const struct package *package, struct archive *a)
{
	const char *words = archive_error_string(a);

	return err_say(package->err, EBADMSG, "%s: not a Debian package, or a broken one: %.200s",
		       package->what, words ? words : "no reason given");
}

/* libarchive's callback: the member's bytes, still packed. */
static ssize_t package_member(struct archive *a, void *arg, const void **ret)
{
	struct package *package = arg;
	ssize_t n = archive_read_data(package->deb, package->chunk, CHUNK_BYTES);

	if (n < 0)
		archive_set_error(a, archive_errno(package->deb), "%s",
				  archive_error_string(package->deb));
	*ret = package->chunk;
	return n < 0 ? -1 : n;
}

/* The ar archive, up to the member that holds the files. */
static int package_open(struct package *package, int fd)
{
	struct archive_entry *entry;
	int r;

	package->deb = archive_read_new();
	package->chunk = malloc(CHUNK_BYTES);
	if (!package->deb || !package->chunk)
		return err_set(package->err, ENOMEM, "%s", package->what);
	if (archive_read_support_format_ar(package->deb) != ARCHIVE_OK ||
	    archive_read_open_fd(package->deb, fd, CHUNK_BYTES) != ARCHIVE_OK)
		return package_fail(package, package->deb);
	while ((r = archive_read_next_header(package->deb, &entry)) == ARCHIVE_OK) {
		const char *name = entry_path(entry);
		if (name && !strncmp(name, "data.tar", 8))
			return 0;
	}
	if (r != ARCHIVE_EOF)
		return package_fail(package, package->deb);
	return err_say(package->err, EBADMSG, "%s: not a Debian package: no data.tar in it",
		       package->what);
}

static int package_open_data(struct package *package)
{
	struct archive *a = archive_read_new();

	package->data = a;
	if (!a)
		return err_set(package->err, ENOMEM, "%s", package->what);
	if (archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    archive_read_open(a, package, NULL, package_member, NULL) != ARCHIVE_OK)
		return package_fail(package, a);
	return 0;
}

/* All of the entry or stream that a stands on. */
static int read_all(const struct package *package, struct archive *a, struct buf *ret)
{
	for (;;) {
		const void *data;
		size_t len;
		la_int64_t offset;
		int r = archive_read_data_block(a, &data, &len, &offset);
		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return package_fail(package, a);
		/* A hole would have to be filled: a package has none. */
		if (offset != (la_int64_t)ret->len)
			return err_say(package->err, EBADMSG, "%s: a file with holes",
				       package->what);
		if ((int64_t)(ret->len + len) > FILE_BYTES_MAX)
			return err_say(package->err, EFBIG, "%s: a file of more than %lld MiB",
				       package->what, (long long)(FILE_BYTES_MAX >> 20));
		if (buf_add(ret, data, len) < 0)
			return err_set(package->err, ENOMEM, "%s", package->what);
	}
}

static int package_write(const struct package *package, int dir, const char *name,
			 const struct buf *data)
{
	AUTO(fd_close_p)
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : fd_write_all(fd, buf_str(data), data->len);

	return r < 0 ? err_set(package->err, -r, "%s: write %s", package->what, name) : 0;
}

/* A packed module: libarchive again, as a stream without a format. */
static int module_unpack(const struct package *package, struct buf *data)
{
	AUTO(buf_fini) struct buf plain = { 0 };
	struct archive_entry *entry;
	struct archive *a = archive_read_new();

	if (!a)
		return err_set(package->err, ENOMEM, "%s", package->what);
	int r = archive_read_support_filter_gzip(a) == ARCHIVE_OK &&
				archive_read_support_filter_xz(a) == ARCHIVE_OK &&
				archive_read_support_filter_zstd(a) == ARCHIVE_OK &&
				archive_read_support_format_raw(a) == ARCHIVE_OK &&
				archive_read_open_memory(a, buf_str(data), data->len) ==
					ARCHIVE_OK &&
				archive_read_next_header(a, &entry) == ARCHIVE_OK
			? read_all(package, a, &plain)
			: package_fail(package, a);
	(void)archive_read_free(a); /* read only */
	if (r < 0)
		return r;
	buf_fini(data);
	*data = plain;
	plain = (struct buf){ 0 };
	return 0;
}

static int package_module(struct package *package, const char *path)
{
	AUTO(buf_fini) struct buf data = { 0 };
	char name[MODULE_NAME_MAX], file[MODULE_NAME_MAX + 4];

	if (module_name(path, name) < 0)
		return 0; /* not one that anybody could ask for */
	int r = read_all(package, package->data, &data);
	size_t len = strlen(path);
	if (r == 0 && strcmp(path + len - 3, ".ko") != 0)
		r = module_unpack(package, &data);
	if (r < 0)
		return r;
	package->total += (int64_t)data.len;
	if (package->total > TOTAL_BYTES_MAX)
		return err_say(package->err, EFBIG, "%s: larger than %lld GiB", package->what,
			       (long long)(TOTAL_BYTES_MAX >> 30));
	r = modules_add(&package->modules, name, (const uint8_t *)buf_str(&data), data.len);
	if (r < 0)
		return err_set(package->err, -r, "%s: module %s", package->what, name);
	(void)snprintf(file, sizeof(file), "%s.ko", name); /* fits */
	return package_write(package, package->all, file, &data);
}

static bool version_ok(const char *version)
{
	size_t len = strlen(version);

	return len > 0 && len < VERSION_MAX && version[0] != '.' &&
	       strspn(version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			       ".+~_-") == len;
}

static int package_kernel(struct package *package, const char *version)
{
	AUTO(buf_fini) struct buf data = { 0 };

	if (package->version[0] || !version_ok(version))
		return err_say(package->err, EBADMSG, "%s: not a package of one kernel",
			       package->what);
	int r = read_all(package, package->data, &data);
	if (r == 0)
		r = package_write(package, package->dir, "vmlinuz", &data);
	(void)snprintf(package->version, sizeof(package->version), "%s", version); /* fits */
	return r;
}

static int package_builtin(struct package *package)
{
	AUTO(buf_fini) struct buf text = { 0 };
	int r = read_all(package, package->data, &text);

	if (r == 0 && modules_builtin(&package->modules, buf_str(&text), text.len) < 0)
		r = err_set(package->err, ENOMEM, "%s", package->what);
	return r;
}

static int package_entry(struct package *package, struct archive_entry *entry)
{
	const char *path = entry_path(entry);

	if (!path || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
		return 0;
	path += !strncmp(path, "./", 2) ? 2 : 0;
	path += path[0] == '/' ? 1 : 0;
	path += !strncmp(path, "usr/", 4) ? 4 : 0;
	if (!strncmp(path, "boot/vmlinuz-", 13))
		return package_kernel(package, path + 13);
	if (strncmp(path, "lib/modules/", 12) != 0)
		return 0;
	size_t len = strlen(path);
	if (len > 16 && !strcmp(path + len - 16, "/modules.builtin"))
		return package_builtin(package);
	return strstr(path, ".ko") ? package_module(package, path) : 0;
}

static int package_read(struct package *package)
{
	struct archive_entry *entry;
	int r;

	while ((r = archive_read_next_header(package->data, &entry)) == ARCHIVE_OK ||
	       r == ARCHIVE_WARN) {
		int e = package_entry(package, entry);
		if (e < 0)
			return e;
	}
	if (r != ARCHIVE_EOF)
		return package_fail(package, package->data);
	if (!package->version[0])
		return err_say(package->err, EBADMSG,
			       "%s: not a Debian kernel package: no /boot/vmlinuz in it",
			       package->what);
	return 0;
}

static int package_dir(const struct package *package, const char *name, int *ret)
{
	if (mkdirat(package->dir, name, 0755) < 0)
		return err_set(package->err, errno, "%s: make %s", package->what, name);
	int fd = openat(package->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(package->err, errno, "%s: open %s", package->what, name);
	*ret = fd;
	return 0;
}

/* What is wanted goes from all/ to modules/. */
static int package_keep(const struct package *package, const json_t *names)
{
	AUTO(fd_close_p) int modules = -EBADF;
	int r = package_dir(package, "modules", &modules);

	for (size_t i = 0; r == 0 && i < json_array_size(names); i++) {
		char file[MODULE_NAME_MAX + 4];
		(void)snprintf(file, sizeof(file), "%.*s.ko", MODULE_NAME_MAX - 1,
			       json_string_value(json_array_get(names, i))); /* fits */
		if (renameat(package->all, file, modules, file) < 0)
			r = err_set(package->err, errno, "%s: keep %s", package->what, file);
	}
	return r;
}

int kernel_unpack(int fd, const char *what, int dir, const char *const *wanted, json_t **ret,
		  struct err *err)
{
	AUTO(package_fini)
	struct package package = { .what = what, .dir = dir, .all = -EBADF, .err = err };
	AUTO(json_decref_p) json_t *names = NULL;

	int r = package_dir(&package, "all", &package.all);
	if (r == 0)
		r = package_open(&package, fd);
	if (r == 0)
		r = package_open_data(&package);
	if (r == 0)
		r = package_read(&package);
	if (r == 0) {
		r = modules_order(&package.modules, wanted, &names, err);
		if (r < 0)
			return err_wrap(err, "%s", what);
		r = package_keep(&package, names);
	}
	if (r < 0)
		return r;
	*ret = json_pack("{s:s, s:O}", "version", package.version, "modules", names);
	return *ret ? 0 : err_set(err, ENOMEM, "%s", what);
}
