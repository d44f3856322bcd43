/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks: PM timer, PIT, RTC, TSC, and KVM's where it is offered. Nothing here may be early; late is the host's
 * affair. "tsc-khz=N" on the command line: what the TSC's rate has to be, by every clock that there is.
 */
#include "lib/irq.h"

#define PM_HZ  3579545U
#define PIT_HZ 1193182U

static void pm(void)
{
	uint32_t first = pm_timer(), now = first;
	bool backwards = false;

	check("pm_timer_is_there", first != UINT32_MAX);
	check("pm_timer_has_24_bits", first < 1U << 24);
	for (unsigned i = 0; i < 50; i++) {
		uint32_t next = pm_timer();
		backwards = backwards || ((next - now) & 0xffffff) > 1U << 23;
		now = next;
	}
	check("pm_timer_never_goes_back", !backwards);
	check("pm_timer_counts", now != first);
}

/* Channel 2 counts to zero once and then raises its output, which port 0x61 shows (8254 data sheet, Mode 0). */
static void pit(void)
{
	const uint16_t count = PIT_HZ / 100; /* 10 ms */
	struct within w = { 0 };

	out8(0x61, (in8(0x61) & 0xfc) | 1); /* gate on, speaker off */
	out8(0x43, 0xb0);
	out8(0x42, (uint8_t)count);
	uint32_t began = pm_timer();
	out8(0x42, (uint8_t)(count >> 8)); /* it starts here */
	bool low = !(in8(0x61) & 0x20);
	out8(0x43, 0x80); /* latch */
	unsigned left = in8(0x42);
	left |= (unsigned)in8(0x42) << 8;
	/* Unless the host kept this CPU waiting so long that it went through zero and around. */
	if (((pm_timer() - began) & 0xffffff) < PM_HZ / 100 - PM_HZ / 1000) {
		check("pit_output_is_low", low);
		check("pit_counts_from_there", left <= count);
	}
	while (!(in8(0x61) & 0x20) && within(&w, 10))
		pause();
	uint32_t took = (pm_timer() - began) & 0xffffff;
	check("pit_output_rises", in8(0x61) & 0x20);
	check("pit_is_not_early", took > PM_HZ / 100 - PM_HZ / 1000);
	out8(0x43, 0xe8); /* read back: status of channel 2 */
	check_equal("pit_status", in8(0x42) & 0xbf, 0xb0);
}

static uint8_t rtc_read(uint8_t reg)
{
	out8(0x70, reg);
	return in8(0x71);
}

static void rtc_write(uint8_t reg, uint8_t value)
{
	out8(0x70, reg);
	out8(0x71, value);
}

static bool is_bcd(uint8_t value, uint8_t most)
{
	return (value & 0xf) < 10 && (value >> 4) < 10 && value <= most;
}

/* MC146818A data sheet: registers A to D. */
static void rtc(void)
{
	struct within w = { 0 };

	check("rtc_is_valid", rtc_read(0xd) & 0x80);
	check("rtc_counts_24_hours_in_bcd", (rtc_read(0xb) & 0x6) == 2);
	while ((rtc_read(0xa) & 0x80) && within(&w, 5))
		pause();
	check("rtc_seconds", is_bcd(rtc_read(0), 0x59));
	check("rtc_minutes", is_bcd(rtc_read(2), 0x59));
	check("rtc_hours", is_bcd(rtc_read(4), 0x23));
	check("rtc_day", is_bcd(rtc_read(7), 0x31) && rtc_read(7) != 0);
	check("rtc_month", is_bcd(rtc_read(8), 0x12) && rtc_read(8) != 0);
	check("rtc_year_is_ours", is_bcd(rtc_read(9), 0x99) && rtc_read(9) >= 0x24);

	uint8_t old = rtc_read(0x50);
	rtc_write(0x50, (uint8_t)~old);
	check_equal("rtc_memory_keeps", rtc_read(0x50), (uint8_t)~old);
	rtc_write(0x50, old);

	uint8_t second = rtc_read(0);
	w = (struct within){ 0 };
	while (rtc_read(0) == second && within(&w, 10))
		pause();
	check("rtc_runs", rtc_read(0) != second);
	(void)rtc_read(0xc);
	w = (struct within){ 0 };
	while (!(rtc_read(0xc) & 0x10) && within(&w, 10))
		pause();
	check("rtc_flags_each_update", within(&w, 10));
}

static void time_stamps(void)
{
	uint64_t last = tsc(), least = UINT64_MAX;
	bool backwards = false;

	for (unsigned i = 0; i < 50; i++) {
		uint64_t now = tsc();
		backwards = backwards || now < last;
		least = now - last < least ? now - last : least;
		last = now;
	}
	check("tsc_never_goes_back", !backwards);
	check("tsc_counts", least < UINT64_MAX && last != 0);
}

/* Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW. */
struct pvclock {
	uint32_t version, pad;
	uint64_t tsc, system_ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
};

static void kvm_clock(void)
{
	uint32_t regs[4];

	cpuid(0x40000000, 0, regs);
	if (regs[1] != 0x4b4d564b) { /* "KVMK" */
		skip("kvm_clock", "not under KVM, or not offered");
		return;
	}
	cpuid(0x40000001, 0, regs);
	if (!(regs[0] & 8)) {
		skip("kvm_clock", "not offered");
		return;
	}
	volatile struct pvclock *clock = mem_alloc(sizeof(*clock), 64);
	msr_write(0x4b564d01, (uintptr_t)clock | 1);
	struct within w = { 0 };
	while ((clock->version == 0 || (clock->version & 1)) && within(&w, 5))
		pause();
	check("kvm_clock_is_filled",
	      clock->version != 0 && !(clock->version & 1) && clock->mul != 0);
	check("kvm_clock_started_with_the_machine", clock->system_ns < 3600ULL * 1000000000);
	msr_write(0x4b564d01, 0);
}

/* ---- the TSC at a rate of its own ---- */

#define DEADLINE     0x44
#define MSR_TSC	     0x10
#define MSR_DEADLINE 0x6e0
#define LVT_DEADLINE 0x40000U

/* Within one in a hundred: what is read between two clocks takes its time, too. */
static bool is_near(uint64_t got, uint64_t want)
{
	return got > want - want / 100 && got < want + want / 100;
}

/* Both clocks at one moment: of many looks the one that took the fewest ticks, as others may have this CPU in between. */
struct moment {
	uint32_t pm;
	uint64_t ticks;
};

static struct moment moment_of(void)
{
	uint64_t least = UINT64_MAX;
	struct moment best = { 0 };

	for (unsigned i = 0; i < 20; i++) {
		uint64_t before = tsc();
		uint32_t pm = pm_timer();
		uint64_t took = tsc() - before;
		if (took >= least)
			continue;
		least = took;
		best = (struct moment){ pm, before + took / 2 };
	}
	return best;
}

static bool is_the_tsc_at(uint64_t hz)
{
	struct moment first = moment_of(), last = first;

	while (((last.pm - first.pm) & 0xffffff) < PM_HZ / 20)
		last = moment_of();
	return is_near(last.ticks - first.ticks, hz * ((last.pm - first.pm) & 0xffffff) / PM_HZ);
}

static void rate_by_kvm_clock(uint64_t hz)
{
	volatile struct pvclock *clock = mem_alloc(sizeof(*clock), 64);

	msr_write(0x4b564d01, (uintptr_t)clock | 1);
	uint64_t per_s = clock->shift < 0 ? hz >> -clock->shift : hz << clock->shift;
	/* A second by the guest's own arithmetic: ((hz << shift) * mul) >> 32. */
	uint64_t ns = (per_s >> 16) * (clock->mul >> 8) >> 8;
	check("kvm_clock_has_the_rate", is_near(ns, 1000000000));
	msr_write(0x4b564d01, 0);
}

static void rate_of_deadlines(uint64_t hz)
{
	struct within w = { 0 };

	irq_init();
	irq_set(DEADLINE, irq_counter);
	lapic_write(LAPIC_SVR, 0x1ff);
	lapic_write(0x320, LVT_DEADLINE | DEADLINE);
	uint64_t until = tsc() + hz / 50; /* 20 ms */
	uint32_t began = pm_timer();
	msr_write(MSR_DEADLINE, until);
	irq_on();
	while (!irq_counts[DEADLINE] && within(&w, 10))
		pause();
	irq_off();
	uint32_t took = (pm_timer() - began) & 0xffffff;
	check("a_deadline_comes", irq_counts[DEADLINE] == 1);
	check("not_early_by_the_tsc", tsc() >= until);
	check("nor_by_the_pm_timer", took >= PM_HZ / 50 - PM_HZ / 5000);
}

static void rates(uint64_t khz)
{
	uint64_t hz = khz * 1000;
	uint32_t regs[4];

	check("the_tsc_has_the_rate", is_the_tsc_at(hz));
	uint64_t before = tsc(), read = msr_read(MSR_TSC), after = tsc();
	check("its_msr_counts_the_same", before <= read && read <= after);
	msr_write(MSR_TSC, UINT64_C(1) << 40);
	read = tsc();
	check("it_can_be_set", read >> 40 == 1 && read - (UINT64_C(1) << 40) < 60 * hz);
	cpuid(0x15, 0, regs);
	check("no_leaf_tells_of_another", !regs[0] && !regs[1] && !regs[2]);
	rate_by_kvm_clock(hz);
	rate_of_deadlines(hz);
}

void guest_main(void)
{
	pm();
	pit();
	rtc();
	time_stamps();
	kvm_clock();
	if (option_number("tsc-khz", 0))
		rates(option_number("tsc-khz", 0));
}
