/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/pid_list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/core/macros.h"
#include "base/os/fd.h"

int pid_list_add(struct pid_list *list, pid_t pid)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 16;
		pid_t *pids = reallocarray(list->pids, cap, sizeof(*pids));
		if (!pids)
			return -ENOMEM;
		list->pids = pids;
		list->cap = cap;
	}
	list->pids[list->n++] = pid;
	return 0;
}

static bool pid_is_in(int proc, const char *name, const struct stat *ns)
{
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%.16s/ns/pid", name); /* fits */
	return fstatat(proc, path, &st, 0) == 0 && st.st_ino == ns->st_ino &&
	       st.st_dev == ns->st_dev;
}

int pid_list_of_namespace(pid_t first, struct pid_list *list)
{
	AUTO(dir_close_p) DIR *dir = opendir("/proc");
	const struct dirent *entry;
	char path[32];
	struct stat ns, own;
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)first); /* fits */
	if (!dir || stat(path, &ns) < 0 || stat("/proc/self/ns/pid", &own) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (ns.st_ino == own.st_ino && ns.st_dev == own.st_dev)
		return -ESRCH;
	while (r == 0 && (entry = readdir(dir))) {
		char *end;
		const long pid = strtol(entry->d_name, &end, 10);
		if (!*end && pid > 0 && pid_is_in(dirfd(dir), entry->d_name, &ns))
			r = pid_list_add(list, (pid_t)pid);
	}
	return r;
}

void pid_list_fini(struct pid_list *list)
{
	free(list->pids);
}
