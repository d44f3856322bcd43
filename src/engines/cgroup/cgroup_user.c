/* SPDX-License-Identifier: Apache-2.0 */
/* The groups of whoever is not the host's root: those in directories that were made his. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/os/file.h"
#include "base/os/idspace.h"
#include "engines/cgroup/private.h"

#define OWN_GROUPS_MAX 65536

/* Groups can be made there, and processes moved into them from others below it: cgroup-v2.rst, "Delegation Containment". */
static bool is_ours(const char *dir, bool v2)
{
	char procs[PATH_MAX];
	int n = snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);

	return n > 0 && (size_t)n < sizeof(procs) &&
	       faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) == 0 &&
	       (!v2 || faccessat(AT_FDCWD, procs, W_OK, AT_EACCESS) == 0);
}

bool cgroup_layout_user(struct cgroup_layout *layout, const char *parent)
{
	unsigned n = 0;

	if (ids_here() == IDS_HOST)
		return false;
	for (unsigned i = 0; i < layout->n; i++) {
		const struct cgroup_hierarchy *h = &layout->hierarchies[i];
		char dir[sizeof(h->mount) + 258];
		(void)snprintf(dir, sizeof(dir), "%s%s%.255s", h->mount, parent[0] ? "/" : "",
			       parent); /* fits */
		if (is_ours(dir, h->v2))
			layout->hierarchies[n++] = *h;
		else
			layout->closed |= h->controllers;
	}
	layout->n = n;
	layout->n_others = 0;
	cgroup_layout_finish(layout);
	for (unsigned i = 0; i < n; i++)
		layout->closed &= ~layout->hierarchies[i].controllers;
	return true;
}

/* "0::/user.slice/..." of /proc/self/cgroup, which cgroups(7) describes; cut at size: then it is no directory */
bool cgroup_own_parse(const char *text, char *ret, size_t size)
{
	for (const char *line = text; *line;) {
		const size_t len = strcspn(line, "\n");
		if (!strncmp(line, "0::/", 4)) {
			(void)snprintf(ret, size, "%.*s", (int)(len - 4), line + 4);
			return true;
		}
		line += len + (line[len] == '\n');
	}
	return false;
}

int cgroup_user_parent(char ret[256])
{
	AUTO(buf_fini) struct buf text = { 0 };
	struct cgroup_layout layout;
	char own[256] = "", dir[PATH_MAX];

	ret[0] = '\0';
	int r = cgroup_layout_read(NULL, &layout, NULL);
	if (r == 0)
		r = file_read(AT_FDCWD, "/proc/self/cgroup", OWN_GROUPS_MAX, &text);
	if (r < 0 || layout.v2 < 0 || !cgroup_own_parse(buf_str(&text), own, sizeof(own)))
		return r;
	/* The highest, where no process is that keeps its groups from controllers. */
	for (bool found = false; own[0];) {
		int n = snprintf(dir, sizeof(dir), "%s/%s", layout.hierarchies[layout.v2].mount,
				 own);
		char *slash = strrchr(own, '/');
		if (n < 0 || (size_t)n >= sizeof(dir))
			return -ENAMETOOLONG;
		if (is_ours(dir, true)) {
			memcpy(ret, own, sizeof(own));
			found = true;
		} else if (found) {
			break;
		}
		*(slash ? slash : own) = '\0';
	}
	return 0;
}
