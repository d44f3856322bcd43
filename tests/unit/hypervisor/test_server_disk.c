/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/core/macros.h"
#include "hw/barrier.h"
#include "vm/server_disk.h"

static unsigned n_foreign; /* the CPU was told that others' data went through it */

void barrier_foreign(void)
{
	n_foreign++;
}

struct fake {
	struct disk disk;
	struct disk_request *taken[4];
	unsigned n;
};

struct scene {
	struct fake server;
	struct server_disk disk;
	unsigned n_finished;
};

struct request {
	struct disk_request req;
	struct disk *next_to; /* with next_submit() */
	unsigned n_done;
	int result;
};

static void fake_submit(struct disk *disk, struct disk_request *req)
{
	struct fake *f = container_of(disk, struct fake, disk);

	req->backend[0] = req->backend[1] = f; /* its own places */
	f->taken[f->n++] = req;
}

static const struct disk_ops fake_ops = { .name = "fake", .submit = fake_submit };

static void finished(struct server_disk *d)
{
	container_of(d, struct scene, disk)->n_finished++;
}

static void request_done(struct disk_request *req, int result)
{
	struct request *r = container_of(req, struct request, req);

	r->n_done++;
	r->result = result;
}

static void scene_init(struct scene *s)
{
	*s = (struct scene){ .server.disk = { .ops = &fake_ops, .size_bytes = 4096 } };
	server_disk_init(&s->disk, &s->server.disk, true, finished);
}

static void what_is_over_waits_until_it_is_delivered(void **state)
{
	struct request a = { .req.done = request_done }, b = a;
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_true(s.disk.disk.read_only);
	assert_int_equal(s.disk.disk.size_bytes, 4096);
	s.disk.disk.ops->submit(&s.disk.disk, &a.req);
	s.disk.disk.ops->submit(&s.disk.disk, &b.req);
	s.server.taken[1]->done(s.server.taken[1], -EIO);
	assert_int_equal(s.n_finished, 1);
	assert_int_equal(b.n_done, 0);
	s.server.taken[0]->done(s.server.taken[0], 0);
	server_disk_deliver(&s.disk);
	assert_int_equal(a.n_done, 1);
	assert_int_equal(a.result, 0);
	assert_int_equal(b.n_done, 1);
	assert_int_equal(b.result, -EIO);
	server_disk_deliver(&s.disk);
	assert_int_equal(a.n_done + b.n_done, 2);
}

static void a_request_may_be_used_again(void **state)
{
	struct request a = { .req.done = request_done };
	struct scene s;

	(void)state;
	scene_init(&s);
	for (unsigned i = 0; i < 3; i++) {
		s.disk.disk.ops->submit(&s.disk.disk, &a.req);
		s.server.taken[i]->done(s.server.taken[i], 0);
		server_disk_deliver(&s.disk);
		assert_int_equal(a.n_done, i + 1);
	}
}

static void next_submit(struct disk_request *req, int result)
{
	struct disk *disk = container_of(req, struct request, req)->next_to;

	request_done(req, result);
	req->done = request_done;
	disk->ops->submit(disk, req);
}

/* Of one that had waited for a free request, and of a flush behind a write, the CPU was not told. */
static void what_is_begun_while_others_are_delivered_is_foreign_too(void **state)
{
	struct scene s;
	struct request a = { .req.done = next_submit, .next_to = &s.disk.disk };

	(void)state;
	scene_init(&s);
	n_foreign = 0;
	s.disk.disk.ops->submit(&s.disk.disk, &a.req);
	assert_int_equal(n_foreign, 1);
	s.server.taken[0]->done(s.server.taken[0], 0);
	server_disk_deliver(&s.disk);
	assert_int_equal(s.server.n, 2);
	assert_int_equal(n_foreign, 2);
}

/* ---- a guest that is taken apart, polling, on another CPU ---- */

struct taken_apart {
	struct scene scene;
	struct request request;
	bool was_early; /* the request was delivered while its disk was still to be told of it */
};

static void *take_apart(void *arg)
{
	struct taken_apart *t = arg;

	while (!__atomic_load_n(&t->request.n_done, __ATOMIC_ACQUIRE))
		server_disk_deliver(&t->scene.disk);
	return NULL;
}

/* The other has time to deliver, if it can. */
static void finished_slowly(struct server_disk *d)
{
	struct taken_apart *t = container_of(d, struct taken_apart, scene.disk);
	const struct timespec ms = { .tv_nsec = 1000000 };

	for (unsigned i = 0; i < 100 && !t->was_early; i++) {
		(void)nanosleep(&ms, NULL);
		t->was_early = __atomic_load_n(&t->request.n_done, __ATOMIC_ACQUIRE);
	}
}

/* Its disk, and the guest behind it, were gone when finished() was called. */
static void nobody_delivers_what_its_disk_is_still_told_of(void **state)
{
	static struct taken_apart t = { .request.req.done = request_done };
	struct scene *s = &t.scene;
	pthread_t other;

	(void)state;
	scene_init(s);
	s->disk.finished = finished_slowly;
	s->disk.disk.ops->submit(&s->disk.disk, &t.request.req);
	assert_int_equal(pthread_create(&other, NULL, take_apart, &t), 0);
	s->server.taken[0]->done(s->server.taken[0], 0);
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_false(t.was_early);
	assert_int_equal(t.request.n_done, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_over_waits_until_it_is_delivered),
		cmocka_unit_test(a_request_may_be_used_again),
		cmocka_unit_test(what_is_begun_while_others_are_delivered_is_foreign_too),
		cmocka_unit_test(nobody_delivers_what_its_disk_is_still_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
