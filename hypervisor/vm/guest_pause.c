/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that begins to run, or stands still, and its time with it. */
#include "core/clock.h"
#include "core/io.h"
#include "vm/guest.h"

static void vcpus_stop(struct guest *guest)
{
	for (unsigned i = 0; i < guest->n_vcpus; i++)
		sched_stop(&guest->vcpus[i].entity);
}

static void vcpus_start(struct guest *guest)
{
	for (unsigned i = 0; i < guest->n_vcpus; i++) {
		if (!guest->vcpus[i].is_over)
			sched_start(&guest->vcpus[i].entity);
	}
}

/* It may be paused by another CPU as soon as anybody knows of it: then it does so before its first instruction. */
void guest_start(struct guest *guest)
{
	spin_lock(&guest->still);
	guest->is_started = true;
	for (unsigned i = 0; i < guest->n_vcpus; i++)
		sched_add(&guest->vcpus[i].entity);
	for (unsigned i = 0; i < guest->n_vcpus; i++) {
		if (guest->is_paused)
			sched_stop(&guest->vcpus[i].entity);
		else
			sched_wake(&guest->vcpus[i].entity);
	}
	spin_unlock(&guest->still);
}

void guest_pause(struct guest *guest)
{
	spin_lock(&guest->still);
	if (!guest->is_paused) {
		guest->is_paused = true;
		vcpus_stop(guest);
		guest->paused_ns = clock_ns();
		guest->paused_tsc = tsc_read();
	}
	spin_unlock(&guest->still);
}

void guest_resume(struct guest *guest)
{
	spin_lock(&guest->still);
	if (guest->is_paused) {
		struct hw_vm *hw = &hv_vm_of(guest->vm)->hw;
		uint64_t ticks = tsc_scaled(&hw->tsc_scale, tsc_read()) -
				 tsc_scaled(&hw->tsc_scale, guest->paused_tsc);
		hw->tsc_offset -= ticks;
		for (unsigned i = 0; i < guest->n_vcpus; i++)
			hv_tsc_shift(guest->vcpus[i].vcpu, ticks);
		guest_clock_shift(&guest->clock, clock_ns() - guest->paused_ns);
		guest->is_paused = false;
		vcpus_start(guest);
	}
	spin_unlock(&guest->still);
}

void guest_still_begin(struct guest *guest)
{
	spin_lock(&guest->still);
	if (!guest->is_paused)
		vcpus_stop(guest);
}

void guest_still_end(struct guest *guest)
{
	if (!guest->is_paused)
		vcpus_start(guest);
	spin_unlock(&guest->still);
}
