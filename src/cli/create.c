/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/create.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "cli/run_config.h"
#include "cli/verbs.h"

/* before the instance is made, so that a name that is taken costs nothing */
static int create_cidfile(const char *path, int *ret_fd, struct err *err)
{
	if (!path)
		return 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_set(err, errno, "--cidfile: create %s", path);
	*ret_fd = fd;
	return 0;
}

static int create_recorded(struct manager *manager, const json_t *config, int cid_fd,
			   struct instance *ret, struct err *err)
{
	struct instance instance = { 0 };

	int r = manager_create(manager, config, &instance, err);
	if (r < 0)
		return r;
	if (cid_fd >= 0)
		r = fd_write_all(cid_fd, instance.id, strlen(instance.id));
	if (r < 0) {
		(void)manager_remove(manager, &instance, true, true,
				     NULL); /* the first error is the one to report */
		instance_fini(&instance);
		return err_set(err, -r, "--cidfile: write the id");
	}
	*ret = instance;
	return 0;
}

int create_instance(struct cli *cli, const struct args *args, bool start,
		    struct manager **ret_manager, struct instance *ret, struct err *err)
{
	const char *cidfile = args_text(args, "cidfile", NULL);
	AUTO(json_decref_p) json_t *config = NULL;
	AUTO(fd_close_p) int cid_fd = -EBADF;
	struct manager *manager;

	int r = run_config(args, &config, err);
	if (r < 0)
		return r;
	r = cli_manager(cli, &manager, err);
	if (r == 0 && start)
		r = manager_prepare(manager, err);
	if (r < 0)
		return r;
	r = create_cidfile(cidfile, &cid_fd, err);
	if (r < 0)
		return r;
	r = create_recorded(manager, config, cid_fd, ret, err);
	if (r < 0) {
		if (cidfile)
			(void)unlink(cidfile); /* the first error is the one to report */
		return r;
	}
	*ret_manager = manager;
	return 0;
}

static int create_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct manager *manager;

	int r = create_instance(cli, args, false, &manager, &instance, err);
	if (r < 0)
		return r;
	(void)puts(instance.id); /* main() looks at ferror(stdout) */
	return 0;
}

const struct cmd cmd_create = {
	.name = "create",
	.operands = "[IMAGE [COMMAND [ARG...]]]",
	.summary = "Make an instance, for start",
	.opts = run_opts + RUN_ONLY_OPTS,
	.stop_at_operand = true,
	.min_operands = 0,
	.max_operands = -1,
	.run = create_run,
};
