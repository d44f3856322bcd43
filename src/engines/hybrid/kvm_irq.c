/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include "machine/irq.h"

/*
 * With KVM's controllers: lines and messages. A message goes by KVM_SIGNAL_MSI: an irqfd with a route of its own costs as
 * much a message, and a change of the routing table for each new one (docs/decisions.md has the measurements).
 */
#define ROUTE_PIC_PINS 8U
#define ROUTE_PIT_PIN  2U /* of the IOAPIC: the MADT's interrupt source override */

/* The table as KVM reads it: a head and its entries. */
union route_table {
	uint8_t room[sizeof(struct kvm_irq_routing) +
		     (IRQ_GSI_ISA + IRQ_GSI_COUNT) * sizeof(struct kvm_irq_routing_entry)];
	struct kvm_irq_routing head; /* the last member: its entries are a flexible array */
};

static void full_route(union route_table *routes, uint32_t gsi, uint32_t chip, uint32_t pin)
{
	routes->head.entries[routes->head.nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* KVM would have GSI 0 at pin 0; here as on a PC it is pin 2, and the PIC's cascade has no GSI. */
static int full_routing(const struct kvm_vm *vm)
{
	union route_table routes = { .room = { 0 } };

	for (uint32_t i = 0; i < IRQ_GSI_ISA; i++) {
		if (i != ROUTE_PIT_PIN)
			full_route(&routes, i,
				   i < ROUTE_PIC_PINS ? KVM_IRQCHIP_PIC_MASTER
						      : KVM_IRQCHIP_PIC_SLAVE,
				   i % ROUTE_PIC_PINS);
	}
	for (uint32_t i = 0; i < IRQ_GSI_COUNT; i++) {
		if (i != ROUTE_PIT_PIN)
			full_route(&routes, i, KVM_IRQCHIP_IOAPIC, i ? i : ROUTE_PIT_PIN);
	}
	return kvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, &routes);
}

static int full_make(struct kvm_vm *vm, struct err *err)
{
	/* SPEAKER_DUMMY: port 0x61 is the PIT's too, so that guests can gate and read channel 2. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	int r = kvm_ioctl_nr(vm->fd, KVM_CREATE_IRQCHIP, 0);
	if (r < 0)
		return err_set(err, -r, "create KVM's interrupt controllers");
	r = full_routing(vm);
	if (r < 0)
		return err_set(err, -r, "route KVM's interrupts");
	r = kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
	return r < 0 ? err_set(err, -r, "create KVM's timer") : 0;
}

int kvm_irqchip_make(struct kvm_vm *vm, struct err *err)
{
	if (!vm->own_irqchip || vm->irqchip_made)
		return 0;
	int r = full_make(vm, err);
	vm->irqchip_made = r == 0;
	return r;
}

void kvm_irq_set(struct vm *base, uint32_t gsi, bool level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	(void)kvm_ioctl(kvm_vm_of(base)->fd, KVM_IRQ_LINE, &line); /* fails on a bad gsi alone */
}

void kvm_msi_send(struct vm *base, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
	};

	/* 0: the guest masked it; an error: a message to no LAPIC. Both are the guest's affair. */
	(void)kvm_ioctl(kvm_vm_of(base)->fd, KVM_SIGNAL_MSI, &msi);
}

/* ---- without KVM's controllers: kvm_run carries the vcpu's side ---- */

bool kvm_irq_ready(struct vcpu *base)
{
	const struct kvm_run *run = kvm_vcpu_of(base)->run;

	return run->ready_for_interrupt_injection && run->if_flag;
}

int kvm_inject(struct vcpu *base, uint8_t vector)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	struct kvm_interrupt interrupt = { .irq = vector };

	int r = kvm_ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt);
	if (r == 0)
		vcpu->run->ready_for_interrupt_injection = 0; /* until the next exit says so */
	return r;
}

int kvm_inject_nmi(struct vcpu *base)
{
	return kvm_ioctl_nr(kvm_vcpu_of(base)->fd, KVM_NMI, 0);
}

void kvm_irq_window(struct vcpu *base, bool wanted)
{
	kvm_vcpu_of(base)->run->request_interrupt_window = wanted;
}

uint8_t kvm_cr8_get(struct vcpu *base)
{
	return (uint8_t)kvm_vcpu_of(base)->run->cr8;
}

void kvm_cr8_set(struct vcpu *base, uint8_t cr8)
{
	kvm_vcpu_of(base)->run->cr8 = cr8;
}

uint64_t kvm_apic_base_get(struct vcpu *base)
{
	return kvm_vcpu_of(base)->run->apic_base;
}

uint64_t kvm_tsc_hz(struct vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);

	/* Before Linux 5.10 a write to the deadline's register does not come out: kvm_vm.c. */
	if (kvm_cap(vcpu->vm->dev_fd, KVM_CAP_X86_USER_SPACE_MSR) == 0)
		return 0;
	int khz = kvm_ioctl_nr(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	return khz > 0 ? (uint64_t)khz * 1000 : 0;
}
