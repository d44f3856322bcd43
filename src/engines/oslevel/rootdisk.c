/* SPDX-License-Identifier: Apache-2.0 */
/* A root of bounded size: what an instance writes is on an ext4 file system of its own, in a file behind a loop device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/private.h"

#define ROOTDISK_TRIES 16 /* others take free loop devices too */

/* The device goes by itself with its last user, which the mount is. Source: loop(4), LO_FLAGS_AUTOCLEAR. */
static int rootdisk_loop(int file, char ret_path[32])
{
	const struct loop_config config = {
		.fd = (uint32_t)file,
		.info = { .lo_flags = LO_FLAGS_AUTOCLEAR },
	};
	AUTO(fd_close_p) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return -errno;
	for (int tries = 0; tries < ROOTDISK_TRIES; tries++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);
		if (n < 0)
			return -errno;
		(void)snprintf(ret_path, 32, "/dev/loop%d", n); /* fits */
		AUTO(fd_close_p) int loop = open(ret_path, O_RDWR | O_CLOEXEC);
		if (loop < 0)
			return -errno;
		if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
			return fd_take(&loop);
		if (errno != EBUSY)
			return -errno;
	}
	return -EBUSY;
}

int rootdisk_mount(const char *state_dir, struct err *err)
{
	char path[4096], device[32] = "/dev/loop-control";
	int n = snprintf(path, sizeof(path), "%s/" ROOTDISK_FILE, state_dir);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "state directory %s", state_dir);
	AUTO(fd_close_p) int file = open(path, O_RDWR | O_CLOEXEC);
	if (file < 0)
		return err_set(err, errno, "open %s", path);
	AUTO(fd_close_p) int loop = rootdisk_loop(file, device);
	if (loop < 0)
		return err_set(err, -loop, "a loop device for %s: %s", path, device);
	const struct mount_option options[] = { { "source", device }, { NULL, NULL } };
	int fd = mount_new("ext4", options, 0, err);
	return fd < 0 ? err_wrap(err, "mount %s", path) : fd;
}
