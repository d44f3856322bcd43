/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's disks: an ext4 of what the bundle's root file system holds, which is only read, and an empty one for what is written.
 * Both are files without a name in Strata's directory: they go with the machine, however that ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/mount.h"
#include "engines/oslevel/search.h"
#include "engines/oslevel/workload.h"
#include "oci/vm.h"
#include "storage/ext4.h"
#include "storage/helper.h"

#define DISK_BLOCK	   4096U
#define DISK_INODE	   512U /* bytes of the table, and some of a directory */
#define DISK_SPARE	   (UINT64_C(32) << 20)
#define DISK_UPPER_BYTES   (INT64_C(16) << 30) /* sparse: what is not written takes no room */
#define DISK_UPPER_JOURNAL 16		       /* MiB */
#define DISK_WORDS	   2048
#define DISK_ENOENT	   2 /* an exit status that mke2fs has not */

static int disk_new(const char *store, struct err *err)
{
	char path[PATH_MAX];
	char name[PATH_MAX + 16];
	int n = snprintf(path, sizeof(path), "%s/oci", store);
	int r = n < 0 || (size_t)n >= sizeof(path) ? -ENAMETOOLONG : dir_make(AT_FDCWD, path, 0700);

	if (r < 0)
		return err_set(err, -r, "make %s/oci", store);
	int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd < 0 ? err_set(err, errno, "make a disk in %s", path) : fd;
	/* A file system that has no such thing. */
	(void)snprintf(name, sizeof(name), "%s/disk.XXXXXX", path); /* fits */
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "make a disk in %s/oci", store);
	(void)unlink(name);
	return fd;
}

/* ---- in a process of its own, which becomes mke2fs ---- */

struct disk_size {
	uint64_t bytes, files;
};

static int disk_count(const char *root, struct disk_size *ret, struct err *err)
{
	char *const paths[] = { (char *)(uintptr_t)root, NULL };
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	const FTSENT *at;

	if (!walk)
		return err_set(err, errno, "read root file system %s", root);
	while ((at = fts_read(walk))) {
		if (at->fts_info == FTS_DP || !at->fts_statp)
			continue;
		ret->files++;
		ret->bytes += ((uint64_t)at->fts_statp->st_size / DISK_BLOCK + 2) * DISK_BLOCK;
	}
	int code = errno;
	(void)fts_close(walk); /* read to its end */
	return code ? err_set(err, code, "read root file system %s", root) : 0;
}

/* What a container has bound there is in the tree that the disk is made of. */
static int disk_bind(const struct bundle_mount *mount, int root, struct err *err)
{
	struct stat st;
	AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, mount->source, mount->recursive, err);

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "bind mount of %s", mount->source);
	return mount_at(fd, root, mount->target,
			S_ISDIR(st.st_mode) ? MOUNT_TARGET_DIR : MOUNT_TARGET_FILE,
			MOUNT_TRUST_NONE, err);
}

/* Whether a path is on something that is mounted: it is looked for where that is. */
static bool command_is_elsewhere(const struct bundle *bundle, const char *path)
{
	for (size_t i = 0; i < bundle->n_mounts; i++) {
		const char *target = bundle->mounts[i].target;
		const size_t len = strlen(target);
		if (!strncmp(path, target, len) && (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

int vm_command(const struct bundle *bundle, int root, struct err *err)
{
	const struct bundle_process *process = &bundle->process;
	const char *command = process->args[0];
	const char *path = workload_getenv(process->env, "PATH");
	char all[PATH_MAX], full[PATH_MAX];
	char *save = NULL;

	if (strchr(command, '/')) { /* a relative one: the guest knows its directory */
		AUTO(fd_close_p)
		int fd = command[0] == '/' && !command_is_elsewhere(bundle, command)
				 ? fd_open_in(root, command, O_PATH, 0)
				 : -EBADF;
		return fd == -ENOENT ? err_set(err, ENOENT, "run %s", command) : 0;
	}
	(void)snprintf(all, sizeof(all), "%s", path ? path : SEARCH_PATH); /* cut: not looked at */
	for (const char *dir = strtok_r(all, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		int n = snprintf(full, sizeof(full), "%s/%s", dir, command);
		AUTO(fd_close_p)
		int fd = n > 0 && (size_t)n < sizeof(full) ? fd_open_in(root, full, O_PATH, 0)
							   : -ENOENT;
		if ((fd != -ENOENT && fd != -ENOTDIR) || command_is_elsewhere(bundle, full))
			return 0; /* the guest has the last word */
	}
	return err_say(err, ENOENT, "run %s: executable file not found in $PATH", command);
}

static int disk_tree(const struct bundle *bundle, const struct vm_sharing *sharing,
		     struct disk_size *ret, struct err *err)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, errno, "a mount namespace for the root file system");
	AUTO(fd_close_p) int root = open(bundle->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_set(err, errno, "root file system %s", bundle->root);
	for (size_t i = 0; i < bundle->n_mounts; i++) {
		if (vm_mount_kind(&bundle->mounts[i], sharing) != VM_MOUNT_COPY)
			continue;
		int r = disk_bind(&bundle->mounts[i], root, err);
		if (r < 0)
			return r;
	}
	int r = vm_command(bundle, root, err);
	return r < 0 ? r : disk_count(bundle->root, ret, err);
}

/* As the disk's root directory: mke2fs takes the owners of all but that one from the tree. */
static void disk_options(const struct bundle *bundle, char *ret, size_t size)
{
	struct stat st = { .st_uid = 0 };

	(void)stat(bundle->root, &st); /* it was there just now; else mke2fs says so */
	(void)snprintf(ret, size, "lazy_itable_init=1,nodiscard,root_owner=%u:%u", st.st_uid,
		       st.st_gid); /* fits */
}

static void disk_mke2fs(const struct bundle *bundle, const struct disk_size *counts)
{
	uint64_t bytes =
		counts->bytes + counts->bytes / 16 + counts->files * DISK_INODE + DISK_SPARE;
	char options[96], files[24], size[24];
	const char *const argv[] = { "mke2fs",
				     "-q",
				     "-F",
				     "-t",
				     "ext4",
				     "-O",
				     "^has_journal,^resize_inode",
				     "-m",
				     "0",
				     "-b",
				     "4096",
				     "-N",
				     files,
				     "-E",
				     options,
				     "-d",
				     bundle->root,
				     "/proc/self/fd/3",
				     size,
				     NULL };

	disk_options(bundle, options, sizeof(options));
	(void)snprintf(files, sizeof(files), "%llu",
		       (unsigned long long)counts->files + 1024);			/* fits */
	(void)snprintf(size, sizeof(size), "%lluk", (unsigned long long)(bytes >> 10)); /* fits */
	(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
	(void)execv("/usr/sbin/mke2fs", (char *const *)(uintptr_t)argv); /* returns on error */
	(void)dprintf(STDOUT_FILENO, "run mke2fs: %s: is Debian's package e2fsprogs there?",
		      strerror(errno));
}

/* Its standard output and error are what goes wrong. */
static _Noreturn void disk_child(const struct bundle *bundle, const struct vm_sharing *sharing,
				 int fd, int words)
{
	struct disk_size size = { .files = 0 };
	struct err err = { 0 };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 64), high_words = fcntl(words, F_DUPFD_CLOEXEC, 64);
	if (null < 0 || high < 0 || high_words < 0 || dup2(null, 0) < 0 ||
	    dup2(high_words, 1) < 0 || dup2(high_words, 2) < 0 || dup2(high, 3) < 0)
		_exit(127);
	(void)close_range(4, ~0U, 0); /* the maker's lock, too: it may die first */
	if (disk_tree(bundle, sharing, &size, &err) == 0)
		disk_mke2fs(bundle, &size);
	else
		(void)dprintf(STDOUT_FILENO, "%s", err.text);
	_exit(err.code == ENOENT ? DISK_ENOENT : 1);
}

/* ---- in the maker ---- */

static int disk_failed(struct buf *words, int status, struct err *err)
{
	char *text = buf_str(words) ? words->data : NULL;

	for (size_t i = 0; text && text[i]; i++) {
		if ((unsigned char)text[i] < ' ')
			text[i] = ' ';
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == DISK_ENOENT && text && *text)
		return err_say(err, ENOENT, "%.400s", text);
	return err_say(err, EIO, "the disk of the root file system: %.300s",
		       text && *text ? text : "mke2fs failed");
}

static int disk_fill(const struct bundle *bundle, const struct vm_sharing *sharing, int fd,
		     struct err *err)
{
	AUTO(buf_fini) struct buf words = { 0 };
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	pid_t pid = fork();
	if (pid == 0)
		disk_child(bundle, sharing, fd, pipes[1]);
	fd_close(pipes[1]);
	if (pid < 0) {
		fd_close(pipes[0]);
		return err_set(err, errno, "run mke2fs");
	}
	(void)fd_read_all(pipes[0], DISK_WORDS, &words); /* they only explain */
	fd_close(pipes[0]);
	int status = helper_wait(pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : disk_failed(&words, status, err);
}

/* The root itself is there to be looked at. */
static int disk_none(const struct bundle *bundle, struct err *err)
{
	AUTO(fd_close_p) int root = open(bundle->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return root < 0 ? err_set(err, errno, "root file system %s", bundle->root)
			: vm_command(bundle, root, err);
}

int vm_disks(const struct config *config, const struct vm_sharing *sharing, const char *store,
	     int ret[VM_FDS], struct err *err)
{
	char path[32];

	if (sharing->root)
		return disk_none(&config->bundle, err);
	int r = ret[VM_ROOT_FD] = disk_new(store, err);

	if (r >= 0)
		r = disk_fill(&config->bundle, sharing, ret[VM_ROOT_FD], err);
	if (r < 0 || config->bundle.root_read_only)
		return r;
	r = ret[VM_UPPER_FD] = disk_new(store, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ret[VM_UPPER_FD]); /* fits */
	return ext4_make(path, DISK_UPPER_BYTES, DISK_UPPER_JOURNAL, err);
}
