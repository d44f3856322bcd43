/* SPDX-License-Identifier: Apache-2.0 */
/* A guest from its config to its end: made, given to the scheduler, taken apart. */
#include "vm/guest.h"

#include <errno.h>
#include <string.h>

#include "core/page.h"
#include "machine/boot.h"
#include "machine/cpuid.h"
#include "machine/layout.h"

#define LARGE_BYTES (UINT64_C(2) << 20)
#define MODEL_ORDER 1U
_Static_assert(sizeof(struct cpuid_leaf) * CPUID_LEAVES_MAX <= PAGE_BYTES << MODEL_ORDER,
	       "a list of leaves is two pages");

static unsigned guest_order(void)
{
	unsigned order = 0;

	while ((uint64_t)PAGE_BYTES << order < sizeof(struct guest))
		order++;
	return order;
}

static int config_check(const struct guest_config *config, struct err *err)
{
	if (config->vcpus < 1 || config->vcpus > GUEST_VCPUS)
		return err_say(err, EINVAL, "guest %s: %u vcpus, of 1 to %u", config->name,
			       config->vcpus, GUEST_VCPUS);
	if (config->memory_bytes % LARGE_BYTES || !config->memory_bytes ||
	    config->memory_bytes > LAYOUT_RAM_MAX)
		return err_say(err, EINVAL, "guest %s: memory: a multiple of 2 MiB, %llu is none",
			       config->name, (unsigned long long)config->memory_bytes);
	if (config->memory_bytes > page_free_bytes())
		return err_say(err, ENOMEM,
			       "guest %s: %llu MiB of memory, the server has %llu free",
			       config->name, (unsigned long long)config->memory_bytes >> 20,
			       (unsigned long long)page_free_bytes() >> 20);
	return 0;
}

/* The largest block that is not larger than what is missing; smaller ones if there is none. */
static int block_add(struct guest *g, gpa_t gpa, uint64_t left, uint64_t *ret_bytes)
{
	unsigned order = PAGE_ORDERS - 1;
	void *hva = NULL;

	if (g->n_blocks == GUEST_BLOCKS)
		return -ENOMEM;
	while ((uint64_t)PAGE_BYTES << order > left)
		order--;
	for (; order >= PAGE_ORDER_2M; order--) {
		hva = page_alloc(order);
		if (hva)
			break;
	}
	if (!hva)
		return -ENOMEM;
	g->blocks[g->n_blocks++] = (struct guest_block){ hva, order };
	*ret_bytes = (uint64_t)PAGE_BYTES << order;
	return mem_add(&g->mem, gpa, *ret_bytes, hva, false);
}

static int memory_part(struct guest *g, gpa_t gpa, uint64_t bytes)
{
	uint64_t done = 0, part = 0;
	int r = 0;

	for (; r == 0 && done < bytes; done += part)
		r = block_add(g, gpa + done, bytes - done, &part);
	return r;
}

static int memory_init(struct guest *g, struct err *err)
{
	uint64_t bytes = g->config.memory_bytes;
	uint64_t low = bytes < LAYOUT_LOW_RAM_MAX ? bytes : LAYOUT_LOW_RAM_MAX;
	int r = memory_part(g, 0, low);

	if (r == 0 && bytes > low)
		r = memory_part(g, LAYOUT_HIGH_RAM, bytes - low);
	return r < 0 ? err_say(err, ENOMEM,
			       "guest %s: no %u pieces of the server's memory make %llu MiB",
			       g->name, GUEST_BLOCKS, (unsigned long long)bytes >> 20)
		     : 0;
}

static int vcpus_init(struct guest *g, struct err *err)
{
	for (unsigned i = 0; i < g->config.vcpus; i++) {
		struct guest_vcpu *v = &g->vcpus[i];
		struct vcpu *vcpu;
		int r = hv_cpu_ops.vcpu_create(g->vm, i, &vcpu, err);
		if (r < 0)
			return r;
		v->vcpu = hv_vcpu_of(vcpu);
		v->guest = g;
		v->index = i;
		v->entity = (struct sched_entity){
			.name = g->name,
			.run = guest_vcpu_run,
			.weight = g->config.weight,
			.cap_percent = g->config.cap_percent,
		};
		g->n_vcpus++;
	}
	return 0;
}

static int model_set(struct guest *g, struct cpuid_leaf *supported, struct cpuid_leaf *leaves,
		     struct err *err)
{
	const struct cpuid_config config = {
		.vcpus = g->n_vcpus,
		.phys_bits = hv_vm_of(g->vm)->phys_bits,
		.kvm = true,
		.x2apic = true,
		.tsc_deadline = true,
	};
	unsigned n = CPUID_LEAVES_MAX;
	int r = hv_cpu_ops.cpuid_supported(supported, &n, err);

	for (unsigned i = 0; r == 0 && i < g->n_vcpus; i++) {
		unsigned used = 0;
		r = cpuid_model(&config, supported, n, i, leaves, &used, err);
		if (r == 0)
			r = hv_cpu_ops.cpuid_set(&g->vcpus[i].vcpu->base, leaves, used, err);
	}
	return r;
}

static int model_init(struct guest *g, struct err *err)
{
	struct cpuid_leaf *supported = page_alloc(MODEL_ORDER), *leaves = page_alloc(MODEL_ORDER);
	int r = supported && leaves ? model_set(g, supported, leaves, err)
				    : err_say(err, ENOMEM, "no memory for a CPU model");

	page_free(supported, MODEL_ORDER);
	page_free(leaves, MODEL_ORDER);
	return r;
}

static int boot_init(struct guest *g, struct err *err)
{
	const struct guest_config *c = &g->config;
	const struct boot_source source = {
		.kernel = c->kernel.data,
		.kernel_len = c->kernel.len,
		.initrd = c->initrd.len ? c->initrd.data : NULL,
		.initrd_len = c->initrd.len,
		.cmdline = c->cmdline,
	};
	struct x86_state state;
	int r = boot_load(&g->mem, &source, &state, err);

	if (r < 0)
		return err_wrap(err, "guest %s", g->name);
	for (unsigned i = 0; i < g->n_vcpus; i++) {
		if (i)
			x86_state_reset(&state, false);
		(void)hv_cpu_ops.state_set(&g->vcpus[i].vcpu->base, &state); /* cannot fail here */
	}
	return 0;
}

/* In an alarm's interrupt: the vcpu that comes by next serves. */
static void clock_due(struct guest_clock *clock)
{
	guest_service_ask(container_of(clock, struct guest, clock));
}

static int slots_init(struct guest *g, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < g->mem.n; i++)
		r = hv_cpu_ops.slot_set(g->vm, &g->mem.slots[i], err);
	return r;
}

static int guest_build(struct guest *g, struct err *err)
{
	const struct vm_config config = { .mem = &g->mem, .vcpus = g->config.vcpus };
	int r = memory_init(g, err);

	if (r == 0)
		r = hv_cpu_ops.vm_create(&config, &g->vm, err);
	if (r == 0)
		r = slots_init(g, err);
	if (r == 0)
		r = vcpus_init(g, err);
	if (r == 0)
		r = guest_irq_init(g, err);
	if (r == 0)
		r = guest_devices_init(g, err);
	if (r == 0)
		r = model_init(g, err);
	return r == 0 ? boot_init(g, err) : r;
}

static void guest_free(struct guest *g)
{
	guest_devices_fini(g);
	if (g->chip.ops)
		irqchip_fini(&g->chip);
	guest_clock_fini(&g->clock);
	for (unsigned i = 0; i < g->n_vcpus; i++)
		hv_cpu_ops.vcpu_destroy(&g->vcpus[i].vcpu->base);
	hv_cpu_ops.vm_destroy(g->vm);
	for (unsigned i = 0; i < g->n_blocks; i++)
		page_free(g->blocks[i].hva, g->blocks[i].order);
	page_free(g, guest_order());
}

int guest_create(const struct guest_config *config, struct guest **ret, struct err *err)
{
	int r = config_check(config, err);

	if (r < 0)
		return r;
	struct guest *g = page_alloc(guest_order());
	if (!g)
		return err_say(err, ENOMEM, "guest %s: no memory", config->name);
	g->config = *config;
	for (unsigned i = 0; i + 1 < GUEST_NAME_BYTES && config->name[i]; i++)
		g->name[i] = config->name[i];
	g->config.name = g->name;
	guest_clock_init(&g->clock, clock_due);
	r = guest_build(g, err);
	if (r < 0) {
		guest_free(g);
		return r;
	}
	*ret = g;
	return 0;
}

void guest_start(struct guest *guest)
{
	guest->is_started = true;
	for (unsigned i = 0; i < guest->n_vcpus; i++)
		sched_add(&guest->vcpus[i].entity);
	for (unsigned i = 0; i < guest->n_vcpus; i++)
		sched_wake(&guest->vcpus[i].entity);
}

void guest_destroy(struct guest *guest)
{
	if (!guest)
		return;
	if (guest->is_started)
		guest_end(guest, GUEST_DESTROYED, 0);
	for (unsigned i = 0; guest->is_started && i < guest->n_vcpus; i++)
		sched_remove(&guest->vcpus[i].entity);
	guest_free(guest);
}
