/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a scheduler gives: how much is done in so much of the guest's time. "ticks=N" of the TSC; "halts=1": it sleeps until the LAPIC
 * timer wakes it, over and over, else it never stops counting; "interrupts=1": it would take one, if there were any; "floods=N": it prints lines of N bytes and more without end. The number that it prints is for whoever compares guests.
 */
#include "lib/irq.h"

#define VECTOR	       0x51
#define LVT_TIMER      0xfee00320U
#define TIMER_INITIAL  0xfee00380U
#define TIMER_DIVIDE   0xfee003e0U
#define TIMER_PERIODIC 0x20000U
#define BY_1	       0xbU
#define TICK	       10000000U /* of the LAPIC's timer, 1 GHz here: 10 ms */

static void count(uint64_t end)
{
	uint64_t n = 0;

	if (option_number("interrupts", 0)) {
		lapic_init();
		irq_on();
	}
	for (; tsc() < end; n++) {
		for (volatile unsigned i = 0; i < 200; i++)
			barrier();
	}
	print("counted ");
	print_number(n);
	print("\n");
	check("counted", n > 0);
}

static void sleep_on(uint64_t end)
{
	lapic_init();
	irq_set(VECTOR, irq_counter);
	write32(TIMER_DIVIDE, BY_1);
	write32(LVT_TIMER, TIMER_PERIODIC | VECTOR);
	write32(TIMER_INITIAL, TICK);
	while (tsc() < end)
		wait_irq();
	write32(LVT_TIMER, 0x10000);
	print("woke ");
	print_number(irq_counts[VECTOR]);
	print("\n");
	check("woke", irq_counts[VECTOR] > 0);
}

/* Lines with a number each. */
static void flood(uint64_t len)
{
	for (uint64_t n = 0;; n++) {
		print("line ");
		print_number(n);
		print(" ");
		for (uint64_t i = 0; i < len; i++)
			print(".");
		print("\n");
	}
}

void guest_main(void)
{
	if (option_number("floods", 0))
		flood(option_number("floods", 0));
	uint64_t end = tsc() + option_number("ticks", 1000000000);

	if (option_number("halts", 0))
		sleep_on(end);
	else
		count(end);
}
