/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's interrupt controllers, driven by the vcpus: machine/irqchip.h says how. */
#include <errno.h>

#include "core/clock.h"
#include "core/io.h"
#include "machine/layout.h"
#include "vm/guest.h"

#define NS_PER_S UINT64_C(1000000000)

static struct guest *chip_guest(struct irqchip *chip)
{
	return container_of(chip, struct guest, chip);
}

static void chip_wake(struct irqchip *chip, unsigned index)
{
	guest_vcpu_wake(&chip_guest(chip)->vcpus[index]);
}

/* Rounded up, and the clock is read after the TSC: never early. */
static uint64_t chip_tsc_to_ns(struct irqchip *chip, unsigned index, uint64_t tsc)
{
	struct guest *guest = chip_guest(chip);
	const struct hv_vcpu *v = guest->vcpus[index].vcpu;
	uint64_t now = hv_tsc(v, tsc_read()), hz = v->vm->tsc_hz;

	if (tsc <= now)
		return 0;
	if ((tsc - now) / hz > UINT64_MAX / 4 / NS_PER_S)
		return UINT64_MAX / 4; /* the clock's "never" */
	uint64_t ns = (tsc - now) / hz * NS_PER_S + ((tsc - now) % hz * NS_PER_S + hz - 1) / hz;
	return guest->clock.clock.ops->now_ns(&guest->clock.clock) + ns;
}

static const struct irqchip_ops chip_ops = { .wake = chip_wake, .tsc_to_ns = chip_tsc_to_ns };

int guest_irq_init(struct guest *guest, struct err *err)
{
	const struct irqchip_config config = {
		.ops = &chip_ops,
		.clock = &guest->clock.clock,
		.mmio = &guest->mmio,
		.pio = &guest->pio,
		.vcpus = guest->n_vcpus,
		.phys_bits = (uint8_t)hv_vm_of(guest->vm)->phys_bits,
	};

	int r = irqchip_init(&guest->chip, &config, err);
	if (r == 0)
		hv_vm_of(guest->vm)->ipis = &guest->chip.bus;
	return r;
}

/* The guest writes CR8 without an exit: the LAPIC hears of it before it is looked at. */
static struct lapic *lapic_synced(struct guest_vcpu *v)
{
	struct lapic *lapic = &v->guest->chip.lapics[v->index];

	lapic_cr8_set(lapic, hv_cpu_ops.cr8_get(&v->vcpu->base));
	return lapic;
}

static void vcpu_restart(struct guest_vcpu *v, const struct lapic *lapic, enum lapic_event event,
			 uint8_t vector)
{
	struct x86_state state;

	lapic_restart(lapic, event, vector, &state);
	(void)hv_cpu_ops.state_set(&v->vcpu->base, &state); /* cannot fail here */
	v->halted = false;
}

static void lapic_events(struct guest_vcpu *v, struct lapic *lapic)
{
	uint8_t vector = 0;

	for (;;) {
		enum lapic_event event = lapic_event_take(lapic, &vector);
		if (event == LAPIC_EVENT_NONE)
			return;
		if (event == LAPIC_EVENT_NMI) {
			v->halted = false;
			(void)hv_cpu_ops.inject_nmi(&v->vcpu->base); /* cannot fail here */
		} else {
			vcpu_restart(v, lapic, event, vector);
		}
	}
}

/* What only the task priority holds back is to come as soon as the guest lowers that. */
static void lapic_hold(struct guest_vcpu *v)
{
	const struct lapic *lapic = &v->guest->chip.lapics[v->index];

	if (lapic->tpr || v->vcpu->cr8_below)
		hv_cr8_below(v->vcpu, lapic_held(lapic));
}

static void lapic_inject(struct guest_vcpu *v)
{
	struct irqchip *chip = &v->guest->chip;
	struct vcpu *vcpu = &v->vcpu->base;

	if (!irqchip_pending(chip, v->index)) {
		hv_cpu_ops.irq_window(vcpu, false);
		return;
	}
	if (hv_cpu_ops.irq_ready(vcpu)) {
		int vector = irqchip_accept(chip, v->index);
		if (vector >= 0)
			(void)hv_cpu_ops.inject(vcpu, (uint8_t)vector); /* ready: cannot fail */
	}
	hv_cpu_ops.irq_window(vcpu, irqchip_pending(chip, v->index));
}

bool guest_before_run(struct guest_vcpu *v)
{
	struct lapic *lapic = lapic_synced(v);

	lapic_events(v, lapic);
	if (v->halted && irqchip_has_work(&v->guest->chip, v->index))
		v->halted = false;
	if (v->halted || lapic_waits(lapic) || guest_serial_waits(v))
		return false;
	lapic_inject(v);
	lapic_hold(v);
	return true;
}

bool guest_lapic_access(struct guest_vcpu *v, gpa_t gpa, unsigned len, bool is_write,
			uint64_t *value)
{
	struct lapic *lapic = &v->guest->chip.lapics[v->index];

	if (!lapic_owns(lapic, gpa))
		return false;
	uint32_t offset = (uint32_t)(gpa % LAYOUT_LAPIC_BYTES);
	(void)lapic_synced(v);
	if (is_write) {
		lapic_mmio_write(lapic, offset, len, *value);
		hv_cpu_ops.cr8_set(&v->vcpu->base, lapic_cr8_get(lapic));
	} else {
		*value = lapic_mmio_read(lapic, offset, len);
	}
	return true;
}

void guest_lapic_msr(struct guest_vcpu *v, bool is_write, struct vcpu_io *io)
{
	struct lapic *lapic = lapic_synced(v);
	int r = is_write ? lapic_msr_write(lapic, io->msr.index, io->msr.value)
			 : lapic_msr_read(lapic, io->msr.index, &io->msr.value);

	io->msr.fault = r < 0;
	if (r == 0 && is_write)
		hv_cpu_ops.cr8_set(&v->vcpu->base, lapic_cr8_get(lapic));
}
