/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/private.h"

/*
 * A time namespace's offsets are written before its first process is born, by whoever unshared it: time_namespaces(7).
 * The writer itself stays in its old one, its children do not: so it goes back after the clone.
 */
int timens_enter(const struct spec_time_offsets *offsets, int *ret_back, struct err *err)
{
	char text[96];

	*ret_back = -EBADF;
	AUTO(fd_close_p) int back = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
	if (back < 0)
		return err_say(err, ENOTSUP, "--time-offset: this kernel has no time namespaces");
	if (unshare(CLONE_NEWTIME) < 0)
		return err_set(err, errno, "make a time namespace");
	(void)snprintf(text, sizeof(text),
		       "monotonic %" PRId64 " %" PRIu32 "\nboottime %" PRId64 " %" PRIu32 "\n",
		       offsets->monotonic_s, offsets->monotonic_ns, offsets->boottime_s,
		       offsets->boottime_ns); /* fits */
	int r = file_write(AT_FDCWD, "/proc/self/timens_offsets", text);
	if (r < 0) {
		(void)timens_leave(fd_take(&back), NULL); /* the first error is the one to report */
		return r == -ERANGE
			       ? err_say(err, ERANGE,
					 "--time-offset: a clock would be before 0 or too far ahead")
			       : err_set(err, -r, "set the clocks of a time namespace");
	}
	*ret_back = fd_take(&back);
	return 0;
}

int timens_leave(int back, struct err *err)
{
	AUTO(fd_close_p) int ns = back;

	if (ns >= 0 && setns(ns, CLONE_NEWTIME) < 0)
		return err_set(err, errno, "return from a time namespace");
	return 0;
}
