/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>

#include "base/os/wait.h"
#include "oci/oci.h"

static const struct opt run_opts[] = {
	OCI_OPTS_CREATE,
	{ 'd', OPT_SWITCH, "detach", NULL, "do not stay with it" },
	{ 0, OPT_SWITCH, "no-subreaper", NULL, "of runc: nobody here is one" },
	{ 0, OPT_SWITCH, "keep", NULL, "do not delete it once it has ended" },
	{ 0 },
};

static int run_stay(struct making *making, struct err *err)
{
	const bool tty = making->console >= 0;
	int master = tty ? foreground_master(making->console, err) : -EBADF;

	return tty && master < 0 ? master : foreground_wait(making->pid, master, err);
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
	container_unlock(&making.subject.container); /* made: while we stay, others may delete it */
	oci_poststart(oci, &making.hooks, making.pid);
	if (detach)
		return 0;
	r = run_stay(&making, err);
	if (r < 0) {
		(void)kill(making.pid, SIGKILL); /* ours: there until waited for */
		(void)wait_child(making.pid);
	}
	if (r >= 0 && args_on(args, "keep"))
		return r;
	int gone = oci_destroy_later(oci, &making.subject, r < 0 ? NULL : err);
	return r < 0 || gone == 0 ? r : gone;
}

const struct verb oci_verb_run = {
	.name = "run",
	.operands = "ID",
	.summary = "make a container, start it, and delete it once it has ended",
	.opts = run_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
