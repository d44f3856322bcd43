/* SPDX-License-Identifier: Apache-2.0 */
/* One turn of a vcpu: what is to be delivered, into the guest, and what came out of it. */
#include <errno.h>

#include "vm/vcpu.h"

#define VECTOR_UD 6U
#define VECTOR_DF 8U
#define VECTOR_GP 13U
#define VECTOR_PF 14U

#define GO_ON VCPU_EXIT_MAX /* nothing for the machine: enter again */

/* A fault while one is pending is a double fault: near enough to the table in AMD APM 2, #DF. */
void hv_raise(struct hv_vcpu *v, uint8_t vector, bool has_error, uint32_t error)
{
	if (v->exception.type != HW_EVENT_NONE || v->again.type == HW_EVENT_EXCEPTION) {
		vector = VECTOR_DF;
		has_error = true;
		error = 0;
		v->again.type = HW_EVENT_NONE;
	}
	v->is_busy = true;
	v->exception = (struct hw_event){ HW_EVENT_EXCEPTION, vector, has_error, error };
}

void hv_raise_page_fault(struct hv_vcpu *v, gva_t gva, uint32_t error)
{
	v->vm->hw_ops->cr2_set(v->hw, gva);
	hv_raise(v, VECTOR_PF, true, error);
}

static void give(struct hv_vcpu *v, struct hw_event *event)
{
	v->vm->hw_ops->inject(v->hw, event);
	event->type = HW_EVENT_NONE;
}

/* At most one event an entry; what waits for an open moment asks for a window. */
static void deliver(struct hv_vcpu *v)
{
	const struct hw_ops *ops = v->vm->hw_ops;

	if (v->exception.type != HW_EVENT_NONE) {
		/* A fault's frame has RF (Intel SDM 3B, Instruction-Breakpoint Exception Condition); the CPU takes it as it is. */
		v->hw->rflags |= X86_RFLAGS_RF;
		give(v, &v->exception);
	} else if (v->again.type == HW_EVENT_EXCEPTION ||
		   (v->again.type == HW_EVENT_NMI && ops->nmi_open(v->hw)) ||
		   (v->again.type == HW_EVENT_IRQ && ops->irq_open(v->hw))) {
		give(v, &v->again);
	} else if (v->n_nmis && ops->nmi_open(v->hw)) {
		struct hw_event nmi = { .type = HW_EVENT_NMI, .vector = 2 };
		v->n_nmis--;
		give(v, &nmi);
	} else if (v->vector >= 0 && ops->irq_open(v->hw)) {
		struct hw_event irq = { .type = HW_EVENT_IRQ, .vector = (uint8_t)v->vector };
		v->vector = -1;
		give(v, &irq);
	}
	bool wanted = v->window_wanted || v->vector >= 0 || v->again.type == HW_EVENT_IRQ;
	if (wanted != v->window_is_open)
		ops->window(v->hw, wanted);
	v->window_is_open = wanted;
	wanted = v->n_nmis || v->again.type == HW_EVENT_NMI;
	if (wanted || v->nmi_window_is_open)
		ops->nmi_window(v->hw, wanted);
	v->nmi_window_is_open = wanted;
	v->is_busy = v->window_is_open || v->n_nmis || v->again.type != HW_EVENT_NONE ||
		     v->exception.type != HW_EVENT_NONE;
}

/* An instruction of a fixed meaning is done; false: it cannot be read, and the guest gets that fault. */
static bool advance(struct hv_vcpu *v, const struct hw_exit *exit)
{
	unsigned len = hv_insn_len(v, exit);

	if (!len)
		return false;
	v->vm->hw_ops->advance(v->hw, len);
	return true;
}

static enum vcpu_exit failed(struct hv_vcpu *v, struct vcpu_io *io, const char *what, uint64_t code)
{
	io->fail.what = what;
	io->fail.code = code;
	io->fail.insn_len = 0;
	(void)v;
	return VCPU_EXIT_FAIL;
}

/*
 * MSRs that the CPU answers stop here; the LAPIC's come out. The instruction is done before the machine is asked: if it says
 * no, RIP goes back.
 */
static enum vcpu_exit msr_exit(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	uint64_t *regs = v->hw->regs;
	uint32_t index = (uint32_t)regs[X86_RCX];
	uint64_t value = (regs[X86_RDX] << 32) | (regs[X86_RAX] & UINT32_MAX);
	bool is_write = exit->msr.is_write;
	unsigned len = hv_insn_len(v, exit);

	if (!len)
		return GO_ON;
	int r = is_write ? hv_msr_write(v, index, value) : hv_msr_read(v, index, &value);
	v->insn_len = (uint8_t)len;
	v->msr_index = index;
	v->is_write = is_write;
	io->msr.index = index;
	io->msr.value = is_write ? value : 0;
	io->msr.fault = true;
	if (r == -ENOENT) {
		v->unfinished = HV_MSR;
		return is_write ? VCPU_EXIT_MSR_WRITE : VCPU_EXIT_MSR_READ;
	}
	if (r < 0) {
		hv_raise(v, VECTOR_GP, true, 0);
		return GO_ON;
	}
	if (!is_write) {
		regs[X86_RAX] = value & UINT32_MAX;
		regs[X86_RDX] = value >> 32;
	}
	v->vm->hw_ops->advance(v->hw, len);
	return GO_ON;
}

static enum vcpu_exit msr_end(struct hv_vcpu *v, const struct vcpu_io *io)
{
	uint64_t *regs = v->hw->regs;

	if (io->msr.fault) {
		hv_raise(v, VECTOR_GP, true, 0);
		return GO_ON;
	}
	if (!v->is_write) {
		regs[X86_RAX] = io->msr.value & UINT32_MAX;
		regs[X86_RDX] = io->msr.value >> 32;
	} else if (v->msr_index == 0x1b) { /* IA32_APIC_BASE, which the LAPIC found good */
		v->apic_base = io->msr.value;
	}
	v->vm->hw_ops->advance(v->hw, v->insn_len);
	return GO_ON;
}

static enum vcpu_exit forbidden(struct hv_vcpu *v, uint8_t vector)
{
	hv_raise(v, vector, vector == VECTOR_GP, 0);
	return GO_ON;
}

/* Of a slot that is there by now, and may be accessed so. */
static bool is_memory(const struct hv_vcpu *v, const struct hw_exit *exit)
{
	return first_touch_has(&v->vm->touch, exit->npf.gpa) &&
	       !(exit->npf.is_write && !mem_hva_rw(v->vm->mem, exit->npf.gpa, 1));
}

/*
 * Somebody mapped it meanwhile, or an emulator kept an old translation: again, once for each time that the memory came. No access to
 * memory becomes one to a device.
 */
static enum vcpu_exit enter_again(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	gpa_t page = exit->npf.gpa & ~UINT64_C(0xfff);

	if (page == v->spurious_gpa)
		return failed(v, io, "the CPU does not reach memory that is there", exit->npf.gpa);
	hv_vcpu_forget(v);
	v->spurious_gpa = page;
	return GO_ON;
}

static enum vcpu_exit npf_exit(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	enum first_touch_result touched = first_touch_fault(&v->vm->touch, exit->npf.gpa);

	if (touched == FIRST_TOUCH_DONE)
		return GO_ON;
	if (touched == FIRST_TOUCH_NONE_LEFT)
		return failed(
			v, io,
			v->vm->touch.is_asked
				? "the guest uses memory that it gave back"
				: "the server has no memory left for what the guest gave back",
			exit->npf.gpa);
	if (is_memory(v, exit))
		return enter_again(v, exit, io);
	v->spurious_gpa = UINT64_MAX;
	if (exit->npf.is_fetch)
		return failed(v, io, "the guest executes where it has no memory", exit->npf.gpa);
	if (exit->npf.in_walk)
		return failed(v, io, "the guest's page tables are where it has no memory",
			      exit->npf.gpa);
	return hv_mmio_begin(v, exit, io);
}

/*
 * Out to the scheduler each time: a guest can have tasks whose beginning causes the next switch, without end and without
 * an instruction between them that a host's interrupt could end.
 */
static __attribute__((noinline)) enum vcpu_exit
task_exit(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	int r = hv_task_exit(v, exit);

	if (r == -EIO)
		return failed(v, io, "the guest switches tasks where it has no memory",
			      exit->task.selector);
	return r < 0 ? VCPU_EXIT_SHUTDOWN : VCPU_EXIT_KICKED;
}

static enum vcpu_exit simple_exit(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	switch (exit->kind) {
	case HW_EXIT_HLT:
		return advance(v, exit) ? VCPU_EXIT_HLT : GO_ON;
	case HW_EXIT_WINDOW:
		v->window_wanted = false;
		return VCPU_EXIT_IRQ_WINDOW;
	case HW_EXIT_XSETBV:
		if (hv_xsetbv(v))
			(void)advance(v, exit); /* else the fault is raised */
		else
			hv_raise(v, VECTOR_GP, true, 0);
		return GO_ON;
	case HW_EXIT_CACHE: /* no cache of the guest's is to be written back: its memory is coherent */
		(void)advance(v, exit);
		return GO_ON;
	case HW_EXIT_HYPERCALL:
		if (advance(v, exit))
			hv_hypercall_exit(v);
		return GO_ON;
	case HW_EXIT_CR4:
		hv_cr4_exit(v);
		return GO_ON;
	case HW_EXIT_CR8:
		return hv_cr8_exit(v) ? VCPU_EXIT_IRQ_WINDOW : GO_ON;
	case HW_EXIT_TASK:
		return task_exit(v, exit, io);
	case HW_EXIT_FORBIDDEN:
		return forbidden(v, VECTOR_UD);
	case HW_EXIT_PRIVILEGED:
		return forbidden(v, VECTOR_GP);
	case HW_EXIT_SHUTDOWN:
		return VCPU_EXIT_SHUTDOWN;
	default:
		return failed(v, io, exit->fail.what, exit->fail.code);
	}
}

static enum vcpu_exit handle(struct hv_vcpu *v, const struct hw_exit *exit, struct vcpu_io *io)
{
	switch (exit->kind) {
	case HW_EXIT_HOST:
		return VCPU_EXIT_KICKED;
	case HW_EXIT_CPUID:
		if (advance(v, exit))
			hv_cpuid_exit(v);
		return GO_ON;
	case HW_EXIT_PIO:
		return hv_pio_exit(v, exit, io);
	case HW_EXIT_MSR:
		return msr_exit(v, exit, io);
	case HW_EXIT_NPF:
		return npf_exit(v, exit, io);
	default:
		return simple_exit(v, exit, io);
	}
}

/* What the last run() left to be done. */
static enum vcpu_exit finish(struct hv_vcpu *v, struct vcpu_io *io)
{
	enum hv_unfinished what = v->unfinished;

	v->unfinished = HV_NOTHING;
	switch (what) {
	case HV_MMIO:
		return hv_mmio_end(v, io);
	case HV_MSR:
		return msr_end(v, io);
	default:
		return GO_ON;
	}
}

enum vcpu_exit hv_run(struct vcpu *base, struct vcpu_io *io)
{
	struct hv_vcpu *v = hv_vcpu_of(base);
	enum vcpu_exit result = v->unfinished ? finish(v, io) : GO_ON;
	struct hw_exit exit;

	v->halted = false;
	while (result == GO_ON) {
		if (v->is_busy)
			deliver(v);
		v->vm->hw_ops->enter(v->hw, &exit);
		v->exits[exit.kind]++;
		if (v->hw->interrupted.type != HW_EVENT_NONE) {
			if (v->again.type == HW_EVENT_NMI) /* an exception went first */
				v->n_nmis++;
			v->again = v->hw->interrupted;
			v->is_busy = true;
		}
		result = handle(v, &exit, io);
	}
	return result;
}

const char *hv_exit_name(unsigned kind)
{
	static const char *const names[] = {
		[HW_EXIT_HOST] = "host",
		[HW_EXIT_CPUID] = "cpuid",
		[HW_EXIT_HLT] = "hlt",
		[HW_EXIT_HYPERCALL] = "hypercall",
		[HW_EXIT_XSETBV] = "xsetbv",
		[HW_EXIT_CR4] = "cr4",
		[HW_EXIT_CR8] = "cr8",
		[HW_EXIT_CACHE] = "cache",
		[HW_EXIT_MSR] = "msr",
		[HW_EXIT_PIO] = "pio",
		[HW_EXIT_NPF] = "npf",
		[HW_EXIT_WINDOW] = "window",
		[HW_EXIT_TASK] = "task",
		[HW_EXIT_FORBIDDEN] = "forbidden",
		[HW_EXIT_PRIVILEGED] = "privileged",
		[HW_EXIT_SHUTDOWN] = "shutdown",
		[HW_EXIT_FAIL] = "fail",
	};

	_Static_assert(ARRAY_SIZE(names) == HW_EXIT_KINDS, "every kind has a name");
	return kind < HW_EXIT_KINDS ? names[kind] : "?";
}
