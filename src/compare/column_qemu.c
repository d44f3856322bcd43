/* SPDX-License-Identifier: Apache-2.0 */
/* Peers: QEMU, by its own software CPU (TCG) and over KVM. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "compare/child.h"
#include "compare/columns.h"
#include "compare/qemu_vm.h"
#include "manager/manager.h"
#include "storage/kernel.h"

#define QEMU_ADDED   64
#define QEMU_TRY_S   60
#define QEMU_STOP_S  60
#define QEMU_CHECK_S 10

struct qemu {
	struct qemu_files files;
	struct qemu_vm session, added[QEMU_ADDED];
	unsigned n_added;
};

static const char *qemu_accel(const struct column *column)
{
	return column->ops == &column_qemu_kvm ? "kvm" : "tcg";
}

static bool qemu_installed(const struct column_setup *setup)
{
	const char *const argv[] = { "qemu-system-x86_64", "--version", NULL };
	const struct child child = { .argv = argv, .timeout = QEMU_CHECK_S, .stop = setup->stop };
	struct outcome outcome = { 0 };
	bool is = child_run(&child, &outcome, NULL) == 0 && !outcome.status;

	outcome_fini(&outcome);
	return is;
}

static bool qemu_probe(const struct column_setup *setup, const char *words, char how[240],
		       char why[240])
{
	AUTO(kernel_fini) struct kernel kernel = { 0 };
	struct err err = { 0 };

	if (!qemu_installed(setup)) {
		(void)snprintf(why, 240,
			       "not installed: apt-get install qemu-system-x86"); /* fits */
		return false;
	}
	if (kernel_find(&setup->manager->store, NULL, &kernel, &err) < 0) {
		(void)snprintf(why, 240, "%.239s", err.text); /* cut: it still says what to do */
		return false;
	}
	(void)snprintf(how, 240, "%s, q35, -cpu max, Linux %.60s; no exec", words,
		       kernel.version); /* fits */
	return true;
}

static bool qemu_tcg_probe(const struct column_setup *setup, char how[240], char why[240])
{
	return qemu_probe(setup, "QEMU's software CPU", how, why);
}

static bool qemu_kvm_probe(const struct column_setup *setup, char how[240], char why[240])
{
	if (access("/dev/kvm", R_OK | W_OK) == 0)
		return qemu_probe(setup, "QEMU over KVM", how, why);
	(void)snprintf(why, 240, "/dev/kvm: %s", strerror(errno)); /* fits */
	return false;
}

static void qemu_name(struct column *column, char ret[32])
{
	(void)snprintf(ret, 32, "%s-%u", column->ops->id, column->started++); /* fits */
}

static int qemu_make(struct column *column, const char *const *argv, struct qemu_vm *ret,
		     struct err *err)
{
	const struct qemu *qemu = column->state;
	char name[32];

	qemu_name(column, name);
	return qemu_vm_start(column->setup, &qemu->files, qemu_accel(column), name, argv, ret, err);
}

/* Whether it can is seen by trying: its KVM may want what this host's has not. */
static int qemu_try(struct column *column, struct err *err)
{
	struct qemu_vm vm = { 0 };
	int r = qemu_make(column, NULL, &vm, err);

	if (r == 0)
		r = qemu_vm_wait(&vm, QEMU_STARTED, QEMU_TRY_S, column->setup->stop, err);
	if (r == -EIO && vm.end.status == 127)
		r = 0; /* an image without a shell */
	qemu_vm_end(&vm, NULL, NULL);
	return r == -ETIMEDOUT
		       ? err_say(err, ETIMEDOUT, "its guest did not start in %d s", QEMU_TRY_S)
		       : r;
}

static int qemu_open(struct column *column, struct err *err)
{
	struct qemu *qemu = calloc(1, sizeof(*qemu));

	column->state = qemu;
	if (!qemu)
		return err_set(err, ENOMEM, "column %s", column->ops->id);
	int r = qemu_files_find(column->setup, &qemu->files, err);
	return r < 0 ? r : qemu_try(column, err);
}

static void qemu_outcome(struct qemu_vm *vm, bool timed_out, struct outcome *ret)
{
	*ret = (struct outcome){ .status = vm->end.status,
				 .timed_out = timed_out,
				 .first_byte = NAN };
	int64_t end = vm->end_ns ? vm->end_ns : clock_mono_ns();

	ret->elapsed = (double)(end - vm->begin_ns) / NS_PER_MS;
	if (vm->first_ns)
		ret->first_byte = (double)(vm->first_ns - vm->begin_ns) / NS_PER_MS;
	ret->out = child_text(&vm->out_text, &ret->out_n);
	if (vm->failed.code)
		ret->err_line = strdup(vm->failed.text);
	else
		ret->err_line = child_last_line(&vm->err_text);
}

static int qemu_run(struct column *column, const char *const *argv, unsigned timeout,
		    struct outcome *ret, struct err *err)
{
	struct qemu_vm vm = { 0 };
	int stop = column->setup->stop;
	int r = qemu_make(column, argv, &vm, err);

	if (r == 0)
		r = qemu_vm_wait(&vm, QEMU_ENDED, timeout, stop, err);
	bool failed = r == -EIO && vm.failed.code;
	if (r == 0 || failed)
		r = qemu_vm_wait(&vm, QEMU_GONE, timeout, stop, err);
	if (r == 0 || r == -ETIMEDOUT) {
		qemu_outcome(&vm, r == -ETIMEDOUT, ret);
		qemu_vm_end(&vm, &ret->cpu, &ret->memory);
		return 0;
	}
	qemu_vm_end(&vm, NULL, NULL);
	return r;
}

static int qemu_keep(struct column *column, struct qemu_vm *vm, const char *const *argv,
		     struct err *err)
{
	int r = qemu_make(column, argv, vm, err);

	if (r == 0)
		r = qemu_vm_wait(vm, argv ? QEMU_STARTED : QEMU_SAID, QEMU_TRY_S,
				 column->setup->stop, err);
	if (r < 0)
		qemu_vm_end(vm, NULL, NULL);
	return r;
}

static int qemu_start(struct column *column, struct err *err)
{
	struct qemu *qemu = column->state;

	qemu_vm_end(&qemu->session, NULL, NULL); /* one that was stopped */
	return qemu_keep(column, &qemu->session, NULL, err);
}

/* A time limit or the machine's end: it is of no more use. */
static int qemu_inside(struct column *column, const char *const *argv, unsigned timeout,
		       struct outcome *ret, struct err *err)
{
	struct qemu *qemu = column->state;
	int r = qemu_vm_ask(&qemu->session, argv, timeout, column->setup->stop, ret, err);

	if (r < 0 || ret->timed_out) {
		qemu_vm_end(&qemu->session, NULL, NULL);
		column->running = false;
	}
	return r;
}

static int qemu_pause(struct column *column, struct err *err)
{
	struct qemu *qemu = column->state;

	return qemu_vm_command(&qemu->session, "stop", err);
}

static int qemu_resume(struct column *column, struct err *err)
{
	struct qemu *qemu = column->state;

	return qemu_vm_command(&qemu->session, "cont", err);
}

static int qemu_stop(struct column *column, struct err *err)
{
	struct qemu *qemu = column->state;
	struct qemu_vm *vm = &qemu->session;
	unsigned limit = (unsigned)((clock_mono_ns() - vm->begin_ns) / NS_PER_S) +
			 QEMU_STOP_S; /* from its start */

	qemu_vm_signal(vm, SIGTERM);
	int r = qemu_vm_wait(vm, QEMU_ENDED, limit, column->setup->stop, err);
	return r < 0 ? r : qemu_vm_wait(vm, QEMU_GONE, limit, column->setup->stop, err);
}

static int qemu_exits(struct column *column, struct exit_counts *ret, uint64_t *ret_counted,
		      struct err *err)
{
	struct qemu *qemu = column->state;

	if (column->ops != &column_qemu_kvm)
		return err_say(err, ENOTSUP, "QEMU's software CPU does not count them");
	return qemu_vm_exits(&qemu->session, ret, ret_counted, err);
}

static int qemu_processes(struct column *column, pid_t **ret, size_t *ret_n, struct err *err)
{
	const struct qemu *qemu = column->state;
	pid_t roots[QEMU_ADDED + 1] = { qemu->session.pid };

	for (unsigned i = 0; i < qemu->n_added; i++)
		roots[i + 1] = qemu->added[i].pid;
	int r = child_tree(roots, qemu->n_added + 1, ret, ret_n);
	return r < 0 ? err_set(err, -r, "processes of QEMU") : 0;
}

static int qemu_add(struct column *column, const char *const *argv, struct err *err)
{
	struct qemu *qemu = column->state;

	if (qemu->n_added == QEMU_ADDED)
		return err_say(err, ENOSPC, "more than %d machines", QEMU_ADDED);
	int r = qemu_keep(column, &qemu->added[qemu->n_added], argv, err);
	qemu->n_added += r == 0;
	return r;
}

static void qemu_clear(struct column *column)
{
	struct qemu *qemu = column->state;

	while (qemu->n_added)
		qemu_vm_end(&qemu->added[--qemu->n_added], NULL, NULL);
}

static void qemu_close(struct column *column)
{
	struct qemu *qemu = column->state;

	if (!qemu)
		return;
	qemu_clear(column);
	qemu_vm_end(&qemu->session, NULL, NULL);
	qemu_files_fini(&qemu->files);
	free(qemu);
	column->state = NULL;
	column->running = false;
}

#define COLUMN_QEMU(symbol, name, probe_fn)                                                        \
	const struct column_ops symbol = {                                                         \
		.id = name,                                                                        \
		.title = name,                                                                     \
		.baseline = "host",                                                                \
		.peer = true,                                                                      \
		.probe = probe_fn,                                                                 \
		.open = qemu_open,                                                                 \
		.close = qemu_close,                                                               \
		.run = qemu_run,                                                                   \
		.start = qemu_start,                                                               \
		.inside = qemu_inside,                                                             \
		.pause = qemu_pause,                                                               \
		.resume = qemu_resume,                                                             \
		.stop = qemu_stop,                                                                 \
		.processes = qemu_processes,                                                       \
		.exits = qemu_exits,                                                               \
		.add = qemu_add,                                                                   \
		.clear = qemu_clear,                                                               \
	}

COLUMN_QEMU(column_qemu_tcg, "qemu-tcg", qemu_tcg_probe);
COLUMN_QEMU(column_qemu_kvm, "qemu-kvm", qemu_kvm_probe);
