/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/life.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "compare/column.h"

/* "Pss:  1234 kB" of /proc/PID/smaps_rollup (proc_pid_smaps_rollup(5)): shared pages by their share. */
static double memory_pss_kib(pid_t pid)
{
	char path[64], text[4096];

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_text(fd, text, sizeof(text)) <= 0)
		return 0; /* it ended */
	const char *at = strstr(text, "\nPss:");
	return at ? strtod(at + 5, NULL) : 0;
}

/* MiB of all processes that run the column's instances. */
static int memory_of(struct column *column, double *ret, struct err *err)
{
	pid_t *pids = NULL;
	size_t n = 0;
	double kib = 0;
	int r = column->ops->processes(column, &pids, &n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		kib += memory_pss_kib(pids[i]);
	free(pids);
	*ret = kib / 1024;
	return kib > 0 ? 0 : err_say(err, ENODATA, "its processes' memory cannot be read");
}

static int memory_overhead(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	(void)ret_detail;
	if (!column->ops->processes)
		return err_say(err, ENOTSUP, "%s keeps no instance", column->ops->title);
	int r = column_session(column, err);
	return r < 0 ? r : memory_of(column, ret, err);
}

struct memory_density {
	json_t *points; /* [N, MiB of all N, ms to start the Nth] */
	double first_ms, last_ms;
};

static int memory_step(struct column *column, struct memory_density *d, unsigned n, struct err *err)
{
	double mib;
	int64_t begin = clock_mono_ns();
	int r = n == 1 ? column_session(column, err) : column->ops->add(column, column_idle, err);

	if (r < 0)
		return r;
	d->last_ms = (double)(clock_mono_ns() - begin) / NS_PER_MS;
	r = memory_of(column, &mib, err);
	if (r < 0)
		return r;
	/* a missing point misleads nobody */
	(void)json_array_append_new(d->points, json_pack("[i,f,f]", (int)n, mib, d->last_ms));
	return 0;
}

/* One slow start is the host's business with somebody else: it takes two in a row. */
static int memory_fill(struct column *column, struct memory_density *d, unsigned *ret_n,
		       struct err *err)
{
	unsigned most = column->setup->density_max, n = 0, slow = 0;
	int r = column_stop(column, err);

	while (r == 0 && n < most && slow < 2) {
		r = memory_step(column, d, n + 1, err);
		if (r < 0)
			break;
		n++;
		d->first_ms =
			n <= 2 && (n == 1 || d->last_ms < d->first_ms) ? d->last_ms : d->first_ms;
		slow = n > 2 && d->last_ms > 2 * d->first_ms ? slow + 1 : 0;
	}
	column->ops->clear(column);
	*ret_n = n - slow;
	return n > 1 && r != -EINTR ? 0 : r; /* no more than n: that is the figure */
}

static int memory_density(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	struct memory_density d = { .points = json_array() };
	unsigned n = 0;
	int r = column->ops->add && column->ops->processes
			? memory_fill(column, &d, &n, err)
			: err_say(err, ENOTSUP, "%s keeps no instances side by side",
				  column->ops->title);

	*ret = n;
	if (r == 0)
		*ret_detail = d.points;
	else
		json_decref(d.points);
	return r;
}

const struct metric metric_overhead = {
	.id = "memory.overhead",
	.title = "an idle instance and all that runs it (PSS)",
	.unit = "MiB",
	.source = "/proc/PID/smaps_rollup",
	.better = BETTER_LOW,
	.level = COMPARE_QUICK,
	.seconds = 2,
	.alone = true,
	.measure = memory_overhead,
};

const struct metric metric_density = {
	.id = "memory.density",
	.title = "idle instances side by side until a start takes twice as long",
	.unit = "instances",
	.source = "strata's own clock, /proc/PID/smaps_rollup",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 20,
	.once = true,
	.alone = true,
	.measure = memory_density,
};
