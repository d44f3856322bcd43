/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/dev.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/core/macros.h"

static const struct {
	const char *name;
	unsigned major, minor;
} default_nodes[] = {
	{ "null", 1, 3 },   { "zero", 1, 5 },	 { "full", 1, 7 },
	{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};
static const struct {
	const char *name, *to;
} default_links[] = {
	{ "fd", "/proc/self/fd" },	 { "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
	{ "ptmx", "pts/ptmx" },
};

int dev_node(int dev, const char *name, mode_t mode, dev_t rdev, struct err *err)
{
	if (mknodat(dev, name, mode, rdev) < 0)
		return err_set(err, errno, "make device /dev/%s", name);
	/* The umask of whoever started us is not the guest's. */
	if (fchmodat(dev, name, mode & 07777, 0) < 0)
		return err_set(err, errno, "make device /dev/%s", name);
	return 0;
}

int dev_nodes(int dev, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(default_nodes); i++)
		r = dev_node(dev, default_nodes[i].name, S_IFCHR | 0666,
			     makedev(default_nodes[i].major, default_nodes[i].minor), err);
	return r;
}

int dev_links(int dev, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(default_links); i++) {
		if (symlinkat(default_links[i].to, dev, default_links[i].name) < 0 &&
		    errno != EEXIST)
			return err_set(err, errno, "make /dev/%s", default_links[i].name);
	}
	return 0;
}
