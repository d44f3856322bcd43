/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that go on: who they are, and their end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "compare/child.h"

#define TREE_MAX 65536

struct tree_process {
	pid_t pid, parent;
	bool in;
};

bool child_wait(pid_t *pid, unsigned ms)
{
	if (*pid <= 0)
		return true;
	AUTO(fd_close_p) int pidfd = pidfd_of(*pid);
	struct pollfd poll_end = { pidfd, POLLIN, 0 };

	if (pidfd >= 0 && poll(&poll_end, 1, (int)ms) <= 0)
		return false;
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
	return true;
}

bool child_gone(pid_t pid, unsigned ms)
{
	AUTO(fd_close_p) int pidfd = pid > 0 ? pidfd_of(pid) : -ESRCH;
	struct pollfd poll_end = { pidfd, POLLIN, 0 };

	return pidfd < 0 || poll(&poll_end, 1, (int)ms) > 0;
}

void child_kill(pid_t *pid)
{
	if (*pid <= 0)
		return;
	(void)kill(-*pid, SIGKILL); /* gone already: good */
	(void)kill(*pid, SIGKILL);
	(void)child_wait(pid, 10000); /* a stuck one is the kernel's */
}

/* proc_pid_stat(5): the parent is field 4, after the name, which may hold anything */
static pid_t tree_parent(const char *name)
{
	char path[64], text[1024];
	int parent;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/stat", name); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_text(fd, text, sizeof(text)) <= 0)
		return 0;
	const char *end = strrchr(text, ')');
	return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static size_t tree_read(struct tree_process *list, size_t max)
{
	AUTO(dir_close_p) DIR *dir = opendir("/proc");
	const struct dirent *entry;
	size_t n = 0;

	while (dir && n < max && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0)
			list[n++] = (struct tree_process){ .pid = pid,
							   .parent = tree_parent(entry->d_name) };
	}
	return n;
}

static bool tree_has(const struct tree_process *list, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].pid == pid)
			return list[i].in;
	}
	return false;
}

static bool tree_is(const pid_t *roots, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++) {
		if (roots[i] == pid)
			return true;
	}
	return false;
}

/* Until no more come: a child may be listed before its parent. */
static size_t tree_mark(struct tree_process *list, size_t n, const pid_t *roots, size_t n_roots)
{
	size_t marked = 0, before;

	do {
		before = marked;
		for (size_t i = 0; i < n; i++) {
			if (list[i].in || (!tree_is(roots, n_roots, list[i].pid) &&
					   !tree_has(list, n, list[i].parent)))
				continue;
			list[i].in = true;
			marked++;
		}
	} while (marked > before);
	return marked;
}

int child_tree(const pid_t *roots, size_t n_roots, pid_t **ret, size_t *ret_n)
{
	struct tree_process *list = calloc(TREE_MAX, sizeof(*list));
	size_t n = list ? tree_read(list, TREE_MAX) : 0;
	size_t marked = tree_mark(list, n, roots, n_roots), at = 0;
	pid_t *pids = calloc(marked + 1, sizeof(*pids));

	for (size_t i = 0; pids && i < n; i++) {
		if (list[i].in)
			pids[at++] = list[i].pid;
	}
	free(list);
	if (!pids)
		return -ENOMEM;
	*ret = pids;
	*ret_n = marked;
	return 0;
}
