/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks: PM timer, PIT, RTC, TSC, and KVM's where it is offered. Nothing here may be early; late is the host's
 * affair.
 */
#include "lib/guest.h"

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

void guest_main(void)
{
	pm();
	pit();
	rtc();
	time_stamps();
	kvm_clock();
}
