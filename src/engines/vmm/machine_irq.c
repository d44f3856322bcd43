/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose interrupt controllers the machine has: the engine's, or its own models (machine/irqchip.h), which the vcpu
 * threads then drive: what is pending is injected before a run, and a halted vcpu sleeps here.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/core/lock.h"
#include "base/os/clock.h"
#include "engines/vmm/private.h"
#include "machine/irqchip.h"
#include "machine/layout.h"

static struct vmm *irq_vmm(struct irq_sink *sink)
{
	return container_of(sink, struct vmm, engine_irq);
}

static void engine_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	struct vmm *vmm = irq_vmm(sink);

	vmm->cpu->irq_set(vmm->vm, gsi, level);
}

static void engine_msi(struct irq_sink *sink, uint64_t addr, uint32_t data)
{
	struct vmm *vmm = irq_vmm(sink);

	vmm->cpu->msi(vmm->vm, addr, data);
}

static const struct irq_sink_ops engine_irq_ops = { .line = engine_line, .msi = engine_msi };

/* Embedded, so that the chip's callbacks find the machine. */
struct vmm_chip {
	struct irqchip chip;
	struct vmm *vmm;
	uint64_t tsc_hz; /* of every vcpu; 0: the guest has no TSC deadline */
};

static void chip_wake(struct irqchip *chip, unsigned index)
{
	const struct vmm_chip *c = container_of(chip, struct vmm_chip, chip);

	vmm_vcpu_wake(&c->vmm->vcpus[index]);
}

/*
 * Owner. The clock is read after the TSC and the way there is rounded up: never early. Of a guest that writes its TSC
 * while a deadline is set, the deadline stays where it was.
 */
static uint64_t chip_tsc_to_ns(struct irqchip *chip, unsigned index, uint64_t tsc)
{
	const struct vmm_chip *c = container_of(chip, struct vmm_chip, chip);
	struct vmm *vmm = c->vmm;
	uint64_t now = 0;

	if (vmm->cpu->msr_get(vmm->vcpus[index].vcpu, MSR_TSC, &now) < 0 || tsc <= now)
		return 0; /* due, or it cannot be known when: at once rather than never */
	unsigned __int128 ns =
		((unsigned __int128)(tsc - now) * NS_PER_S + c->tsc_hz - 1) / c->tsc_hz;
	if (ns > UINT64_MAX / 4)
		ns = UINT64_MAX / 4; /* the clock's "never" */
	return vmm->clock.clock.ops->now_ns(&vmm->clock.clock) + (uint64_t)ns;
}

static const struct irqchip_ops chip_ops = { .wake = chip_wake };
static const struct irqchip_ops chip_ops_tsc = { .wake = chip_wake, .tsc_to_ns = chip_tsc_to_ns };

bool vmm_irq_tsc_deadline(const struct vmm *vmm)
{
	return !vmm->chip || vmm->chip->ops->tsc_to_ns;
}

static int chip_create(struct vmm *vmm, struct err *err)
{
	struct vmm_chip *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "interrupt controllers");
	c->vmm = vmm;
	c->tsc_hz = vmm->cpu->tsc_hz(vmm->vcpus[0].vcpu);
	const struct irqchip_config config = {
		.ops = c->tsc_hz ? &chip_ops_tsc : &chip_ops,
		.clock = &vmm->clock.clock,
		.mmio = &vmm->mmio,
		.pio = &vmm->pio,
		.vcpus = vmm->n_vcpus,
		.phys_bits = (uint8_t)vmm->caps.phys_bits,
	};
	int r = irqchip_init(&c->chip, &config, err);
	if (r < 0) {
		free(c);
		return r;
	}
	vmm->chip = &c->chip;
	vmm->irq = &c->chip.sink;
	return 0;
}

int vmm_irq_init(struct vmm *vmm, struct err *err)
{
	vmm->engine_irq.ops = &engine_irq_ops;
	vmm->irq = &vmm->engine_irq;
	return vmm->caps.irqchip && !vmm->spec->vm.machine_irqchip ? 0 : chip_create(vmm, err);
}

void vmm_vcpu_wake(struct vmm_vcpu *v)
{
	(void)__atomic_add_fetch(&v->wakes, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&v->sleeps, __ATOMIC_SEQ_CST))
		lock_wake(&v->wakes);
	v->vmm->cpu->kick(v->vcpu);
}

/* Until somebody has something for this vcpu. wakes is read first: what comes after that ends the wait at once. */
static void lapic_sleep(struct vmm_vcpu *v)
{
	struct vmm *vmm = v->vmm;
	uint32_t seen = __atomic_load_n(&v->wakes, __ATOMIC_SEQ_CST);

	__atomic_store_n(&v->sleeps, true, __ATOMIC_SEQ_CST);
	if (!irqchip_has_work(vmm->chip, v->index) && vmm_ended(vmm) == VMM_RUNS &&
	    !__atomic_load_n(&vmm->stop_wanted, __ATOMIC_ACQUIRE))
		lock_wait(&v->wakes, seen);
	__atomic_store_n(&v->sleeps, false, __ATOMIC_SEQ_CST);
}

static void vcpu_restart(struct vmm_vcpu *v, const struct lapic *lapic, enum lapic_event event,
			 uint8_t vector)
{
	struct x86_state state;

	lapic_restart(lapic, event, vector, &state);
	if (v->vmm->cpu->state_set(v->vcpu, &state) < 0)
		vmm_fail(v->vmm, "a vcpu could not be reset", v->index);
	v->halted = false;
}

static void lapic_events(struct vmm_vcpu *v, struct lapic *lapic)
{
	uint8_t vector = 0;

	for (;;) {
		enum lapic_event event = lapic_event_take(lapic, &vector);
		if (event == LAPIC_EVENT_NONE)
			return;
		if (event == LAPIC_EVENT_NMI) {
			v->halted = false;
			if (v->vmm->cpu->inject_nmi(v->vcpu) < 0)
				vmm_fail(v->vmm, "an NMI could not be injected", v->index);
		} else {
			vcpu_restart(v, lapic, event, vector);
		}
	}
}

static void lapic_inject(struct vmm_vcpu *v)
{
	struct vmm *vmm = v->vmm;

	if (!irqchip_pending(vmm->chip, v->index)) {
		vmm->cpu->irq_window(v->vcpu, false);
		return;
	}
	if (vmm->cpu->irq_ready(v->vcpu)) {
		int vector = irqchip_accept(vmm->chip, v->index);
		if (vector >= 0 && vmm->cpu->inject(v->vcpu, (uint8_t)vector) < 0)
			vmm_fail(vmm, "an interrupt could not be injected", (uint64_t)vector);
	}
	vmm->cpu->irq_window(v->vcpu, irqchip_pending(vmm->chip, v->index));
}

/* The guest writes CR8 and IA32_APIC_BASE without an exit: the LAPIC hears of it before it is looked at. */
static struct lapic *lapic_synced(struct vmm_vcpu *v)
{
	struct lapic *lapic = &v->vmm->chip->lapics[v->index];

	lapic_base_follow(lapic, v->vmm->cpu->apic_base_get(v->vcpu));
	lapic_cr8_set(lapic, v->vmm->cpu->cr8_get(v->vcpu));
	return lapic;
}

bool vmm_lapic_before_run(struct vmm_vcpu *v)
{
	struct vmm *vmm = v->vmm;

	if (!vmm->chip)
		return true;
	struct lapic *lapic = lapic_synced(v);
	lapic_events(v, lapic);
	if (v->halted && irqchip_has_work(vmm->chip, v->index))
		v->halted = false;
	if (v->halted || lapic_waits(lapic)) {
		lapic_sleep(v);
		return false;
	}
	lapic_inject(v);
	return true;
}

bool vmm_lapic_access(struct vmm_vcpu *v, gpa_t gpa, unsigned len, bool is_write, uint64_t *value)
{
	struct vmm *vmm = v->vmm;

	if (!vmm->chip)
		return false;
	struct lapic *lapic = lapic_synced(v);
	if (!lapic_owns(lapic, gpa))
		return false;
	uint32_t offset = (uint32_t)(gpa % LAYOUT_LAPIC_BYTES);
	if (is_write) {
		lapic_mmio_write(lapic, offset, len, *value);
		vmm->cpu->cr8_set(v->vcpu, lapic_cr8_get(lapic));
	} else {
		*value = lapic_mmio_read(lapic, offset, len);
	}
	return true;
}

void vmm_lapic_halt(struct vmm_vcpu *v)
{
	v->halted = v->vmm->chip != NULL;
}

void vmm_lapic_msr(struct vmm_vcpu *v, bool is_write, struct vcpu_io *io)
{
	struct vmm *vmm = v->vmm;
	struct lapic *lapic = vmm->chip ? lapic_synced(v) : NULL;
	int r = -ENOENT;

	if (lapic && is_write)
		r = lapic_msr_write(lapic, io->msr.index, io->msr.value);
	else if (lapic)
		r = lapic_msr_read(lapic, io->msr.index, &io->msr.value);
	io->msr.fault = r < 0;
	if (r == 0 && is_write)
		vmm->cpu->cr8_set(v->vcpu, lapic_cr8_get(lapic));
}
