/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time stamp counter, and KVM's paravirtual clock over it (x86/pvclock.h).
 * Sources: Intel SDM 3B, Time-Stamp Counter Adjustment; Linux Documentation/virt/kvm/x86/msr.rst.
 */
#include <cpuid.h>
#include <sys/syscall.h>
#include <time.h>

#include "engines/hosted/msr.h"
#include "engines/hosted/run.h"
#include "x86/msr.h"
#include "x86/pvclock.h"

#define MSR_POLL_CONTROL 0x4b564d05U

#define NS_PER_S	 UINT64_C(1000000000)
#define MEASURE_NS	 UINT64_C(20000000) /* to 5 parts in a million, if each end is off by 50 ns */
#define MEASURE_TRIES	 5U
#define CPUID_TSC	 0x15U
#define CPUID_HYPERVISOR 0x40000000U
#define CPUID_HYPERVISOR_TSC                                                                       \
	0x40000010U /* EAX: kHz, by a convention of VMware's that KVM's hosts follow */

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

/* ---- KVM's clock ---- */

static void guest_write(void *arg, uint64_t gpa, const void *data, unsigned len)
{
	(void)mmu_write_gpa(arg, gpa, data, len); /* no RAM there: no clock */
}

static void time_write(struct hosted_cpu *cpu)
{
	struct hosted_clock *clock = &cpu->vm->clock;
	const struct pvclock_mem mem = { .write = guest_write, .arg = cpu };

	if (!pvclock_is_on(&cpu->pvclock))
		return; /* the rate need not be measured */
	const struct pvclock_line line = {
		.tsc_hz = clock_hz(clock),
		.tsc_start = clock->tsc_start + cpu->tsc_offset,
		.is_stable = clock->stable,
	};
	pvclock_time_write(&cpu->pvclock, &line, &mem);
}

static void wall_write(struct hosted_cpu *cpu)
{
	const struct pvclock_mem mem = { .write = guest_write, .arg = cpu };
	uint64_t since = clock_ns(CLOCK_MONOTONIC_RAW) - cpu->vm->clock.monotonic_start;

	pvclock_wall_write(&cpu->pvclock, clock_ns(CLOCK_REALTIME) - since, &mem);
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
		time_write(cpu);
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
	case MSR_POLL_CONTROL:
		*ret = !cpu->kvm_no_poll;
		return MSR_OK;
	default:
		return pvclock_msr_read(&cpu->pvclock, index, ret) ? MSR_OK : MSR_NONE;
	}
}

static enum msr_result pvclock_put(struct hosted_cpu *cpu, uint32_t index, uint64_t value)
{
	switch (pvclock_msr_write(&cpu->pvclock, index, value)) {
	case PVCLOCK_TIME:
		time_write(cpu);
		return MSR_OK;
	case PVCLOCK_WALL:
		wall_write(cpu);
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
	case MSR_POLL_CONTROL:
		if (value > 1)
			return MSR_FAULT;
		cpu->kvm_no_poll = !value;
		return MSR_OK;
	default:
		return pvclock_put(cpu, index, value);
	}
}
