/* SPDX-License-Identifier: Apache-2.0 */
/* A guest from its config to its end: made, given to the scheduler, taken apart. */
#include "vm/guest.h"

#include <errno.h>
#include <string.h>

#include "core/page.h"
#include "core/percpu.h"
#include "machine/boot.h"
#include "machine/cpuid.h"
#include "machine/layout.h"

#define LARGE_BYTES (UINT64_C(2) << 20)
#define MODEL_ORDER 1U
_Static_assert(sizeof(struct cpuid_leaf) * CPUID_LEAVES_MAX <= PAGE_BYTES << MODEL_ORDER,
	       "a list of leaves is two pages");

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

/* The largest block that is not larger than what is missing, or smaller ones. NULL: none of 2 MiB. */
static void *block_take(uint64_t left, uint64_t *ret_bytes)
{
	unsigned order = PAGE_ORDERS - 1;
	void *hva = NULL;

	while ((uint64_t)PAGE_BYTES << order > left)
		order--;
	for (; !hva && order >= PAGE_ORDER_2M; order--) {
		hva = page_take(order);
		*ret_bytes = (uint64_t)PAGE_BYTES << order;
	}
	return hva;
}

/*
 * In one piece where there is one: a kernel, or what a device is to reach, that lies across a border between two would be refused. For
 * leaves of 1 GiB blocks of that size come first. Zeroed when it is touched.
 */
static int block_add(struct guest *g, gpa_t gpa, uint64_t left, uint64_t *ret_bytes)
{
	const uint64_t large = (uint64_t)PAGE_BYTES << PAGE_ORDER_1G;
	void *hva = NULL;

	if (g->n_blocks == GUEST_BLOCKS)
		return -ENOMEM;
	*ret_bytes = left;
	if (left < large)
		hva = page_run_take(left, PAGE_ORDER_2M);
	if (!hva)
		hva = block_take(left, ret_bytes);
	if (!hva)
		return -ENOMEM;
	g->blocks[g->n_blocks++] = (struct guest_block){ hva, *ret_bytes };
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

static void *piece_take(void)
{
	return page_take(PAGE_ORDER_2M);
}

static void piece_give(void *piece)
{
	page_free(piece, PAGE_ORDER_2M);
}

static const struct first_touch_source piece_source = { .take = piece_take, .give = piece_give };

static void blocks_free(struct guest *g)
{
	while (g->n_blocks) {
		g->n_blocks--;
		page_run_free(g->blocks[g->n_blocks].hva, g->blocks[g->n_blocks].bytes);
	}
}

/* @end: of its memory */
static int pieces_alloc(struct guest *g, gpa_t end)
{
	g->pieces_order = page_order(first_touch_movable_bytes(end));
	g->pieces = page_alloc(g->pieces_order);
	return g->pieces ? 0 : -ENOMEM;
}

/* A slot whose pieces are wherever there are some. */
static int pieces_part(struct guest *g, gpa_t gpa, uint64_t bytes)
{
	uint8_t **first = &g->pieces[gpa >> MEM_PIECE_SHIFT];

	for (uint64_t i = 0; i < bytes >> MEM_PIECE_SHIFT; i++) {
		first[i] = piece_take();
		if (!first[i])
			return -ENOMEM;
	}
	return mem_add(&g->mem, gpa, bytes, *first, false);
}

/* Of memory that came and goes there may be much in no large block: who needs none gets that. */
static int memory_scattered(struct guest *g, uint64_t low, uint64_t high)
{
	blocks_free(g);
	g->mem = (struct guest_mem){ .n = 0 };
	int r = pieces_alloc(g, high ? LAYOUT_HIGH_RAM + high : low);

	if (r == 0)
		r = pieces_part(g, 0, low);
	return r == 0 && high ? pieces_part(g, LAYOUT_HIGH_RAM, high) : r;
}

static int memory_init(struct guest *g, struct err *err)
{
	uint64_t bytes = g->config.memory_bytes;
	uint64_t low = bytes < LAYOUT_LOW_RAM_MAX ? bytes : LAYOUT_LOW_RAM_MAX;
	bool scatters = g->config.has_balloon && !g->config.at_once;
	int r = memory_part(g, 0, low);

	if (r == 0 && bytes > low)
		r = memory_part(g, LAYOUT_HIGH_RAM, bytes - low);
	if (r < 0 && scatters)
		r = memory_scattered(g, low, bytes - low);
	if (r == 0)
		return 0;
	return scatters
		       ? err_say(err, ENOMEM,
				 "guest %s: no pieces of 2 MiB of the server's memory make %llu MiB",
				 g->name, (unsigned long long)bytes >> 20)
		       : err_say(err, ENOMEM,
				 "guest %s: no %u pieces of the server's memory make %llu MiB",
				 g->name, GUEST_BLOCKS, (unsigned long long)bytes >> 20);
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
		guest_vcpu_init(v);
		v->entity = (struct sched_entity){
			.name = g->name,
			.run = guest_vcpu_run,
			.weight = g->config.weight,
			.cap_percent = g->config.cap_percent,
		};
		if (g->config.is_pinned)
			sched_pin(&v->entity, (g->config.first_cpu + i) % cpu_count());
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

	if (r == 0 && g->config.tsc_khz)
		n = hv_cpuid_without_rates(supported, n);

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
	guest_tests_start(g);
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

	for (unsigned i = 0; r == 0 && i < g->mem.n; i++) {
		r = hv_cpu_ops.slot_set(g->vm, &g->mem.slots[i], err);
		if (r == 0 && g->config.at_once)
			r = first_touch_now(&hv_vm_of(g->vm)->touch, &g->mem.slots[i]);
	}
	return r;
}

static int tsc_init(struct guest *g, struct err *err)
{
	if (!g->config.tsc_khz)
		return 0;
	return hv_vm_tsc_khz(hv_vm_of(g->vm), g->config.tsc_khz, err) < 0
		       ? err_wrap(err, "guest %s", g->name)
		       : 0;
}

/* From here on each piece goes its own way, and the blocks are no more. */
static int pieces_init(struct guest *g, struct err *err)
{
	const struct mem_slot *last = &g->mem.slots[g->mem.n - 1];

	if (!g->pieces && pieces_alloc(g, last->gpa + last->size_bytes) < 0)
		return err_say(err, ENOMEM, "guest %s: no memory for a map of its pieces", g->name);
	for (unsigned i = 0; i < g->n_blocks; i++)
		page_run_split(g->blocks[i].hva, g->blocks[i].bytes, PAGE_ORDER_2M);
	first_touch_movable(&hv_vm_of(g->vm)->touch, g->pieces, &piece_source);
	if (!g->config.overcommits) {
		hv_vm_of(g->vm)->touch.is_asked = true;
		(void)first_touch_promise(&hv_vm_of(g->vm)->touch,
					  g->config.memory_bytes >>
						  MEM_PIECE_SHIFT); /* it has them */
	}
	return 0;
}

/* Those that first_touch does not know of yet. */
static void pieces_free(struct guest *g)
{
	uint64_t n = ((uint64_t)PAGE_BYTES << g->pieces_order) / sizeof(g->pieces[0]);

	for (uint64_t i = 0; i < n; i++)
		piece_give(g->pieces[i]);
}

static void memory_fini(struct guest *g)
{
	if (!g->pieces) {
		blocks_free(g);
		return;
	}
	if (g->vm && hv_vm_of(g->vm)->touch.at)
		first_touch_fini(&hv_vm_of(g->vm)->touch);
	else
		pieces_free(g);
	g->mem.pieces = NULL;
	page_free(g->pieces, g->pieces_order);
}

static int guest_build(struct guest *g, struct err *err)
{
	const struct vm_config config = { .mem = &g->mem, .vcpus = g->config.vcpus };
	int r = memory_init(g, err);

	if (r == 0)
		r = hv_cpu_ops.vm_create(&config, &g->vm, err);
	if (r == 0)
		r = tsc_init(g, err);
	if (r == 0)
		r = slots_init(g, err);
	if (r == 0 && g->config.has_balloon)
		r = pieces_init(g, err);
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

/* A panic says who ran last, and is not to read a name that is gone. */
static void name_forget(const struct guest *g)
{
	for (unsigned i = 0; i < cpu_count(); i++) {
		const char *name = g->name;
		(void)__atomic_compare_exchange_n(&cpu_at(i)->last_exit.guest, &name, NULL, false,
						  __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
}

static void guest_free(struct guest *g)
{
	name_forget(g);
	guest_devices_fini(g);
	if (g->chip.ops)
		irqchip_fini(&g->chip);
	guest_clock_fini(&g->clock);
	for (unsigned i = 0; i < g->n_vcpus; i++)
		hv_cpu_ops.vcpu_destroy(&g->vcpus[i].vcpu->base);
	memory_fini(g); /* no vcpu is left that could go there */
	hv_cpu_ops.vm_destroy(g->vm);
	page_free(g, page_order(sizeof(struct guest)));
}

uint64_t guest_memory_bytes(const struct guest *guest)
{
	return guest->pieces ? first_touch_held_bytes(&hv_vm_of(guest->vm)->touch)
			     : guest->config.memory_bytes;
}

int guest_create(const struct guest_config *config, struct guest **ret, struct err *err)
{
	int r = config_check(config, err);

	if (r < 0)
		return r;
	struct guest *g = page_alloc(page_order(sizeof(struct guest)));
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

bool guest_stop(struct guest *guest)
{
	if (guest->is_started)
		guest_end(guest, GUEST_DESTROYED, 0);
	for (unsigned i = 0; guest->is_started && i < guest->n_vcpus; i++)
		sched_remove(&guest->vcpus[i].entity);
	return guest_virtio_stop(guest);
}

void guest_destroy(struct guest *guest)
{
	if (!guest)
		return;
	(void)guest_stop(guest); /* guest_free() waits for what is under way */
	guest_free(guest);
}
