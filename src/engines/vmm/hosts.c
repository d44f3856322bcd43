/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/agent.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "network/network.h"

int vmm_hosts_open(int run, struct vmm_hosts *ret, struct err *err)
{
	*ret = (struct vmm_hosts){ -EBADF, -EBADF };
	if (run < 0)
		return 0;
	AUTO(fd_close_p) int file = openat(run, "hosts", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "open the hosts file");
	if (mkfifoat(run, NETWORK_HOSTS_TOLD, 0600) < 0 && errno != EEXIST)
		return err_set(err, errno, "make %s", NETWORK_HOSTS_TOLD);
	/* For both, or each writer's end would be ours. */
	int told = openat(run, NETWORK_HOSTS_TOLD, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (told < 0)
		return err_set(err, errno, "open %s", NETWORK_HOSTS_TOLD);
	*ret = (struct vmm_hosts){ fd_take(&file), told };
	return 0;
}

int vmm_hosts_read(const struct vmm_hosts *hosts, struct buf *ret)
{
	char chunk[4096];

	while (read(hosts->told, chunk, sizeof(chunk)) > 0)
		;
	while (ret->len <= AGENT_HOSTS_MAX) {
		ssize_t n = pread(hosts->file, chunk, sizeof(chunk), (off_t)ret->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		int r = buf_add(ret, chunk, (size_t)n);
		if (r < 0)
			return r;
	}
	return -E2BIG;
}
