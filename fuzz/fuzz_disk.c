/* SPDX-License-Identifier: Apache-2.0 */
/* Two layers' tars, the first as long as the first two bytes say, merged and written as a disk: by no right, into memory. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/archive/erofs.h"
#include "storage/archive/merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_MAX 65536U /* blocks: what is written is kept in memory */

static int one_layer(struct merge *merge, const uint8_t *data, size_t size)
{
	AUTO(reader_free_p) struct reader *reader = NULL;
	AUTO(fd_close_p) int fd = memfd_create("layer", MFD_CLOEXEC);
	struct err err;

	if (fd_write_all(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	return reader_open(fd, "fuzz", &reader, &err) == 0 ? merge_layer(merge, reader, &err) : -1;
}

static void contents(const struct erofs *fs, int fd)
{
	for (const struct tree_inode *inode = fs->first; inode; inode = inode->work) {
		if (!S_ISREG(inode->mode) || !inode->size)
			continue;
		(void)erofs_write_data(fs, fd, inode, inode->size - 1, "x", 1);
		if (erofs_write_data(fs, fd, inode, inode->size, "x", 1) >= 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t uuid[16] = { 1 };
	AUTO(tree_fini) struct tree tree = { 0 };
	struct merge merge = { .tree = &tree };
	struct erofs fs;
	struct err err;
	struct stat st;

	if (size < 2 || tree_init(&tree, &err) < 0)
		return 0;
	size_t first = (size_t)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	if (first > size)
		first = size;
	(void)one_layer(&merge, data, first);
	(void)one_layer(&merge, data + first, size - first);
	if (erofs_layout(&tree, &fs, &err) < 0 || fs.data_blocks > DISK_MAX)
		return 0;
	AUTO(fd_close_p) int fd = memfd_create("disk", MFD_CLOEXEC);
	if (erofs_write(&fs, fd, uuid, &err) < 0)
		abort();
	contents(&fs, fd);
	/* All that was written has a place inside. */
	if (fstat(fd, &st) < 0 || st.st_size % EROFS_BLOCK)
		abort();
	return 0;
}
