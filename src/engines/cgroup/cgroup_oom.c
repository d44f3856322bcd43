/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being told that a group ran out of memory. Version 1: an eventfd, registered in cgroup.event_control; version 2:
 * inotify(7) of memory.events. Sources: Linux Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control", and
 * cgroup-v2.rst, "Memory Interface Files".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

static int oom_open_v1(int dir, struct cgroup_oom *ret)
{
	char text[32];

	ret->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret->file = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	if (ret->fd < 0 || ret->file < 0)
		return -errno;
	(void)snprintf(text, sizeof(text), "%d %d", ret->fd, ret->file); /* fits */
	return file_write(dir, "cgroup.event_control", text);
}

static int oom_kills(const struct cgroup_oom *oom, uint64_t *ret)
{
	char text[512];
	ssize_t n = pread(oom->file, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return cgroup_field(text, "oom_kill", ret) ? 0 : -ENODATA;
}

static int oom_open_v2(int dir, struct cgroup_oom *ret)
{
	char path[64];

	ret->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	ret->file = openat(dir, "memory.events", O_RDONLY | O_CLOEXEC);
	if (ret->fd < 0 || ret->file < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ret->file); /* fits */
	if (inotify_add_watch(ret->fd, path, IN_MODIFY) < 0)
		return -errno;
	return oom_kills(ret, &ret->seen);
}

int cgroup_oom_open(const struct cgroup *cgroup, struct cgroup_oom *ret, struct err *err)
{
	int h = cgroup_find(cgroup->layout, CGROUP_MEMORY);

	*ret = (struct cgroup_oom){ .fd = -EBADF, .file = -EBADF };
	if (h < 0 || cgroup->fds[h] < 0)
		return err_say(
			err, ENOTSUP,
			"it is in no memory cgroup: nothing tells when it runs out of memory");
	ret->v2 = cgroup->layout->hierarchies[h].v2;
	int r = ret->v2 ? oom_open_v2(cgroup->fds[h], ret) : oom_open_v1(cgroup->fds[h], ret);
	if (r < 0) {
		cgroup_oom_close(ret);
		return err_set(err, -r, "wait for a lack of memory in cgroup %s", cgroup->path);
	}
	return 0;
}

uint64_t cgroup_oom_take(struct cgroup_oom *oom)
{
	char events[4096];
	uint64_t n = 0, before = oom->seen;

	if (!oom->v2)
		return read(oom->fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
	while (read(oom->fd, events, sizeof(events)) > 0)
		;
	if (oom_kills(oom, &oom->seen) < 0)
		return 0;
	return oom->seen > before ? oom->seen - before : 0;
}

void cgroup_oom_close(struct cgroup_oom *oom)
{
	fd_close_p(&oom->fd);
	fd_close_p(&oom->file);
}
