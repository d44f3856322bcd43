/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's TSC, and KVM's paravirtual clock over it: its structure is written when the guest asks for it, and again only
 * when its TSC is set, since the guest's time is a straight line of the TSC.
 * Sources: Intel SDM 3B, Time-Stamp Counter Adjustment; Linux Documentation/virt/kvm/x86/msr.rst; pvclock-abi.h for the
 * layout.
 */
#include <errno.h>

#include "core/clock.h"
#include "core/io.h"
#include "machine/lapic.h"
#include "vm/vcpu.h"
#include "vm/wall.h"

#define MSR_TSC_ADJUST	    0x3bU
#define MSR_WALL_CLOCK_OLD  0x11U
#define MSR_SYSTEM_TIME_OLD 0x12U
#define MSR_WALL_CLOCK	    0x4b564d00U
#define MSR_SYSTEM_TIME	    0x4b564d01U

#define SYSTEM_TIME_ON UINT64_C(1)
#define PVCLOCK_STABLE 1U
#define NS_PER_S       UINT64_C(1000000000)

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

/* ns = (tsc << shift) * mul >> 32 */
static void scale_of(uint64_t hz, struct pvclock_time *time)
{
	while (hz > 2 * NS_PER_S) {
		hz >>= 1;
		time->tsc_shift--;
	}
	while (hz <= NS_PER_S) {
		hz <<= 1;
		time->tsc_shift++;
	}
	time->tsc_to_system_mul = (uint32_t)((NS_PER_S << 32) / hz);
}

/* Odd while it changes. No RAM there: the guest gets no clock. */
static void system_time_write(struct hv_vcpu *v)
{
	gpa_t gpa = v->kvm_system_time & ~SYSTEM_TIME_ON;
	struct pvclock_time time = {
		.version = v->pvclock_version + 1,
		/* The host's TSC at the machine's start, as this vcpu counts. */
		.tsc_timestamp = v->tsc_offset - v->vm->hw.tsc_offset,
		.flags = PVCLOCK_STABLE,
	};

	if (!(v->kvm_system_time & SYSTEM_TIME_ON))
		return;
	scale_of(clock_tsc_hz(), &time);
	(void)mem_write(v->vm->mem, gpa, &time.version, sizeof(time.version));
	(void)mem_write(v->vm->mem, gpa + sizeof(time.version), &time.pad,
			sizeof(time) - sizeof(time.version));
	time.version = v->pvclock_version += 2;
	(void)mem_write(v->vm->mem, gpa, &time.version, sizeof(time.version));
}

/* The time of day when the guest's clock was 0. */
static void wall_clock_write(struct hv_vcpu *v, gpa_t gpa)
{
	uint64_t since_s = (tsc_read() + v->vm->hw.tsc_offset) / clock_tsc_hz();
	struct pvclock_wall wall = { .version = 2,
				     .sec = (uint32_t)((uint64_t)wall_s() - since_s) };

	(void)mem_write(v->vm->mem, gpa, &wall, sizeof(wall)); /* no RAM there: no clock */
}

static void tsc_move(struct hv_vcpu *v, uint64_t by)
{
	v->tsc_offset += by;
	v->tsc_adjust += by;
	v->vm->hw_ops->tsc_offset_set(v->hw, v->tsc_offset);
	system_time_write(v);
}

int hv_clock_msr_read(const struct hv_vcpu *v, uint32_t index, uint64_t *ret)
{
	switch (index) {
	case MSR_TSC:
		*ret = tsc_read() + v->tsc_offset;
		return 0;
	case MSR_TSC_ADJUST:
		*ret = v->tsc_adjust;
		return 0;
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK:
		*ret = v->kvm_wall_clock;
		return 0;
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME:
		*ret = v->kvm_system_time;
		return 0;
	default:
		return -ENOENT;
	}
}

int hv_clock_msr_write(struct hv_vcpu *v, uint32_t index, uint64_t value)
{
	switch (index) {
	case MSR_TSC:
		tsc_move(v, value - (tsc_read() + v->tsc_offset));
		return 0;
	case MSR_TSC_ADJUST:
		tsc_move(v, value - v->tsc_adjust);
		return 0;
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK:
		v->kvm_wall_clock = value;
		wall_clock_write(v, value);
		return 0;
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME:
		v->kvm_system_time = value;
		system_time_write(v);
		return 0;
	default:
		return -ENOENT;
	}
}
