/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/private.h"

static int idmap_write_one(pid_t pid, const char *file, const struct ids_map *map, size_t n,
			   struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	char path[64];

	for (size_t i = 0; i < n; i++) {
		if (buf_printf(&text, "%u %u %u\n", map[i].inside, map[i].outside, map[i].size) < 0)
			return err_set(err, ENOMEM, "user namespace");
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file); /* fits */
	int r = file_write(AT_FDCWD, path, buf_str(&text));
	return r < 0 ? err_set(err, -r, "user namespace: write %s", file) : 0;
}

struct idmap idmap_of(const struct spec *spec)
{
	return (struct idmap){ spec->uid_map, spec->gid_map, spec->n_uid_map, spec->n_gid_map };
}

int idmap_outside(const struct ids_map *map, size_t n, uint32_t inside, uint32_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (inside >= map[i].inside && inside - map[i].inside < map[i].size) {
			*ret = map[i].outside + (inside - map[i].inside);
			return 0;
		}
	}
	return -EOVERFLOW;
}

int idmap_write(const struct idmap *map, pid_t pid, struct err *err)
{
	int r = idmap_write_one(pid, "uid_map", map->uids, map->n_uids, err);

	return r < 0 ? r : idmap_write_one(pid, "gid_map", map->gids, map->n_gids, err);
}

/* Waits to be killed, by us or with us: orphaned it would hold on to our locks and sockets for ever. */
static _Noreturn void idmap_wait(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	for (;;)
		(void)pause(); /* returns only for signals */
}

int idmap_userns(const struct idmap *map, struct err *err)
{
	pid_t self = getpid();
	/* A namespace needs a process to be born in. */
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		return err_set(err, errno, "make a user namespace");
	if (pid == 0)
		idmap_wait(self);

	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%ld/ns/user", pid); /* fits */
	int r = idmap_write(map, (pid_t)pid, err);
	int fd = r < 0 ? r : open(path, O_RDONLY | O_CLOEXEC);
	if (r == 0 && fd < 0)
		fd = err_set(err, errno, "open %s", path);
	(void)kill((pid_t)pid, SIGKILL); /* our own child: it is there until waited for */
	while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}
