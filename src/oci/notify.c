/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"

/* A socket's path has 107 bytes: through its directory's fd it is short. */
int unix_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	int n = snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1,
			 slash ? path : ".");
	if (n < 0 || (size_t)n >= sizeof(dir))
		return -ENAMETOOLONG;
	AUTO(fd_close_p) int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd_close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (dir_fd < 0 || fd < 0)
		return -errno;
	n = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir_fd,
		     slash ? slash + 1 : path);
	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return fd_take(&fd);
}

char *notify_text(const struct notify *notify, enum container_status status, pid_t pid)
{
	AUTO(json_decref_p) json_t *state = NULL;
	char *text = container_state(notify->container, notify->config, status,
				     notify->container->pid ? notify->container->pid : pid);

	if (text)
		state = json_loads(text, 0, NULL);
	free(text);
	if (!state)
		return NULL;
	AUTO(json_decref_p)
	json_t *json = json_pack("{s:s, s:[s], s:i, s:s, s:O}", "ociVersion", CONFIG_VERSION, "fds",
				 "seccompFd", "pid", (int)pid, "metadata",
				 json_str(notify->config->seccomp, "listenerMetadata", ""), "state",
				 state);
	return json ? json_text(json, 0) : NULL;
}

int notify_send(void *arg, pid_t pid, int fd, struct err *err)
{
	const struct notify *notify = arg;
	const char *path = json_str(notify->config->seccomp, "listenerPath", "");
	enum container_status status = container_status_of(notify->container, NULL);
	AUTO(fd_close_p) int socket = unix_connect(path);

	if (socket < 0)
		return err_set(err, -socket,
			       "linux.seccomp.listenerPath %s: nobody takes notifications", path);
	char *text = notify_text(notify, status, pid);
	if (!text)
		return err_set(err, ENOMEM, "state of the container");
	const struct iovec iov = { .iov_base = text, .iov_len = strlen(text) };
	int r = fd_send(socket, &iov, 1, fd);
	free(text);
	return r < 0 ? err_set(err, -r, "linux.seccomp.listenerPath %s", path) : 0;
}
