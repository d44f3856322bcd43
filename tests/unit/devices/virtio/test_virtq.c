/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"

#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "devices/virtio/virtq.h"

/* A queue without a device: rings in rig's memory, driven by its driver half, popped by hand. */
struct scene {
	struct rig rig;
	struct virtq vq;
	struct chain chain;
};

static struct scene *scene_new(uint16_t size, bool event_idx)
{
	struct scene *s = test_calloc(1, sizeof(*s));
	struct rig_queue *q = &s->rig.queues[0];

	assert_true(rig_init(&s->rig));
	*q = (struct rig_queue){ .size = size,
				 .desc = RIG_QUEUE_GPA,
				 .avail = RIG_QUEUE_GPA + 0x2000,
				 .used = RIG_QUEUE_GPA + 0x3000 };
	s->vq.size_max = VIRTQ_SIZE_MAX;
	virtq_reset(&s->vq);
	s->vq.size = size;
	s->vq.desc_gpa = q->desc;
	s->vq.avail_gpa = q->avail;
	s->vq.used_gpa = q->used;
	assert_int_equal(virtq_enable(&s->vq, &s->rig.mem, event_idx, true), 0);
	return s;
}

static void scene_free(struct scene *s)
{
	rig_fini(&s->rig);
	test_free(s);
}

static void chain_has_the_buffers_in_order(void **state)
{
	struct scene *s = scene_new(8, false);
	const struct rig_buf bufs[] = { { RIG_DATA_GPA, 16, false },
					{ RIG_DATA_GPA + 0x100, 0, false },
					{ RIG_DATA_GPA + 0x200, 32, false },
					{ RIG_DATA_GPA + 0x300, 8, true } };

	(void)state;
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 0);
	for (unsigned indirect = 0; indirect < 2; indirect++) {
		uint16_t head = rig_add(&s->rig, 0, bufs, 4, indirect);
		assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
		assert_int_equal(s->chain.head, head);
		assert_int_equal(s->chain.n, 3);
		assert_int_equal(s->chain.n_out, 2);
		assert_int_equal(s->chain.out_bytes, 48);
		assert_int_equal(s->chain.in_bytes, 8);
		assert_ptr_equal(s->chain.iov[1].hva, rig_at(&s->rig, RIG_DATA_GPA + 0x200));
	}
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 0);
	scene_free(s);
}

static void direct_descriptors_may_come_before_an_indirect_table(void **state)
{
	struct scene *s = scene_new(8, false);
	struct rig *rig = &s->rig;
	const gpa_t table = RIG_DATA_GPA + 0x1008; /* not on 16 */
	uint8_t entry[16] = { 0 };

	(void)state;
	rig_desc(rig, 0, 0, RIG_DATA_GPA, 10, VD_NEXT, 5);
	rig_desc(rig, 0, 5, table + 1, 16, VD_INDIRECT | VD_WRITE, 0);
	memcpy(entry, &(uint64_t){ RIG_DATA_GPA + 0x40 }, 8);
	entry[8] = 7;
	entry[12] = VD_WRITE;
	memcpy(rig_at(rig, table + 1), entry, sizeof(entry));
	rig_avail(rig, 0, 0);
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
	assert_int_equal(s->chain.out_bytes, 10);
	assert_int_equal(s->chain.in_bytes, 7);
	scene_free(s);
}

static int pop_of(struct scene *s, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	rig_desc(&s->rig, 0, 0, addr, len, flags, next);
	rig_avail(&s->rig, 0, 0);
	int r = virtq_pop(&s->vq, &s->chain);
	if (r < 0)
		s->vq.avail_next++; /* on to the next case */
	return r;
}

static void bad_descriptors_are_errors(void **state)
{
	struct scene *s = scene_new(8, false);
	const gpa_t end = RIG_RAM_GPA + RIG_RAM;

	(void)state;
	assert_int_equal(pop_of(s, end - 8, 9, 0, 0), -EFAULT);
	assert_int_equal(pop_of(s, UINT64_MAX - 3, 8, 0, 0), -EFAULT);
	assert_int_equal(pop_of(s, 0, 4096, 0, 0), -EFAULT);
	assert_int_equal(pop_of(s, RIG_ROM_GPA, 8, 0, 0), 1);
	assert_int_equal(pop_of(s, RIG_ROM_GPA, 8, VD_WRITE, 0), -EFAULT);
	assert_int_equal(pop_of(s, RIG_DATA_GPA, 8, VD_NEXT, 8), -EPROTO);
	assert_int_equal(pop_of(s, RIG_DATA_GPA, 8, VD_NEXT, 0), -EPROTO); /* a loop, full */
	assert_int_equal(pop_of(s, RIG_DATA_GPA, 0, VD_NEXT, 0), -ELOOP);  /* of nothing */
	assert_int_equal(pop_of(s, RIG_DATA_GPA, 15, VD_INDIRECT, 0), -EPROTO);
	assert_int_equal(pop_of(s, RIG_DATA_GPA, 0, VD_INDIRECT, 0), -EPROTO);
	assert_int_equal(pop_of(s, RIG_DATA_GPA, 16, VD_INDIRECT | VD_NEXT, 1), -EPROTO);
	assert_int_equal(pop_of(s, end - 16, 32, VD_INDIRECT, 0), -EFAULT);
	rig_desc(&s->rig, 0, 1, RIG_DATA_GPA, 4, 0, 0);
	assert_int_equal(pop_of(s, RIG_DATA_GPA, 8, VD_WRITE | VD_NEXT, 1), -EPROTO);
	scene_free(s);
}

static void nested_indirect_table_is_refused(void **state)
{
	struct scene *s = scene_new(8, false);

	(void)state;
	/* The table is the descriptor table itself: its first entry points at it again. */
	assert_int_equal(pop_of(s, RIG_QUEUE_GPA, 16, VD_INDIRECT, 0), -EPROTO);
	scene_free(s);
}

static void indirect_without_the_feature_is_refused(void **state)
{
	struct scene *s = scene_new(8, false);

	(void)state;
	s->vq.indirect = false;
	assert_int_equal(pop_of(s, RIG_DATA_GPA, 16, VD_INDIRECT, 0), -EPROTO);
	scene_free(s);
}

static void chain_of_more_than_32_bits_is_refused(void **state)
{
	struct scene *s = scene_new(4, false);
	/* A slot that large is only address space: nothing touches it. */
	assert_int_equal(
		mem_add(&s->rig.mem, UINT64_C(1) << 40, UINT64_C(1) << 33, s->rig.ram, false), 0);

	(void)state;
	rig_desc(&s->rig, 0, 1, UINT64_C(1) << 40, 1, 0, 0);
	assert_int_equal(pop_of(s, UINT64_C(1) << 40, UINT32_MAX, VD_NEXT, 1), -EPROTO);
	scene_free(s);
}

static void index_that_ran_ahead_is_broken(void **state)
{
	struct scene *s = scene_new(8, false);
	uint16_t *idx = (uint16_t *)(void *)rig_at(&s->rig, s->rig.queues[0].avail + 2);

	(void)state;
	*idx = 9;
	assert_int_equal(virtq_pop(&s->vq, &s->chain), -EPROTO);
	*idx = UINT16_MAX;
	assert_int_equal(virtq_pop(&s->vq, &s->chain), -EPROTO);
	scene_free(s);
}

static void head_outside_the_table_is_broken(void **state)
{
	struct scene *s = scene_new(8, false);

	(void)state;
	rig_avail(&s->rig, 0, 8);
	assert_int_equal(virtq_pop(&s->vq, &s->chain), -EPROTO);
	scene_free(s);
}

static void indexes_wrap(void **state)
{
	struct scene *s = scene_new(4, false);
	const struct rig_buf buf = { RIG_DATA_GPA, 8, true };
	uint32_t head, len;

	(void)state;
	for (uint32_t i = 0; i < 70000; i++) {
		uint16_t added = rig_add(&s->rig, 0, &buf, 1, false);
		assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
		virtq_put(&s->vq, s->chain.head, i);
		assert_true(virtq_publish(&s->vq));
		assert_true(rig_used(&s->rig, 0, &head, &len));
		assert_int_equal(head, added);
		assert_int_equal(len, i);
	}
	assert_false(rig_used(&s->rig, 0, &head, &len));
	scene_free(s);
}

static void completed_in_any_order(void **state)
{
	struct scene *s = scene_new(8, false);
	const struct rig_buf buf = { RIG_DATA_GPA, 8, true };
	uint16_t heads[4];
	uint32_t head, len;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		rig_add(&s->rig, 0, &buf, 1, false);
		assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
		heads[i] = s->chain.head;
	}
	for (unsigned i = 4; i-- > 0;)
		virtq_put(&s->vq, heads[i], i);
	assert_false(rig_used(&s->rig, 0, &head, &len)); /* not published yet */
	assert_true(virtq_publish(&s->vq));
	assert_false(virtq_publish(&s->vq));
	for (unsigned i = 4; i-- > 0;) {
		assert_true(rig_used(&s->rig, 0, &head, &len));
		assert_int_equal(head, heads[i]);
	}
	scene_free(s);
}

static void unpopped_is_found_again(void **state)
{
	struct scene *s = scene_new(8, false);
	const struct rig_buf buf = { RIG_DATA_GPA, 8, true };

	(void)state;
	uint16_t head = rig_add(&s->rig, 0, &buf, 1, false);
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
	virtq_unpop(&s->vq);
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
	assert_int_equal(s->chain.head, head);
	scene_free(s);
}

/* Memory that is filled as it is reached: so many buffers in a turn. */
struct filling {
	unsigned left, n;
	gpa_t there[8];
};

static bool filling_ready(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	struct filling *f = mem->need_owner;

	assert_true(len <= UINT64_C(16)
				   << 16); /* no table has more entries than there are indexes */
	for (unsigned i = 0; i < f->n; i++) {
		if (f->there[i] == gpa)
			return true;
	}
	if (!f->left || f->n == ARRAY_SIZE(f->there))
		return false;
	f->left--;
	f->there[f->n++] = gpa;
	return true;
}

static void what_takes_more_than_a_turn_to_reach_stays_in_its_queue(void **state)
{
	struct scene *s = scene_new(8, false);
	const struct rig_buf bufs[] = { { RIG_DATA_GPA + 0x1000, 8, false },
					{ RIG_DATA_GPA + 0x2000, 8, true } };
	struct filling f = { .n = 0 };

	(void)state;
	s->rig.mem.ready = filling_ready;
	s->rig.mem.need_owner = &f;
	uint16_t head =
		rig_add(&s->rig, 0, bufs, 2, true); /* the table is not asked for: it is small */
	for (unsigned turn = 0; turn < 2; turn++) {
		f.left = turn > 0;
		assert_int_equal(virtq_pop(&s->vq, &s->chain), 0);
		assert_int_equal(virtq_pop(&s->vq, &s->chain), 0);
		assert_int_equal(f.n, turn);
	}
	f.left = 1;
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
	assert_int_equal(s->chain.head, head);
	assert_int_equal(s->chain.n, 2);
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 0);
	scene_free(s);
}

/* A table of 4 GiB had all of it zeroed. */
static void of_a_huge_table_only_what_an_index_reaches_is_looked_at(void **state)
{
	struct scene *s = scene_new(8, false);

	(void)state;
	rig_desc(&s->rig, 0, 1, RIG_DATA_GPA, 8, 0, 0); /* the table's, too: it is there */
	memcpy(rig_at(&s->rig, RIG_DATA_GPA), rig_at(&s->rig, RIG_QUEUE_GPA + 16), 16);
	assert_int_equal(pop_of(s, RIG_DATA_GPA, UINT32_MAX - 15, VD_INDIRECT, 0), 1);
	assert_int_equal(s->chain.out_bytes, 8);
	assert_int_equal(pop_of(s, RIG_RAM_GPA + RIG_RAM - (1 << 20) + 16, 1 << 20, VD_INDIRECT, 0),
			 -EFAULT);
	scene_free(s);
}

static void flags_silence_a_busy_queue(void **state)
{
	struct scene *s = scene_new(8, false);
	const struct rig_buf buf = { RIG_DATA_GPA, 8, true };

	(void)state;
	rig_add(&s->rig, 0, &buf, 1, false);
	assert_int_equal(rig_used_flags(&s->rig, 0), 0);
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
	assert_int_equal(rig_used_flags(&s->rig, 0), 1);
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 0);
	assert_int_equal(rig_used_flags(&s->rig, 0), 0);
	virtq_put(&s->vq, s->chain.head, 0);
	*rig_at(&s->rig, s->rig.queues[0].avail) = 1; /* VIRTQ_AVAIL_F_NO_INTERRUPT */
	assert_false(virtq_publish(&s->vq));
	scene_free(s);
}

static void event_indexes_silence_both_sides(void **state)
{
	struct scene *s = scene_new(8, true);
	const struct rig_buf buf = { RIG_DATA_GPA, 8, true };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		rig_add(&s->rig, 0, &buf, 1, false);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
		virtq_put(&s->vq, s->chain.head, 0);
	}
	assert_int_equal(rig_avail_event(&s->rig, 0),
			 0); /* left behind: no kick until it is passed */
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 0);
	assert_int_equal(rig_avail_event(&s->rig, 0), 3);
	rig_used_event_set(&s->rig, 0, 3);
	assert_false(virtq_publish(&s->vq));
	rig_add(&s->rig, 0, &buf, 1, false);
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
	virtq_put(&s->vq, s->chain.head, 0);
	assert_true(virtq_publish(&s->vq));
	scene_free(s);
}

static void enable_checks_what_the_driver_says(void **state)
{
	struct scene *s = scene_new(8, false);
	struct virtq vq = s->vq;

	(void)state;
	static const uint16_t sizes[] = { 0, 3, 512, 0x8000 };
	for (unsigned i = 0; i < 4; i++) {
		vq.size = sizes[i];
		assert_int_equal(virtq_enable(&vq, &s->rig.mem, false, false), -EINVAL);
	}
	vq = s->vq;
	vq.desc_gpa += 8;
	assert_int_equal(virtq_enable(&vq, &s->rig.mem, false, false), -EINVAL);
	vq = s->vq;
	vq.used_gpa += 2;
	assert_int_equal(virtq_enable(&vq, &s->rig.mem, false, false), -EINVAL);
	vq = s->vq;
	vq.avail_gpa = RIG_RAM_GPA + RIG_RAM - 20; /* its event index is outside */
	assert_int_equal(virtq_enable(&vq, &s->rig.mem, false, false), -EFAULT);
	vq = s->vq;
	vq.used_gpa = RIG_ROM_GPA;
	assert_int_equal(virtq_enable(&vq, &s->rig.mem, false, false), -EFAULT);
	scene_free(s);
}

static void pull_and_put_cross_pieces(void **state)
{
	struct scene *s = scene_new(8, false);
	const struct rig_buf bufs[] = { { RIG_DATA_GPA, 3, false },
					{ RIG_DATA_GPA + 0x100, 4, false },
					{ RIG_DATA_GPA + 0x200, 2, true },
					{ RIG_DATA_GPA + 0x300, 2, true } };
	char got[6] = { 0 };

	(void)state;
	memcpy(rig_at(&s->rig, RIG_DATA_GPA), "abc", 3);
	memcpy(rig_at(&s->rig, RIG_DATA_GPA + 0x100), "defg", 4);
	rig_add(&s->rig, 0, bufs, 4, false);
	assert_int_equal(virtq_pop(&s->vq, &s->chain), 1);
	assert_false(chain_pull(&s->chain, got, 8));
	assert_true(chain_pull(&s->chain, got, 5));
	assert_string_equal(got, "abcde");
	assert_int_equal(s->chain.first_out, 1);
	assert_int_equal(s->chain.iov[1].len, 2);
	assert_int_equal(chain_put(&s->chain, 1, "xyz", 4), 3);
	assert_int_equal(*rig_at(&s->rig, RIG_DATA_GPA + 0x201), 'x');
	assert_memory_equal(rig_at(&s->rig, RIG_DATA_GPA + 0x300), "yz", 2);
	s->rig.wrote_bytes = 0;
	chain_wrote(&s->chain, &s->rig.mem, 3);
	assert_int_equal(s->rig.wrote_bytes, 3);
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_has_the_buffers_in_order),
		cmocka_unit_test(direct_descriptors_may_come_before_an_indirect_table),
		cmocka_unit_test(bad_descriptors_are_errors),
		cmocka_unit_test(nested_indirect_table_is_refused),
		cmocka_unit_test(indirect_without_the_feature_is_refused),
		cmocka_unit_test(chain_of_more_than_32_bits_is_refused),
		cmocka_unit_test(index_that_ran_ahead_is_broken),
		cmocka_unit_test(head_outside_the_table_is_broken),
		cmocka_unit_test(indexes_wrap),
		cmocka_unit_test(completed_in_any_order),
		cmocka_unit_test(unpopped_is_found_again),
		cmocka_unit_test(what_takes_more_than_a_turn_to_reach_stays_in_its_queue),
		cmocka_unit_test(of_a_huge_table_only_what_an_index_reaches_is_looked_at),
		cmocka_unit_test(flags_silence_a_busy_queue),
		cmocka_unit_test(event_indexes_silence_both_sides),
		cmocka_unit_test(enable_checks_what_the_driver_says),
		cmocka_unit_test(pull_and_put_cross_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
