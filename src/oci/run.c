/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/os/fd.h"
#include "oci/oci.h"

static const struct opt run_opts[] = {
	OCI_OPTS_CREATE,
	{ 'd', OPT_SWITCH, "detach", NULL, "do not stay with it" },
	{ 0 },
};

/* Started, but not waited for. */
static int run_start(const struct oci *oci, struct making *making, struct err *err)
{
	int r = bundle_start(&making->made, err);

	if (r == 0)
		oci_poststart(oci, &making->hooks, making->made.pid);
	return r;
}

static int run_stay(const struct oci *oci, struct making *making, struct err *err)
{
	AUTO(fd_close_p) int master = -EBADF;
	int r = 0;

	if (making->console >= 0)
		r = master = foreground_master(making->console, err);
	if (r >= 0)
		r = run_start(oci, making, err);
	return r < 0 ? r : foreground_wait(making->made.pid, fd_take(&master), err);
}

static int run(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_make_done) struct making making;
	const bool detach = args_on(args, "detach");

	if (!detach)
		foreground_begin();
	int r = oci_make(oci, args, detach ? MAKE_FOR_LEAVING : MAKE_FOR_STAYING, &making, err);
	if (r < 0)
		return r;
	r = detach ? run_start(oci, &making, err) : run_stay(oci, &making, err);
	if (r >= 0 && detach)
		return 0;
	if (r < 0) {
		(void)kill(making.made.pid, SIGKILL); /* ours: there until waited for */
		while (waitpid(making.made.pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	int gone = oci_destroy(oci, &making.subject, r < 0 ? NULL : err);
	return r < 0 || gone == 0 ? r : gone;
}

const struct verb verb_run = {
	.name = "run",
	.operands = "ID",
	.summary = "make a container, start it, and delete it once it has ended",
	.opts = run_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
