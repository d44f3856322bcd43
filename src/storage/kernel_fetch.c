/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/kernel_priv.h"
#include "storage/program.h"
#include "storage/staging.h"

#define PACKAGE_MAX 128
#define IMAGE	    "linux-image-"

/* Debian Policy 5.6.1: lower case letters, digits, + - . ; so it is no flag either. */
static int fetch_name(const char *text, size_t len, char ret[PACKAGE_MAX])
{
	if (len < 2 || len >= PACKAGE_MAX || !isalnum((unsigned char)text[0]))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) &&
		    !strchr("+-.", text[i]))
			return -EINVAL;
	}
	memcpy(ret, text, len);
	ret[len] = '\0';
	return 0;
}

static int fetch_failed(const char *package, const char *program, int status, struct buf *text,
			struct err *err)
{
	if (status == 127)
		return err_say(err, ENOENT,
			       "fetch %s: there is no %s here: give a package's file with --from",
			       package, program);
	return err_say(err, EIO, "fetch %s: %s: %.300s", package, program, program_last_line(text));
}

/* "linux-image-cloud-amd64" holds nothing and depends on the newest kernel. */
static int fetch_resolve(const char *package, char ret[PACKAGE_MAX], struct err *err)
{
	const char *argv[] = { "apt-cache", "show", "--no-all-versions", package, NULL };
	AUTO(buf_fini) struct buf text = { 0 };

	int status = program_run(argv, NULL, &text, err);
	if (status < 0)
		return status;
	if (status == 127)
		return fetch_failed(package, "apt-cache", status, &text, err);
	if (status || !strstr(buf_str(&text), "Package:"))
		return err_say(err, ENOENT, "fetch %s: apt knows no such package (apt-get update?)",
			       package);
	const char *depends = strstr(buf_str(&text), "\nDepends:");
	const char *end = depends ? strchr(depends + 1, '\n') : NULL;
	const char *image = depends ? strstr(depends, " " IMAGE) : NULL;
	if (!image || (end && image > end))
		return fetch_name(package, strlen(package), ret);
	image++;
	return fetch_name(image, strcspn(image, " ,(|\n"), ret);
}

/* The one file that apt-get left there. */
static int fetch_file(struct staging *staging, const char *path, const char *package, char **ret,
		      struct err *err)
{
	AUTO(buf_fini) struct buf file = { 0 };
	int fd = openat(staging->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir_close_p) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		fd_close(fd);
		return err_set(err, errno, "fetch %s", package);
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		const char *dot = strrchr(e->d_name, '.');
		if (!dot || strcmp(dot, ".deb") != 0)
			continue;
		(void)buf_printf(&file, "%s/%s", path, e->d_name);
		*ret = buf_steal(&file);
		return *ret ? 0 : err_set(err, ENOMEM, "fetch %s", package);
	}
	return err_say(err, ENOENT, "fetch %s: apt-get downloaded nothing", package);
}

int kernel_fetch(struct store *store, const char *package, struct kernel *ret, struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(buf_fini) struct buf path = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };
	char name[PACKAGE_MAX], real[PACKAGE_MAX];
	char *file = NULL;

	if (fetch_name(package, strlen(package), name) < 0)
		return err_say(err, EINVAL, "\"%.100s\" is not the name of a Debian package",
			       package);
	int r = fetch_resolve(name, real, err);
	if (r == 0)
		r = staging_open(store, "fetch", &staging, err);
	if (r < 0)
		return r;
	if (buf_printf(&path, "%s/%s", store->root, staging.path) < 0)
		return err_set(err, ENOMEM, "fetch %s", package);
	const char *argv[] = { "apt-get", "-q", "download", real, NULL };
	int status = program_run(argv, path.data, &text, err);
	if (status)
		return status < 0 ? status : fetch_failed(real, "apt-get", status, &text, err);
	r = fetch_file(&staging, path.data, real, &file, err);
	if (r == 0)
		r = kernel_add(store, file, ret, err);
	free(file);
	return r;
}
