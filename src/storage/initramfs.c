/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/initramfs.h"

#include <dirent.h>
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
#include "base/os/self.h"
#include "storage/cpio.h"

#define FORMAT                                                                                     \
	"strata initramfs 1" /* raised when the archive is made otherwise from the same inputs */
#define INIT_MAX   (16U << 20)
#define MODULE_MAX (256U << 20)

static int initramfs_init(struct buf *ret, struct err *err)
{
	char *path = NULL;
	int r = self_helper_path("strata-init", &path, err);

	if (r < 0)
		return r;
	r = file_read(AT_FDCWD, path, INIT_MAX, ret);
	if (r < 0)
		r = err_set(err, -r, "read %s", path);
	free(path);
	return r;
}

/* @init: the digest of strata-init */
static void initramfs_key(const struct kernel *kernel, const char init[DIGEST_HEX + 1],
			  char ret[DIGEST_HEX + 1])
{
	struct digest digest;

	digest_init(&digest);
	digest_add(&digest, FORMAT, sizeof(FORMAT));
	digest_add(&digest, kernel->digest, sizeof(kernel->digest));
	digest_add(&digest, init, DIGEST_HEX + 1);
	digest_end(&digest, ret);
}

static int initramfs_module(struct cpio *cpio, const struct kernel *kernel, const char *name,
			    struct buf *list, struct err *err)
{
	AUTO(buf_fini) struct buf path = { 0 };
	AUTO(buf_fini) struct buf data = { 0 };
	AUTO(buf_fini) struct buf to = { 0 };

	(void)buf_printf(&path, "%s/modules/%s.ko", kernel->dir, name);
	(void)buf_printf(&to, "strata/%s.ko", name);
	if (path.failed || to.failed || buf_printf(list, "%s.ko\n", name) < 0)
		return err_set(err, ENOMEM, "initramfs");
	int r = file_read(AT_FDCWD, path.data, MODULE_MAX, &data);
	if (r < 0)
		return err_set(err, -r, "read %s", path.data);
	cpio_add(cpio, to.data, S_IFREG | 0644, data.data, (uint32_t)data.len);
	return 0;
}

static int initramfs_fill(struct cpio *cpio, const struct kernel *kernel, const struct buf *init,
			  struct err *err)
{
	static const char *const dirs[] = { "dev", "proc", "run", "strata", "sys", "tmp" };
	AUTO(buf_fini) struct buf list = { 0 };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		cpio_add(cpio, dirs[i], S_IFDIR | 0755, NULL, 0);
	cpio_device(cpio, "dev/console", S_IFCHR | 0600, 5, 1);
	cpio_add(cpio, "init", S_IFREG | 0755, init->data, (uint32_t)init->len);
	for (size_t i = 0; r == 0 && i < json_array_size(kernel->modules); i++) {
		const char *name = json_string_value(json_array_get(kernel->modules, i));
		r = name ? initramfs_module(cpio, kernel, name, &list, err)
			 : err_say(err, EBADMSG, "kernel %s: kernel.json is damaged",
				   kernel->version);
	}
	if (r < 0)
		return r;
	cpio_add(cpio, "strata/modules", S_IFREG | 0644, buf_str(&list), (uint32_t)list.len);
	cpio_end(cpio);
	return cpio->out.failed ? err_set(err, ENOMEM, "initramfs") : 0;
}

/* Two that make the same at once write the same: the later rename changes nothing. */
static int initramfs_make(struct store *store, const struct kernel *kernel, const struct buf *init,
			  int dir, const char *key, struct err *err)
{
	struct cpio cpio = { .inode = 1 };
	int r = initramfs_fill(&cpio, kernel, init, err);

	if (r == 0) {
		r = file_replace(dir, key, 0644, cpio.out.data, cpio.out.len, true);
		if (r < 0)
			r = err_set(err, -r, "write %s/initramfs/%s", store->root, key);
	}
	buf_fini(&cpio.out);
	return r;
}

int initramfs_path(struct store *store, const struct kernel *kernel, char **ret, struct err *err)
{
	AUTO(buf_fini) struct buf init = { 0 };
	AUTO(buf_fini) struct buf path = { 0 };
	AUTO(fd_close_p) int dir = -EBADF;
	char init_digest[DIGEST_HEX + 1], key[DIGEST_HEX + 1];

	int r = initramfs_init(&init, err);
	if (r == 0)
		r = storage_dir(store, "initramfs", 0700, &dir, err);
	if (r < 0)
		return r;
	digest_of(buf_str(&init), init.len, init_digest);
	initramfs_key(kernel, init_digest, key);
	if (faccessat(dir, key, R_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = initramfs_make(store, kernel, &init, dir, key, err);
	if (r < 0)
		return r;
	(void)buf_printf(&path, "%s/initramfs/%s", store->root, key);
	*ret = buf_steal(&path);
	return *ret ? 0 : err_set(err, ENOMEM, "initramfs");
}

static bool sweep_wanted(const struct kernel *kernels, size_t n, const char init[DIGEST_HEX + 1],
			 const char *name)
{
	char key[DIGEST_HEX + 1];

	for (size_t i = 0; i < n; i++) {
		initramfs_key(&kernels[i], init, key);
		if (!strcmp(key, name))
			return true;
	}
	return false;
}

static int sweep_list(struct store *store, struct staging *staging, const struct kernel *kernels,
		      size_t n, const char init[DIGEST_HEX + 1], struct err *err)
{
	int fd = -EBADF;
	int r = storage_dir(store, "initramfs", 0700, &fd, err);

	if (r < 0)
		return r;
	AUTO(dir_close_p) DIR *dir = fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return err_set(err, errno, "list %s/initramfs", store->root);
	}
	for (struct dirent *e = readdir(dir); r == 0 && e; e = readdir(dir)) {
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		    !sweep_wanted(kernels, n, init, e->d_name))
			r = storage_discard(staging, dirfd(dir), e->d_name, err);
	}
	return r;
}

int initramfs_sweep(struct store *store, struct staging *staging, struct err *err)
{
	AUTO(buf_fini) struct buf init = { 0 };
	char digest[DIGEST_HEX + 1];
	struct kernel *kernels = NULL;
	size_t n = 0;

	if (faccessat(store->root_fd, "initramfs", F_OK, 0) < 0)
		return 0;
	/* Without strata-init none could be used, and none is wanted. */
	(void)initramfs_init(&init, NULL);
	digest_of(buf_str(&init), init.len, digest);
	int r = kernel_list(store, &kernels, &n, err);
	if (r == 0)
		r = sweep_list(store, staging, kernels, n, digest, err);
	kernels_fini(kernels, n);
	return r;
}
