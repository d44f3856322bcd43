/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/program.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/wait.h"
#include "storage/helper.h"

#define PROGRAM_ARGS 32
#define TEXT_MAX     (1U << 20)

int program_run(const char *const *argv, const char *dir, struct buf *ret_text, struct err *err)
{
	/* Words of programs are looked at: they are to be English. */
	const char *args[PROGRAM_ARGS] = { "env", "LC_ALL=C" };
	AUTO(fd_close_p) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t n = 2;
	int pipes[2];
	pid_t pid;

	if (dir) {
		args[1] = "-C";
		args[2] = dir;
		args[3] = "LC_ALL=C";
		n = 4;
	}
	for (size_t i = 0; argv[i]; i++) {
		if (n == ARRAY_SIZE(args) - 1)
			return err_set(err, E2BIG, "run %s", argv[0]);
		args[n++] = argv[i];
	}
	args[n] = NULL;
	if (null < 0 || pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "run %s", argv[0]);
	const int fds[] = { null, pipes[1], pipes[1] };
	int r = helper_spawn(args, fds, ARRAY_SIZE(fds), &pid, err);
	fd_close(pipes[1]);
	if (r == 0)
		(void)fd_read_all(pipes[0], TEXT_MAX, ret_text); /* a cut text is still a text */
	fd_close(pipes[0]);
	if (r < 0)
		return r;
	int status = helper_wait(pid);
	return wait_status(status);
}

const char *program_last_line(struct buf *text)
{
	while (text->len && strchr("\r\n ", text->data[text->len - 1]))
		text->data[--text->len] = '\0';
	if (!text->len)
		return "failed without a word";
	const char *line = strrchr(text->data, '\n');
	return line ? line + 1 : text->data;
}
