/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a Debian kernel package: its files where they belong and nowhere else, or one line. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "storage/archive/kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const wanted[] = { "virtio", NULL };
	AUTO(json_decref_p) json_t *result = NULL;
	char dir[64] = "/tmp/kernel-fuzz-XXXXXX";
	struct err err = { 0 };
	struct stat st;

	if (!mkdtemp(dir))
		return 0;
	AUTO(fd_close_p) int outer = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd_close_p) int deb = memfd_create("deb", MFD_CLOEXEC);
	if (mkdirat(outer, "in", 0755) < 0 || fd_write_all(deb, data, size) < 0 ||
	    lseek(deb, 0, SEEK_SET) < 0)
		abort();
	AUTO(fd_close_p) int in = openat(outer, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = kernel_unpack(deb, "fuzz", in, wanted, &result, &err);
	if (r < 0 && (!err.text[0] || strchr(err.text, '\n')))
		abort();
	if (r == 0 && (faccessat(in, "vmlinuz", R_OK, 0) < 0 || !json_str(result, "version", NULL)))
		abort();
	/* Nothing beside "in". */
	if (dir_remove(outer, "in") < 0 || fstat(outer, &st) < 0 || st.st_nlink > 2 ||
	    rmdir(dir) < 0)
		abort();
	return 0;
}
