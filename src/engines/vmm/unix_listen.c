/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/unix_listen.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"

/* Whether nobody is behind the socket file that is in our way. */
static bool listen_is_stale(const struct sockaddr_un *at)
{
	struct stat st;

	if (lstat(at->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	AUTO(fd_close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 &&
	       errno == ECONNREFUSED;
}

int unix_listen(int fd, const struct sockaddr_un *at, int backlog)
{
	const struct sockaddr *to = (const struct sockaddr *)at;

	(void)fchmod(fd, 0600); /* what the file will have; a socket of ours: cannot fail */
	if (bind(fd, to, sizeof(*at)) < 0) {
		if (errno != EADDRINUSE)
			return -errno;
		if (!listen_is_stale(at))
			return -EADDRINUSE;
		if (unlink(at->sun_path) < 0 || bind(fd, to, sizeof(*at)) < 0)
			return -errno;
	}
	return listen(fd, backlog) < 0 ? -errno : 0;
}
