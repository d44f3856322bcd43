/* SPDX-License-Identifier: Apache-2.0 */
#include "x86/pvclock.h"

#define MSR_WALL_CLOCK_OLD  0x11U
#define MSR_SYSTEM_TIME_OLD 0x12U
#define MSR_WALL_CLOCK	    0x4b564d00U
#define MSR_SYSTEM_TIME	    0x4b564d01U

#define SYSTEM_TIME_ON	   UINT64_C(1)
#define PVCLOCK_TSC_STABLE 1U
#define NS_PER_S	   UINT64_C(1000000000)

/* struct pvclock_vcpu_time_info */
struct time_info {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};
_Static_assert(sizeof(struct time_info) == 32, "as the guest has it");

/* struct pvclock_wall_clock */
struct wall_clock {
	uint32_t version, sec, nsec;
};
_Static_assert(sizeof(struct wall_clock) == 12, "as the guest has it");

void pvclock_scale(uint64_t hz, uint32_t *ret_mul, int8_t *ret_shift)
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

bool pvclock_is_on(const struct pvclock *clock)
{
	return clock->system_time & SYSTEM_TIME_ON;
}

void pvclock_time_write(struct pvclock *clock, const struct pvclock_line *line,
			const struct pvclock_mem *mem)
{
	uint64_t gpa = clock->system_time & ~SYSTEM_TIME_ON;
	struct time_info time = {
		.version = clock->version + 1,
		.tsc_timestamp = line->tsc_start,
		.flags = line->is_stable ? PVCLOCK_TSC_STABLE : 0,
	};

	if (!pvclock_is_on(clock))
		return;
	pvclock_scale(line->tsc_hz, &time.tsc_to_system_mul, &time.tsc_shift);
	mem->write(mem->arg, gpa, &time.version, sizeof(time.version));
	mem->write(mem->arg, gpa + sizeof(time.version), &time.pad,
		   sizeof(time) - sizeof(time.version));
	time.version = clock->version += 2;
	mem->write(mem->arg, gpa, &time.version, sizeof(time.version));
}

void pvclock_wall_write(const struct pvclock *clock, uint64_t start_ns,
			const struct pvclock_mem *mem)
{
	struct wall_clock wall = {
		.version = 2,
		.sec = (uint32_t)(start_ns / NS_PER_S),
		.nsec = (uint32_t)(start_ns % NS_PER_S),
	};

	mem->write(mem->arg, clock->wall_clock, &wall, sizeof(wall));
}

bool pvclock_msr_read(const struct pvclock *clock, uint32_t index, uint64_t *ret)
{
	switch (index) {
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK:
		*ret = clock->wall_clock;
		return true;
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME:
		*ret = clock->system_time;
		return true;
	default:
		return false;
	}
}

enum pvclock_msr pvclock_msr_write(struct pvclock *clock, uint32_t index, uint64_t value)
{
	switch (index) {
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK:
		clock->wall_clock = value;
		return PVCLOCK_WALL;
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME:
		clock->system_time = value;
		return PVCLOCK_TIME;
	default:
		return PVCLOCK_NO_MSR;
	}
}
