/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

static const char *v2_name(enum cgroup_controller controller)
{
	return controller == CGROUP_BLKIO ? "io" : cgroup_v1_names[controller];
}

/*
 * One directory of the chain. Controllers are written one by one: together, the kernel would refuse all
 * for the sake of one. Source: Linux Documentation/admin-guide/cgroup-v2.rst, "Enabling and Disabling".
 */
static int subtree_enable(const char *dir, uint32_t want, uint32_t *ret_got)
{
	char file[PATH_MAX], words[512];

	int n = snprintf(file, sizeof(file), "%s/cgroup.subtree_control", dir);
	if (n < 0 || (size_t)n >= sizeof(file))
		return -ENAMETOOLONG;
	int r = cgroup_read(AT_FDCWD, file, words, sizeof(words));
	if (r < 0)
		return r;
	uint32_t got = cgroup_controllers_parse(words) & want;
	for (int c = 0; c < CGROUP_CONTROLLER_MAX && got != want; c++) {
		if (!(want & ~got & CGROUP_BIT(c)))
			continue;
		char text[32];
		(void)snprintf(text, sizeof(text), "+%s", v2_name((enum cgroup_controller)c));
		r = file_write(AT_FDCWD, file, text);
		if (r == 0)
			got |= CGROUP_BIT(c);
		else if (r != -EBUSY && r != -ENOENT && r != -EOPNOTSUPP && r != -EINVAL &&
			 r != -EACCES)
			return r;
	}
	*ret_got = got;
	return 0;
}

/* The usual case, in one read: the directory right above the group gives all already. */
static bool already_enabled(const struct cgroup_hierarchy *h, const char *path, uint32_t want)
{
	char file[PATH_MAX], words[512];
	const char *slash = strrchr(path, '/');

	int n = snprintf(file, sizeof(file), "%s/%.*s/cgroup.subtree_control", h->mount,
			 slash ? (int)(slash - path) : 0, path);
	if (n < 0 || (size_t)n >= sizeof(file) ||
	    cgroup_read(AT_FDCWD, file, words, sizeof(words)) < 0)
		return false;
	return !(want & ~cgroup_controllers_parse(words));
}

int cgroup_v2_enable(const struct cgroup_hierarchy *h, const char *path, uint32_t want,
		     uint32_t *ret_got)
{
	char dir[PATH_MAX];
	size_t at = strlen(h->mount);

	if (!want || already_enabled(h, path, want)) {
		*ret_got = want;
		return 0;
	}
	int r = cgroup_full_path(h, path, dir, sizeof(dir));
	if (r < 0)
		return r;
	for (; dir[at]; at += 1 + strcspn(dir + at + 1, "/")) {
		char cut = dir[at];
		dir[at] = '\0';
		if (cut && mkdir(dir, 0755) < 0 && errno != EEXIST)
			return -errno;
		r = subtree_enable(dir, want, &want);
		dir[at] = cut;
		if (r < 0)
			return r;
	}
	*ret_got = want;
	return 0;
}

int cgroup_v2_refused(const struct cgroup_hierarchy *h, uint32_t missing, struct err *err)
{
	for (int c = 0; c < CGROUP_CONTROLLER_MAX; c++) {
		if (missing & CGROUP_BIT(c))
			return err_say(
				err, ENOTSUP,
				"limits: %s gives no '%s' controller to the groups below it; "
				"where it holds processes itself the kernel forbids that: move "
				"them to a group of their own below it, or delegate the "
				"controller",
				h->mount, v2_name((enum cgroup_controller)c));
	}
	return 0;
}

int cgroup_event_wait(int dirfd, const char *key, uint64_t value, int64_t deadline_ns)
{
	AUTO(fd_close_p) int fd = openat(dirfd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (;;) {
		char text[256];
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
		if (n < 0)
			return -errno;
		text[n] = '\0';
		uint64_t now;
		if (!cgroup_field(text, key, &now))
			return -ENOTSUP;
		if (now == value)
			return 0;
		int64_t left_ms = (deadline_ns - clock_mono_ns()) / NS_PER_MS;
		if (left_ms <= 0)
			return -ETIMEDOUT;
		struct pollfd p = { .fd = fd, .events = POLLPRI };
		if (poll(&p, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms) < 0 && errno != EINTR)
			return -errno;
	}
}
