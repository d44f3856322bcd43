/* SPDX-License-Identifier: Apache-2.0 */
/* A line that takes so many bytes in each tick, and guests that want more of it than there is. */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/out.h"

#define GUESTS 5U
#define LINE   100U
#define TICK   16U

struct guest {
	struct out_waiter waiter;
	unsigned put, told;
	bool is_paused;
};

static struct {
	struct out out;
	unsigned room; /* in this tick */
	char sent[1 << 20];
	unsigned n;
	struct guest guests[GUESTS];
} rig;

static unsigned line_room(struct out *out)
{
	unsigned room = rig.room;

	(void)out;
	rig.room = 0;
	return room;
}

static void line_put(struct out *out, char c)
{
	(void)out;
	assert_true(rig.n < sizeof(rig.sent));
	rig.sent[rig.n++] = c;
}

/* Lines of a guest's: its letter, until it is told to wait. */
static void guest_runs(struct guest *g)
{
	char line[LINE];

	memset(line, 'a' + (int)(g - rig.guests), sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	while (!g->is_paused && out_may_put(&rig.out, &g->waiter, sizeof(line))) {
		out_put(&rig.out, line, sizeof(line));
		g->put++;
	}
}

static void guest_room(struct out_waiter *w)
{
	struct guest *g = container_of(w, struct guest, waiter);

	g->told++;
	guest_runs(g);
}

static void tick(void)
{
	rig.room = TICK;
	(void)out_move(&rig.out, OUT_BYTES);
	struct out_waiter *w = out_next(&rig.out);
	if (w)
		w->room(w);
}

static int begin(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	out_init(&rig.out, line_room, line_put);
	for (unsigned i = 0; i < GUESTS; i++)
		rig.guests[i].waiter.room = guest_room;
	return 0;
}

static void what_is_put_comes_in_order_as_the_line_takes_it(void **state)
{
	char text[3 * OUT_BYTES / 2];

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)('!' + i % 89);
	for (unsigned at = 0; at < sizeof(text);) { /* over the ring's end */
		size_t n = out_room(&rig.out) < 1000 ? out_room(&rig.out) : 1000;
		n = n < sizeof(text) - at ? n : sizeof(text) - at;
		out_put(&rig.out, text + at, n);
		at += (unsigned)n;
		tick();
	}
	assert_int_equal(out_move(&rig.out, OUT_BYTES), 0); /* it is full now */
	while (rig.out.n)
		tick();
	assert_int_equal(rig.n, sizeof(text));
	assert_memory_equal(rig.sent, text, sizeof(text));
}

/* A guest that printed without end had the line for itself, and all others waited for the lock. */
static void guests_that_flood_share_the_line_and_what_others_print_is_not_behind_them(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS; i++)
		guest_runs(&rig.guests[i]);
	assert_true(rig.out.n < OUT_GUESTS_BYTES + LINE);
	for (unsigned i = 0; i < 10000; i++) {
		tick();
		assert_true(rig.out.n <= OUT_GUESTS_BYTES + GUESTS * LINE);
	}
	unsigned least = rig.guests[0].put, most = least;
	for (unsigned i = 1; i < GUESTS; i++) {
		least = rig.guests[i].put < least ? rig.guests[i].put : least;
		most = rig.guests[i].put > most ? rig.guests[i].put : most;
	}
	assert_true(least > 10000 * TICK / LINE / GUESTS / 2);
	assert_true(most - least <= OUT_GUESTS_BYTES / LINE + 1); /* the first had an empty line */
	for (unsigned i = 0; i + LINE <= rig.n; i += LINE) {	  /* and no line is torn */
		for (unsigned k = 1; k < LINE - 1; k++)
			assert_int_equal(rig.sent[i + k], rig.sent[i]);
		assert_int_equal(rig.sent[i + LINE - 1], '\n');
	}
}

static void one_that_is_told_and_does_not_come_keeps_nobody_waiting(void **state)
{
	(void)state;
	guest_runs(&rig.guests[0]);
	guest_runs(&rig.guests[1]);
	guest_runs(&rig.guests[2]);
	rig.guests[1].is_paused = true;
	unsigned before = rig.guests[2].put;
	for (unsigned i = 0; i < 1000; i++)
		tick();
	assert_int_equal(rig.guests[1].told, 1);
	assert_true(rig.guests[2].put > before + 10);
	unsigned put = rig.guests[1].put;
	rig.guests[1].is_paused = false;
	guest_runs(&rig.guests[1]); /* its turn was kept */
	assert_int_equal(rig.guests[1].put, put + 1);
}

static void one_that_is_forgotten_is_not_told(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		guest_runs(&rig.guests[i]);
	out_forget(&rig.out, &rig.guests[0].waiter);
	out_forget(&rig.out, &rig.guests[2].waiter);
	out_forget(&rig.out, &rig.guests[4].waiter); /* never waited */
	guest_runs(&rig.guests[3]);
	for (unsigned i = 0; i < 1000; i++)
		tick();
	assert_int_equal(rig.guests[0].told + rig.guests[2].told + rig.guests[4].told, 0);
	assert_true(rig.guests[1].told && rig.guests[3].told);
}

static void of_a_line_that_takes_nothing_what_waits_is_dropped_and_guests_go_on(void **state)
{
	(void)state;
	guest_runs(&rig.guests[0]);
	for (unsigned i = 0; i < 100; i++)
		assert_null(out_next(&rig.out));
	out_drop(&rig.out);
	assert_ptr_equal(out_next(&rig.out), &rig.guests[0].waiter);
	assert_int_equal(rig.n, 0);
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_put_comes_in_order_as_the_line_takes_it),
		T(guests_that_flood_share_the_line_and_what_others_print_is_not_behind_them),
		T(one_that_is_told_and_does_not_come_keeps_nobody_waiting),
		T(one_that_is_forgotten_is_not_told),
		T(of_a_line_that_takes_nothing_what_waits_is_dropped_and_guests_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
