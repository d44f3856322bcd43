/* SPDX-License-Identifier: Apache-2.0 */
/* Intel 8259A data sheet; set up as PC systems do. */
#include "scratch.h"

#include <string.h>

#include "base/core/macros.h"
#include "machine/bus.h"
#include "machine/pic.h"

struct scene {
	struct bus bus;
	struct pic pic;
	bool intr;
	unsigned changes;
};

static void note(struct pic *pic, bool level)
{
	struct scene *s = container_of(pic, struct scene, pic);

	assert_int_not_equal(s->intr, level);
	s->intr = level;
	s->changes++;
}

static void out(struct scene *s, uint16_t port, uint8_t value)
{
	bus_write(&s->bus, port, 1, value);
}

static uint8_t in(struct scene *s, uint16_t port)
{
	return (uint8_t)bus_read(&s->bus, port, 1);
}

/* @icw4: 1 as on PCs, 3 automatic end of interrupt, 0x11 special fully nested */
static void start(struct scene *s, uint8_t icw4)
{
	memset(s, 0, sizeof(*s));
	pic_init(&s->pic, note);
	assert_int_equal(bus_add(&s->bus, &s->pic.ports[0]), 0);
	assert_int_equal(bus_add(&s->bus, &s->pic.ports[1]), 0);
	assert_int_equal(bus_add(&s->bus, &s->pic.elcr), 0);
	assert_int_equal(in(s, 0x21), 0xff);
	out(s, 0x20, 0x11);
	out(s, 0x21, 0x30);
	out(s, 0x21, 0x04);
	out(s, 0x21, icw4);
	out(s, 0xa0, 0x11);
	out(s, 0xa1, 0x38);
	out(s, 0xa1, 0x02);
	out(s, 0xa1, icw4 & 3);
	assert_int_equal(in(s, 0x21), 0);
	out(s, 0x21, 0x5a); /* the probe that systems make */
	assert_int_equal(in(s, 0x21), 0x5a);
	out(s, 0x21, 0);
	out(s, 0xa1, 0);
}

static void pulse(struct scene *s, unsigned irq)
{
	pic_line(&s->pic, irq, false);
	pic_line(&s->pic, irq, true);
}

static void an_edge_is_served_once(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	pic_line(&s.pic, 4, true);
	assert_true(s.intr);
	assert_int_equal(in(&s, 0x20), 1 << 4); /* IRR */
	assert_int_equal(pic_acknowledge(&s.pic), 0x34);
	assert_false(s.intr);
	out(&s, 0x20, 0x0b);
	assert_int_equal(in(&s, 0x20), 1 << 4); /* ISR */
	out(&s, 0x20, 0x0a);
	assert_int_equal(in(&s, 0x20), 0);
	out(&s, 0x20, 0x20);
	assert_false(s.intr); /* still high, but no edge */
	pulse(&s, 4);
	assert_true(s.intr);
}

/* Fully Nested Mode. */
static void lower_inputs_interrupt_higher_ones(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	pic_line(&s.pic, 3, true);
	assert_int_equal(pic_acknowledge(&s.pic), 0x33);
	pic_line(&s.pic, 5, true);
	assert_false(s.intr);
	pic_line(&s.pic, 1, true);
	assert_true(s.intr);
	assert_int_equal(pic_acknowledge(&s.pic), 0x31);
	out(&s, 0x20, 0x20); /* of 1 */
	assert_false(s.intr);
	out(&s, 0x20, 0x63); /* specific, of 3 */
	assert_int_equal(pic_acknowledge(&s.pic), 0x35);
}

static void the_slave_is_served_through_input_2(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	pic_line(&s.pic, 12, true);
	pic_line(&s.pic, 3, true);
	assert_int_equal(pic_acknowledge(&s.pic), 0x3c); /* before 3 */
	out(&s, 0x20, 0x0b);
	assert_int_equal(in(&s, 0x20), 1 << 2);
	pic_line(&s.pic, 14, true);
	assert_false(s.intr);
	out(&s, 0xa0, 0x20);
	assert_false(s.intr); /* the master still serves 2 */
	out(&s, 0x20, 0x62);
	assert_int_equal(pic_acknowledge(&s.pic), 0x3e);
	out(&s, 0xa0, 0x66);
	out(&s, 0x20, 0x62);
	assert_int_equal(pic_acknowledge(&s.pic), 0x33);
}

static void masks_hold_back_and_let_go(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	out(&s, 0x21, 0xff);
	pic_line(&s.pic, 0, true);
	pic_line(&s.pic, 9, true);
	assert_false(s.intr);
	assert_int_equal(in(&s, 0x20), 0x05);
	out(&s, 0x21, 0xfb);
	assert_int_equal(pic_acknowledge(&s.pic), 0x39);
}

/* Interrupt Sequence: a request that is gone before the acknowledge gives input 7, not in service. */
static void a_request_that_vanishes_is_spurious(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	pic_line(&s.pic, 5, true);
	assert_true(s.intr);
	pic_line(&s.pic, 5, false);
	assert_false(s.intr);
	assert_int_equal(pic_acknowledge(&s.pic), 0x37);
	out(&s, 0x20, 0x0b);
	assert_int_equal(in(&s, 0x20), 0);
	out(&s, 0xa0, 0x0b);
	assert_int_equal(in(&s, 0xa0), 0);
}

static void level_inputs_ask_while_they_are_asserted(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	out(&s, 0x4d0, 0xff);
	out(&s, 0x4d1, 0xff);
	assert_int_equal(in(&s, 0x4d0), 0xf8); /* 0, 1, 2, 8, 13 cannot */
	assert_int_equal(in(&s, 0x4d1), 0xde);
	assert_int_equal(bus_read(&s.bus, 0x4d0, 2), 0xdef8);
	bus_write(&s.bus, 0x4d0, 2, 0x0200);
	assert_int_equal(bus_read(&s.bus, 0x4d0, 2), 0x0200);
	pic_line(&s.pic, 9, true);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pic_acknowledge(&s.pic), 0x39);
		assert_false(s.intr);
		out(&s, 0xa0, 0x20);
		out(&s, 0x20, 0x20);
		assert_true(s.intr);
	}
	pic_line(&s.pic, 9, false);
	assert_false(s.intr);
}

static void automatic_end_of_interrupt(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 3);
	pic_line(&s.pic, 4, true);
	pic_line(&s.pic, 6, true);
	pic_line(&s.pic, 10, true);
	pic_line(&s.pic, 11, true);
	assert_int_equal(pic_acknowledge(&s.pic), 0x3a);
	assert_int_equal(pic_acknowledge(&s.pic), 0x3b);
	assert_int_equal(pic_acknowledge(&s.pic), 0x34);
	assert_int_equal(pic_acknowledge(&s.pic), 0x36);
	assert_false(s.intr);
	out(&s, 0x20, 0x0b);
	assert_int_equal(in(&s, 0x20), 0);
}

/* Automatic Rotation (Equal Priority Devices), Specific Rotation. */
static void priorities_rotate(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	pulse(&s, 3);
	assert_int_equal(pic_acknowledge(&s.pic), 0x33);
	out(&s, 0x20, 0xa0); /* rotate on EOI: 3 is the lowest now */
	pulse(&s, 3);
	pulse(&s, 1);
	pulse(&s, 4);
	assert_int_equal(pic_acknowledge(&s.pic), 0x34);
	out(&s, 0x20, 0x20);
	assert_int_equal(pic_acknowledge(&s.pic), 0x31);
	out(&s, 0x20, 0x20);
	assert_int_equal(pic_acknowledge(&s.pic), 0x33);
	out(&s, 0x20, 0xe3); /* rotate on specific EOI */
	out(&s, 0x20, 0xc0); /* set priority: 0 is the lowest, 1 the highest */
	pulse(&s, 0);
	pulse(&s, 7);
	assert_int_equal(pic_acknowledge(&s.pic), 0x37);
	out(&s, 0x20, 0x20);
	assert_int_equal(pic_acknowledge(&s.pic), 0x30);
}

static void automatic_end_with_rotation(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 3);
	out(&s, 0x20, 0x80);
	pulse(&s, 0);
	assert_int_equal(pic_acknowledge(&s.pic), 0x30);
	pulse(&s, 0);
	pulse(&s, 1);
	assert_int_equal(pic_acknowledge(&s.pic), 0x31);
	out(&s, 0x20, 0x00); /* and no longer */
	assert_int_equal(pic_acknowledge(&s.pic), 0x30);
	pulse(&s, 0);
	pulse(&s, 1);
	assert_int_equal(pic_acknowledge(&s.pic), 0x30);
}

/* Special Mask Mode: a masked input in service blocks nobody. */
static void special_mask_mode(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	pulse(&s, 1);
	assert_int_equal(pic_acknowledge(&s.pic), 0x31);
	pulse(&s, 4);
	assert_false(s.intr);
	out(&s, 0x21, 0x02);
	assert_false(s.intr);
	out(&s, 0x20, 0x68);
	assert_int_equal(pic_acknowledge(&s.pic), 0x34);
	out(&s, 0x20, 0x20); /* ends 4: 1 is masked and left alone */
	out(&s, 0x20, 0x0b);
	assert_int_equal(in(&s, 0x20), 1 << 1);
	out(&s, 0x20, 0x48);
	pulse(&s, 4);
	assert_false(s.intr);
}

/* Special Fully Nested Mode: a more urgent input of the slave gets through while the slave is served. */
static void special_fully_nested_mode(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 0x11);
	pulse(&s, 12);
	assert_int_equal(pic_acknowledge(&s.pic), 0x3c);
	pulse(&s, 4);
	assert_false(s.intr); /* but not what is below the slave */
	pulse(&s, 14);
	assert_false(s.intr);
	pulse(&s, 9);
	assert_int_equal(pic_acknowledge(&s.pic), 0x39);
	out(&s, 0xa0, 0x20);
	out(&s, 0xa0, 0x20);
	assert_int_equal(pic_acknowledge(&s.pic), 0x3e);
}

/* Poll Command. */
static void polling_acknowledges(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	out(&s, 0x20, 0x0c);
	assert_int_equal(in(&s, 0x20), 0);
	pic_line(&s.pic, 6, true);
	out(&s, 0x20, 0x0c);
	assert_int_equal(in(&s, 0x20), 0x86);
	assert_false(s.intr);
	out(&s, 0x20, 0x0b);
	assert_int_equal(in(&s, 0x20), 1 << 6);
	out(&s, 0x20, 0x20);
	/* Both of the slave's, one after the other. */
	pic_line(&s.pic, 9, true);
	pic_line(&s.pic, 10, true);
	out(&s, 0x20, 0x0c);
	assert_int_equal(in(&s, 0x20), 0x82);
	out(&s, 0xa0, 0x0c);
	assert_int_equal(in(&s, 0xa0), 0x81);
	out(&s, 0xa0, 0x20);
	out(&s, 0x20, 0x20);
	assert_int_equal(pic_acknowledge(&s.pic), 0x3a);
}

static void polling_the_slave_lets_it_ask_again(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 3); /* automatic EOI: the second request is not held back by the first */
	pic_line(&s.pic, 9, true);
	pic_line(&s.pic, 10, true);
	out(&s, 0x20, 0x0c);
	assert_int_equal(in(&s, 0x20), 0x82);
	out(&s, 0xa0, 0x0c);
	assert_int_equal(in(&s, 0xa0), 0x81);
	assert_true(s.intr);
	assert_int_equal(pic_acknowledge(&s.pic), 0x3a);
}

static void initialization_forgets(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	pulse(&s, 3);
	pulse(&s, 5);
	assert_int_equal(pic_acknowledge(&s.pic), 0x33);
	out(&s, 0x20, 0x13);  /* single, with ICW4 */
	assert_false(s.intr); /* edges are forgotten */
	out(&s, 0x21, 0x45);
	out(&s, 0x21, 0x01); /* this is ICW4: no ICW3 */
	out(&s, 0x21, 0xfe);
	assert_int_equal(in(&s, 0x21), 0xfe);
	out(&s, 0x20, 0x0b);
	assert_int_equal(in(&s, 0x20), 0);
	pulse(&s, 0);
	assert_int_equal(pic_acknowledge(&s.pic), 0x40); /* three bits of ICW2 do not count */
	out(&s, 0x20, 0x12);				 /* without ICW4 */
	out(&s, 0x21, 0x50);
	out(&s, 0x21, 0xfd);
	assert_int_equal(in(&s, 0x21), 0xfd);
}

static void lines_that_do_not_exist(void **state)
{
	struct scene s;

	(void)state;
	start(&s, 1);
	pic_line(&s.pic, 2, true);
	pic_line(&s.pic, 16, true);
	pic_line(&s.pic, UINT32_MAX, true);
	assert_false(s.intr);
	assert_int_equal(s.changes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edge_is_served_once),
		cmocka_unit_test(lower_inputs_interrupt_higher_ones),
		cmocka_unit_test(the_slave_is_served_through_input_2),
		cmocka_unit_test(masks_hold_back_and_let_go),
		cmocka_unit_test(a_request_that_vanishes_is_spurious),
		cmocka_unit_test(level_inputs_ask_while_they_are_asserted),
		cmocka_unit_test(automatic_end_of_interrupt),
		cmocka_unit_test(priorities_rotate),
		cmocka_unit_test(automatic_end_with_rotation),
		cmocka_unit_test(special_mask_mode),
		cmocka_unit_test(special_fully_nested_mode),
		cmocka_unit_test(polling_acknowledges),
		cmocka_unit_test(polling_the_slave_lets_it_ask_again),
		cmocka_unit_test(initialization_forgets),
		cmocka_unit_test(lines_that_do_not_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
