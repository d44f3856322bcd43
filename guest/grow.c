/* SPDX-License-Identifier: Apache-2.0 */
#include "grow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/core/bytes.h"
#include "base/os/fd.h"

/* Linux, Documentation/filesystems/ext4/super.rst, "Super Block": at byte 1024. */
#define GROW_SUPER_AT  1024
#define GROW_BLOCKS_LO 0x4
#define GROW_LOG_BLOCK 0x18 /* a block has 1024 << this bytes */
#define GROW_MAGIC_AT  0x38
#define GROW_MAGIC     0xef53
#define GROW_INCOMPAT  0x60
#define GROW_64BIT     0x80 /* there is a high half */
#define GROW_BLOCKS_HI 0x150
#define GROW_LOG_MAX   6

/* Linux, Documentation/admin-guide/ext4.rst, "Ioctls": EXT4_IOC_RESIZE_FS. */
#define GROW_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

uint64_t grow_blocks(const uint8_t super[GROW_SUPER_BYTES], uint64_t disk_bytes)
{
	uint32_t log = le32_load(super + GROW_LOG_BLOCK);
	uint64_t has = le32_load(super + GROW_BLOCKS_LO);

	if (le16_load(super + GROW_MAGIC_AT) != GROW_MAGIC || log > GROW_LOG_MAX)
		return 0;
	if (le32_load(super + GROW_INCOMPAT) & GROW_64BIT)
		has |= (uint64_t)le32_load(super + GROW_BLOCKS_HI) << 32;
	uint64_t may = disk_bytes >> (10 + log);
	return may > has ? may : 0;
}

int grow_ext4(int mount, const char *disk, struct err *err)
{
	AUTO(fd_close_p) int device = open(disk, O_RDONLY | O_CLOEXEC);
	uint8_t super[GROW_SUPER_BYTES];
	uint64_t bytes = 0;

	if (device < 0 || ioctl(device, BLKGETSIZE64, &bytes) < 0)
		return err_set(err, errno, "ask disk %s for its size", disk);
	if (pread(device, super, sizeof(super), GROW_SUPER_AT) != sizeof(super))
		return err_set(err, errno, "read disk %s", disk);
	uint64_t blocks = grow_blocks(super, bytes);
	if (!blocks)
		return 0;
	AUTO(fd_close_p) int top = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0 || ioctl(top, GROW_IOC_RESIZE_FS, &blocks) < 0)
		return err_set(err, errno, "grow the file system on %s", disk);
	return 0;
}
