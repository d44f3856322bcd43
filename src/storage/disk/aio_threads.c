/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "storage/disk/private.h"

#define THREADS_MAX   4U
#define THREADS_STACK 32768U /* bytes; a worker's frames are small. At least PTHREAD_STACK_MIN */

struct threads {
	struct aio aio;
	int event; /* counts that something is in finished */
	pthread_t workers[THREADS_MAX];
	unsigned n, started;
	bool spawned;
	pthread_mutex_t mutex; /* of what follows */
	pthread_cond_t todo_cond, finished_cond;
	struct aio_list todo, finished;
	bool stop;
	/* threads_on_threads(): what each is to run, how often that was asked, and what is left of it. */
	struct {
		int (*fn)(void *arg);
		void *arg;
		unsigned round, left;
		int result;
	} call;
};

static struct threads *threads_of(const struct aio *aio)
{
	return container_of(aio, struct threads, aio);
}

/* One step; the request is the worker's alone until it is in finished. */
static int64_t threads_perform(const struct aio_request *req)
{
	const struct iovec *iov = (const void *)req->part;
	off_t at = (off_t)(req->offset_bytes + req->moved_bytes);
	ssize_t n = -1;

	switch (req->op) {
	case AIO_READ:
		n = preadv(req->fd, iov, (int)req->n_part, at);
		break;
	case AIO_WRITE:
		n = pwritev(req->fd, iov, (int)req->n_part, at);
		break;
	case AIO_SYNC:
		n = fdatasync(req->fd);
		break;
	case AIO_PUNCH:
		n = fallocate(req->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			      (off_t)req->len_bytes);
		break;
	case AIO_ZERO:
		n = fallocate(req->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, at,
			      (off_t)req->len_bytes);
		break;
	default:
		return -EINVAL;
	}
	return n < 0 ? -errno : n;
}

/* The mutex is held: a filter may be installed while no other thread does the same. */
static void threads_call(struct threads *threads, unsigned *round)
{
	if (*round == threads->call.round)
		return;
	*round = threads->call.round;
	int r = threads->call.fn(threads->call.arg);
	if (r < 0 && threads->call.result == 0)
		threads->call.result = r;
	if (--threads->call.left == 0)
		(void)pthread_cond_signal(&threads->finished_cond);
}

static void *threads_worker(void *arg)
{
	struct threads *threads = arg;
	unsigned round = 0;

	(void)pthread_mutex_lock(&threads->mutex);
	threads->started++;
	(void)pthread_cond_signal(&threads->finished_cond);
	for (;;) {
		threads_call(threads, &round);
		struct aio_request *req = aio_list_pop(&threads->todo);
		if (!req && threads->stop)
			break;
		if (!req) {
			(void)pthread_cond_wait(&threads->todo_cond, &threads->mutex);
			continue;
		}
		(void)pthread_mutex_unlock(&threads->mutex);
		req->result = threads_perform(req);
		(void)pthread_mutex_lock(&threads->mutex);
		bool first = !threads->finished.head;
		aio_list_add(&threads->finished, req);
		if (first) {
			(void)pthread_cond_signal(&threads->finished_cond);
			fd_poke(threads->event);
		}
	}
	(void)pthread_mutex_unlock(&threads->mutex);
	return NULL;
}

/* They take no signals: those are the main thread's. */
static int threads_spawn(struct threads *threads)
{
	pthread_attr_t attr;
	sigset_t all, old;
	unsigned want = threads->aio.depth < THREADS_MAX ? threads->aio.depth : THREADS_MAX;
	long least = sysconf(_SC_THREAD_STACK_MIN);
	size_t stack = least > (long)THREADS_STACK ? (size_t)least : THREADS_STACK;

	if (threads->spawned)
		return 0;
	threads->spawned = true;
	(void)sigfillset(&all);
	int r = pthread_attr_init(&attr);
	if (r)
		return -r;
	(void)pthread_attr_setstacksize(&attr, stack); /* valid by its making */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	while (r == 0 && threads->n < want) {
		r = pthread_create(&threads->workers[threads->n], &attr, threads_worker, threads);
		threads->n += r == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);

	/* What a thread's start asks of the kernel is behind it, before anybody seals. */
	(void)pthread_mutex_lock(&threads->mutex);
	while (threads->started < threads->n)
		(void)pthread_cond_wait(&threads->finished_cond, &threads->mutex);
	(void)pthread_mutex_unlock(&threads->mutex);
	return -r;
}

/*
 * They are made when the queue is sealed, or first used: until then its process has one thread less to keep it from
 * entering a user namespace (unshare(2)). Where none can be made the owner does the work itself.
 */
static void threads_start(struct aio *aio, struct aio_request *req)
{
	struct threads *threads = threads_of(aio);
	bool alone = threads_spawn(threads) < 0 && threads->n == 0;

	if (alone)
		req->result = threads_perform(req);
	(void)pthread_mutex_lock(&threads->mutex);
	aio_list_add(alone ? &threads->finished : &threads->todo, req);
	(void)pthread_cond_signal(&threads->todo_cond);
	(void)pthread_mutex_unlock(&threads->mutex);
	if (alone)
		fd_poke(threads->event);
}

static void threads_kick(struct aio *aio)
{
	(void)aio; /* start() woke a worker */
}

static void threads_collect(struct aio *aio)
{
	struct threads *threads = threads_of(aio);
	struct aio_list list;
	struct aio_request *req;

	fd_calm(threads->event); /* before the list is taken: what comes after it signals again */
	aio_list_init(&list);
	(void)pthread_mutex_lock(&threads->mutex);
	while ((req = aio_list_pop(&threads->finished)))
		aio_list_add(&list, req);
	(void)pthread_mutex_unlock(&threads->mutex);
	while ((req = aio_list_pop(&list)))
		aio_step(aio, req, req->result);
}

static void threads_wait(struct aio *aio)
{
	struct threads *threads = threads_of(aio);

	(void)pthread_mutex_lock(&threads->mutex);
	while (!threads->finished.head)
		(void)pthread_cond_wait(&threads->finished_cond, &threads->mutex);
	(void)pthread_mutex_unlock(&threads->mutex);
}

static int threads_fd(const struct aio *aio)
{
	return threads_of(aio)->event;
}

static int threads_seal(struct aio *aio, struct err *err)
{
	int r = threads_spawn(threads_of(aio));

	return r < 0 ? err_set(err, -r, "start threads for I/O") : 0;
}

static int threads_on_threads(struct aio *aio, int (*fn)(void *arg), void *arg)
{
	struct threads *threads = threads_of(aio);
	int r = threads_spawn(threads);

	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&threads->mutex);
	threads->call.fn = fn;
	threads->call.arg = arg;
	threads->call.result = 0;
	threads->call.left = threads->n;
	threads->call.round++;
	(void)pthread_cond_broadcast(&threads->todo_cond);
	while (threads->call.left > 0)
		(void)pthread_cond_wait(&threads->finished_cond, &threads->mutex);
	r = threads->call.result;
	(void)pthread_mutex_unlock(&threads->mutex);
	return r;
}

static void threads_destroy(struct aio *aio)
{
	struct threads *threads = threads_of(aio);

	(void)pthread_mutex_lock(&threads->mutex);
	threads->stop = true;
	(void)pthread_cond_broadcast(&threads->todo_cond);
	(void)pthread_mutex_unlock(&threads->mutex);
	for (unsigned i = 0; i < threads->n; i++)
		(void)pthread_join(threads->workers[i], NULL);
	(void)pthread_cond_destroy(&threads->todo_cond);
	(void)pthread_cond_destroy(&threads->finished_cond);
	(void)pthread_mutex_destroy(&threads->mutex);
	fd_close(threads->event);
	free(threads);
}

static const struct aio_ops threads_ops = {
	.destroy = threads_destroy,
	.fd = threads_fd,
	.seal = threads_seal,
	.on_threads = threads_on_threads,
	.start = threads_start,
	.kick = threads_kick,
	.collect = threads_collect,
	.wait = threads_wait,
};

int aio_threads_create(unsigned depth, struct aio **ret, struct err *err)
{
	struct threads *threads = calloc(1, sizeof(*threads));

	if (!threads)
		return err_set(err, ENOMEM, "make an I/O queue");
	aio_init(&threads->aio, &threads_ops, depth);
	aio_list_init(&threads->todo);
	aio_list_init(&threads->finished);
	(void)pthread_mutex_init(&threads->mutex, NULL); /* with defaults it cannot fail */
	(void)pthread_cond_init(&threads->todo_cond, NULL);
	(void)pthread_cond_init(&threads->finished_cond, NULL);
	threads->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (threads->event < 0) {
		int r = -errno;
		threads_destroy(&threads->aio);
		return err_set(err, -r, "make an I/O queue with threads");
	}
	*ret = &threads->aio;
	return 0;
}
