/* SPDX-License-Identifier: Apache-2.0 */
/* The store of compiled filters: <root>/seccomp/DIGEST. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/os/digest.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/seccomp/seccomp.h"
#include "engines/seccomp/seccomp_parts.h"

#define FILTER_VERSION	   1  /* of the compiler and the file's form: a change makes other names */
#define FILTER_WRITE_S	   60 /* more than any takes */
#define FILTER_PROFILE_MAX ((size_t)1 << 20)

/* Everything the instructions depend on. */
static int filter_name(const char *profile_digest, uint64_t caps, char ret_hex[DIGEST_HEX + 1],
		       struct err *err)
{
	const struct scmp_version *lib = seccomp_version();
	struct seccomp_host host;
	char text[256];

	int r = seccomp_host_read(caps, &host, err);
	if (r < 0)
		return r;
	int n = snprintf(text, sizeof(text), "%d %s %016" PRIx64 " %s %u.%u libseccomp %u.%u.%u",
			 FILTER_VERSION, profile_digest, caps, host.arch, host.kernel_major,
			 host.kernel_minor, lib->major, lib->minor, lib->micro);
	digest_of(text, (size_t)n, ret_hex);
	return 0;
}

/* Killed or out of space half-way: the size does not fit what the head says. */
static bool filter_is_whole(int root_fd, const char *path)
{
	struct seccomp_file_head head;
	struct stat st;
	AUTO(fd_close_p) int fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	       head.magic == SECCOMP_FILE_MAGIC && head.count > 0 && head.count <= BPF_MAXINSNS &&
	       (uint64_t)st.st_size == sizeof(head) + head.count * sizeof(struct sock_filter);
}

/*
 * What a killed writer left, "DIGEST.tmp.PID.N": nobody takes a minute for it. Looked for where one is written, which
 * is rare.
 */
static void filter_sweep(int root_fd)
{
	int fd = openat(root_fd, "seccomp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct stat st;

	if (!dir) {
		fd_close(fd);
		return;
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (strlen(e->d_name) > DIGEST_HEX &&
		    !strncmp(e->d_name + DIGEST_HEX, ".tmp.", 5) &&
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtime + FILTER_WRITE_S < time(NULL))
			(void)unlinkat(fd, e->d_name, 0); /* the next one tries again */
	}
	(void)closedir(dir);
}

static int filter_write(int root_fd, const char *path, const char *text, size_t len, uint64_t caps,
			bool notify, struct err *err)
{
	struct seccomp_file_head head = { .magic = SECCOMP_FILE_MAGIC };
	AUTO(buf_fini) struct buf file = { 0 };

	if (buf_add(&file, &head, sizeof(head)) < 0)
		return err_set(err, ENOMEM, "seccomp filter");
	int r = notify ? seccomp_compile_notify(text, len, &file, err)
		       : seccomp_compile(text, len, caps, &file, err);
	if (r < 0)
		return r;
	head.count = (uint32_t)((file.len - sizeof(head)) / sizeof(struct sock_filter));
	memcpy(file.data, &head, sizeof(head));
	r = dir_make(root_fd, "seccomp", 0700);
	/* Not durable: a power cut leaves a file that is not whole, and that is made again. */
	if (r == 0)
		filter_sweep(root_fd);
	if (r == 0)
		r = file_replace(root_fd, path, 0600, file.data, file.len, false);
	return r < 0 ? err_set(err, -r, "write seccomp filter %s", path) : 0;
}

int seccomp_filter(struct store *store, const char *profile, uint64_t caps, char **ret_path,
		   struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(buf_fini) struct buf full = { 0 };
	const char *json = seccomp_default_profile;
	char digest[DIGEST_HEX + 1], name[DIGEST_HEX + 1], path[DIGEST_HEX + 16];
	size_t len = 0;
	bool own = profile && strcmp(profile, "default") != 0;

	int r = own ? file_read(AT_FDCWD, profile, FILTER_PROFILE_MAX, &text) : 0;
	if (r < 0)
		return err_set(err, -r, "read seccomp profile %s", profile);
	if (own) {
		json = buf_str(&text);
		len = text.len;
		digest_of(json, len, digest);
	}
	r = filter_name(own ? digest : seccomp_default_digest, caps, name, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "seccomp/%s", name); /* fits */
	if (!filter_is_whole(store->root_fd, path)) {
		r = filter_write(store->root_fd, path, json, own ? len : strlen(json), caps, false,
				 err);
		if (r < 0)
			return own ? err_wrap(err, "%s", profile) : r;
	}
	char *result = buf_printf(&full, "%s/%s", store->root, path) < 0 ? NULL : buf_steal(&full);
	if (!result)
		return err_set(err, ENOMEM, "seccomp filter");
	*ret_path = result;
	return 0;
}

int seccomp_filter_fd(int dir, const char *json, size_t len, struct err *err)
{
	char digest[DIGEST_HEX + 1], name[DIGEST_HEX + 1], path[DIGEST_HEX + 16];

	digest_of(json, len, digest);
	int r = filter_name(digest, 0, name, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "seccomp/%s", name); /* fits */
	if (!filter_is_whole(dir, path)) {
		r = filter_write(dir, path, json, len, 0, true, err);
		if (r < 0)
			return r;
	}
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_set(err, errno, "open seccomp filter %s", path) : fd;
}
