/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/bundle_tune.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

/* sched_setattr(2), "The sched_attr structure", its first version. */
struct tune_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
_Static_assert(sizeof(struct tune_sched_attr) == 48, "SCHED_ATTR_SIZE_VER0");

static int tune_scheduler(const struct tune_scheduler *asked, struct err *err)
{
	struct tune_sched_attr attr = {
		.size = sizeof(attr),
		.policy = asked->policy,
		.flags = asked->flags,
		.nice = asked->nice,
		.priority = asked->priority,
		.runtime = asked->runtime_ns,
		.deadline = asked->deadline_ns,
		.period = asked->period_ns,
	};

	return syscall(SYS_sched_setattr, 0, &attr, 0) < 0
		       ? err_set(err, errno, "process.scheduler")
		       : 0;
}

static int tune_memory(const struct tune_memory *asked, struct err *err)
{
	/* The kernel takes one off: set_mempolicy(2) counts bits from 1. */
	const unsigned long bits = asked->has_nodes ? CPU_SETSIZE + 1 : 0;

	return syscall(SYS_set_mempolicy, asked->mode, asked->has_nodes ? &asked->nodes : NULL,
		       bits) < 0
		       ? err_set(err, errno, "linux.memoryPolicy")
		       : 0;
}

int tune_apply(const struct tune *tune, struct err *err)
{
	int r = tune->scheduler.set ? tune_scheduler(&tune->scheduler, err) : 0;

	if (r == 0 && tune->memory.set)
		r = tune_memory(&tune->memory, err);
	if (r == 0 && tune->set_io &&
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		    IOPRIO_PRIO_VALUE(tune->io_class, tune->io_priority)) < 0)
		r = err_set(err, errno, "process.ioPriority");
	if (r == 0 && tune->set_personality && personality(tune->personality) < 0)
		r = err_set(err, errno, "linux.personality");
	return r;
}

int tune_cpus(const cpu_set_t *cpus, const char *what, struct err *err)
{
	return sched_setaffinity(0, sizeof(*cpus), cpus) < 0 ? err_set(err, errno, "%s", what) : 0;
}

/* A number without sign or space; false: there is none here. */
static bool cpus_number(const char **text, unsigned *ret)
{
	unsigned value = 0;
	const char *p = *text;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
		value = value > CPU_SETSIZE ? value : value * 10 + (unsigned)(*p - '0');
	*text = p;
	*ret = value;
	return true;
}

int tune_cpus_parse(const char *text, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	for (;;) {
		unsigned first, last;
		if (!cpus_number(&text, &first))
			return -EINVAL;
		last = first;
		if (*text == '-') {
			text++;
			if (!cpus_number(&text, &last))
				return -EINVAL;
		}
		if (last < first)
			return -EINVAL;
		if (last >= CPU_SETSIZE)
			return -ERANGE;
		for (unsigned cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, ret);
		if (!*text)
			return 0;
		if (*text++ != ',')
			return -EINVAL;
	}
}
