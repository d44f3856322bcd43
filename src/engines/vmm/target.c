/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"

#define TARGET_FILE_MAX 32

int vmm_target_refuse(const struct spec *spec, uint64_t booted_bytes, struct err *err)
{
	return err_say(err, ENOTSUP,
		       "--memory: %s booted with %" PRIu64 " MiB, and gets no more while it runs: "
		       "stop it ('strata stop %s'), update it, and start it",
		       spec->name, booted_bytes >> 20, spec->name);
}

int vmm_target_none(const struct spec *spec, struct err *err)
{
	return err_say(err, ENOTSUP,
		       "--memory: %s has no balloon, and keeps what it booted with: stop it "
		       "('strata stop %s'), update it, and start it",
		       spec->name, spec->name);
}

int vmm_target_limits(const struct spec *spec, const struct spec_limits *change,
		      uint64_t *ret_bytes, struct err *err)
{
	*ret_bytes = 0;
	if (change->pids)
		return err_say(
			err, ENOTSUP,
			"--pids-limit of a running virtual machine is what it booted with: stop it "
			"('strata stop %s'), update it, and start it",
			spec->name);
	if (change->memory_bytes < 0)
		return err_say(err, ENOTSUP,
			       "--memory: a virtual machine has memory of some size: name one");
	if (change->memory_swap_bytes || change->memory_reservation_bytes)
		return err_say(err, ENOTSUP,
			       "--memory-swap or --memory-reservation is not for a virtual "
			       "machine: --memory is the size of its memory");
	*ret_bytes = (uint64_t)change->memory_bytes;
	return 0;
}

int vmm_target_check(const struct spec *spec, const char *run_dir, uint64_t bytes, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(fd_close_p) int dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : file_read(dir, TARGET_FILE, TARGET_FILE_MAX, &text);

	if (r == -ENOENT)
		return vmm_target_none(spec, err);
	if (r < 0)
		return err_set(err, -r, "read %s/" TARGET_FILE, run_dir);
	const uint64_t booted = strtoull(buf_str(&text), NULL, 10);
	return bytes > booted ? vmm_target_refuse(spec, booted, err) : 0;
}

int vmm_target_set(const struct spec *spec, const char *run_dir, uint64_t bytes, struct err *err)
{
	AUTO(fd_close_p) int dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd_close_p)
	int fifo =
		dir < 0 ? -1
			: openat(dir, TARGET_FIFO, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

	if (fifo < 0)
		return err_set(err, errno == ENXIO ? ESRCH : errno, "tell %s of its memory",
			       spec->name);
	/* Whole, or not at all: it is less than PIPE_BUF. */
	return write(fifo, &bytes, sizeof(bytes)) < 0
		       ? err_set(err, errno, "tell %s of its memory", spec->name)
		       : 0;
}
