/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/cpio.h"

#include <string.h>

static void cpio_pad(struct cpio *cpio)
{
	static const char zeroes[4];

	(void)buf_add(&cpio->out, zeroes, (4 - cpio->out.len % 4) % 4);
}

static void cpio_entry(struct cpio *cpio, const char *name, mode_t mode, const void *data,
		       uint32_t len, unsigned major, unsigned minor)
{
	size_t name_len = strlen(name) + 1;

	/* inode, mode, uid, gid, links, time, size, device (2), of a device (2), name's size, checksum */
	(void)buf_printf(&cpio->out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			 cpio->inode++, (unsigned)mode, 0U, 0U, 1U, 0U, len, 0U, 0U, major, minor,
			 (unsigned)name_len, 0U);
	(void)buf_add(&cpio->out, name, name_len);
	cpio_pad(cpio);
	(void)buf_add(&cpio->out, data, len);
	cpio_pad(cpio);
}

void cpio_add(struct cpio *cpio, const char *name, mode_t mode, const void *data, uint32_t len)
{
	cpio_entry(cpio, name, mode, data, len, 0, 0);
}

void cpio_device(struct cpio *cpio, const char *name, mode_t mode, unsigned major, unsigned minor)
{
	cpio_entry(cpio, name, mode, NULL, 0, major, minor);
}

void cpio_end(struct cpio *cpio)
{
	cpio_entry(cpio, "TRAILER!!!", 0, NULL, 0, 0, 0);
}
