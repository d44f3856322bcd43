/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other CPUs: they start, they work, they take interrupts. Wants "cpus=N", or QEMU's fw_cfg. With "nmis=N" so many NMIs are sent
 * to one of them in shadows of STI and MOV SS, and so many pairs of them.
 */
#include "lib/smp.h"
#include "lib/irq.h"

#define VECTOR 0x61

static volatile uint32_t shared, ready;

static void add_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 200; i++)
		__atomic_fetch_add(&shared, 1, __ATOMIC_SEQ_CST);
}

/* Takes two interrupts: one while it spins, one while it sleeps. */
static void take_interrupts(void *arg)
{
	(void)arg;
	ready = 1;
	(void)irq_wait(VECTOR, 1, 10);
	ready = 2;
	while (irq_counts[VECTOR] < 2)
		wait_irq();
}

static void wait_ready(uint32_t value)
{
	struct within w = { 0 };

	while (ready != value && within(&w, 10))
		pause();
}

#define VECTOR_NMI  2
#define NMI_COMMAND 0x4400U

static volatile uint32_t nmis, shadows_seen;
static volatile bool nmis_are_over;

static void nmi_counter(struct irq_frame *frame)
{
	(void)frame;
	nmis++;
}

/* Nothing here exits but what the host's interrupts do: often in a shadow of STI or MOV SS. */
static void shadows(void *arg)
{
	(void)arg;
	ready = 1;
	while (!nmis_are_over) {
		shadows_seen++;
		__asm__ volatile(
			"mov %%ss, %%eax\n\tmov %%eax, %%ss\n\tnop\n\tmov %%eax, %%ss\n\tnop\n\t"
			"sti\n\tnop\n\tcli\n\tsti\n\tnop\n\tcli"
			:
			:
			: "rax", "memory", "cc");
	}
}

/* The handler of the last one is left, which has counted it but holds others back. */
static void nmis_served(void)
{
	struct within w = { 0 };
	uint32_t seen = shadows_seen;

	while (shadows_seen == seen && within(&w, 10))
		pause();
}

/*
 * Each time all arrive before the next ones are sent, whatever the other CPU does. Of a pair the second comes while the first is
 * served, or waits with it: SDM 3A, Handling Multiple NMIs.
 */
static void nmis_each(const char *name, unsigned cpu, uint32_t times, uint32_t at_once)
{
	nmis = 0;
	ready = 0;
	nmis_are_over = false;
	irq_set(VECTOR_NMI, nmi_counter);
	smp_run(cpu, shadows, NULL);
	wait_ready(1);
	for (uint32_t i = 1; i <= times && nmis == (i - 1) * at_once; i++) {
		struct within w = { 0 };
		for (uint32_t k = 0; k < at_once; k++)
			lapic_ipi(smp_id(cpu), NMI_COMMAND);
		while (nmis < i * at_once && within(&w, 10))
			pause();
		nmis_served();
	}
	check_equal(name, nmis, times * at_once);
	nmis_are_over = true;
	check("and_it_goes_on", smp_wait(cpu, 10));
}

void guest_main(void)
{
	unsigned n = smp_count();

	if (n < 2) {
		skip("smp", "one CPU");
		check("one_cpu", true);
		return;
	}
	lapic_init();
	irq_set(VECTOR, irq_counter);
	check_equal("others_start", smp_start(), n - 1);
	uint32_t ids = 0;
	for (unsigned i = 0; i < n; i++)
		ids |= 1U << (smp_id(i) & 31);
	check_equal("lapic_ids_are_0_and_up", ids, (1U << n) - 1);

	for (unsigned i = 1; i < n; i++)
		smp_run(i, add_many, NULL);
	add_many(NULL);
	bool all = true;
	for (unsigned i = 1; i < n; i++)
		all = smp_wait(i, 20) && all;
	check("work_is_done_by_all", all);
	check_equal("locked_adds_lose_nothing", shared, 200 * n);

	for (unsigned i = 1; i < n; i++) {
		irq_counts[VECTOR] = 0;
		ready = 0;
		smp_run(i, take_interrupts, NULL);
		wait_ready(1);
		lapic_ipi(smp_id(i), 0x4000 | VECTOR);
		wait_ready(2);
		lapic_ipi(smp_id(i), 0x4000 | VECTOR);
		check("ipi_wakes_a_cpu", smp_wait(i, 10));
	}
	if (option_number("nmis", 0)) {
		nmis_each("nmis_in_shadows", 1, (uint32_t)option_number("nmis", 0), 1);
		nmis_each("nmis_in_pairs", 1, (uint32_t)option_number("nmis", 0), 2);
	}
	irq_counts[VECTOR] = 0;
	lapic_ipi(0, 0x40000 | 0x4000 | VECTOR); /* to self */
	check("ipi_to_self", irq_wait(VECTOR, 1, 5));
}
