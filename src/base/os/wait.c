/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/wait.h"

#include <errno.h>
#include <sys/wait.h>

int wait_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int wait_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return wait_status(status);
}
