/* SPDX-License-Identifier: Apache-2.0 */
/* One vcpu's turn on a CPU of the server: what each exit means to the machine. */
#include "base/core/bytes.h"
#include "core/clock.h"
#include "core/percpu.h"
#include "core/timer.h"
#include "vm/guest.h"

static uint64_t io_load(const uint8_t data[8], unsigned len)
{
	return le64_load(data) & (UINT64_MAX >> (64 - 8 * len));
}

/* Most exits are these. Whatever a device raises comes by guest_vcpu_wake() and guest_service_ask(): the words are all there is to look at. */
static bool vcpu_port(struct hv_ports *ports, uint16_t port, unsigned len, bool is_write,
		      uint32_t *value)
{
	struct guest_vcpu *v = container_of(ports, struct guest_vcpu, ports);
	struct guest *guest = v->guest;

	if (is_write)
		bus_write(&guest->pio, port, len, *value);
	else
		*value = (uint32_t)bus_read(&guest->pio, port, len);
	return !__atomic_load_n(&v->attention, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&guest->service_wanted, __ATOMIC_ACQUIRE);
}

void guest_vcpu_init(struct guest_vcpu *v)
{
	v->ports.access = vcpu_port;
	v->vcpu->ports = &v->ports;
}

static void vcpu_mmio(struct guest_vcpu *v, struct vcpu_io *io)
{
	struct guest *guest = v->guest;
	gpa_t gpa = io->mmio.gpa;
	unsigned len = io->mmio.len;
	uint64_t value = io->mmio.is_write ? io_load(io->mmio.data, len) : 0;

	if (!guest_lapic_access(v, gpa, len, io->mmio.is_write, &value)) {
		if (io->mmio.is_write)
			bus_write(&guest->mmio, gpa, len, value);
		else
			value = bus_read(&guest->mmio, gpa, len);
	}
	if (!io->mmio.is_write)
		le64_store(io->mmio.data, value);
}

/* What the machine does about an exit. */
static void vcpu_handle(struct guest_vcpu *v, enum vcpu_exit exit)
{
	struct guest *guest = v->guest;
	struct vcpu_io *io = &v->io;

	switch (exit) {
	case VCPU_EXIT_MMIO:
		vcpu_mmio(v, io);
		return;
	case VCPU_EXIT_HLT:
		v->halted = true;
		return;
	case VCPU_EXIT_PIO: /* done */
	case VCPU_EXIT_KICKED:
	case VCPU_EXIT_IRQ_WINDOW:
		return;
	case VCPU_EXIT_MSR_READ:
	case VCPU_EXIT_MSR_WRITE:
		guest_lapic_msr(v, exit == VCPU_EXIT_MSR_WRITE, io);
		return;
	case VCPU_EXIT_SHUTDOWN:
		guest_end(guest, GUEST_CRASHED, 0);
		return;
	default:
		guest_fail(guest, io->fail.what, io->fail.code);
	}
}

/* It has seen the end; the last one tells. */
static enum sched_reason vcpu_stop(struct guest_vcpu *v)
{
	struct guest *guest = v->guest;

	hv_vcpu_unload(v->vcpu);
	v->is_over = true;
	if (__atomic_add_fetch(&guest->stopped, 1, __ATOMIC_ACQ_REL) == guest->n_vcpus &&
	    guest->config.ended)
		guest->config.ended(guest, guest->config.arg);
	return SCHED_STOP;
}

static enum sched_reason vcpu_leave(struct guest_vcpu *v, enum sched_reason reason)
{
	hv_vcpu_unload(v->vcpu);
	return reason;
}

/*
 * What may have changed what the vcpu is to take: all exits but an access to a port, or to a device that is not its LAPIC.
 * Whatever such a device raises comes by guest_vcpu_wake().
 */
static bool exit_matters(const struct guest_vcpu *v, enum vcpu_exit exit)
{
	return exit != VCPU_EXIT_PIO &&
	       (exit != VCPU_EXIT_MMIO ||
		lapic_owns(&v->guest->chip.lapics[v->index], v->io.mmio.gpa));
}

/* Its slice is over, or somebody else is to run. */
static bool vcpu_yields(uint64_t deadline_ns)
{
	timer_poll();
	return clock_ns() >= deadline_ns || sched_must_yield();
}

/* After an interrupt of the host's. Return: false: its slice is over. */
static bool vcpu_stays(struct guest_vcpu *v, uint64_t deadline_ns)
{
	if (vcpu_yields(deadline_ns))
		return false;
	hv_vcpu_alone(v->vcpu);
	return true;
}

/* Return: false: its slice is over, and there is more to do. */
static bool vcpu_serves(struct guest_vcpu *v, uint64_t deadline_ns)
{
	while (guest_service(v->guest)) {
		if (vcpu_yields(deadline_ns))
			return false;
	}
	hv_vcpu_alone(v->vcpu);
	return true;
}

enum sched_reason guest_vcpu_run(struct sched_entity *entity, uint64_t deadline_ns)
{
	struct guest_vcpu *v = container_of(entity, struct guest_vcpu, entity);
	struct guest *guest = v->guest;
	bool look = true;

	hv_vcpu_load(v->vcpu);
	cpu_this()->last_exit.guest = guest->name;
	for (;;) {
		if ((__atomic_load_n(&guest->service_wanted, __ATOMIC_ACQUIRE) ||
		     (look && guest_clock_is_due(&guest->clock))) &&
		    !vcpu_serves(v, deadline_ns))
			return vcpu_leave(v, SCHED_YIELD);
		if (look || __atomic_load_n(&v->attention, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&v->attention, false, __ATOMIC_SEQ_CST);
			if (guest_ended(guest) != GUEST_RUNS)
				return vcpu_stop(v);
			if (!guest_before_run(v))
				return vcpu_leave(v, SCHED_HALT);
		}
		enum vcpu_exit exit = hv_cpu_ops.run(&v->vcpu->base, &v->io);
		vcpu_handle(v, exit);
		if (exit == VCPU_EXIT_KICKED && !vcpu_stays(v, deadline_ns))
			return vcpu_leave(v, SCHED_YIELD);
		look = exit_matters(v, exit);
	}
}

/* One that is loaded on this very CPU is not in the guest now: it looks at its interrupts before it enters. */
void guest_vcpu_wake(struct guest_vcpu *v)
{
	__atomic_store_n(&v->attention, true, __ATOMIC_SEQ_CST);
	if (hv_vcpu_is_here(v->vcpu))
		return;
	hv_cpu_ops.kick(&v->vcpu->base);
	sched_wake(&v->entity);
}
