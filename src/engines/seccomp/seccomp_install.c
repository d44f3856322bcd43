/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a filter, for the monitor: system calls only, no libseccomp. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines/seccomp/seccomp.h"
#include "engines/seccomp/seccomp_parts.h"

int seccomp_install_with(int fd, unsigned flags, int *ret_listener, struct err *err)
{
	struct {
		struct seccomp_file_head head;
		struct sock_filter filter[BPF_MAXINSNS];
	} file;

	/* An exec may use the same open file: leave its offset alone. */
	ssize_t n = pread(fd, &file, sizeof(file), 0);
	if (n < 0)
		return err_set(err, errno, "read seccomp filter");
	if ((size_t)n < sizeof(file.head) || file.head.magic != SECCOMP_FILE_MAGIC ||
	    file.head.count == 0 || file.head.count > BPF_MAXINSNS ||
	    (size_t)n != sizeof(file.head) + file.head.count * sizeof(file.filter[0]))
		return err_say(err, EBADMSG,
			       "seccomp filter is damaged; start again to rebuild it");

	struct sock_fprog program = { .len = (unsigned short)file.head.count,
				      .filter = file.filter };
	/*
	 * No SECCOMP_FILTER_FLAG_SPEC_ALLOW, as Docker: before Linux 5.16 a filter without it switches speculative
	 * store bypass off for the process, which is slower and safer; since then it changes nothing.
	 */
	if (ret_listener)
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (r < 0) {
		if (errno == EACCES)
			return err_say(
				err, EACCES,
				"load seccomp filter: it takes no_new_privs or CAP_SYS_ADMIN");
		return err_set(err, errno, "load seccomp filter");
	}
	if (ret_listener)
		*ret_listener = (int)r;
	return 0;
}

int seccomp_install(int fd, struct err *err)
{
	return seccomp_install_with(fd, 0, NULL, err);
}
