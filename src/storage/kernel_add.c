/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/bytes.h"
#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "storage/helper.h"
#include "storage/kernel_priv.h"
#include "storage/staging.h"

/*
 * What strata-init and the machine's devices need; what it depends on comes with it. "ext4" for disks of users
 * and images that are not erofs.
 */
static const char *const kernel_modules[] = {
	"virtio_pci",
	"virtio_blk",
	"virtio_net",
	"virtio_console",
	"virtio_rng",
	"virtio_balloon",
	"vmw_vsock_virtio_transport",
	"erofs",
	"overlay",
	"ext4",
	"virtiofs",
};

#define HDRS_AT 0x202 /* Linux Documentation/arch/x86/boot.rst, The Real-Mode Kernel Header */

/* Names of strata-archive's: it had hostile bytes in its hands. */
static bool name_ok(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	return len > 0 && len < 100 && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			    ".+~_-") == len &&
	       strcmp(name, "default") != 0;
}

static int add_unpack(const char *deb, int dir, json_t **ret, struct err *err)
{
	AUTO(helper_fini) struct helper helper = { 0 };
	const char *argv[ARRAY_SIZE(kernel_modules) + 3] = { "kernel", deb };
	const struct helper_fds fds = { -1, -1, dir, -1 };

	for (size_t i = 0; i < ARRAY_SIZE(kernel_modules); i++)
		argv[2 + i] = kernel_modules[i];
	int r = helper_start(argv, &fds, &helper, err);
	return r < 0 ? r : helper_result(&helper, ret, err);
}

/* One file's digest and name go into the kernel's, its bytes are added up. */
static int add_file(int dir, const char *path, struct digest *digest, int64_t *size,
		    struct err *err)
{
	AUTO(fd_close_p) int fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(buf_fini) struct buf line = { 0 };
	char hex[DIGEST_HEX + 1];
	int64_t bytes;

	int r = fd < 0 ? -errno : digest_fd(fd, hex, &bytes);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = buf_printf(&line, "%s  %s\n", hex, path);
	if (r < 0)
		return err_set(err, -r, "kernel: %s", path);
	digest_add(digest, line.data, line.len);
	*size += bytes;
	return 0;
}

static int add_digest(int dir, const json_t *modules, struct digest *digest, int64_t *ret_size,
		      struct err *err)
{
	int r = add_file(dir, "vmlinuz", digest, ret_size, err);

	for (size_t i = 0; r == 0 && i < json_array_size(modules); i++) {
		const char *name = json_string_value(json_array_get(modules, i));
		char path[128];
		if (!name_ok(name))
			return err_say(err, EBADMSG, "kernel: strata-archive's answer is broken");
		(void)snprintf(path, sizeof(path), "modules/%s.ko", name); /* fits */
		r = add_file(dir, path, digest, ret_size, err);
	}
	if (r < 0)
		return r;
	AUTO(fd_close_p) int fd = openat(dir, "modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? err_set(err, errno, "kernel: modules") : 0;
}

static int add_check(int dir, const char *deb, struct err *err)
{
	AUTO(fd_close_p) int fd = openat(dir, "vmlinuz", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char magic[4];

	if (fd < 0 || pread(fd, magic, sizeof(magic), HDRS_AT) != (ssize_t)sizeof(magic) ||
	    memcmp(magic, "HdrS", 4) != 0)
		return err_say(err, EBADMSG, "%s: its vmlinuz is not a Linux kernel for x86", deb);
	return 0;
}

/* kernel.json, the last file: what has one is whole. */
static int add_manifest(int dir, const char *deb, const json_t *result,
			char ret_digest[DIGEST_HEX + 1], struct err *err)
{
	AUTO(json_decref_p) json_t *json = NULL;
	const json_t *modules = json_object_get(result, "modules");
	const char *slash = strrchr(deb, '/');
	struct digest digest;
	int64_t size = 0;

	digest_init(&digest);
	int r = add_check(dir, deb, err);
	if (r == 0)
		r = add_digest(dir, modules, &digest, &size, err);
	if (r < 0)
		return r;
	digest_end(&digest, ret_digest);
	json = json_pack("{s:s, s:s, s:I, s:I, s:O}", "package", slash ? slash + 1 : deb, "digest",
			 ret_digest, "size_bytes", (json_int_t)size, "created_ns",
			 (json_int_t)clock_real_ns(), "modules", modules);
	char *text = json ? json_text(json, 2) : NULL;
	r = text ? file_replace(dir, "kernel.json", 0644, text, strlen(text), true) : -ENOMEM;
	free(text);
	return r < 0 ? err_set(err, -r, "kernel: write kernel.json") : 0;
}

/* Under storage_lock(): into its place. */
static int add_commit(struct store *store, struct staging *staging, int kernels,
		      const char *version, const char *digest, struct err *err)
{
	AUTO(kernel_fini) struct kernel there = { 0 };
	int r = kernel_read(store, kernels, version, &there, err);

	if (r == -ENOENT || r == -EBADMSG) {
		r = storage_discard(staging, kernels, version, err); /* what is broken there */
		if (r == 0 && renameat(staging->fd, "new", kernels, version) < 0)
			r = err_set(err, errno, "put kernel %s into %s", version, store->root);
	} else if (r == 0 && strcmp(there.digest, digest) != 0 &&
		   renameat2(staging->fd, "new", kernels, version, RENAME_EXCHANGE) < 0) {
		r = err_set(err, errno, "put kernel %s into %s", version, store->root);
	}
	return r < 0 ? r : kernel_default_set(store, kernels, version, err);
}

static int add_dir(struct staging *staging, int *ret, struct err *err)
{
	if (mkdirat(staging->fd, "new", 0755) < 0)
		return err_set(err, errno, "kernel: make a directory");
	int fd = openat(staging->fd, "new", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "kernel: open a directory");
	*ret = fd;
	return 0;
}

int kernel_add(struct store *store, const char *deb, struct kernel *ret, struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(json_decref_p) json_t *result = NULL;
	AUTO(fd_close_p) int kernels = -EBADF;
	AUTO(fd_close_p) int lock = -EBADF;
	AUTO(fd_close_p) int dir = -EBADF;
	char digest[DIGEST_HEX + 1];

	int r = staging_open(store, "kernel", &staging, err);
	if (r == 0)
		r = storage_dir(store, "kernels", 0700, &kernels, err);
	if (r == 0)
		r = add_dir(&staging, &dir, err);
	if (r == 0)
		r = add_unpack(deb, dir, &result, err);
	if (r < 0)
		return r;
	const char *version = json_str(result, "version", "");
	if (!name_ok(version))
		return err_say(err, EBADMSG, "%s: strata-archive's answer is broken", deb);
	/* What no guest needs goes with the staging directory. */
	if (renameat(dir, "all", staging.fd, "all") < 0)
		return err_set(err, errno, "%s: drop the other modules", deb);
	r = add_manifest(dir, deb, result, digest, err);
	if (r < 0)
		return r;
	lock = storage_lock(store, err);
	r = lock < 0 ? lock : add_commit(store, &staging, kernels, version, digest, err);
	return r < 0 ? r : kernel_read(store, kernels, version, ret, err);
}
