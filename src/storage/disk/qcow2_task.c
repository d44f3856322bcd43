/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/macros.h"
#include "storage/disk/qcow2_private.h"

void qtasks_init(struct qtasks *tasks)
{
	tasks->head = NULL;
	tasks->tail = &tasks->head;
}

void qtasks_add(struct qtasks *tasks, struct qtask *task)
{
	task->next = NULL;
	*tasks->tail = task;
	tasks->tail = &task->next;
}

struct qtask *qtasks_pop(struct qtasks *tasks)
{
	struct qtask *task = tasks->head;

	if (task) {
		tasks->head = task->next;
		if (!tasks->head)
			tasks->tail = &tasks->head;
	}
	return task;
}

void qtask_ready(struct qcow2 *q, struct qtask *task, int64_t result)
{
	task->result = result;
	qtasks_add(&q->ready, task);
}

void qtasks_ready_all(struct qcow2 *q, struct qtasks *tasks, int64_t result)
{
	struct qtask *task;

	while ((task = qtasks_pop(tasks)))
		qtask_ready(q, task, result);
}

void qcow2_run(struct qcow2 *q)
{
	struct qtask *task;

	if (q->running)
		return;
	q->running = true;
	aio_plug(q->aio);
	while ((task = qtasks_pop(&q->ready)))
		task->run(task);
	aio_unplug(q->aio);
	q->running = false;
}

void qlock_take(struct qcow2 *q, struct qlock *lock, struct qtask *task,
		void (*fn)(struct qtask *task))
{
	task->run = fn;
	if (lock->owner) {
		qtasks_add(&lock->waiters, task);
		return;
	}
	lock->owner = task;
	qtask_ready(q, task, 0);
}

void qlock_release(struct qcow2 *q, struct qlock *lock)
{
	lock->owner = qtasks_pop(&lock->waiters);
	if (lock->owner)
		qtask_ready(q, lock->owner, 0);
}

static bool meta_crowded(const struct qcow2 *q)
{
	return q->n_dirty > QCOW2_DIRTY_MAX || q->n_frees + QCOW2_FREES_STEP > QCOW2_FREES;
}

static void meta_got(struct qtask *task);

void qcow2_meta_take(struct qcow2 *q, struct qtask *task, void (*fn)(struct qtask *task))
{
	task->then = fn;
	task->q = q;
	qlock_take(q, &q->meta, task, meta_got);
}

static void meta_retry(struct qtask *task)
{
	if (task->result >= 0) {
		qlock_take(task->q, &task->q->meta, task, meta_got);
		return;
	}
	task->run = task->then;
	task->run(task);
}

static void meta_got(struct qtask *task)
{
	struct qcow2 *q = task->q;

	if (!meta_crowded(q)) {
		task->run = task->then;
		task->run(task);
		return;
	}
	qlock_release(q, &q->meta);
	qcow2_commit(q, task, meta_retry);
}

void qcow2_meta_release(struct qcow2 *q)
{
	qlock_release(q, &q->meta);
}

static void qio_done(struct aio_request *req, int64_t result)
{
	struct qio *io = container_of(req, struct qio, io);

	qtask_ready(io->q, io->task, result);
	qcow2_run(io->q);
}

void qio_submit(struct qcow2 *q, struct qio *io, const struct aio_request *what, struct qtask *task,
		void (*fn)(struct qtask *task))
{
	io->io = *what;
	io->io.done = qio_done;
	io->q = q;
	io->task = task;
	task->run = fn;
	aio_submit(q->aio, &io->io);
}
