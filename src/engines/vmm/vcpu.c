/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that run the guest's CPUs: what each exit means. */
#include <signal.h>
#include <string.h>

#include "engines/vmm/private.h"
#include "engines/vmm/boot_files.h"
#include "engines/vmm/threads.h"
#include "machine/layout.h"

#define VCPU_SETTLE_MAX 4096U

static uint64_t io_load(const uint8_t *data, unsigned len)
{
	uint64_t value = 0;

	memcpy(&value, data, len);
	return value;
}

static void vcpu_pio(struct vmm *vmm, struct vcpu_io *io)
{
	uint8_t *data = io->pio.data;

	for (uint32_t i = 0; i < io->pio.count; i++, data += io->pio.len) {
		if (io->pio.is_write) {
			bus_write(&vmm->pio, io->pio.port, io->pio.len, io_load(data, io->pio.len));
		} else {
			uint64_t value = bus_read(&vmm->pio, io->pio.port, io->pio.len);
			memcpy(data, &value, io->pio.len);
		}
	}
}

/* Lengths that no register has come apart: 3 bytes are 2 and 1. */
static void vcpu_mmio(struct vmm_vcpu *v, struct vcpu_io *io)
{
	struct vmm *vmm = v->vmm;
	unsigned done = 0;

	while (done < io->mmio.len) {
		unsigned len = 8;
		while (len > io->mmio.len - done)
			len /= 2;
		gpa_t gpa = io->mmio.gpa + done;
		uint8_t *data = io->mmio.data + done;
		uint64_t value = io->mmio.is_write ? io_load(data, len) : 0;
		if (!vmm_lapic_access(v, gpa, len, io->mmio.is_write, &value)) {
			if (io->mmio.is_write)
				bus_write(&vmm->mmio, gpa, len, value);
			else
				value = bus_read(&vmm->mmio, gpa, len);
		}
		if (!io->mmio.is_write)
			memcpy(data, &value, len);
		done += len;
	}
}

/* Whether the vcpu goes on. */
static bool vcpu_handle(struct vmm_vcpu *v, enum vcpu_exit exit, struct vcpu_io *io)
{
	struct vmm *vmm = v->vmm;

	switch (exit) {
	case VCPU_EXIT_PIO:
		vcpu_pio(vmm, io);
		return true;
	case VCPU_EXIT_MMIO:
		vcpu_mmio(v, io);
		return true;
	case VCPU_EXIT_KICKED:
	case VCPU_EXIT_IRQ_WINDOW:
		return true;
	case VCPU_EXIT_HLT:
		vmm_lapic_halt(v);
		return true;
	case VCPU_EXIT_MSR_READ:
	case VCPU_EXIT_MSR_WRITE:
		vmm_lapic_msr(v, exit == VCPU_EXIT_MSR_WRITE, io);
		return true;
	case VCPU_EXIT_DEBUG:
		vmm_debug_stopped(v, io);
		return true;
	case VCPU_EXIT_SHUTDOWN:
		if (vmm_debug_crashed(v))
			return true;
		vmm_end(vmm, VMM_SHUTDOWN, 0);
		return false;
	case VCPU_EXIT_RESET:
		vmm_end(vmm, VMM_RESET, 0);
		return false;
	case VCPU_EXIT_FAIL:
	case VCPU_EXIT_MAX:
		break;
	}
	vmm_fail(vmm, io->fail.what, io->fail.code);
	return false;
}

static void vcpu_count(struct vmm_vcpu *v, enum vcpu_exit exit)
{
	static const uint8_t reasons[VCPU_EXIT_MAX] = {
		[VCPU_EXIT_PIO] = EXIT_IO,	   [VCPU_EXIT_MMIO] = EXIT_MMIO,
		[VCPU_EXIT_HLT] = EXIT_HALT,	   [VCPU_EXIT_IRQ_WINDOW] = EXIT_IRQ_WINDOW,
		[VCPU_EXIT_MSR_READ] = EXIT_MSR,   [VCPU_EXIT_MSR_WRITE] = EXIT_MSR,
		[VCPU_EXIT_SHUTDOWN] = EXIT_OTHER, [VCPU_EXIT_RESET] = EXIT_OTHER,
		[VCPU_EXIT_DEBUG] = EXIT_OTHER,	   [VCPU_EXIT_KICKED] = EXIT_KICK,
		[VCPU_EXIT_FAIL] = EXIT_OTHER,
	};
	const enum exit_reason reason = exit < VCPU_EXIT_MAX ? reasons[exit] : EXIT_OTHER;

	exit_count(v->counts, EXIT_VMM);
	if (v->vmm->exits.ours & EXIT_BIT(reason)) /* else the engine does */
		exit_count(v->counts, reason);
}

static bool vcpu_once(struct vmm_vcpu *v, struct vcpu_io *io)
{
	enum vcpu_exit exit = v->vmm->cpu->run(v->vcpu, io);

	vcpu_count(v, exit);
	v->unfinished = exit == VCPU_EXIT_PIO || exit == VCPU_EXIT_MMIO ||
			exit == VCPU_EXIT_MSR_READ || exit == VCPU_EXIT_MSR_WRITE;
	return vcpu_handle(v, exit, io);
}

/*
 * Registers are only right when the last access is completed, which takes a run() that comes back at once. A repeated
 * instruction is many accesses, any of which is a place to stop.
 */
static bool vcpu_settle(struct vmm_vcpu *v, struct vcpu_io *io)
{
	for (unsigned i = 0; v->unfinished && i < VCPU_SETTLE_MAX; i++) {
		v->vmm->cpu->kick(v->vcpu);
		if (!vcpu_once(v, io))
			return false;
	}
	return true;
}

/* Room for a signal frame with AVX-512 state, twice. */
#define TRAP_STACK_BYTES 16384U
#ifndef SS_AUTODISARM
#define SS_AUTODISARM                                                                              \
	(1U                                                                                        \
	 << 31) /* Linux: the stack is left to itself, wherever the stack pointer was (sigaltstack(2)) */
#endif

/* The software CPU's translated code has the guest's stack pointer, and what it does wrong is a signal. */
static void vcpu_take_traps(uint8_t *stack)
{
	stack_t alternate = { .ss_sp = stack,
			      .ss_size = TRAP_STACK_BYTES,
			      .ss_flags = (int)SS_AUTODISARM };
	sigset_t set;

	(void)sigaltstack(&alternate, NULL); /* valid arguments */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGSEGV);
	(void)sigaddset(&set, SIGILL);
	(void)sigaddset(&set, SIGFPE);
	(void)sigaddset(&set, SIGTRAP);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *vcpu_main(void *arg)
{
	uint8_t stack[TRAP_STACK_BYTES] __attribute__((aligned(16)));
	struct vmm_vcpu *v = arg;
	struct vmm *vmm = v->vmm;
	struct vcpu_io io = { 0 };
	struct err err = { 0 };
	bool on = true;

	vcpu_take_traps(stack);
	if (vmm_thread_seal(vmm, VMM_THREAD_VCPU, &err) < 0) {
		vmm_fail(vmm, err.text, 0);
		return NULL;
	}
	while (on && vmm_ended(vmm) == VMM_RUNS) {
		if (vmm_vcpu_stops(v)) {
			on = vcpu_settle(v, &io);
			if (on)
				vmm_vcpu_park(v);
		} else if (vmm_lapic_before_run(v)) {
			on = vcpu_once(v, &io);
		}
	}
	return NULL;
}

int vmm_vcpus_start(struct vmm *vmm, struct err *err)
{
	for (unsigned i = 0; i < vmm->n_vcpus; i++) {
		struct vmm_vcpu *v = &vmm->vcpus[i];
		int r = vmm_thread_start(&v->thread, vcpu_main, v, err);
		if (r < 0)
			return r;
		v->has_thread = true;
	}
	return 0;
}

void vmm_vcpus_join(struct vmm *vmm)
{
	vmm_resume(vmm); /* those that are parked see the end too */
	for (unsigned i = 0; i < vmm->n_vcpus; i++) {
		if (vmm->vcpus[i].has_thread)
			vmm_vcpu_wake(&vmm->vcpus[i]);
	}
	for (unsigned i = 0; i < vmm->n_vcpus; i++) {
		struct vmm_vcpu *v = &vmm->vcpus[i];
		if (v->has_thread)
			(void)pthread_join(v->thread, NULL); /* our own, once */
		v->has_thread = false;
	}
}

int vmm_vcpus_create(struct vmm *vmm, struct err *err)
{
	for (unsigned i = 0; i < vmm->spec->vm.vcpus; i++) {
		struct vmm_vcpu *v = &vmm->vcpus[i];
		*v = (struct vmm_vcpu){ .vmm = vmm, .index = i };
		int r = vmm->cpu->vcpu_create(vmm->vm, i, &v->vcpu, err);
		if (r < 0)
			return r;
		vmm->n_vcpus++;
	}
	return 0;
}

static int vcpu_first_state(struct vmm_vcpu *v, const struct x86_state *state, struct err *err)
{
	int r = v->vmm->cpu->state_set(v->vcpu, state);

	return r < 0 ? err_set(err, -r, "set the registers of vcpu %u", v->index) : 0;
}

int vmm_vcpus_boot(struct vmm *vmm, struct err *err)
{
	struct x86_state state;
	int r = vmm_boot(&vmm->spec->vm, &vmm->mem, &state, err);

	if (r == 0)
		r = vmm_cpuid_set(vmm, err);
	if (r == 0)
		r = vcpu_first_state(&vmm->vcpus[0], &state, err);
	for (unsigned i = 1; r == 0 && i < vmm->n_vcpus; i++) {
		x86_state_reset(&state, false);
		r = vcpu_first_state(&vmm->vcpus[i], &state, err);
	}
	return r;
}
