/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The hypervisor's cpu_ops: vcpus on hardware, over a hw_ops.
 *
 * Theory of operation. run() enters the guest until an exit is the machine's business. What is the CPU's own is answered
 * here: CPUID, MSRs, XSETBV, instructions that a guest has not got. An access to a device's memory comes out in
 * pieces that a bus can do, and is completed at the next run(): an instruction that reads and writes is two exits.
 *
 * Thread rule: that of cpu_ops. A vcpu is loaded (hv_vcpu_load) on the CPU that calls run().
 */
#include "machine/cpu_ops.h"
#include "core/percpu.h"
#include "hw/barrier.h"
#include "hw/hw_ops.h"
#include "vm/first_touch.h"
#include "vm/mmio.h"
#include "hw/npt.h"
#include "x86/msr.h"
#include "x86/pvclock.h"

extern const struct cpu_ops hv_cpu_ops;

/*
 * Who answers ports, within run(): no access comes out of it. Return: false: whoever called run() has something to look at before the
 * guest goes on; it gets VCPU_EXIT_PIO with a count of 0.
 */
struct hv_ports {
	bool (*access)(struct hv_ports *ports, uint16_t port, unsigned len, bool is_write,
		       uint32_t *value);
};

/* What run() finishes first. */
enum hv_unfinished { HV_NOTHING, HV_MMIO, HV_MSR };

#define HV_LENGTHS    16U
#define HV_CPUID_SLOT 64U

struct hv_vm {
	struct vm base;
	const struct hw_ops *hw_ops;
	struct guest_mem *mem; /* borrowed */
	struct npt npt;
	struct first_touch touch;
	unsigned touch_order;	/* of its bits */
	struct lapic_bus *ipis; /* where hypercalls send; borrowed; NULL: nowhere */
	struct hw_vm hw;
	uint64_t tsc_hz; /* of the guest's TSC */
	unsigned phys_bits;
	uint64_t number; /* no other had it, or has: hw/barrier.h */
};

/* How long the instruction at an address is, where the hardware does not say. */
struct hv_length {
	uint64_t rip, cr3;
	uint8_t kind, len;
};

struct hv_vcpu {
	struct vcpu base;
	struct hv_vm *vm;
	struct hw_vcpu *hw;
	bool is_loaded;
	unsigned loaded_on; /* atomic: a CPU's index, for kick() */

	bool is_busy; /* one of the next ones is set, or the window is open: deliver() looks */
	bool window_is_open, nmi_window_is_open;
	struct hw_event again;	   /* its delivery met an exit */
	struct hw_event exception; /* raised by what we did for the guest */
	uint8_t n_nmis; /* that wait: one to be served and, while none is, one latched behind it */
	int vector;	/* by inject(); -1: none */
	bool window_wanted;
	uint8_t cr8_below; /* what waits comes when the guest's CR8 is; 0: nothing waits for that */
	uint64_t apic_base;
	uint64_t tsc_offset, tsc_adjust;
	bool tsc_is_shifted; /* the hardware is to be told when it is loaded */
	struct pvclock pvclock;
	bool halted, wait_sipi; /* as set; the LAPIC's model knows better */

	struct hv_ports *ports; /* by the owner, before the first run() */
	uint8_t unfinished;	/* enum hv_unfinished */
	uint8_t insn_len;
	bool is_write;
	uint32_t msr_index;
	uint8_t data[8];
	struct mmio mmio;
	struct mmio_cpu mmio_cpu;
	struct hw_paging paging; /* of the exit that is handled */
	gpa_t code_gpa;		 /* where mmio.insn came from */
	uint64_t barriers;	 /* entries before which the CPU had to forget */
	uint64_t spurious_gpa;	 /* the last fault that was none, since hv_vcpu_forget() */

	struct cpuid_leaf *leaves; /* sorted; two pages */
	unsigned n_leaves;
	uint8_t cpuid_first[HV_CPUID_SLOT]; /* 1 + where a function's begin; 0: it has none */
	uint64_t xcr0_allowed;
	uint64_t msrs[X86_MSRS]; /* vcpu_msr.c: at the place of their row in x86_msrs[] */
	struct hv_length lengths[HV_LENGTHS];
	uint64_t exits[HW_EXIT_KINDS];
};

static inline struct hv_vcpu *hv_vcpu_of(struct vcpu *base)
{
	return container_of(base, struct hv_vcpu, base);
}
static inline struct hv_vm *hv_vm_of(struct vm *base)
{
	return container_of(base, struct hv_vm, base);
}

/* hv_vcpu_forget() - it stands still, or is the owner's: no translation of guest memory that was made before is used any more. */
static inline void hv_vcpu_forget(struct hv_vcpu *v)
{
	v->spurious_gpa = UINT64_MAX;
	v->vm->hw_ops->flush(v->hw);
}

/* hv_vcpu_load(), hv_vcpu_unload() - owner: onto this CPU, and off it; each twice is as once. */
void hv_vcpu_load(struct hv_vcpu *v);
void hv_vcpu_unload(struct hv_vcpu *v);
/* hv_vcpu_alone() - owner, loaded: before the next run(), whatever went through this CPU since the last look is forgotten. */
static inline void hv_vcpu_alone(struct hv_vcpu *v)
{
	if (cpu_this()->data_of != v->vm->number)
		v->barriers += barrier_enter(v->vm->number);
}
/* hv_vcpu_is_here() - any CPU: whether it is loaded on this one. */
bool hv_vcpu_is_here(const struct hv_vcpu *v);
/*
 * hv_back_end() - the one that this CPU has
 * Return: NULL with the words: it has none, or one that the firmware turned off or that lacks something.
 */
const struct hw_ops *hv_back_end(struct hw_caps *ret, struct err *err);
/*
 * hv_vm_tsc_khz() - its TSC counts at this rate; before its first vcpu is made. Return: 0, or with the words -ENOTSUP: the CPU cannot;
 * -ERANGE: not at this one; -ENODEV, -EPERM as hv_back_end().
 */
int hv_vm_tsc_khz(struct hv_vm *vm, uint32_t khz, struct err *err);
/* hv_tsc() - the guest's TSC when the host's is host_tsc, as its vcpu counts */
static inline uint64_t hv_tsc(const struct hv_vcpu *v, uint64_t host_tsc)
{
	return tsc_scaled(&v->vm->hw.tsc_scale, host_tsc) + v->tsc_offset;
}
/*
 * hv_cpuid_without_rates() - of hv_cpuid_supported()'s leaves those that tell of the host's own clocks are taken out, for a guest whose
 * TSC has another rate: KVM's clock tells it. Return: how many are left.
 */
unsigned hv_cpuid_without_rates(struct cpuid_leaf *leaves, unsigned n);
/* hv_cr8_below() - owner, before a run(): come back as soon as the guest's CR8 is below limit; 0: no more */
void hv_cr8_below(struct hv_vcpu *v, uint8_t limit);
/* hv_exit_name() - "cpuid". @kind: enum hw_exit_kind */
const char *hv_exit_name(unsigned kind);

/* ---- shared by the files of vm/vcpu*.c ---- */

/* vcpu_run.c: the guest gets an exception before its next instruction. */
void hv_raise(struct hv_vcpu *v, uint8_t vector, bool has_error, uint32_t error);
void hv_raise_page_fault(struct hv_vcpu *v, gva_t gva, uint32_t error);
enum vcpu_exit hv_run(struct vcpu *base, struct vcpu_io *io);
/* vcpu_length.c: of the instruction at RIP; 0: it cannot be read, and an exception was raised */
unsigned hv_insn_len(struct hv_vcpu *v, const struct hw_exit *exit);
/* hv_fetch() - the bytes at RIP, up to the end of what can be read. Return: how many; 0 as above. */
unsigned hv_fetch(struct hv_vcpu *v, uint8_t ret[X86_INSN_MAX]);
/* vcpu_cpuid.c */
void hv_cpuid_exit(struct hv_vcpu *v);
int hv_cpuid_set(struct vcpu *base, const struct cpuid_leaf *leaves, unsigned n, struct err *err);
int hv_cpuid_supported(struct cpuid_leaf *ret, unsigned *n, struct err *err);
const struct cpuid_leaf *hv_cpuid_find(const struct hv_vcpu *v, uint32_t function, uint32_t index);
/* vcpu_msr.c: 0; -EINVAL: #GP; -ENOENT: the machine may have it */
int hv_msr_read(struct hv_vcpu *v, uint32_t index, uint64_t *ret);
int hv_msr_write(struct hv_vcpu *v, uint32_t index, uint64_t value);
void hv_msr_reset(struct hv_vcpu *v);
/* vcpu_clock.c: 0, or -ENOENT: not one of the clock's */
int hv_clock_msr_read(const struct hv_vcpu *v, uint32_t index, uint64_t *ret);
int hv_clock_msr_write(struct hv_vcpu *v, uint32_t index, uint64_t value);
bool hv_xsetbv(struct hv_vcpu *v);
/* vcpu_control.c: MOV to CR4 or CR8, done or refused; a hypercall, whose instruction the caller completes */
void hv_cr4_exit(struct hv_vcpu *v);
/* Return: false: CR8 is as it was. */
bool hv_cr8_exit(struct hv_vcpu *v);
void hv_hypercall_exit(struct hv_vcpu *v);
/* Return: 0; -EIO: something of it is where the guest has no memory; -ECANCELED: a triple fault. */
int hv_task_exit(struct hv_vcpu *v, const struct hw_exit *exit);
/* hv_tsc_shift() - it stood still for so many of the guest's ticks; it is not loaded, and the machine's own offset is moved by the caller */
void hv_tsc_shift(struct hv_vcpu *v, uint64_t ticks);
/* vcpu_io.c: ports. Return: VCPU_EXIT_MAX: it goes on. */
enum vcpu_exit hv_pio_exit(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io);
/* vcpu_io.c: begin an access to a device's memory, and go on with it. Return: VCPU_EXIT_MAX: nothing is left to be done outside. */
enum vcpu_exit hv_mmio_begin(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io);
enum vcpu_exit hv_mmio_end(struct hv_vcpu *v, struct vcpu_io *io);
void hv_io_init(struct hv_vcpu *v);
