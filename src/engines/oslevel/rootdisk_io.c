/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/rootdisk_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/private.h"

#define LOOPS_SEEN 4096 /* entries of /sys/block that are looked at */

/* Is this the instance's root.ext4? Its directory has the id for a name. */
static bool loop_is_root(const char *file, const char *id)
{
	char tail[128];
	const size_t len = strcspn(file, "\n");
	int n = snprintf(tail, sizeof(tail), "/%s/" ROOTDISK_FILE, id);

	return n > 0 && (size_t)n < sizeof(tail) && len > (size_t)n &&
	       !strncmp(file + len - n, tail, (size_t)n);
}

/* The file system's own device, or one that it is a part or a mapping of. */
static bool disk_is_below(const char *device, dev_t fs)
{
	char path[512];
	struct stat st;
	const char *name = strrchr(device, '/');

	if (stat(device, &st) < 0 || !S_ISBLK(st.st_mode) || !name)
		return false;
	if (st.st_rdev == fs)
		return true;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves%s", major(fs), minor(fs),
		       name); /* a cut one is not there */
	if (access(path, F_OK) == 0)
		return true;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(fs), minor(fs));
	AUTO(buf_fini) struct buf whole = { 0 };
	unsigned a, b;
	return file_read(AT_FDCWD, path, 64, &whole) == 0 &&
	       sscanf(buf_str(&whole), "%u:%u", &a, &b) == 2 && makedev(a, b) == st.st_rdev;
}

/* The loop devices of its root, and on which device that lies. */
static unsigned loops_find(const char *sys_block, const char *id, char ret[ROOTDISK_LOOPS][32],
			   dev_t *ret_fs)
{
	AUTO(dir_close_p) DIR *dir = opendir(sys_block);
	unsigned n = 0, seen = 0;

	for (struct dirent *e; dir && n < ROOTDISK_LOOPS && seen < LOOPS_SEEN && (e = readdir(dir));
	     seen++) {
		AUTO(buf_fini) struct buf file = { 0 };
		char path[300];
		struct stat st;
		if (strncmp(e->d_name, "loop", 4) != 0 || strlen(e->d_name) > 16)
			continue;
		(void)snprintf(path, sizeof(path), "%s/loop/backing_file", e->d_name); /* fits */
		if (file_read(dirfd(dir), path, 8192, &file) < 0 ||
		    !loop_is_root(buf_str(&file), id))
			continue;
		file.data[strcspn(file.data, "\n")] = '\0';
		if (stat(file.data, &st) < 0)
			continue;
		*ret_fs = st.st_dev;
		(void)snprintf(ret[n++], 32, "/dev/%.16s", e->d_name); /* fits */
	}
	return n;
}

int rootdisk_limits(const char *sys_block, const struct spec *spec,
		    const struct spec_limits *limits, struct rootdisk_limits *ret, struct err *err)
{
	dev_t fs = 0;

	*ret = (struct rootdisk_limits){ .limits = *limits };
	ret->limits.io = NULL;
	ret->limits.n_io = 0;
	if (!limits->n_io)
		return 0;
	const unsigned loops =
		spec->root_bytes ? loops_find(sys_block, spec->id, ret->loops, &fs) : 0;
	ret->limits.io = calloc(limits->n_io * (1 + ROOTDISK_LOOPS), sizeof(*ret->limits.io));
	if (!ret->limits.io)
		return err_set(err, ENOMEM, "limits of the root's disk");
	for (size_t i = 0; i < limits->n_io; i++) {
		ret->limits.io[ret->limits.n_io++] = limits->io[i];
		const unsigned n = loops && disk_is_below(limits->io[i].device, fs) ? loops : 0;
		for (unsigned k = 0; k < n; k++) {
			struct spec_io *io = &ret->limits.io[ret->limits.n_io++];
			*io = limits->io[i];
			io->device = ret->loops[k];
		}
	}
	return 0;
}

void rootdisk_limits_fini(struct rootdisk_limits *limits)
{
	free(limits->limits.io);
	limits->limits.io = NULL;
	limits->limits.n_io = 0;
}
