/* SPDX-License-Identifier: Apache-2.0 */
/* A tar for `strata cp` into a VM, unpacked by strata-init's reader; a canary beside the root must stay alone. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "tar.h"

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

static ssize_t fuzz_read(struct tar_stream *stream, void *ret, size_t len)
{
	struct fuzz_input *input = stream->arg;
	size_t n = len < input->left ? len : input->left;

	if (n)
		memcpy(ret, input->at, n);
	input->at += n;
	input->left -= n;
	return (ssize_t)n;
}

static int fuzz_write(struct tar_stream *stream, const void *data, size_t len)
{
	(void)stream;
	(void)data;
	(void)len;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct tar_stream stream = { fuzz_read, fuzz_write, &input };
	char dir[64] = "/tmp/guest-fuzz-XXXXXX";
	struct stat st;
	struct err err = { 0 };

	/* Directories of any mode must be removable again. */
	if (geteuid() != 0 || !mkdtemp(dir))
		return 0;
	AUTO(fd_close_p) int outer = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(outer, "in", 0755) < 0)
		abort();
	AUTO(fd_close_p) int in = openat(outer, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tar_in(&stream, in, "/to", &err) == 0) /* what was unpacked can be packed */
		(void)tar_out(&stream, in, "/to", false, NULL, &err);
	else if (!err.text[0])
		abort();
	if (dir_remove(outer, "in") < 0 || fstat(outer, &st) < 0 || st.st_nlink > 2 ||
	    rmdir(dir) < 0)
		abort();
	return 0;
}
