/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's tar, packed or not, unpacked as whoever runs this; a canary beside it must stay alone. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "storage/archive/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(reader_free_p) struct reader *reader = NULL;
	const struct unpack_opts opts = { .prefix = "", .overlay = true };
	struct unpack_report report = { 0 };
	char dir[64] = "/tmp/storage-fuzz-XXXXXX";
	char hex[DIGEST_HEX + 1];
	struct stat st;
	struct err err;

	/* Directories of any mode must be removable again, as root or not. */
	if (!mkdtemp(dir) || geteuid() != 0)
		return 0;
	AUTO(fd_close_p) int outer = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd_close_p) int tar = memfd_create("tar", MFD_CLOEXEC);
	if (mkdirat(outer, "in", 0755) < 0 || fd_write_all(tar, data, size) < 0 ||
	    lseek(tar, 0, SEEK_SET) < 0)
		abort();
	AUTO(fd_close_p) int in = openat(outer, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (reader_open(tar, "fuzz", &reader, &err) == 0 &&
	    unpack(in, reader, &opts, &report, &err) == 0)
		(void)reader_end(reader, hex, &err); /* damage after the tar's end is no crash */
	if (dir_remove(outer, "in") < 0 || fstat(outer, &st) < 0 || st.st_nlink > 2 ||
	    rmdir(dir) < 0)
		abort();
	return 0;
}
