/* SPDX-License-Identifier: Apache-2.0 */
/* The table: vcpus and their machine made, looked into, injected into, and taken apart. */
#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "core/io.h"
#include "core/page.h"
#include "core/smp.h"
#include "core/trap.h"
#include "machine/lapic.h"
#include "vm/gva.h"
#include "vm/vcpu.h"

#define LEAVES_ORDER 1U
#define VCPUS_MAX    64U

/* One server. */
static struct {
	uint64_t last_number; /* atomic */
} vms;

static void *pages_alloc(void *arg)
{
	(void)arg;
	return page_alloc(0);
}

static void pages_free(void *arg, void *page)
{
	(void)arg;
	page_free(page, 0);
}

static const struct npt_pages hv_pages = {
	.alloc = pages_alloc,
	.free = pages_free,
	.hpa = ptr_to_phys,
	.page = phys_to_ptr,
};

const struct hw_ops *hv_back_end(struct hw_caps *ret, struct err *err)
{
	static const struct hw_ops *const back_ends[] = { &svm_hw_ops, &vmx_hw_ops };

	/* What the other vendor's says of this CPU is no error: who asked looks at err, too. */
	for (size_t i = 0; i < ARRAY_SIZE(back_ends); i++) {
		struct err why = { 0 };
		int r = back_ends[i]->probe(ret, &why);
		if (r == 0)
			return back_ends[i];
		if (r == -ENODEV)
			continue;
		if (err) /* it is of this vendor */
			*err = why;
		return NULL;
	}
	(void)err_say(err, ENODEV, "this CPU has neither AMD-V (SVM) nor VT-x (VMX)");
	return NULL;
}

static int hv_caps(struct cpu_caps *ret, struct err *err)
{
	struct hw_caps hw;

	if (!hv_back_end(&hw, err))
		return -err->code;
	*ret = (struct cpu_caps){ .vcpus = VCPUS_MAX,
				  .phys_bits = hw.phys_bits,
				  .kvm_clock = true };
	return 0;
}

/* The map of what has been zeroed; memory has been added to config->mem by now. */
static int touch_init(struct hv_vm *vm)
{
	const struct guest_mem *mem = vm->mem;
	gpa_t end = mem->n ? mem->slots[mem->n - 1].gpa + mem->slots[mem->n - 1].size_bytes : 0;

	vm->touch_order = page_order(first_touch_bytes(end));
	uint64_t *bits = page_alloc(vm->touch_order);
	if (!bits)
		return -ENOMEM;
	first_touch_init(&vm->touch, vm->mem, &vm->npt, bits, end);
	return 0;
}

static int hv_vm_create(const struct vm_config *config, struct vm **ret, struct err *err)
{
	struct hw_caps caps;
	const struct hw_ops *ops = hv_back_end(&caps, err);

	if (!ops)
		return -err->code;
	struct hv_vm *vm = page_alloc(0);
	if (!vm)
		return err_say(err, ENOMEM, "no memory for a virtual machine");
	vm->base.ops = &hv_cpu_ops;
	vm->hw_ops = ops;
	vm->number = __atomic_add_fetch(&vms.last_number, 1, __ATOMIC_RELAXED);
	vm->mem = config->mem;
	vm->phys_bits = caps.phys_bits < 48 ? caps.phys_bits : 48;
	if (npt_init(&vm->npt, ops->npt_format, &hv_pages, caps.has_1g) < 0) {
		page_free(vm, 0);
		return err_say(err, ENOMEM, "no memory for nested page tables");
	}
	if (touch_init(vm) < 0) {
		npt_fini(&vm->npt);
		page_free(vm, 0);
		return err_say(err, ENOMEM, "no memory for a map of guest memory");
	}
	vm->hw = (struct hw_vm){ .npt = &vm->npt, .tsc_offset = -tsc_read() };
	vm->tsc_hz = clock_tsc_hz();
	*ret = &vm->base;
	return 0;
}

static void hv_vm_destroy(struct vm *base)
{
	if (!base)
		return;
	struct hv_vm *vm = hv_vm_of(base);
	vm->mem->there = NULL;
	page_free(vm->touch.there, vm->touch_order);
	npt_fini(&vm->npt);
	page_free(vm, 0);
}

static int hv_slot_set(struct vm *base, const struct mem_slot *slot, struct err *err)
{
	int r = first_touch_add(&hv_vm_of(base)->touch, slot);

	return r < 0 ? err_set(err, -r, "map guest memory at 0x%llx", (unsigned long long)slot->gpa)
		     : 0;
}

static void hv_vcpu_destroy(struct vcpu *base)
{
	if (!base)
		return;
	struct hv_vcpu *v = hv_vcpu_of(base);
	if (v->hw)
		v->vm->hw_ops->vcpu_destroy(v->hw);
	page_free(v->leaves, LEAVES_ORDER);
	page_free(v, 0);
}

static int hv_vcpu_create(struct vm *vm, unsigned index, struct vcpu **ret, struct err *err)
{
	struct hv_vcpu *v = page_alloc(0);

	_Static_assert(sizeof(*v) <= PAGE_BYTES, "a vcpu is a page");
	if (!v)
		return err_say(err, ENOMEM, "no memory for a vcpu");
	v->base = (struct vcpu){ .ops = &hv_cpu_ops, .index = index };
	v->vm = hv_vm_of(vm);
	v->vector = -1;
	v->spurious_gpa = UINT64_MAX;
	v->tsc_offset = v->vm->hw.tsc_offset;
	v->leaves = page_alloc(LEAVES_ORDER);
	int r = v->leaves ? v->vm->hw_ops->vcpu_create(&v->vm->hw, &v->hw, err)
			  : err_say(err, ENOMEM, "no memory for a vcpu");
	if (r < 0) {
		hv_vcpu_destroy(&v->base);
		return r;
	}
	hv_msr_reset(v);
	hv_io_init(v);
	*ret = &v->base;
	return 0;
}

void hv_vcpu_load(struct hv_vcpu *v)
{
	if (v->is_loaded)
		return;
	__atomic_store_n(&v->loaded_on, cpu_this()->index, __ATOMIC_RELAXED);
	hv_vcpu_alone(v);
	v->vm->hw_ops->load(v->hw);
	if (v->tsc_is_shifted)
		v->vm->hw_ops->tsc_offset_set(v->hw, v->tsc_offset);
	v->tsc_is_shifted = false;
	__atomic_store_n(&v->is_loaded, true, __ATOMIC_SEQ_CST);
}

void hv_vcpu_unload(struct hv_vcpu *v)
{
	if (!v->is_loaded)
		return;
	__atomic_store_n(&v->is_loaded, false, __ATOMIC_SEQ_CST);
	v->vm->hw_ops->unload(v->hw);
}

bool hv_vcpu_is_here(const struct hv_vcpu *v)
{
	return __atomic_load_n(&v->is_loaded, __ATOMIC_SEQ_CST) &&
	       __atomic_load_n(&v->loaded_on, __ATOMIC_RELAXED) == cpu_this()->index;
}

/* The word first: whoever enters after it sees it, whoever is inside is sent an interrupt. */
static void hv_kick(struct vcpu *base)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	__atomic_store_n(&v->hw->kicked, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&v->is_loaded, __ATOMIC_SEQ_CST) && !hv_vcpu_is_here(v))
		cpu_kick(cpu_at(__atomic_load_n(&v->loaded_on, __ATOMIC_RELAXED)));
}

static int hv_state_get(struct vcpu *base, struct x86_state *ret)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	v->vm->hw_ops->state_get(v->hw, ret);
	ret->apic_base = v->apic_base;
	ret->halted = v->halted;
	ret->wait_sipi = v->wait_sipi;
	return 0;
}

static int hv_state_set(struct vcpu *base, const struct x86_state *state)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	v->vm->hw_ops->state_set(v->hw, state);
	v->apic_base = state->apic_base;
	v->halted = state->halted;
	v->wait_sipi = state->wait_sipi;
	v->unfinished = HV_NOTHING;
	v->again.type = v->exception.type = HW_EVENT_NONE;
	v->n_nmis = 0;
	v->vector = -1;
	v->cr8_below = 0;
	v->is_busy = true; /* a window may be open */
	return 0;
}

static int hv_msr_get(struct vcpu *base, uint32_t index, uint64_t *ret)
{
	int r = hv_msr_read(hv_vcpu_of(base), index, ret);

	return r < 0 ? -ENOENT : 0;
}

static int hv_msr_set(struct vcpu *base, uint32_t index, uint64_t value)
{
	return hv_msr_write(hv_vcpu_of(base), index, value);
}

static int hv_translate(struct vcpu *base, gva_t gva, gpa_t *ret)
{
	struct hv_vcpu *v = hv_vcpu_of(base);
	struct hw_paging paging;
	uint32_t error = 0;

	v->vm->hw_ops->paging(v->hw, &paging);
	return gva_translate(v->vm->mem, &paging, gva, 0, ret, &error) < 0 ? -EFAULT : 0;
}

static bool hv_irq_ready(struct vcpu *base)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	return v->vector < 0 && v->again.type == HW_EVENT_NONE && !v->n_nmis &&
	       v->exception.type == HW_EVENT_NONE && !v->unfinished &&
	       v->vm->hw_ops->irq_open(v->hw);
}

static int hv_inject(struct vcpu *base, uint8_t vector)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	v->vector = vector;
	v->is_busy = true;
	return 0;
}

static int hv_inject_nmi(struct vcpu *base)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	/* SDM 3A, Handling Multiple NMIs: one is latched behind the one that is served. */
	bool is_serving = v->again.type == HW_EVENT_NMI || v->vm->hw_ops->nmi_blocked(v->hw);
	if (v->n_nmis < (is_serving ? 1 : 2))
		v->n_nmis++;
	v->is_busy = true;
	return 0;
}

static void hv_irq_window(struct vcpu *base, bool wanted)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	v->window_wanted = wanted;
	v->is_busy |= wanted || v->window_is_open;
}

static uint8_t hv_cr8_get(struct vcpu *base)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	return v->vm->hw_ops->cr8_get(v->hw);
}

static void hv_cr8_set(struct vcpu *base, uint8_t cr8)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	v->vm->hw_ops->cr8_set(v->hw, cr8);
}

void hv_cr8_below(struct hv_vcpu *v, uint8_t limit)
{
	if (limit != v->cr8_below)
		v->vm->hw_ops->cr8_below(v->hw, limit);
	v->cr8_below = limit;
}

static uint64_t hv_apic_base_get(struct vcpu *base)
{
	return hv_vcpu_of(base)->apic_base;
}

static uint64_t hv_tsc_hz(struct vcpu *base)
{
	return hv_vcpu_of(base)->vm->tsc_hz;
}

const struct cpu_ops hv_cpu_ops = {
	.name = "bare-metal",
	.caps = hv_caps,
	.cpuid_supported = hv_cpuid_supported,
	.vm_create = hv_vm_create,
	.vm_destroy = hv_vm_destroy,
	.slot_set = hv_slot_set,
	.vcpu_create = hv_vcpu_create,
	.vcpu_destroy = hv_vcpu_destroy,
	.cpuid_set = hv_cpuid_set,
	.run = hv_run,
	.kick = hv_kick,
	.state_get = hv_state_get,
	.state_set = hv_state_set,
	.msr_get = hv_msr_get,
	.msr_set = hv_msr_set,
	.translate = hv_translate,
	.irq_ready = hv_irq_ready,
	.inject = hv_inject,
	.inject_nmi = hv_inject_nmi,
	.irq_window = hv_irq_window,
	.cr8_get = hv_cr8_get,
	.cr8_set = hv_cr8_set,
	.apic_base_get = hv_apic_base_get,
	.tsc_hz = hv_tsc_hz,
};
