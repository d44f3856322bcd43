/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that act on a container's cgroup: pause, resume, ps. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "oci/oci.h"

static const struct opt freeze_opts[] = { { 0 } };

static int freeze(const struct oci *oci, const struct args *args, bool frozen, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	struct cgroup_layout layout;
	struct cgroup cgroup;
	/* Paused while it is made it would never be: one that runs at once has a first process before. */
	int r = frozen ? oci_open_locked(oci, args->argv[0], false, &subject, err)
		       : oci_open(oci, args->argv[0], &subject, err);

	if (r < 0)
		return r;
	if (subject.status == CONTAINER_STOPPED || subject.status == CONTAINER_CREATING ||
	    (!frozen && subject.status != CONTAINER_PAUSED))
		return err_say(err, EINVAL, "container '%s' cannot be %s: it is %s",
			       subject.container.id, frozen ? "paused" : "resumed",
			       container_status_names[subject.status]);
	r = oci_cgroup(&subject, &layout, &cgroup, err);
	if (r < 0)
		return r;
	r = cgroup_freeze(&cgroup, frozen, err);
	cgroup_close(&cgroup);
	return r;
}

static int pause_container(const struct oci *oci, const struct args *args, struct err *err)
{
	return freeze(oci, args, true, err);
}

static int resume_container(const struct oci *oci, const struct args *args, struct err *err)
{
	return freeze(oci, args, false, err);
}

const struct verb oci_verb_pause = {
	.name = "pause",
	.operands = "ID",
	.summary = "stop all processes of a container where they are",
	.opts = freeze_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = pause_container,
};
const struct verb oci_verb_resume = {
	.name = "resume",
	.operands = "ID",
	.summary = "let them go on",
	.opts = freeze_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = resume_container,
};

static const struct opt ps_opts[] = {
	{ 'f', OPT_TEXT, "format", "FORMAT", "table (default) or json" },
	{ 0 },
};

static int ps_print(const pid_t *pids, size_t n, bool json)
{
	if (!json)
		(void)puts("PID");
	for (size_t i = 0; i < n; i++)
		(void)printf(json ? "%s%d" : "%s%d\n", !json ? "" : i ? "," : "[", (int)pids[i]);
	if (json)
		(void)puts(n ? "]" : "[]");
	return 0;
}

static int ps(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	const char *format = args_text(args, "format", "table");
	pid_t *pids = NULL;
	size_t n = 0;
	int r = oci_open(oci, args->argv[0], &subject, err);

	if (r < 0)
		return r;
	if (strcmp(format, "json") != 0 && strcmp(format, "table") != 0)
		return err_say(err, EINVAL, "--format %.40s: must be table or json", format);
	r = oci_pids(&subject, &pids, &n, err);
	if (r == 0)
		r = ps_print(pids, n, !strcmp(format, "json"));
	free(pids);
	return r;
}

const struct verb oci_verb_ps = {
	.name = "ps",
	.operands = "ID",
	.summary = "list the processes of a container, by the host's numbers",
	.opts = ps_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = ps,
};
