/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a running virtual machine: asked of the agent inside, one connection a question. */
#include <errno.h>

#include "base/os/fd.h"
#include "engines/vmm/agent_exec.h"
#include "engines/vmm/guest.h"
#include "engines/vmm/vmm_agent_socket.h"

static int files_connect(const struct spec *spec, const char *run_dir, struct err *err)
{
	if (!spec->vm.agent)
		return err_say(err, ENOTSUP,
			       "%s runs a kernel of its own, with no agent of ours inside: give it "
			       "files as a disk (--disk)",
			       spec->name);
	int fd = vmm_agent_connect(run_dir, err);
	/* A path's errors are another thing: a machine that just ended is not one. */
	return fd == -ENOENT || fd == -ENOTDIR
		       ? err_say(err, ESRCH, "%s ends or has ended just now", spec->name)
		       : fd;
}

static int files_stat(const struct spec *spec, const char *run_dir, const char *path, bool follow,
		      mode_t *ret_mode, struct err *err)
{
	AUTO(fd_close_p) int fd = files_connect(spec, run_dir, err);
	struct agent_stat stat;
	int r = fd < 0 ? fd : agent_stat(fd, path, follow, &stat, err);

	if (r == 0)
		*ret_mode = stat.mode;
	return r;
}

static int files_get(const struct spec *spec, const char *run_dir, const char *path, bool follow,
		     const char *as, int out_fd, struct err *err)
{
	AUTO(fd_close_p) int fd = files_connect(spec, run_dir, err);

	return fd < 0 ? fd : agent_get(fd, path, follow, as, out_fd, err);
}

static int files_put(const struct spec *spec, const char *run_dir, const char *path, int in_fd,
		     struct err *err)
{
	AUTO(fd_close_p) int fd = files_connect(spec, run_dir, err);

	return fd < 0 ? fd : agent_put(fd, path, in_fd, err);
}

const struct guest_files vmm_guest_files = {
	.stat = files_stat,
	.get = files_get,
	.put = files_put,
};
