/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time stamp counter, and KVM's paravirtual clock over it.
 *
 * A guest's clock is a straight line of the TSC: its structures are written when the guest asks for them, and again only when its TSC is
 * set. Sources: Intel SDM 3B, Time-Stamp Counter Adjustment; Linux Documentation/virt/kvm/x86/msr.rst; arch/x86/include/asm/pvclock-abi.h
 * for the layout.
 */
#include <cpuid.h>
#include <sys/syscall.h>
#include <time.h>

#include "engines/hosted/msr.h"
#include "engines/hosted/run.h"

#define MSR_TSC		    0x10U
#define MSR_TSC_ADJUST	    0x3bU
#define MSR_WALL_CLOCK_OLD  0x11U
#define MSR_SYSTEM_TIME_OLD 0x12U
#define MSR_WALL_CLOCK	    0x4b564d00U
#define MSR_SYSTEM_TIME	    0x4b564d01U
#define MSR_POLL_CONTROL    0x4b564d05U

#define SYSTEM_TIME_ON	 UINT64_C(1)
#define PVCLOCK_STABLE	 1U /* PVCLOCK_TSC_STABLE_BIT */
#define NS_PER_S	 UINT64_C(1000000000)
#define MEASURE_NS	 UINT64_C(20000000) /* to 5 parts in a million, if each end is off by 50 ns */
#define MEASURE_TRIES	 5U
#define CPUID_TSC	 0x15U
#define CPUID_HYPERVISOR 0x40000000U
#define CPUID_HYPERVISOR_TSC                                                                       \
	0x40000010U /* EAX: kHz, by a convention of VMware's that KVM's hosts follow */

/* struct pvclock_vcpu_time_info */
struct pvclock_time {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};
_Static_assert(sizeof(struct pvclock_time) == 32, "as the guest has it");

/* struct pvclock_wall_clock */
struct pvclock_wall {
	uint32_t version, sec, nsec;
};

/* ---- the host's clocks ---- */

uint64_t clock_ns(int clock)
{
	struct timespec now = { 0 };
	long result = SYS_clock_gettime;

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"((long)clock), "S"(&now)
			 : "rcx", "r11", "memory");
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* What the CPU, or whoever runs this host, says; 0: nothing. */
static uint64_t hz_told(void)
{
	unsigned a, b, c, d, max;

	__cpuid(0, max, b, c, d);
	if (max >= CPUID_TSC) {
		__cpuid(CPUID_TSC, a, b, c, d);
		if (a && b && c)
			return (uint64_t)c * b / a;
	}
	__cpuid(1, a, b, c, d);
	if (!(c >> 31 & 1))
		return 0;
	__cpuid(CPUID_HYPERVISOR, max, b, c, d);
	if (max < CPUID_HYPERVISOR_TSC)
		return 0;
	__cpuid(CPUID_HYPERVISOR_TSC, a, b, c, d);
	return (uint64_t)a * 1000;
}

/* TSC and clock at the same moment: of a few tries the one that took least. */
static void pair(uint64_t *ret_tsc, uint64_t *ret_ns)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < MEASURE_TRIES; i++) {
		uint64_t before = clock_rdtsc();
		uint64_t ns = clock_ns(CLOCK_MONOTONIC_RAW);
		uint64_t took = clock_rdtsc() - before;
		if (took >= best)
			continue;
		best = took;
		*ret_tsc = before + took / 2;
		*ret_ns = ns;
	}
}

/* a * b / c with 128 bits in between: the compiler would call its library for it. The quotient fits. */
static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t high;

	__asm__("mulq %3; divq %4" : "=&d"(high), "=a"(a) : "1"(a), "r"(b), "r"(c) : "cc");
	return a;
}

static uint64_t hz_measured(const struct hosted_clock *clock)
{
	uint64_t tsc = 0, ns = 0;

	do {
		pair(&tsc, &ns);
	} while (ns - clock->monotonic_start < MEASURE_NS);
	return mul_div(tsc - clock->tsc_start, NS_PER_S, ns - clock->monotonic_start);
}

uint64_t clock_hz(struct hosted_clock *clock)
{
	uint64_t none = 0;
	uint64_t hz = __atomic_load_n(&clock->hz, __ATOMIC_ACQUIRE);

	if (hz)
		return hz;
	hz = hz_told();
	if (!hz)
		hz = hz_measured(clock);
	/* Two vcpus may ask at once; both go by what was stored first. */
	if (!__atomic_compare_exchange_n(&clock->hz, &none, hz, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		hz = none;
	return hz;
}

void hosted_clock_start(struct hosted_clock *clock)
{
	unsigned a, b, c, d = 0;

	*clock = (struct hosted_clock){ 0 };
	pair(&clock->tsc_start, &clock->monotonic_start);
	__cpuid(CPUID_EXT, a, b, c, d);
	if (a >= (unsigned)CPUID_EXT + 7)
		__cpuid((unsigned)CPUID_EXT + 7, a, b, c, d);
	else
		d = 0;
	clock->stable = d >> 8 & 1; /* invariant */
}

void clock_scale(uint64_t hz, uint32_t *ret_mul, int8_t *ret_shift)
{
	int8_t shift = 0;

	while (hz > 2 * NS_PER_S) {
		hz >>= 1;
		shift--;
	}
	while (hz <= NS_PER_S) {
		hz <<= 1;
		shift++;
	}
	*ret_mul = (uint32_t)((NS_PER_S << 32) / hz);
	*ret_shift = shift;
}

/* ---- KVM's clock ---- */

static void system_time_write(struct hosted_cpu *cpu)
{
	uint64_t gpa = cpu->kvm_system_time & ~SYSTEM_TIME_ON;
	struct pvclock_time time = {
		.version = cpu->pvclock_version + 1,
		.tsc_timestamp = cpu->vm->clock.tsc_start + cpu->tsc_offset,
		.flags = cpu->vm->clock.stable ? PVCLOCK_STABLE : 0,
	};

	if (!(cpu->kvm_system_time & SYSTEM_TIME_ON))
		return;
	clock_scale(clock_hz(&cpu->vm->clock), &time.tsc_to_system_mul, &time.tsc_shift);
	/* Odd while it changes. No RAM there: the guest gets no clock. */
	(void)mmu_write_gpa(cpu, gpa, &time.version, sizeof(time.version));
	(void)mmu_write_gpa(cpu, gpa + sizeof(time.version), &time.pad,
			    sizeof(time) - sizeof(time.version));
	time.version = cpu->pvclock_version += 2;
	(void)mmu_write_gpa(cpu, gpa, &time.version, sizeof(time.version));
}

/* The time of day when the guest's clock was 0. */
static void wall_clock_write(struct hosted_cpu *cpu, uint64_t gpa)
{
	uint64_t since = clock_ns(CLOCK_MONOTONIC_RAW) - cpu->vm->clock.monotonic_start;
	uint64_t start = clock_ns(CLOCK_REALTIME) - since;
	struct pvclock_wall wall = {
		.version = 2,
		.sec = (uint32_t)(start / NS_PER_S),
		.nsec = (uint32_t)(start % NS_PER_S),
	};

	(void)mmu_write_gpa(cpu, gpa, &wall, sizeof(wall)); /* no RAM there: no clock */
}

/* ---- MSRs ---- */

uint64_t cpu_tsc(const struct hosted_cpu *cpu)
{
	return clock_rdtsc() + cpu->tsc_offset;
}

static void offset_change(struct hosted_cpu *cpu, uint64_t by)
{
	cpu->tsc_offset += by;
	cpu->tsc_adjust += by;
	if (by)
		system_time_write(cpu);
}

enum msr_result msr_clock_get(struct hosted_cpu *cpu, uint32_t index, uint64_t *ret)
{
	switch (index) {
	case MSR_TSC:
		*ret = cpu_tsc(cpu);
		return MSR_OK;
	case MSR_TSC_ADJUST:
		*ret = cpu->tsc_adjust;
		return MSR_OK;
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK:
		*ret = cpu->kvm_wall_clock;
		return MSR_OK;
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME:
		*ret = cpu->kvm_system_time;
		return MSR_OK;
	case MSR_POLL_CONTROL:
		*ret = !cpu->kvm_no_poll;
		return MSR_OK;
	default:
		return MSR_NONE;
	}
}

enum msr_result msr_clock_put(struct hosted_cpu *cpu, uint32_t index, uint64_t value)
{
	switch (index) {
	case MSR_TSC:
		offset_change(cpu, value - cpu_tsc(cpu));
		return MSR_OK;
	case MSR_TSC_ADJUST:
		offset_change(cpu, value - cpu->tsc_adjust);
		return MSR_OK;
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK:
		cpu->kvm_wall_clock = value;
		wall_clock_write(cpu, value);
		return MSR_OK;
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME:
		cpu->kvm_system_time = value;
		system_time_write(cpu);
		return MSR_OK;
	case MSR_POLL_CONTROL:
		if (value > 1)
			return MSR_FAULT;
		cpu->kvm_no_poll = !value;
		return MSR_OK;
	default:
		return MSR_NONE;
	}
}
