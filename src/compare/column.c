/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/column.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compare/columns.h"
#include "compare/group.h"

#define COLUMN_READY_S 60

/* A further architecture is one entry here: COLUMN_STRATA (columns.h) is all that one of ours takes. */
const struct column_ops *const columns[] = {
	&column_host, &column_os_level, &column_hybrid,	  &column_hosted, &column_bare_metal,
	&column_crun, &column_qemu_tcg, &column_qemu_kvm, NULL,
};

/* PID 1 of a container has no default for SIGTERM, and a shell that waits is told at once. */
const char *const column_idle[] = {
	"sh", "-c", "trap 'exit 0' TERM; echo idle; while :; do sleep 1000 & wait $!; done", NULL
};

/* That process 1 catches signal 15: proc_pid_status(5), SigCgt. Words of any POSIX shell's own. */
static const char *const column_ready[] = {
	"sh", "-c",
	"while :; do while read -r k v; do case $k$v in SigCgt:*[4-7c-f][0-9a-f][0-9a-f][0-9a-f]) exit 0 ;; esac; done </proc/1/status; done",
	NULL
};

void outcome_fini(struct outcome *outcome)
{
	free(outcome->out);
	free(outcome->err_line);
	*outcome = (struct outcome){ 0 };
}

int outcome_check(const struct outcome *outcome, unsigned timeout, struct err *err)
{
	const char *line = outcome->err_line ? outcome->err_line : "";

	if (outcome->timed_out)
		return err_say(err, ETIMEDOUT, "no answer in %u s", timeout);
	if (outcome->status)
		return err_say(err, EIO, "exit status %d%s%s", outcome->status, line[0] ? ": " : "",
			       line);
	return 0;
}

const struct column_ops *column_find(const char *id)
{
	for (size_t i = 0; columns[i]; i++) {
		if (!strcmp(columns[i]->id, id))
			return columns[i];
	}
	return NULL;
}

int column_session(struct column *column, struct err *err)
{
	if (column->running)
		return 0;
	if (!column->ops->start)
		return err_say(err, ENOTSUP, "%s keeps no instance", column->ops->title);
	int r = column->ops->start(column, err);
	column->running = r == 0;
	if (r == 0)
		group_realtime(column->setup->tag, column->ops->id);
	return r;
}

int column_await(struct column *column, struct err *err)
{
	struct outcome outcome = { 0 };
	int r = column->ops->exec(column, column_ready, COLUMN_READY_S, &outcome, err);

	if (r == 0 && (outcome.timed_out || outcome.status))
		r = err_say(err, EIO, "its idle instance does not answer%s%s",
			    outcome.err_line[0] ? ": " : "", outcome.err_line);
	outcome_fini(&outcome);
	return r;
}

int column_stop(struct column *column, struct err *err)
{
	if (!column->running)
		return 0;
	column->running = false;
	return column->ops->stop(column, err);
}

int column_inside(struct column *column, const char *const *argv, unsigned timeout,
		  struct outcome *ret, struct err *err)
{
	const struct column_ops *ops = column->ops;

	if (!ops->exec && !ops->inside)
		return ops->run(column, argv, timeout, ret, err);
	int r = column_session(column, err);
	if (r < 0)
		return r;
	return (ops->exec ? ops->exec : ops->inside)(column, argv, timeout, ret, err);
}
