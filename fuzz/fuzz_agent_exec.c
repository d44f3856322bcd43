/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile guest says in an exec session: it ends with a status and words, whatever comes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/vmm/agent_exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *args[] = { "true", NULL };
	const struct spec spec = { .args = args, .n_args = 1 };
	struct err err = { 0 };
	int pair[2], status = -1;

	(void)signal(SIGPIPE, SIG_IGN);
	if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	AUTO(fd_close_p) int host = pair[0];
	AUTO(fd_close_p) int guest = pair[1];
	AUTO(fd_close_p) int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (fd_write_all(guest, "OK 1\n", 5) < 0 || fd_write_all(guest, data, size) < 0 ||
	    shutdown(guest, SHUT_WR) < 0)
		abort();
	const struct agent_exec exec = { .socket = host,
					 .spec = &spec,
					 .in = -EBADF,
					 .out = null,
					 .err = null,
					 .tty = -EBADF,
					 .signals = -EBADF,
					 .started = -EBADF };
	int r = agent_exec(&exec, &status, &err);
	if (r < 0 && (status < 125 || status > 127 || !err.text[0] || strpbrk(err.text, "\n\x1b")))
		abort();
	if (r == 0 && (status < 0 || status > 255))
		abort();
	return 0;
}
