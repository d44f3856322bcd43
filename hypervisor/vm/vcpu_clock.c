/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's TSC, and KVM's paravirtual clock over it (x86/pvclock.h).
 * Source: Intel SDM 3B, Time-Stamp Counter Adjustment.
 */
#include <errno.h>

#include "core/clock.h"
#include "core/io.h"
#include "vm/vcpu.h"
#include "vm/wall.h"

#define NS_PER_S INT64_C(1000000000)

static void guest_write(void *arg, gpa_t gpa, const void *data, unsigned len)
{
	(void)mem_write(arg, gpa, data, len); /* no RAM there: no clock */
}

static void time_write(struct hv_vcpu *v)
{
	const struct pvclock_mem mem = { .write = guest_write, .arg = v->vm->mem };
	const struct pvclock_line line = {
		.tsc_hz = v->vm->tsc_hz,
		/* The TSC at the machine's start, as this vcpu counts. */
		.tsc_start = v->tsc_offset - v->vm->hw.tsc_offset,
		.is_stable = true,
	};

	pvclock_time_write(&v->pvclock, &line, &mem);
}

static void wall_write(struct hv_vcpu *v)
{
	const struct hv_vm *vm = v->vm;
	const struct pvclock_mem mem = { .write = guest_write, .arg = vm->mem };
	uint64_t since_s =
		(tsc_scaled(&vm->hw.tsc_scale, tsc_read()) + vm->hw.tsc_offset) / vm->tsc_hz;
	int64_t start_s = wall_s() - (int64_t)since_s;

	/* A server without a clock began in 1970. */
	pvclock_wall_write(&v->pvclock, start_s > 0 ? (uint64_t)(start_s * NS_PER_S) : 0, &mem);
}

static void tsc_move(struct hv_vcpu *v, uint64_t by)
{
	v->tsc_offset += by;
	v->tsc_adjust += by;
	v->vm->hw_ops->tsc_offset_set(v->hw, v->tsc_offset);
	time_write(v);
}

int hv_vm_tsc_khz(struct hv_vm *vm, uint32_t khz, struct err *err)
{
	struct hw_caps caps;

	if (!hv_back_end(&caps, err))
		return -err->code;
	int r = tsc_scale_choose(caps.tsc, clock_tsc_hz(), khz, &vm->hw.tsc_scale, &vm->tsc_hz,
				 err);
	if (r == 0)
		vm->hw.tsc_offset = -tsc_scaled(&vm->hw.tsc_scale, tsc_read());
	return r;
}

/* The guest's time is a line of its TSC: what it was told of that stays true. */
void hv_tsc_shift(struct hv_vcpu *v, uint64_t ticks)
{
	v->tsc_offset -= ticks;
	v->tsc_is_shifted = true;
}

int hv_clock_msr_read(const struct hv_vcpu *v, uint32_t index, uint64_t *ret)
{
	switch (index) {
	case MSR_TSC:
		*ret = hv_tsc(v, tsc_read());
		return 0;
	case MSR_TSC_ADJUST:
		*ret = v->tsc_adjust;
		return 0;
	default:
		return pvclock_msr_read(&v->pvclock, index, ret) ? 0 : -ENOENT;
	}
}

static int pvclock_put(struct hv_vcpu *v, uint32_t index, uint64_t value)
{
	switch (pvclock_msr_write(&v->pvclock, index, value)) {
	case PVCLOCK_TIME:
		time_write(v);
		return 0;
	case PVCLOCK_WALL:
		wall_write(v);
		return 0;
	default:
		return -ENOENT;
	}
}

int hv_clock_msr_write(struct hv_vcpu *v, uint32_t index, uint64_t value)
{
	switch (index) {
	case MSR_TSC:
		tsc_move(v, value - hv_tsc(v, tsc_read()));
		return 0;
	case MSR_TSC_ADJUST:
		tsc_move(v, value - v->tsc_adjust);
		return 0;
	default:
		return pvclock_put(v, index, value);
	}
}
