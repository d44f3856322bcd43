/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"
#include "devices/virtio/fakes.h"

#include "scratch.h"

#include <errno.h>

#include "devices/virtio/rng.h"

struct scene {
	struct rig rig;
	struct fake_entropy entropy;
	struct virtio_rng rng;
};

static struct scene *scene_new(void)
{
	struct scene *s = test_calloc(1, sizeof(*s));

	assert_true(rig_init(&s->rig));
	fake_entropy_init(&s->entropy);
	virtio_rng_init(&s->rng, &s->rig.place, &s->entropy.entropy);
	assert_true(rig_attach(&s->rig, &s->rng.virtio));
	assert_true(rig_start(&s->rig, F_VERSION_1 | F_EVENT_IDX, 1, 64));
	return s;
}

static void scene_free(struct scene *s)
{
	rig_fini(&s->rig);
	test_free(s);
}

static void ask(struct scene *s, const struct rig_buf *bufs, unsigned n)
{
	(void)rig_add(&s->rig, 0, bufs, n, false);
	rig_kick(&s->rig, 0);
	rig_run(&s->rig);
}

static void buffers_are_filled(void **state)
{
	struct scene *s = scene_new();
	const struct rig_buf bufs[] = { { RIG_DATA_GPA, 3, true }, { RIG_DATA_GPA + 64, 5, true } };
	uint32_t head, len;

	(void)state;
	ask(s, bufs, 2);
	assert_true(rig_used(&s->rig, 0, &head, &len));
	assert_int_equal(len, 8);
	assert_memory_equal(rig_at(&s->rig, RIG_DATA_GPA), "\1\2\3\0", 4);
	assert_memory_equal(rig_at(&s->rig, RIG_DATA_GPA + 64), "\4\5\6\7\10\0", 6);
	scene_free(s);
}

static void a_request_is_bounded(void **state)
{
	struct scene *s = scene_new();
	const struct rig_buf buf = { RIG_DATA_GPA, 1 << 20, true };
	uint32_t head, len;

	(void)state;
	ask(s, &buf, 1);
	assert_true(rig_used(&s->rig, 0, &head, &len));
	assert_int_equal(len, 4096);
	assert_int_equal(*rig_at(&s->rig, RIG_DATA_GPA + 4096), 0);
	scene_free(s);
}

static void many_requests_take_turns(void **state)
{
	struct scene *s = scene_new();
	const struct rig_buf buf = { RIG_DATA_GPA, 16, true };
	uint32_t head, len, n = 0;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		(void)rig_add(&s->rig, 0, &buf, 1, false);
	virtio_queue_run(&s->rng.virtio, 0);
	assert_int_equal(s->rig.kicks, 1);
	rig_run(&s->rig);
	while (rig_used(&s->rig, 0, &head, &len))
		n++;
	assert_int_equal(n, 64);
	scene_free(s);
}

static void nothing_to_fill_breaks_the_device(void **state)
{
	struct scene *s = scene_new();
	const struct rig_buf buf = { RIG_DATA_GPA, 16, false };

	(void)state;
	ask(s, &buf, 1);
	assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
	scene_free(s);
}

static void entropy_that_fails_breaks_the_device(void **state)
{
	struct scene *s = scene_new();
	const struct rig_buf buf = { RIG_DATA_GPA, 16, true };

	(void)state;
	s->entropy.fail = -EIO;
	ask(s, &buf, 1);
	assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_are_filled),
		cmocka_unit_test(a_request_is_bounded),
		cmocka_unit_test(many_requests_take_turns),
		cmocka_unit_test(nothing_to_fill_breaks_the_device),
		cmocka_unit_test(entropy_that_fails_breaks_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
