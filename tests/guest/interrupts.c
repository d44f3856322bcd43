/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupt controllers: PIC with the PIT, IOAPIC with the serial port, LAPIC with its timer. The PIT is at pin 2 of the
 * IOAPIC, as PCs have it, or the option "pit_pin=N". With "in_service=0" the LAPIC need not hold lower priorities back
 * while an interrupt is handled: KVM's does not where it has no hardware assistance (seen: Linux 6.18, kvm-pvm).
 */
#include "lib/irq.h"

#define PIC_BASE   0x30
#define TIMER	   0x40
#define IPI	   0x41
#define SERIAL	   0x42
#define HIGH	   0x81
#define PIT_PIN	   0x43
#define DEADLINE   0x44
#define PIT_HZ	   1193182U
#define SERIAL_IER 0x3f9
#define SERIAL_IIR 0x3fa
#define SERIAL_MCR 0x3fc

#define MSR_DEADLINE 0x6e0
#define LVT_DEADLINE 0x40000U

static volatile uint32_t pic_ticks, priority_seen;
static volatile bool lower_came;

static void pic_tick(struct irq_frame *frame)
{
	pic_ticks++;
	pic_eoi((unsigned)frame->vector - PIC_BASE);
}

/* While this one is handled another of lower priority is asked for; it must wait for the end of this one. */
static void nesting(struct irq_frame *frame)
{
	uint32_t before = irq_counts[IPI];

	lapic_ipi(lapic_id(), 0x4000 | IPI);
	irq_on();
	for (unsigned i = 0; i < 20; i++)
		(void)in8(
			0x80); /* out to the host and back: interrupts are looked at there in any case */
	irq_off();
	lower_came = irq_counts[IPI] != before;
	priority_seen = lapic_read(LAPIC_PPR);
	irq_counter(frame);
}

static void pit_rate(uint16_t count)
{
	out8(0x43, 0x34); /* channel 0, both bytes, rate generator */
	out8(0x40, (uint8_t)count);
	out8(0x40, (uint8_t)(count >> 8));
}

/* Exceptions that this program causes; each handler steps over the instruction. */
static volatile uint64_t fault_vector, fault_error, fault_address;
static uint64_t fault_skip;

static void fault(struct irq_frame *frame)
{
	fault_vector = frame->vector;
	fault_error = frame->error;
	__asm__ volatile("mov %%cr2, %0" : "=r"(fault_address));
	frame->rip += fault_skip;
}

static void exceptions(void)
{
	const uint64_t nowhere = 0x8000000000; /* 512 GiB: behind all that is mapped */

	irq_set(0, fault);
	irq_set(13, fault);
	irq_set(14, fault);
	fault_vector = 255;
	fault_skip = 2;
	__asm__ volatile("div %%ecx" : : "a"(1), "d"(0), "c"(0));
	check_equal("division_by_zero", fault_vector, 0);
	__asm__ volatile("mov %0, %%ds" : : "c"(0x1238));
	check_equal("no_such_segment", fault_vector, 13);
	check_equal("error_code_is_the_selector", fault_error, 0x1238);
	uint32_t got = 5;
	fault_skip = 2;
	__asm__ volatile("mov (%%rcx), %%eax" : "+a"(got) : "c"(nowhere));
	check_equal("page_fault", fault_vector, 14);
	check_equal("page_fault_by_a_read", fault_error, 0);
	check_equal("page_fault_address", fault_address, nowhere);
	__asm__ volatile("mov %%eax, (%%rcx)" : : "a"(got), "c"(nowhere + 8) : "memory");
	check_equal("page_fault_by_a_write", fault_error, 2);
	check_equal("its_address", fault_address, nowhere + 8);
	irq_set(0, NULL);
	irq_set(13, NULL);
	irq_set(14, NULL);
}

static bool pic_wait(uint32_t count)
{
	struct within w = { 0 };

	irq_on();
	while (pic_ticks < count && within(&w, 10))
		pause();
	irq_off();
	return pic_ticks >= count;
}

/* The PIC reaches the CPU through LINT0 as ExtINT: virtual wire mode. */
static void pic(void)
{
	pic_init(PIC_BASE);
	irq_set(PIC_BASE, pic_tick);
	lapic_write(LAPIC_LINT0, LVT_EXTINT);
	pit_rate(PIT_HZ / 100);
	pic_mask(0, false);
	check("pit_ticks_by_the_pic", pic_wait(3));
	pic_mask(0, true);
	uint32_t before = pic_ticks;
	struct within w = { 0 };
	irq_on();
	while (within(&w, 1) && w.calls < 1000)
		pause();
	irq_off();
	check("a_masked_line_is_quiet", pic_ticks <= before + 1);
	lapic_write(LAPIC_LINT0, LVT_MASKED);
}

static void lapic(void)
{
	irq_set(IPI, irq_counter);
	lapic_ipi(lapic_id(), 0x4000 | IPI);
	check("ipi_to_this_cpu", irq_wait(IPI, 1, 5));

	irq_set(HIGH, irq_counter);
	lapic_write(LAPIC_TPR, 0x50);
	lapic_ipi(lapic_id(), 0x4000 | IPI);
	lapic_ipi(lapic_id(), 0x4000 | HIGH);
	check("above_the_task_priority", irq_wait(HIGH, 1, 5));
	check_equal("below_it_waits", irq_counts[IPI], 1);
	check("is_requested", lapic_read(LAPIC_IRR + (IPI / 32) * 0x10) >> (IPI & 31) & 1);
	lapic_write(LAPIC_TPR, 0);
	check("comes_when_the_priority_falls", irq_wait(IPI, 2, 5));

	irq_set(HIGH, nesting);
	lapic_ipi(lapic_id(), 0x4000 | HIGH);
	check("nested_one_comes_later", irq_wait(IPI, 3, 5) && irq_counts[HIGH] == 2);
	if (option_number("in_service", 1)) {
		check("lower_priority_waits_for_the_end", !lower_came);
		check_equal("priority_while_handled", priority_seen & 0xf0, HIGH & 0xf0);
	} else {
		skip("lower_priority_waits_for_the_end", "the option in_service=0");
	}
	check_equal("priority_after", lapic_read(LAPIC_PPR), 0);

	lapic_write(LAPIC_TPR, 0x30);
	uint64_t cr8;
	__asm__ volatile("mov %%cr8, %0" : "=r"(cr8));
	check_equal("cr8_is_the_task_priority", cr8, 3);
	cr8 = 0;
	__asm__ volatile("mov %0, %%cr8" : : "r"(cr8));
	check_equal("and_the_other_way_round", lapic_read(LAPIC_TPR), 0);
}

static void lapic_timer(void)
{
	irq_set(TIMER, irq_counter);
	lapic_write(LAPIC_DIVIDE, 0xb); /* by 1 */
	lapic_write(LAPIC_TIMER, TIMER);
	lapic_write(LAPIC_INITIAL, 100000);
	check("one_shot", irq_wait(TIMER, 1, 10));
	check_equal("one_shot_stops_at_zero", lapic_read(LAPIC_CURRENT), 0);

	lapic_write(LAPIC_TIMER, TIMER | LVT_PERIODIC);
	lapic_write(LAPIC_INITIAL, 1000000);
	check("periodic", irq_wait(TIMER, 4, 10));
	lapic_write(LAPIC_INITIAL, 0);
	uint32_t before = irq_counts[TIMER];
	irq_gap();
	before = irq_counts[TIMER] - before; /* one may have been on its way */
	check("stops", before <= 1 && lapic_read(LAPIC_CURRENT) == 0);

	lapic_write(LAPIC_TIMER, TIMER);
	lapic_write(LAPIC_INITIAL, 1000000);
	before = irq_counts[TIMER];
	while (irq_counts[TIMER] == before)
		wait_irq();
	check("ends_a_halt", true);
}

static volatile uint64_t deadline_came_at;

static void deadline_tick(struct irq_frame *frame)
{
	deadline_came_at = tsc();
	irq_counter(frame);
}

/* SDM 3A, TSC-Deadline Mode. */
static void tsc_deadline(void)
{
	uint32_t regs[4];
	bool early = false, came = true;

	cpuid(1, 0, regs);
	if (!(regs[2] >> 24 & 1)) {
		skip("tsc_deadline", "not offered");
		return;
	}
	irq_set(DEADLINE, deadline_tick);
	lapic_write(LAPIC_TIMER, DEADLINE | LVT_DEADLINE);
	fence();
	for (uint32_t i = 1; i <= 5 && came; i++) {
		uint64_t when = tsc() + i * 2000000;
		msr_write(MSR_DEADLINE, when);
		came = irq_wait(DEADLINE, i, 10);
		early = early || deadline_came_at < when;
	}
	check("deadline", came);
	check("deadline_is_not_early", !early);
	check_equal("deadline_is_over", msr_read(MSR_DEADLINE), 0);
	uint64_t far = tsc() + (1ULL << 50);
	msr_write(MSR_DEADLINE, far);
	check_equal("deadline_is_kept", msr_read(MSR_DEADLINE), far);
	msr_write(MSR_DEADLINE, 1);
	check("deadline_in_the_past", irq_wait(DEADLINE, 6, 10));
	uint64_t soon = tsc() + 50000000;
	msr_write(MSR_DEADLINE, soon);
	msr_write(MSR_DEADLINE, 0);
	bool in_time = tsc() < soon; /* else the host kept us waiting, and it may have come */
	irq_on();
	while (tsc() < soon + 10000000)
		pause();
	irq_off();
	check("deadline_taken_back", !in_time || irq_counts[DEADLINE] == 6);
	lapic_write(LAPIC_TIMER, LVT_MASKED);
}

/* The transmitter is empty: allowing that interrupt asks for it (16550 data sheet, Interrupt Enable Register). */
static void ioapic(void)
{
	uint32_t version = ioapic_read(1);

	check("has_24_pins", (version >> 16 & 0xff) == 23);
	irq_set(SERIAL, irq_counter);
	ioapic_route(4, SERIAL, 0, lapic_id());
	out8(SERIAL_MCR, 0x8); /* OUT2: the line is connected */
	out8(SERIAL_IER, 2);
	check("serial_by_the_ioapic", irq_wait(SERIAL, 1, 10));
	check_equal("serial_says_why", in8(SERIAL_IIR) & 0xf, 2);
	out8(SERIAL_IER, 0);
	irq_gap(); /* what was printed meanwhile asked again */
	ioapic_route(4, SERIAL, IOAPIC_MASKED, lapic_id());
	uint32_t before = irq_counts[SERIAL];
	out8(SERIAL_IER, 2);
	irq_gap();
	out8(SERIAL_IER, 0);
	check_equal("a_masked_pin_is_quiet", irq_counts[SERIAL], before);
	check("keeps_what_is_written",
	      (ioapic_read(0x10 + 8) & 0x100ff) == (IOAPIC_MASKED | SERIAL));

	unsigned pin = (unsigned)option_number("pit_pin", 2);
	irq_set(PIT_PIN, irq_counter);
	ioapic_route(pin, PIT_PIN, 0, lapic_id());
	check("pit_by_the_ioapic", irq_wait(PIT_PIN, 2, 10));
	ioapic_route(pin, PIT_PIN, IOAPIC_MASKED, lapic_id());
}

void guest_main(void)
{
	exceptions();
	lapic_init();
	pic();
	lapic();
	lapic_timer();
	tsc_deadline();
	ioapic();
}
