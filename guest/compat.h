/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What glibc 2.36 has and musl 1.2.3 lacks: the mount calls that the container engine's files use, which are linked into
 * strata-init. Included before every file of that build (guest/meson.build), and of no other.
 */
#include <fcntl.h>
#ifndef __GLIBC__
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define __O_TMPFILE (O_TMPFILE & ~O_DIRECTORY)

static inline int fsopen(const char *type, unsigned flags)
{
	return (int)syscall(SYS_fsopen, type, flags);
}
static inline int fsconfig(int fd, unsigned command, const char *key, const void *value, int aux)
{
	return (int)syscall(SYS_fsconfig, fd, command, key, value, aux);
}
static inline int fsmount(int fd, unsigned flags, unsigned attrs)
{
	return (int)syscall(SYS_fsmount, fd, flags, attrs);
}
static inline int open_tree(int fd, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, fd, path, flags);
}
static inline int move_mount(int from, const char *from_path, int to, const char *to_path,
			     unsigned flags)
{
	return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}
static inline int mount_setattr(int fd, const char *path, unsigned flags, struct mount_attr *attr,
				size_t size)
{
	return (int)syscall(SYS_mount_setattr, fd, path, flags, attr, size);
}
static inline int close_range(unsigned first, unsigned last, int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}
#define CLOSE_RANGE_CLOEXEC (1U << 2) /* linux/close_range.h */
#endif
