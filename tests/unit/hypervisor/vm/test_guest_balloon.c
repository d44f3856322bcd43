/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's balloon over CPUs that remember translations, as real ones do and emulated ones do not: a vcpu's translations are kept
 * by its tag, and used until it gets another. Under it are the real memory map and nested page tables.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/page.h"
#include "core/print.h"
#include "vm/guest.h"
#include "vm/guest_balloon.h"

#define PIECES 6U
#define END    (PIECES * MEM_PIECE_BYTES)
#define VCPUS  2U
#define OURS   0x11
#define OTHERS 0x77 /* what another guest writes into what it got */
#define TAGS   16U

struct hw {
	struct hw_vcpu base;
	unsigned tag;
};

static struct {
	struct guest *guest;
	struct hv_vm vm;
	struct hv_vcpu vcpus[VCPUS];
	struct hw hw[VCPUS];
	uint64_t tlb[TAGS][PIECES]; /* host addresses; 0: none */
	unsigned last_tag;
	uint8_t *ram;
	uint8_t *at[PIECES];
	uint64_t *bits;
	void *spare[PIECES];
	unsigned n_spare, n_given;
	bool is_still, is_poor, stock_goes;
	unsigned stills, asks, printed;
	uint64_t now_ns, takes_ns, armed_ns;
	void (*in_turn)(struct balloon_host *host); /* what the device hears in its turn */
	const void *held[2];
	uint64_t held_len;
	unsigned n_held; /* pieces of made-up addresses */
} rig;

/* ---- the hypervisor's floor ---- */

void *page_alloc(unsigned order)
{
	return rig.is_poor ? NULL : calloc(1, (size_t)PAGE_BYTES << order);
}

void page_free(void *block, unsigned order)
{
	(void)order;
	free(block);
}

uint64_t clock_ns(void)
{
	return rig.now_ns;
}

void timer_arm(struct hv_timer *timer, uint64_t deadline_ns)
{
	(void)timer;
	rig.armed_ns = deadline_ns;
}

void timer_finish(struct hv_timer *timer)
{
	(void)timer;
}

void print(const char *fmt, ...)
{
	assert_true(rig.is_still);
	assert_non_null(strstr(fmt, "waits"));
	rig.printed++;
}

uint64_t page_free_bytes(void)
{
	return rig.n_spare * MEM_PIECE_BYTES;
}

void guest_still_begin(struct guest *guest)
{
	(void)guest;
	assert_false(rig.is_still);
	rig.is_still = true;
	rig.stills++;
}

/* The vcpus go on: none of them may know a way to what is not the guest's any more. */
void guest_still_end(struct guest *guest)
{
	(void)guest;
	for (unsigned i = 0; i < VCPUS; i++) {
		for (unsigned piece = 0; piece < PIECES; piece++) {
			uint64_t known = rig.tlb[rig.hw[i].tag][piece];
			assert_true(!known || known == (uintptr_t)rig.at[piece]);
		}
	}
	rig.is_still = false;
}

void *guest_virtio_new(struct guest *guest, size_t bytes, struct err *err)
{
	(void)err;
	struct guest_virtio *v = calloc(1, bytes);
	assert_non_null(v);
	v->guest = guest;
	guest->devices[guest->n_devices++] = v;
	return v;
}

int guest_virtio_attach(struct guest_virtio *v, struct virtio_dev *dev, struct err *err)
{
	(void)err;
	v->dev = dev;
	return 0;
}

void guest_virtio_run(struct guest_virtio *v)
{
	assert_true(rig.is_still);
	__atomic_store_n(&v->pending, 0, __ATOMIC_RELEASE);
	rig.now_ns += rig.takes_ns;
	if (rig.in_turn)
		rig.in_turn(&v->guest->balloon->host);
}

static void ask(struct guest *guest, void *arg)
{
	(void)guest;
	(void)arg;
	rig.asks++;
}

/* ---- memory ---- */

static void *tables_alloc(void *arg)
{
	(void)arg;
	void *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	assert_non_null(page);
	return memset(page, 0, PAGE_BYTES);
}

static void tables_free(void *arg, void *page)
{
	(void)arg;
	free(page);
}

static uint64_t tables_hpa(const void *page)
{
	return (uintptr_t)page;
}

static void *tables_page(uint64_t hpa)
{
	return (void *)(uintptr_t)hpa;
}

static const struct npt_pages tables = {
	.alloc = tables_alloc, .free = tables_free, .hpa = tables_hpa, .page = tables_page
};

static void *spare_take(void)
{
	return rig.n_spare ? rig.spare[--rig.n_spare] : NULL;
}

/* Another guest has it at once, and writes. */
static void spare_give(void *piece)
{
	assert_true(rig.is_still || rig.stock_goes);
	memset(piece, OTHERS, MEM_PIECE_BYTES);
	rig.n_given++;
}

static const struct first_touch_source source = { .take = spare_take, .give = spare_give };

/* ---- vcpus ---- */

static void hw_flush(struct hw_vcpu *vcpu)
{
	assert_true(rig.last_tag + 1 < TAGS);
	container_of(vcpu, struct hw, base)->tag = ++rig.last_tag;
}

static const struct hw_ops hw_ops = { .name = "model", .flush = hw_flush };

/* What a vcpu finds at the start of a piece. */
static uint8_t *vcpu_reach(unsigned vcpu, unsigned piece)
{
	uint64_t *known = &rig.tlb[rig.hw[vcpu].tag][piece];
	gpa_t gpa = piece * MEM_PIECE_BYTES;

	assert_false(rig.is_still);
	if (!*known && npt_translate(&rig.vm.npt, gpa, NULL) == UINT64_MAX)
		assert_int_equal(first_touch_fault(&rig.vm.touch, gpa), FIRST_TOUCH_DONE);
	if (!*known)
		*known = npt_translate(&rig.vm.npt, gpa, NULL);
	return (uint8_t *)(uintptr_t)*known;
}

static void held_tell(struct virtio_dev *dev, virtio_tell *tell, void *arg)
{
	(void)dev;
	for (unsigned i = 0; i < 2 && rig.held[i]; i++)
		tell(arg, rig.held[i], rig.held_len);
	for (uintptr_t i = 1; i <= rig.n_held; i++)
		tell(arg, (void *)(i * MEM_PIECE_BYTES), 1);
}

static const struct virtio_dev_ops held_ops = { .name = "holder", .held = held_tell };

/* ---- a scene ---- */

static void memory_begin(struct guest *guest)
{
	rig.ram = aligned_alloc(MEM_PIECE_BYTES, END);
	rig.bits = calloc(1, first_touch_bytes(END));
	assert_true(rig.ram && rig.bits);
	assert_int_equal(mem_add(&guest->mem, 0, END, rig.ram, false), 0);
	assert_int_equal(npt_init(&rig.vm.npt, &npt_format_svm, &tables, true), 0);
	first_touch_init(&rig.vm.touch, &guest->mem, &rig.vm.npt, rig.bits, END);
	assert_int_equal(first_touch_add(&rig.vm.touch, &guest->mem.slots[0]), 0);
	first_touch_movable(&rig.vm.touch, rig.at, &source);
}

static int begin_as(bool overcommits)
{
	static struct virtio_dev holder;
	struct guest *guest = calloc(1, sizeof(*guest));
	struct err err = { 0 };

	assert_non_null(guest);
	memset(&rig, 0, sizeof(rig));
	rig.guest = guest;
	rig.now_ns = 1000000000;
	rig.vm.hw_ops = &hw_ops;
	rig.vm.mem = &guest->mem;
	guest->vm = &rig.vm.base;
	guest->config.balloon_ask = ask;
	guest->config.overcommits = overcommits;
	guest->config.memory_bytes = END;
	guest->n_vcpus = VCPUS;
	for (unsigned i = 0; i < VCPUS; i++) {
		rig.hw[i].tag = ++rig.last_tag;
		rig.vcpus[i].hw = &rig.hw[i].base;
		rig.vcpus[i].vm = &rig.vm;
		guest->vcpus[i].vcpu = &rig.vcpus[i];
	}
	memory_begin(guest);
	rig.vm.touch.is_asked = !overcommits;
	assert_true(overcommits || first_touch_promise(&rig.vm.touch, PIECES));
	assert_int_equal(guest_balloon_add(guest, &err), 0);
	struct guest_virtio *v = guest_virtio_new(guest, sizeof(*v), &err);
	holder = (struct virtio_dev){ .ops = &held_ops };
	v->dev = &holder;
	for (unsigned i = 0; i < VCPUS; i++) {
		for (unsigned piece = 0; piece < PIECES; piece++)
			*vcpu_reach(i, piece) = OURS;
	}
	return 0;
}

static int begin(void **state)
{
	(void)state;
	return begin_as(true);
}

static int begin_promised(void **state)
{
	(void)state;
	return begin_as(false);
}

static int end(void **state)
{
	struct guest *guest = rig.guest;

	(void)state;
	for (unsigned i = 0; i < guest->n_devices; i++) {
		if (guest->devices[i]->fini)
			guest->devices[i]->fini(guest->devices[i]);
		free(guest->devices[i]);
	}
	assert_null(guest->balloon);
	npt_fini(&rig.vm.npt);
	free(rig.bits);
	free(rig.ram);
	free(guest);
	return 0;
}

static void turn(void (*in_turn)(struct balloon_host *host))
{
	rig.in_turn = in_turn;
	rig.guest->balloon->v.pending = 1;
	rig.now_ns += UINT64_C(1000000000);
	guest_balloon_turn(rig.guest);
}

static void reports_all(struct balloon_host *host)
{
	host->ops->report(host, 0, END);
}

static void no_vcpu_reaches_what_was_given(void **state)
{
	(void)state;
	turn(reports_all);
	assert_int_equal(rig.n_given, PIECES);
	assert_int_equal(first_touch_held_bytes(&rig.vm.touch), 0);
	/* From a piece that has been another guest's to this one's again. */
	for (unsigned i = 0; i < PIECES; i++)
		rig.spare[rig.n_spare++] = rig.ram + i * MEM_PIECE_BYTES;
	for (unsigned piece = 0; piece < PIECES; piece++) {
		for (unsigned i = 0; i < VCPUS; i++)
			assert_int_equal(*vcpu_reach(i, piece), 0);
	}
}

/* Two vcpus touch a piece at once, again and again as it goes and comes: whoever comes second finds it there each time. */
static void memory_that_came_again_may_be_found_there_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VCPUS; i++)
		rig.vcpus[i].spurious_gpa = MEM_PIECE_BYTES;
	turn(reports_all);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(rig.vcpus[i].spurious_gpa, UINT64_MAX);
}

static void twice(struct balloon_host *host)
{
	host->ops->report(host, 0, 2 * MEM_PIECE_BYTES);
	host->ops->release(host, 0, 2 * MEM_PIECE_BYTES);
	host->ops->report(host, 0, 2 * MEM_PIECE_BYTES);
}

static void what_was_said_twice_is_given_once(void **state)
{
	(void)state;
	turn(twice);
	assert_int_equal(rig.n_given, 2);
	turn(twice);
	assert_int_equal(rig.n_given, 2);
	assert_int_equal(first_touch_held_bytes(&rig.vm.touch), END - 2 * MEM_PIECE_BYTES);
}

static void what_a_device_holds_stays(void **state)
{
	(void)state;
	rig.held[0] = rig.ram + 2 * MEM_PIECE_BYTES - 1; /* over the border of two */
	rig.held[1] = rig.ram + 4 * MEM_PIECE_BYTES + 5;
	rig.held_len = 2;
	turn(reports_all);
	assert_int_equal(rig.n_given, PIECES - 3);
	assert_true(rig.at[1] && rig.at[2] && rig.at[4]);
	assert_int_equal(*vcpu_reach(1, 2), OURS);
}

static void with_more_held_than_can_be_known_all_stays(void **state)
{
	(void)state;
	rig.n_held = GUEST_BALLOON_HELD + 1;
	turn(reports_all);
	assert_int_equal(rig.n_given, 0);
	rig.n_held = GUEST_BALLOON_HELD;
	turn(reports_all);
	assert_int_equal(rig.n_given, PIECES);
}

static void inflates_and_resets(struct balloon_host *host)
{
	host->ops->release(host, 0, END);
	host->ops->reset(host);
}

static void takes_back(struct balloon_host *host)
{
	host->ops->release(host, 0, 2 * MEM_PIECE_BYTES);
	host->ops->reclaim(host, MEM_PIECE_BYTES + 8192, 4096);
}

static void what_was_taken_back_in_the_same_turn_stays(void **state)
{
	(void)state;
	turn(inflates_and_resets);
	assert_int_equal(rig.n_given, 0);
	turn(takes_back);
	assert_int_equal(rig.n_given, 1);
	assert_non_null(rig.at[1]);
}

static void rings_again(struct balloon_host *host)
{
	struct guest_balloon *b = container_of(host, struct guest_balloon, host);

	b->v.pending = 2;
	guest_balloon_kick(b);
}

static void a_turn_is_followed_by_a_rest_that_grows_with_it(void **state)
{
	struct guest_balloon *b = rig.guest->balloon;

	(void)state;
	rig.takes_ns = 2000000;
	turn(rings_again);
	assert_int_equal(rig.stills, 1);
	assert_int_equal(rig.asks, 0); /* the turn looks itself, and comes again */
	assert_int_equal(rig.armed_ns, rig.now_ns + 3 * rig.takes_ns);
	guest_balloon_kick(b);
	assert_int_equal(rig.asks, 1);
	rig.armed_ns = 0;
	guest_balloon_turn(rig.guest);
	assert_int_equal(rig.stills, 1);
	assert_int_equal(rig.armed_ns, rig.now_ns + 3 * rig.takes_ns);
	b->rest.fired(&b->rest);
	assert_int_equal(rig.asks, 2);
	rig.now_ns = rig.armed_ns;
	guest_balloon_turn(rig.guest);
	assert_int_equal(rig.stills, 2);
	rig.takes_ns = 0;
	turn(NULL);
	assert_int_equal(b->next_ns, rig.now_ns + GUEST_BALLOON_REST_NS);
}

static void who_has_ended_or_asked_for_nothing_has_no_turn(void **state)
{
	(void)state;
	guest_balloon_turn(rig.guest);
	assert_int_equal(rig.stills, 0);
	rig.guest->end = GUEST_POWER_OFF;
	turn(reports_all);
	assert_int_equal(rig.stills, 0);
}

static void without_memory_for_it_there_is_none(void **state)
{
	struct err err = { 0 };

	(void)state;
	rig.is_poor = true;
	assert_int_equal(guest_balloon_add(rig.guest, &err), -ENOMEM);
}

/* ---- a guest to which its memory is promised ---- */

static int target(uint64_t bytes, struct err *err)
{
	return guest_balloon_target(rig.guest, bytes, err);
}

static uint64_t held(void)
{
	return first_touch_held_bytes(&rig.vm.touch) / MEM_PIECE_BYTES;
}

/* The upper four pieces. */
static void gives_four(struct balloon_host *host)
{
	host->ops->release(host, 2 * MEM_PIECE_BYTES, 4 * MEM_PIECE_BYTES);
}

static bool answered;

static void wants_one(struct balloon_host *host)
{
	answered = host->ops->reclaim(host, 3 * MEM_PIECE_BYTES, MEM_PIECE_BYTES);
}

static void wants_three(struct balloon_host *host)
{
	answered = host->ops->reclaim(host, 3 * MEM_PIECE_BYTES, 3 * MEM_PIECE_BYTES);
}

static void wants_four(struct balloon_host *host)
{
	answered = host->ops->reclaim(host, 2 * MEM_PIECE_BYTES, 4 * MEM_PIECE_BYTES);
}

/* One page put in, then another taken out, as Linux moves them; 4 and 5 are in. */
static void moves_one(struct balloon_host *host)
{
	host->ops->release(host, MEM_PIECE_BYTES, 4096);
	answered = host->ops->reclaim(host, 5 * MEM_PIECE_BYTES, 4096);
}

static void it_is_offered_nothing_by_which_it_could_take_at_will(void **state)
{
	uint64_t offered = rig.guest->balloon->dev.virtio.offered;

	(void)state;
	assert_true(offered & VIRTIO_BIT(0));
	assert_false(offered &
		     (VIRTIO_BIT(BALLOON_F_DEFLATE_ON_OOM) | VIRTIO_BIT(BALLOON_F_PAGE_REPORTING)));
}

static void what_it_was_not_asked_for_stays_its_own(void **state)
{
	(void)state;
	turn(gives_four);
	assert_int_equal(rig.n_given, 0);
	assert_int_equal(held(), PIECES);
	assert_int_equal(*vcpu_reach(0, 3), OURS);
}

static void a_lowered_target_is_the_server_s_once_it_was_given(void **state)
{
	(void)state;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	assert_int_equal(held(), PIECES); /* nothing was given yet */
	turn(gives_four);
	assert_int_equal(held(), 2 + FIRST_TOUCH_SPARE);
	assert_int_equal(rig.n_given, 4 - FIRST_TOUCH_SPARE);
	assert_int_equal(*vcpu_reach(0, 1), OURS);
}

static void nothing_below_its_target_goes_whatever_it_gives(void **state)
{
	(void)state;
	assert_int_equal(target(4 * MEM_PIECE_BYTES, NULL), 0);
	turn(gives_four);
	assert_int_equal(held(), 4);
	assert_int_equal(rig.n_given, 2);
}

static void one_that_takes_without_having_asked_finds_nothing(void **state)
{
	(void)state;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	turn(gives_four);
	rig.spare[rig.n_spare++] = rig.ram + 3 * MEM_PIECE_BYTES;
	assert_int_equal(first_touch_fault(&rig.vm.touch, 3 * MEM_PIECE_BYTES),
			 FIRST_TOUCH_NONE_LEFT);
	assert_null(mem_hva(&rig.guest->mem, 3 * MEM_PIECE_BYTES, 1));
	assert_int_equal(rig.n_spare, 1);
}

static void what_its_target_does_not_leave_it_it_waits_for(void **state)
{
	struct guest_balloon *b = rig.guest->balloon;

	(void)state;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	turn(gives_four);
	turn(wants_three);
	assert_false(answered);
	assert_int_equal(b->next_ns, rig.now_ns + GUEST_BALLOON_WAIT_NS);
	turn(wants_three);
	assert_false(answered);
	assert_int_equal(rig.printed, 1);
	assert_int_equal(held(), 2 + FIRST_TOUCH_SPARE);
}

static void a_raised_target_is_there_when_it_is_wanted(void **state)
{
	(void)state;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	turn(gives_four);
	rig.spare[rig.n_spare++] = rig.ram + 4 * MEM_PIECE_BYTES;
	assert_int_equal(target(5 * MEM_PIECE_BYTES, NULL), 0);
	assert_int_equal(rig.n_spare, 0); /* its own from now on, whatever others do */
	assert_int_equal(held(), 5);
	turn(wants_three);
	assert_true(answered);
	assert_int_equal(*vcpu_reach(0, 3), 0);
	assert_int_equal(*vcpu_reach(1, 5), 0);
	assert_int_equal(rig.printed, 0);
}

static void a_raise_that_the_server_cannot_promise_is_refused_and_changes_nothing(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	turn(gives_four);
	rig.spare[rig.n_spare++] = rig.ram + 4 * MEM_PIECE_BYTES;
	rig.stock_goes = true;
	rig.n_given = 0;
	assert_int_equal(target(END, &err), -ENOMEM);
	assert_string_equal(err.text,
			    "guest : it has 8 MiB, and the server has 2 MiB free to make that 12");
	assert_int_equal(rig.n_given, 1); /* what it got of that */
	assert_int_equal(held(), 2 + FIRST_TOUCH_SPARE);
	turn(wants_four);
	assert_false(answered);
	assert_int_equal(target(END + MEM_PIECE_BYTES, &err), -EINVAL);
}

static void a_piece_that_nobody_has_is_waited_for_until_somebody_has(void **state)
{
	(void)state;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	turn(gives_four);
	assert_int_equal(target(4 * MEM_PIECE_BYTES, NULL), 0); /* the spare ones */
	turn(wants_one);
	assert_true(answered);
	turn(moves_one); /* a page of another piece */
	assert_true(answered);
	assert_int_equal(held(), 4);
	rig.in_turn = NULL;
	assert_null(rig.at[2]);
	assert_null(rig.at[4]);
	turn(wants_four);
	assert_false(answered);
	assert_int_equal(rig.printed, 1);
}

static void pages_may_move_within_the_balloon(void **state)
{
	(void)state;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	turn(gives_four);
	for (unsigned i = 0; i < 3; i++) {
		turn(moves_one);
		assert_true(answered);
	}
	assert_int_equal(rig.printed, 0);
}

static void a_lower_target_after_a_higher_one_lets_the_stock_go(void **state)
{
	(void)state;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	turn(gives_four);
	rig.spare[rig.n_spare++] = rig.ram + 4 * MEM_PIECE_BYTES;
	assert_int_equal(target(5 * MEM_PIECE_BYTES, NULL), 0);
	rig.stock_goes = true;
	rig.n_given = 0;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	assert_int_equal(held(), 2 + FIRST_TOUCH_SPARE);
	assert_int_equal(rig.n_given, 1);
}

static void a_driver_that_begins_anew_can_take_nothing_either(void **state)
{
	struct balloon_host *host = &rig.guest->balloon->host;

	(void)state;
	assert_int_equal(target(2 * MEM_PIECE_BYTES, NULL), 0);
	turn(gives_four);
	host->ops->reset(host);
	assert_int_equal(first_touch_fault(&rig.vm.touch, 3 * MEM_PIECE_BYTES),
			 FIRST_TOUCH_NONE_LEFT);
	turn(gives_four); /* once more: it is gone already */
	assert_int_equal(held(), 2 + FIRST_TOUCH_SPARE);
}

#define CASE(name)     cmocka_unit_test_setup_teardown(name, begin, end)
#define PROMISED(name) cmocka_unit_test_setup_teardown(name, begin_promised, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(no_vcpu_reaches_what_was_given),
		CASE(memory_that_came_again_may_be_found_there_again),
		CASE(what_was_said_twice_is_given_once),
		CASE(what_a_device_holds_stays),
		CASE(with_more_held_than_can_be_known_all_stays),
		CASE(what_was_taken_back_in_the_same_turn_stays),
		CASE(a_turn_is_followed_by_a_rest_that_grows_with_it),
		CASE(who_has_ended_or_asked_for_nothing_has_no_turn),
		CASE(without_memory_for_it_there_is_none),
		PROMISED(it_is_offered_nothing_by_which_it_could_take_at_will),
		PROMISED(what_it_was_not_asked_for_stays_its_own),
		PROMISED(a_lowered_target_is_the_server_s_once_it_was_given),
		PROMISED(nothing_below_its_target_goes_whatever_it_gives),
		PROMISED(one_that_takes_without_having_asked_finds_nothing),
		PROMISED(what_its_target_does_not_leave_it_it_waits_for),
		PROMISED(a_raised_target_is_there_when_it_is_wanted),
		PROMISED(a_raise_that_the_server_cannot_promise_is_refused_and_changes_nothing),
		PROMISED(a_piece_that_nobody_has_is_waited_for_until_somebody_has),
		PROMISED(pages_may_move_within_the_balloon),
		PROMISED(a_lower_target_after_a_higher_one_lets_the_stock_go),
		PROMISED(a_driver_that_begins_anew_can_take_nothing_either),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
