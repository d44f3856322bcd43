/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a machine's vcpus left their guest's code, by reason: for one `true` in a machine that runs, and for the way up to one that
 * idles. Counted by who runs them: strata's VMM and software CPU, and KVM.
 */
#include <errno.h>

#include "base/core/exits.h"
#include "compare/column.h"
#include "compare/suite.h"

#define EXITS_TIMEOUT_S 120
#define EXITS_SOURCE	"strata-vmm's own count, KVM's statistics"

static int exits_of(struct column *column, enum exit_reason reason, double *ret, struct err *err)
{
	struct exit_counts counts;
	uint64_t counted = 0;

	if (!column->ops->exits)
		return err_say(err, ENOTSUP, "no exits: no machine");
	int r = column_session(column, err);
	r = r < 0 ? r : column->ops->exits(column, &counts, &counted, err);
	if (r < 0)
		return r;
	if (!(counted & EXIT_BIT(reason)))
		return err_say(err, ENOTSUP, "what runs it does not count them apart");
	*ret = (double)counts.n[reason];
	return 0;
}

/* The difference of two looks; what an idle machine does meanwhile (its clock) is in it. */
static int exits_exec(struct column *column, enum exit_reason reason, double *ret, struct err *err)
{
	static const char *const argv[] = { "true", NULL };
	struct outcome outcome = { 0 };
	double before = 0, after = 0;
	int r = exits_of(column, reason, &before, err);

	r = r < 0 ? r : column_inside(column, argv, EXITS_TIMEOUT_S, &outcome, err);
	if (r < 0)
		return r;
	r = outcome_check(&outcome, EXITS_TIMEOUT_S, err);
	outcome_fini(&outcome);
	r = r < 0 ? r : exits_of(column, reason, &after, err);
	if (r == 0)
		*ret = after - before;
	return r == 0 && after < before
		       ? err_say(err, ENODATA,
				 "another machine came in between: its count starts anew")
		       : r;
}

static int exits_start(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	int r = column->ops->exits ? column_stop(column, err) : 0;

	(void)ret_detail;
	return r < 0 ? r : exits_of(column, EXIT_ALL, ret, err);
}

#define EXITS_EXEC(name, reason, words, least)                                                     \
	static int exits_exec_##name(struct column *column, double *ret, json_t **ret_detail,      \
				     struct err *err)                                              \
	{                                                                                          \
		(void)ret_detail;                                                                  \
		return exits_exec(column, reason, ret, err);                                       \
	}                                                                                          \
	const struct metric metric_exits_##name = {                                                \
		.id = "exits." #name,                                                              \
		.title = "one `true`: " words,                                                     \
		.unit = "exits",                                                                   \
		.source = EXITS_SOURCE,                                                            \
		.better = BETTER_LOW,                                                              \
		.level = least,                                                                    \
		.seconds = 1,                                                                      \
		.measure = exits_exec_##name,                                                      \
	}

EXITS_EXEC(all, EXIT_ALL, "all", COMPARE_QUICK);
EXITS_EXEC(vmm, EXIT_VMM, "those to the VMM's process", COMPARE_QUICK);
EXITS_EXEC(io, EXIT_IO, "ports", COMPARE_STANDARD);
EXITS_EXEC(mmio, EXIT_MMIO, "device memory", COMPARE_STANDARD);
EXITS_EXEC(msr, EXIT_MSR, "MSRs", COMPARE_STANDARD);
EXITS_EXEC(cpuid, EXIT_CPUID, "CPUID", COMPARE_STANDARD);
EXITS_EXEC(halt, EXIT_HALT, "HLT", COMPARE_STANDARD);
EXITS_EXEC(interrupt, EXIT_INTERRUPT, "interrupts", COMPARE_STANDARD);
EXITS_EXEC(memory, EXIT_MEMORY, "memory that was looked up", COMPARE_STANDARD);
EXITS_EXEC(instruction, EXIT_INSTRUCTION, "interpreted instructions", COMPARE_STANDARD);
EXITS_EXEC(code, EXIT_CODE, "code not translated yet, or not found", COMPARE_STANDARD);
EXITS_EXEC(exception, EXIT_EXCEPTION, "exceptions of its own", COMPARE_FULL);
EXITS_EXEC(hypercall, EXIT_HYPERCALL, "hypercalls", COMPARE_FULL);

const struct metric metric_exits_start = {
	.id = "exits.start",
	.title = "from power on to an idle machine: all",
	.unit = "exits",
	.source = EXITS_SOURCE,
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.measure = exits_start,
};
