/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"
#include "filtered.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/seccomp/seccomp.h"
#include "engines/seccomp/seccomp_parts.h"

static int filtered_file(const char *profile, uint64_t caps)
{
	struct seccomp_file_head head = { .magic = SECCOMP_FILE_MAGIC };
	AUTO(buf_fini) struct buf program = { 0 };
	struct err err = { 0 };
	const char *json = profile ? profile : seccomp_default_profile;

	if (seccomp_compile(json, strlen(json), caps, &program, &err) < 0)
		fail_msg("%s", err.text);
	head.count = (uint32_t)(program.len / sizeof(struct sock_filter));
	int fd = memfd_create("filter", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, &head, sizeof(head)), 0);
	assert_int_equal(fd_write_all(fd, program.data, program.len), 0);
	return fd;
}

int filtered(const char *profile, uint64_t caps, long (*call)(void))
{
	AUTO(fd_close_p) int fd = filtered_file(profile, caps);
	int status, answer[2];

	assert_int_equal(pipe(answer), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err = { 0 };
		int result;
		(void)signal(SIGSYS, SIG_DFL); /* cmocka has a handler */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_install(fd, &err) < 0)
			_exit(1);
		errno = 0;
		result = call() == -1 ? errno : 0;
		_exit(write(answer[1], &result, sizeof(result)) == sizeof(result) ? 0 : 2);
	}
	(void)close(answer[1]);
	int result = -1;
	ssize_t n = read(answer[0], &result, sizeof(result));
	(void)close(answer[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return FILTERED_KILLED;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(n, sizeof(result));
	return result;
}
