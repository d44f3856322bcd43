/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"
#include "devices/virtio/fakes.h"

#include "scratch.h"

#include "base/core/bytes.h"
#include "devices/virtio/balloon.h"

#define F_STATS	    FEATURE(1)
#define F_REPORTING FEATURE(5)
#define PAGE(n)	    (RIG_DATA_GPA / 4096 + (n))

struct scene {
	struct rig rig;
	struct fake_balloon host;
	struct virtio_balloon balloon;
};

static struct scene *scene_new(uint64_t features)
{
	struct scene *s = test_calloc(1, sizeof(*s));

	assert_true(rig_init(&s->rig));
	fake_balloon_init(&s->host);
	virtio_balloon_init(&s->balloon, &s->rig.place, &s->host.host);
	assert_true(rig_attach(&s->rig, &s->balloon.virtio));
	assert_true(rig_start(&s->rig, F_VERSION_1 | features, 5, 64));
	return s;
}

static void scene_free(struct scene *s)
{
	rig_fini(&s->rig);
	test_free(s);
}

static void pages(struct scene *s, uint16_t queue, const uint64_t *pfns, unsigned n)
{
	const struct rig_buf buf = { RIG_DATA_GPA + 0x80000, 4 * n, false };
	uint32_t head, len;

	for (unsigned i = 0; i < n; i++)
		le32_store(rig_at(&s->rig, buf.gpa + 4 * i), (uint32_t)pfns[i]);
	(void)rig_add(&s->rig, queue, &buf, 1, false);
	rig_kick(&s->rig, queue);
	rig_run(&s->rig);
	assert_true(rig_used(&s->rig, queue, &head, &len));
}

static void runs_are_released_whole(void **state)
{
	struct scene *s = scene_new(0);

	(void)state;
	pages(s, 0, (uint64_t[]){ PAGE(0), PAGE(1), PAGE(2), PAGE(9), PAGE(8), PAGE(7) }, 6);
	assert_int_equal(s->host.n_releases, 2);
	assert_int_equal(s->host.released, 6 * 4096);
	assert_int_equal(s->host.last_gpa, PAGE(7) * 4096);
	pages(s, 1, (uint64_t[]){ PAGE(1) }, 1);
	assert_int_equal(s->host.reclaimed, 4096);
	scene_free(s);
}

static void what_is_not_ram_is_left_alone(void **state)
{
	struct scene *s = scene_new(0);

	(void)state;
	pages(s, 0, (uint64_t[]){ 0, UINT32_MAX, RIG_ROM_GPA / 4096, 0x7fffffff }, 4);
	assert_int_equal(s->host.n_releases, 0);
	assert_int_equal(rig_status(&s->rig) & ST_NEEDS_RESET, 0);
	scene_free(s);
}

static void more_than_a_driver_says_at_once_breaks_it(void **state)
{
	struct scene *s = scene_new(0);
	const struct rig_buf buf = { RIG_DATA_GPA, 65536 + 4, false };

	(void)state;
	(void)rig_add(&s->rig, 0, &buf, 1, false);
	rig_kick(&s->rig, 0);
	rig_run(&s->rig);
	assert_int_equal(rig_status(&s->rig) & ST_NEEDS_RESET, ST_NEEDS_RESET);
	scene_free(s);
}

static void more_numbers_than_are_read_at_a_time(void **state)
{
	struct scene *s = scene_new(0);
	uint64_t pfns[600];

	(void)state;
	for (unsigned i = 0; i < 600; i++)
		pfns[i] = PAGE(i % 100);
	pages(s, 0, pfns, 600);
	assert_int_equal(s->host.released, 600 * 4096);
	assert_int_equal(s->host.n_releases, 6);
	scene_free(s);
}

static void target_and_actual_are_configuration(void **state)
{
	struct scene *s = scene_new(0);

	(void)state;
	virtio_balloon_target(&s->balloon, 10 * 4096);
	assert_int_equal(rig_dev_config(&s->rig, 0, 4), 10);
	assert_int_equal(bus_read(&s->rig.mmio, s->rig.isr, 1), 2);
	bus_write(&s->rig.mmio, s->rig.config + 4, 4, 7);
	assert_int_equal(virtio_balloon_actual(&s->balloon), 7 * 4096);
	bus_write(&s->rig.mmio, s->rig.config, 4, 1); /* not the driver's */
	assert_int_equal(rig_dev_config(&s->rig, 0, 4), 10);
	virtio_balloon_target(&s->balloon, UINT64_MAX);
	assert_int_equal(rig_dev_config(&s->rig, 0, 4), UINT32_MAX);
	assert_true(rig_reset(&s->rig));
	assert_int_equal(virtio_balloon_actual(&s->balloon), 0);
	scene_free(s);
}

/* Answered once all of it can be had; meanwhile the queue holds, and nothing of it is lost. */
static void what_cannot_be_taken_out_now_waits_for_its_answer(void **state)
{
	struct scene *s = scene_new(0);
	const struct rig_buf buf = { RIG_DATA_GPA + 0x80000, 8, false };
	uint32_t head, len;

	(void)state;
	le32_store(rig_at(&s->rig, buf.gpa), (uint32_t)PAGE(1));
	le32_store(rig_at(&s->rig, buf.gpa + 4), (uint32_t)PAGE(7));
	s->host.is_short = true;
	(void)rig_add(&s->rig, 1, &buf, 1, false);
	(void)rig_add(&s->rig, 1, &buf, 1, false);
	rig_kick(&s->rig, 1);
	virtio_queue_run(&s->balloon.virtio, 1);
	virtio_queue_run(&s->balloon.virtio, 1);
	assert_false(rig_used(&s->rig, 1, &head, &len));
	assert_int_equal(rig_status(&s->rig) & ST_NEEDS_RESET, 0);
	pages(s, 0, (uint64_t[]){ PAGE(3) }, 1); /* others go on */
	s->host.is_short = false;
	virtio_queue_run(&s->balloon.virtio, 1);
	assert_true(rig_used(&s->rig, 1, &head, &len));
	assert_true(rig_used(&s->rig, 1, &head, &len));
	assert_int_equal(s->host.reclaimed, 4 * 4096);
	scene_free(s);
}

static void what_the_host_is_without_is_not_offered(void **state)
{
	struct fake_balloon host;
	struct scene *s = scene_new(0);
	struct virtio_balloon other;

	(void)state;
	fake_balloon_init(&host);
	host.host.without = VIRTIO_BIT(BALLOON_F_DEFLATE_ON_OOM);
	virtio_balloon_init(&other, &s->rig.place, &host.host);
	assert_int_equal(s->balloon.virtio.offered & ~other.virtio.offered, host.host.without);
	scene_free(s);
}

static void give_stats(struct scene *s, uint16_t tag, uint64_t value)
{
	const struct rig_buf buf = { rig_alloc(&s->rig, 20), 20, false };

	le16_store(rig_at(&s->rig, buf.gpa), tag);
	le64_store(rig_at(&s->rig, buf.gpa + 2), value);
	le16_store(rig_at(&s->rig, buf.gpa + 10), 999);
	(void)rig_add(&s->rig, 2, &buf, 1, false);
	rig_kick(&s->rig, 2);
	rig_run(&s->rig);
}

static void statistics_come_when_asked(void **state)
{
	struct scene *s = scene_new(F_STATS);
	uint32_t head, len;

	(void)state;
	virtio_balloon_ask(&s->balloon); /* nothing to give back yet: remembered */
	give_stats(s, 4, 1234);
	assert_int_equal(s->host.n_stats, 1);
	assert_int_equal(s->host.stats.given, 1 << 4);
	assert_int_equal(s->host.stats.values[4], 1234);
	assert_false(rig_used(&s->rig, 2, &head, &len));
	virtio_balloon_ask(&s->balloon);
	assert_true(rig_used(&s->rig, 2, &head, &len));
	give_stats(s, 5, 1);
	assert_int_equal(s->host.n_stats, 2);
	give_stats(s, 5, 2); /* not asked: the one that was held goes back */
	assert_int_equal(s->host.n_stats, 2);
	assert_true(rig_used(&s->rig, 2, &head, &len));
	assert_false(rig_used(&s->rig, 2, &head, &len));
	assert_true(rig_reset(&s->rig));
	virtio_balloon_ask(&s->balloon);
	scene_free(s);
}

static void reported_pages_are_released_on_any_numbering(void **state)
{
	const struct rig_buf bufs[] = { { RIG_DATA_GPA + 100, 3 * 4096, true },
					{ RIG_DATA_GPA + 0x10000, 4095, true } };
	uint32_t head, len;

	(void)state;
	for (uint16_t queue = 2; queue < 5; queue++) {
		struct scene *s = scene_new(F_REPORTING);
		(void)rig_add(&s->rig, queue, bufs, 2, false);
		rig_kick(&s->rig, queue);
		rig_run(&s->rig);
		assert_true(rig_used(&s->rig, queue, &head, &len));
		assert_int_equal(s->host.n_releases, 1);
		assert_int_equal(s->host.last_gpa, RIG_DATA_GPA + 4096);
		assert_int_equal(s->host.last_len, 2 * 4096);
		scene_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_released_whole),
		cmocka_unit_test(what_is_not_ram_is_left_alone),
		cmocka_unit_test(more_than_a_driver_says_at_once_breaks_it),
		cmocka_unit_test(more_numbers_than_are_read_at_a_time),
		cmocka_unit_test(target_and_actual_are_configuration),
		cmocka_unit_test(what_cannot_be_taken_out_now_waits_for_its_answer),
		cmocka_unit_test(what_the_host_is_without_is_not_offered),
		cmocka_unit_test(statistics_come_when_asked),
		cmocka_unit_test(reported_pages_are_released_on_any_numbering),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
