/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/kernel.h"

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
#include "storage/initramfs.h"
#include "storage/kernel_priv.h"
#include "storage/staging.h"

#define MANIFEST_MAX (1U << 20)
#define DIGEST_LEAST 6U

void kernel_fini(struct kernel *kernel)
{
	free(kernel->version);
	free(kernel->package);
	free(kernel->dir);
	free(kernel->path);
	json_decref(kernel->modules);
	*kernel = (struct kernel){ 0 };
}

void kernels_fini(struct kernel *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kernel_fini(&list[i]);
	free(list);
}

static bool is_default(int kernels, const char *version)
{
	char target[NAME_MAX + 1];
	ssize_t n = readlinkat(kernels, "default", target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return !strcmp(target, version);
}

static char *kernel_path(const struct store *store, const char *version, const char *rest)
{
	AUTO(buf_fini) struct buf path = { 0 };

	(void)buf_printf(&path, "%s/kernels/%s%s", store->root, version, rest);
	return buf_steal(&path);
}

int kernel_read(struct store *store, int kernels, const char *version, struct kernel *ret,
		struct err *err)
{
	AUTO(buf_fini) struct buf path = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;

	if (buf_printf(&path, "%s/kernel.json", version) < 0)
		return err_set(err, ENOMEM, "kernel %s", version);
	int r = file_read(kernels, path.data, MANIFEST_MAX, &text);
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR
			       ? -ENOENT
			       : err_set(err, -r, "read %s/kernels/%s", store->root, path.data);
	r = json_parse(buf_str(&text), text.len, "kernel.json", &json, err);
	if (r < 0)
		return err_wrap(err, "kernel %s", version);

	struct kernel kernel = {
		.version = strdup(version),
		.package = strdup(json_str(json, "package", "")),
		.modules = json_incref(json_object_get(json, "modules")),
		.dir = kernel_path(store, version, ""),
		.path = kernel_path(store, version, "/vmlinuz"),
		.size_bytes = json_int(json, "size_bytes", 0),
		.created_ns = json_int(json, "created_ns", 0),
		.is_default = is_default(kernels, version),
	};
	(void)snprintf(kernel.digest, sizeof(kernel.digest), "%s", json_str(json, "digest", ""));
	if (!kernel.version || !kernel.package || !kernel.dir || !kernel.path)
		r = err_set(err, ENOMEM, "kernel %s", version);
	else if (!digest_is_hex(kernel.digest) || !json_is_array(kernel.modules))
		r = err_say(
			err, EBADMSG,
			"kernel %s: kernel.json is damaged: remove the kernel and fetch it again",
			version);
	if (r < 0)
		kernel_fini(&kernel);
	else
		*ret = kernel;
	return r;
}

static int kernel_compare(const void *a, const void *b)
{
	return strverscmp(((const struct kernel *)a)->version, ((const struct kernel *)b)->version);
}

struct kernel_set {
	struct kernel *list;
	size_t n;
};

static void kernel_set_fini(struct kernel_set *set)
{
	kernels_fini(set->list, set->n);
}

static int kernel_set_add(struct kernel_set *set, const struct kernel *kernel, struct err *err)
{
	struct kernel *list = reallocarray(set->list, set->n + 1, sizeof(*list));

	if (!list)
		return err_set(err, ENOMEM, "list kernels");
	list[set->n++] = *kernel;
	set->list = list;
	return 0;
}

int kernel_list(struct store *store, struct kernel **ret, size_t *ret_n, struct err *err)
{
	AUTO(kernel_set_fini) struct kernel_set set = { 0 };
	AUTO(dir_close_p) DIR *dir = NULL;
	int kernels = -EBADF;

	int r = storage_dir(store, "kernels", 0700, &kernels, err);
	if (r < 0)
		return r;
	dir = fdopendir(kernels);
	if (!dir) {
		fd_close(kernels);
		return err_set(err, errno, "list %s/kernels", store->root);
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		struct kernel kernel;
		if (e->d_name[0] == '.' || !strcmp(e->d_name, "default"))
			continue;
		r = kernel_read(store, dirfd(dir), e->d_name, &kernel, err);
		if (r == -ENOENT)
			continue;
		if (r == 0)
			r = kernel_set_add(&set, &kernel, err);
		if (r < 0)
			return r;
	}
	if (set.n > 1)
		qsort(set.list, set.n, sizeof(*set.list), kernel_compare);
	*ret_n = set.n;
	*ret = TAKE(set.list);
	set.n = 0;
	return 0;
}

static bool kernel_is(const struct kernel *kernel, const char *name)
{
	if (!name)
		return kernel->is_default;
	return !strcmp(kernel->version, name) ||
	       (strlen(name) >= DIGEST_LEAST && !strncmp(kernel->digest, name, strlen(name)));
}

int kernel_find(struct store *store, const char *name, struct kernel *ret, struct err *err)
{
	AUTO(kernel_set_fini) struct kernel_set set = { 0 };
	struct kernel *found = NULL;

	int r = kernel_list(store, &set.list, &set.n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < set.n; i++) {
		if (!kernel_is(&set.list[i], name))
			continue;
		if (found)
			return err_say(err, ENOTUNIQ, "kernel %s: there are several of them", name);
		found = &set.list[i];
	}
	if (!found && name)
		return err_say(
			err, ENOENT,
			"kernel %s: there is none: 'strata image kernel list' shows those that run images",
			name);
	if (!found)
		return err_say(err, ENOENT,
			       "no kernel for virtual machines: strata image kernel "
			       "fetch gets Debian's, --kernel takes another");
	*ret = *found;
	*found = (struct kernel){ 0 };
	return 0;
}

int kernel_default_set(struct store *store, int kernels, const char *version, struct err *err)
{
	if (!version) {
		if (unlinkat(kernels, "default", 0) < 0 && errno != ENOENT)
			return err_set(err, errno, "remove %s/kernels/default", store->root);
		return 0;
	}
	if ((unlinkat(kernels, ".default", 0) < 0 && errno != ENOENT) ||
	    symlinkat(version, kernels, ".default") < 0 ||
	    renameat(kernels, ".default", kernels, "default") < 0 || fsync(kernels) < 0)
		return err_set(err, errno, "make %s/kernels/default", store->root);
	return 0;
}

/* The kernel that came last becomes the default. */
static int remove_choose(struct store *store, int kernels, struct err *err)
{
	AUTO(kernel_set_fini) struct kernel_set set = { 0 };
	const struct kernel *last = NULL;

	int r = kernel_list(store, &set.list, &set.n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < set.n; i++) {
		if (!last || set.list[i].created_ns > last->created_ns)
			last = &set.list[i];
	}
	return kernel_default_set(store, kernels, last ? last->version : NULL, err);
}

int kernel_remove(struct store *store, const char *name, struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(kernel_fini) struct kernel kernel = { 0 };
	AUTO(fd_close_p) int kernels = -EBADF;
	AUTO(fd_close_p) int lock = -EBADF;

	int r = staging_open(store, "kernel", &staging, err);
	if (r == 0)
		r = storage_dir(store, "kernels", 0700, &kernels, err);
	if (r < 0)
		return r;
	lock = storage_lock(store, err);
	r = lock < 0 ? lock : kernel_find(store, name, &kernel, err);
	if (r == 0)
		r = storage_discard(&staging, kernels, kernel.version, err);
	if (r == 0 && kernel.is_default)
		r = remove_choose(store, kernels, err);
	return r < 0 ? r : initramfs_sweep(store, &staging, err);
}
