/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The PC's two 8259A, the second one behind input 2 of the first, with the edge/level registers of the ISA bridge.
 *
 * Thread rule: any thread; pic.lock is held while intr() is called, which takes no device's lock.
 * Sources: Intel 8259A Programmable Interrupt Controller data sheet; ELCR: I/O Controller Hub 9 data sheet, Interrupt
 * Controller Edge/Level Control Registers.
 */
#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"

struct pic_chip {
	uint8_t lines;	 /* inputs that are asserted */
	uint8_t latched; /* edges seen and not yet acknowledged */
	uint8_t isr, imr;
	uint8_t elcr;	     /* inputs in level mode */
	uint8_t elcr_mask;   /* those that may be */
	uint8_t vector_base; /* ICW2: its lower three bits are 0 */
	uint8_t cascade;     /* ICW3 */
	uint8_t lowest;	     /* the input of lowest priority: 7 unless rotated */
	uint8_t icw_next;    /* 2..4: that initialization word is awaited; 0: none */
	bool icw4_wanted, single;
	bool read_isr, poll;		     /* OCW3 */
	bool special_mask;		     /* OCW3 */
	bool auto_eoi, fully_nested_special; /* ICW4 */
	bool rotate_auto_eoi;		     /* OCW2 */
};

struct pic;

struct pic {
	/* Mandatory. The output to the CPU changed; under the lock, so in order. */
	void (*intr)(struct pic *pic, bool level);
	struct lock lock;
	bool output;
	struct pic_chip chips[2];
	struct bus_region ports[2], elcr;
};

/* pic_init() - as after power-up, every input masked; the three regions are ready for bus_add(). */
void pic_init(struct pic *pic, void (*intr)(struct pic *pic, bool level));
/* pic_reset() - the registers; inputs stay as asserted as they are. */
void pic_reset(struct pic *pic);
/* pic_line() - @irq: 0..15, but not 2. */
void pic_line(struct pic *pic, unsigned irq, bool level);
/* pic_output() - whether it asks the CPU for an interrupt. */
bool pic_output(struct pic *pic);
/* pic_acknowledge() - the CPU's two INTA cycles: the vector; the spurious one, input 7's, when the request went away. */
uint8_t pic_acknowledge(struct pic *pic);
