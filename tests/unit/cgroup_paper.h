/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A group of cgroup v2 on paper: plain files stand in for the controllers that this host's kernel gives to v1, so what is written and
 * read is tested, not what the kernel makes of it. For tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

struct paper {
	char dir[32];
	struct cgroup_layout layout;
	struct cgroup group;
};

static inline void paper_write(const struct paper *p, const char *name, const char *text)
{
	int fd = openat(p->group.fds[0], name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	fd_close(fd);
}

/* paper_open() - without a file yet; paper_fini() takes it away */
static inline void paper_open(struct paper *p, const char *controllers)
{
	struct cgroup_hierarchy *h = &p->layout.hierarchies[0];

	*p = (struct paper){ .dir = "/tmp/cgroup-test-XXXXXX" };
	assert_non_null(mkdtemp(p->dir));
	p->layout.n = 1;
	*h = (struct cgroup_hierarchy){ .v2 = true, .used = true };
	h->controllers = cgroup_controllers_parse(controllers);
	(void)snprintf(h->mount, sizeof(h->mount), "%s", p->dir); /* fits */
	p->group = (struct cgroup){ .layout = &p->layout, .path = "one" };
	for (int i = 0; i < CGROUP_HIERARCHIES; i++)
		p->group.fds[i] = -EBADF;
	p->group.fds[0] = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static inline void paper_fini(struct paper *p)
{
	cgroup_close(&p->group);
	if (p->dir[0])
		(void)dir_remove(AT_FDCWD, p->dir);
}
