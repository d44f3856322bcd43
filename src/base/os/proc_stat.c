/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/proc_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/fd.h"

/* The name may hold anything, spaces and brackets too. */
int proc_stat_read(int dir, const char *file, struct proc_stat *ret)
{
	char text[1024];
	unsigned long long user, system, threads, resident;
	int parent;
	AUTO(fd_close_p) int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : (int)fd_read_text(fd, text, sizeof(text));
	const char *name = r < 0 ? NULL : strchr(text, '(');
	const char *end = r < 0 ? NULL : strrchr(text, ')');

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	if (!name || !end ||
	    sscanf(end + 1,
		   " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %llu %*d "
		   "%*u %*u %llu",
		   &ret->state, &parent, &user, &system, &threads, &resident) != 6)
		return -EBADMSG;
	(void)snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(end - name - 1),
		       name + 1); /* proc_stat.h: cut */
	ret->parent = (pid_t)parent;
	ret->ticks = user + system;
	ret->threads = threads;
	ret->resident = resident;
	return 0;
}

int proc_stat_of(pid_t pid, struct proc_stat *ret)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid); /* fits */
	return proc_stat_read(AT_FDCWD, path, ret);
}

bool proc_stat_is_child(const struct proc_stat *stat, const char *parent)
{
	struct proc_stat of;

	return proc_stat_of(stat->parent, &of) == 0 && !strcmp(of.name, parent);
}
