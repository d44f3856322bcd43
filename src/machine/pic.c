/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pic.h"

#include <string.h>

#include "base/core/macros.h"
#include "machine/layout.h"

#define CASCADE 2U /* the master's input that the slave's output is wired to */

/* ---- one chip ---- */

/* Requests: an input in level mode asks while it is asserted; in edge mode it must also have risen: IR triggering. */
static uint8_t chip_irr(const struct pic_chip *chip)
{
	return chip->lines & (chip->elcr | chip->latched);
}

/* The inputs in order of priority, the highest first: rank 0 is the one after the lowest. */
static unsigned chip_input(const struct pic_chip *chip, unsigned rank)
{
	return (chip->lowest + 1U + rank) % 8;
}

/* Rank of the most urgent bit; 8: none. */
static unsigned chip_rank(const struct pic_chip *chip, uint8_t bits)
{
	unsigned rank = 0;

	while (rank < 8 && !(bits >> chip_input(chip, rank) & 1))
		rank++;
	return rank;
}

/*
 * Which input it would interrupt with, or -1. One in service blocks its own priority and below, unless it is masked in
 * special mask mode; a master in special fully nested mode lets the slave ask again while the slave is served.
 */
static int chip_pending(const struct pic_chip *chip, bool is_master)
{
	unsigned rank = chip_rank(chip, chip_irr(chip) & (uint8_t)~chip->imr);
	unsigned served =
		chip_rank(chip, chip->special_mask ? chip->isr & (uint8_t)~chip->imr : chip->isr);
	unsigned input = chip_input(chip, rank);
	bool again = chip->fully_nested_special && is_master && input == CASCADE;

	return rank < served || (rank < 8 && rank == served && again) ? (int)input : -1;
}

static void chip_line(struct pic_chip *chip, unsigned input, bool level)
{
	uint8_t bit = (uint8_t)(1U << input);

	if (level && !(chip->lines & bit))
		chip->latched |= bit;
	if (!level)
		chip->latched &= (uint8_t)~bit;
	chip->lines = level ? chip->lines | bit : chip->lines & (uint8_t)~bit;
}

/* An input's interrupt is taken: an edge is used up, and it is in service unless that ends at once. */
static void chip_take(struct pic_chip *chip, unsigned input)
{
	uint8_t bit = (uint8_t)(1U << input);

	chip->latched &= (uint8_t)~bit;
	if (!chip->auto_eoi)
		chip->isr |= bit;
	else if (chip->rotate_auto_eoi)
		chip->lowest = (uint8_t)input;
}

static struct pic_chip *pic_master(struct pic *pic)
{
	return &pic->chips[0];
}

static struct pic_chip *pic_slave(struct pic *pic)
{
	return &pic->chips[1];
}

/* ---- both ---- */

/* The slave's output into the master, the master's to the CPU. The lock is held. */
static void pic_update(struct pic *pic)
{
	chip_line(pic_master(pic), CASCADE, chip_pending(pic_slave(pic), false) >= 0);
	bool output = chip_pending(pic_master(pic), true) >= 0;
	if (output == pic->output)
		return;
	pic->output = output;
	pic->intr(pic, output);
}

void pic_line(struct pic *pic, unsigned irq, bool level)
{
	if (irq >= 16 || irq == CASCADE)
		return;
	lock_acquire(&pic->lock);
	chip_line(&pic->chips[irq / 8], irq % 8, level);
	pic_update(pic);
	lock_release(&pic->lock);
}

bool pic_output(struct pic *pic)
{
	lock_acquire(&pic->lock);
	bool output = pic->output;
	lock_release(&pic->lock);
	return output;
}

/* Interrupt Sequence: the vector of one chip; without a request it is input 7's, and nothing is in service. */
static uint8_t chip_acknowledge(struct pic_chip *chip, bool is_master, unsigned *ret_input)
{
	int input = chip_pending(chip, is_master);

	*ret_input = input < 0 ? 7 : (unsigned)input;
	if (input >= 0)
		chip_take(chip, (unsigned)input);
	return (uint8_t)(chip->vector_base + *ret_input);
}

uint8_t pic_acknowledge(struct pic *pic)
{
	unsigned input;

	lock_acquire(&pic->lock);
	uint8_t vector = chip_acknowledge(pic_master(pic), true, &input);
	if (input == CASCADE) {
		vector = chip_acknowledge(pic_slave(pic), false, &input);
		/* The next request of the slave is a new edge for the master. */
		chip_line(pic_master(pic), CASCADE, false);
	}
	pic_update(pic);
	lock_release(&pic->lock);
	return vector;
}

/* ---- the command words ---- */

/* Initialization Command Words 1 and 2. Level triggering is ELCR's to say on a PC, so LTIM has no effect. */
static void chip_icw1(struct pic_chip *chip, uint8_t value)
{
	chip->latched = 0;
	chip->isr = 0;
	chip->imr = 0;
	chip->lowest = 7;
	chip->read_isr = chip->poll = chip->special_mask = false;
	chip->auto_eoi = chip->rotate_auto_eoi = chip->fully_nested_special = false;
	chip->single = value & 2;
	chip->icw4_wanted = value & 1;
	chip->icw_next = 2;
}

static void chip_icw(struct pic_chip *chip, uint8_t value)
{
	switch (chip->icw_next) {
	case 2:
		chip->vector_base = value & 0xf8;
		chip->icw_next = !chip->single ? 3 : chip->icw4_wanted ? 4 : 0;
		break;
	case 3:
		chip->cascade = value;
		chip->icw_next = chip->icw4_wanted ? 4 : 0;
		break;
	default: /* ICW4; buffered mode is a matter of wires */
		chip->fully_nested_special = value & 0x10;
		chip->auto_eoi = value & 2;
		chip->icw_next = 0;
		break;
	}
}

/* Operation Command Word 2: R, SL, EOI and an input. */
static void chip_ocw2(struct pic_chip *chip, uint8_t value)
{
	uint8_t served = chip->isr;
	unsigned input = value & 7;

	if (!(value & 0x40)) { /* not specific: the one of highest priority that is in service */
		if (chip->special_mask) /* those masked are left alone: Special Mask Mode */
			served &= (uint8_t)~chip->imr;
		unsigned rank = chip_rank(chip, served);
		input = rank == 8 ? 8 : chip_input(chip, rank);
	}
	switch (value >> 5) {
	case 0: /* rotate in automatic EOI mode, clear and set */
	case 4:
		chip->rotate_auto_eoi = value & 0x80;
		break;
	case 1: /* EOI: not specific, specific */
	case 3:
	case 5: /* and rotate */
	case 7:
		if (input == 8)
			break;
		chip->isr &= (uint8_t) ~(1U << input);
		if (value & 0x80)
			chip->lowest = (uint8_t)input;
		break;
	case 6: /* set priority */
		chip->lowest = (uint8_t)input;
		break;
	default: /* 2: no operation */
		break;
	}
}

/* Operation Command Word 3 */
static void chip_ocw3(struct pic_chip *chip, uint8_t value)
{
	if (value & 4)
		chip->poll = true;
	if (value & 2)
		chip->read_isr = value & 1;
	if (value & 0x40)
		chip->special_mask = value & 0x20;
}

/* Poll Command: the read is the acknowledgement. */
static uint8_t chip_poll(struct pic_chip *chip, bool is_master)
{
	int input = chip_pending(chip, is_master);

	chip->poll = false;
	if (input < 0)
		return 0;
	chip_take(chip, (unsigned)input);
	return (uint8_t)(0x80 | input);
}

static uint64_t pic_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	bool is_slave = region->base == PORT_PIC_SLAVE;
	struct pic *pic = is_slave ? container_of(region, struct pic, ports[1])
				   : container_of(region, struct pic, ports[0]);
	struct pic_chip *chip = &pic->chips[is_slave];

	(void)len;
	if (chip->poll) {
		uint8_t value = chip_poll(chip, !is_slave);
		if (is_slave)
			chip_line(pic_master(pic), CASCADE, false);
		pic_update(pic);
		return value;
	}
	if (offset == 1)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip_irr(chip);
}

static void pic_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	bool is_slave = region->base == PORT_PIC_SLAVE;
	struct pic *pic = is_slave ? container_of(region, struct pic, ports[1])
				   : container_of(region, struct pic, ports[0]);
	struct pic_chip *chip = &pic->chips[is_slave];
	uint8_t byte = (uint8_t)value;

	(void)len;
	if (offset == 1 && chip->icw_next)
		chip_icw(chip, byte);
	else if (offset == 1)
		chip->imr = byte;
	else if (byte & 0x10)
		chip_icw1(chip, byte);
	else if (byte & 8)
		chip_ocw3(chip, byte);
	else
		chip_ocw2(chip, byte);
	pic_update(pic);
}

static uint64_t elcr_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct pic *pic = container_of(region, struct pic, elcr);

	if (len == 2)
		return (uint64_t)(pic->chips[0].elcr | pic->chips[1].elcr << 8);
	return pic->chips[offset & 1].elcr;
}

static void elcr_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct pic *pic = container_of(region, struct pic, elcr);

	for (unsigned i = 0; i < len; i++) {
		struct pic_chip *chip = &pic->chips[(offset + i) & 1];
		chip->elcr = (uint8_t)(value >> 8 * i) & chip->elcr_mask;
	}
	pic_update(pic);
}

static const struct bus_ops pic_ops = {
	.name = "pic",
	.read = pic_read,
	.write = pic_write,
};

static const struct bus_ops elcr_ops = {
	.name = "elcr",
	.read = elcr_read,
	.write = elcr_write,
};

void pic_reset(struct pic *pic)
{
	lock_acquire(&pic->lock);
	for (unsigned i = 0; i < 2; i++) {
		struct pic_chip *chip = &pic->chips[i];
		*chip = (struct pic_chip){ .lines = chip->lines, .imr = 0xff, .lowest = 7 };
		/* The timer, keyboard, cascade, clock and coprocessor inputs are edges for ever. */
		chip->elcr_mask = i ? 0xde : 0xf8;
	}
	pic_update(pic);
	lock_release(&pic->lock);
}

void pic_init(struct pic *pic, void (*intr)(struct pic *pic, bool level))
{
	memset(pic, 0, sizeof(*pic));
	pic->intr = intr;
	struct bus_region region = { .ops = &pic_ops, .lock = &pic->lock, .size = 2 };
	pic->ports[0] = pic->ports[1] = pic->elcr = region;
	pic->ports[0].base = PORT_PIC_MASTER;
	pic->ports[1].base = PORT_PIC_SLAVE;
	pic->elcr.base = PORT_ELCR;
	pic->elcr.ops = &elcr_ops;
	pic_reset(pic);
}
