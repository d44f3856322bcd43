/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define INT3	  0xccU
#define VECTOR_BP 3U

#define KICK_SIGNAL SIGSTKFLT /* no kernel sends it, no program uses it */

static void kicked(int sig)
{
	(void)sig; /* that it came ends KVM_RUN */
}

int kvm_kick_handler(struct err *err)
{
	struct sigaction action = { .sa_handler = kicked, .sa_flags = SA_RESTART };

	if (sigaction(KICK_SIGNAL, &action, NULL) < 0)
		return err_set(err, errno, "install the handler of SIGSTKFLT");
	return 0;
}

void kvm_kick(struct vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	int saved = errno; /* we may be in a signal's handler */

	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pid_t tid = __atomic_load_n(&vcpu->running, __ATOMIC_SEQ_CST);
	if (tid)
		(void)tgkill(vcpu->pid, tid, KICK_SIGNAL); /* gone: it runs no more */
	errno = saved;
}

/* The thread's first run(): it must be open to the signal. */
static void first_run(struct kvm_vcpu *vcpu)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* fails on a bad `how` alone */
	vcpu->tid = gettid();
}

static int enter(struct kvm_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->running, vcpu->tid, __ATOMIC_SEQ_CST);
	int r = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
	__atomic_store_n(&vcpu->running, 0, __ATOMIC_RELEASE);
	return r;
}

static enum vcpu_exit fail(struct vcpu_io *io, const char *what, uint64_t code)
{
	io->fail.what = what;
	io->fail.code = code;
	io->fail.insn_len = 0;
	return VCPU_EXIT_FAIL;
}

static const char *internal_words(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "KVM cannot emulate an instruction of the guest's";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "KVM met an exception while it delivered one";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "KVM met an exit while it delivered an event";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "KVM met an exit of the hardware that it does not know";
	default:
		return "KVM reports an internal error";
	}
}

/* A KVM that interprets supervisor code may lack int3: with breakpoints on, it is one that was hit. */
static bool is_breakpoint(const struct kvm_vcpu *vcpu, struct vcpu_io *io)
{
	struct kvm_regs regs;

	if (!(vcpu->debug.control & KVM_GUESTDBG_USE_SW_BP) || !io->fail.insn_len ||
	    io->fail.insn[0] != INT3 || kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0)
		return false;
	io->debug.rip = regs.rip;
	io->debug.dr6 = 0;
	io->debug.exception = VECTOR_BP;
	return true;
}

static enum vcpu_exit internal_error(const struct kvm_vcpu *vcpu, struct vcpu_io *io)
{
	const struct kvm_run *run = vcpu->run;
	uint32_t suberror = run->internal.suberror;

	(void)fail(io, internal_words(suberror), suberror);
	if (suberror == KVM_INTERNAL_ERROR_EMULATION && run->emulation_failure.ndata >= 1 &&
	    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
		uint8_t n = run->emulation_failure.insn_size;
		if (n > sizeof(io->fail.insn))
			n = sizeof(io->fail.insn);
		io->fail.insn_len = n;
		memcpy(io->fail.insn, run->emulation_failure.insn_bytes, n);
	}
	return is_breakpoint(vcpu, io) ? VCPU_EXIT_DEBUG : VCPU_EXIT_FAIL;
}

static enum vcpu_exit pio(struct kvm_run *run, struct vcpu_io *io)
{
	io->pio.port = run->io.port;
	io->pio.len = run->io.size;
	io->pio.is_write = run->io.direction == KVM_EXIT_IO_OUT;
	io->pio.count = run->io.count;
	io->pio.data = (uint8_t *)run + run->io.data_offset;
	return VCPU_EXIT_PIO;
}

static enum vcpu_exit mmio(struct kvm_run *run, struct vcpu_io *io)
{
	io->mmio.gpa = run->mmio.phys_addr;
	io->mmio.len = (uint8_t)run->mmio.len;
	io->mmio.is_write = run->mmio.is_write != 0;
	io->mmio.data = run->mmio.data;
	return VCPU_EXIT_MMIO;
}

static enum vcpu_exit msr(struct kvm_vcpu *vcpu, struct vcpu_io *io, bool is_write)
{
	io->msr.index = vcpu->run->msr.index;
	io->msr.value = is_write ? vcpu->run->msr.data : 0;
	io->msr.fault = false;
	vcpu->msr_asked = true;
	return is_write ? VCPU_EXIT_MSR_WRITE : VCPU_EXIT_MSR_READ;
}

static void msr_answer(struct kvm_vcpu *vcpu, const struct vcpu_io *io)
{
	vcpu->run->msr.data = io->msr.value;
	vcpu->run->msr.error = io->msr.fault;
	vcpu->msr_asked = false;
}

static enum vcpu_exit debug(const struct kvm_run *run, struct vcpu_io *io)
{
	io->debug.rip = run->debug.arch.pc;
	io->debug.dr6 = run->debug.arch.dr6;
	io->debug.exception = run->debug.arch.exception;
	return VCPU_EXIT_DEBUG;
}

static enum vcpu_exit system_event(const struct kvm_run *run, struct vcpu_io *io)
{
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
	case KVM_SYSTEM_EVENT_RESET:
		return VCPU_EXIT_RESET;
	default:
		return fail(io, "the guest reported its crash", run->system_event.type);
	}
}

/* The exits that concern the interrupt controllers; false: another one. */
static bool decode_irq(const struct kvm_run *run, enum vcpu_exit *ret)
{
	switch (run->exit_reason) {
	case KVM_EXIT_HLT:
		*ret = VCPU_EXIT_HLT;
		return true;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		*ret = VCPU_EXIT_IRQ_WINDOW;
		return true;
	case KVM_EXIT_INTR:
	case KVM_EXIT_SET_TPR: /* CR8 fell: what was masked may be due now */
		*ret = VCPU_EXIT_KICKED;
		return true;
	default:
		return false;
	}
}

static enum vcpu_exit decode(struct kvm_vcpu *vcpu, struct vcpu_io *io)
{
	struct kvm_run *run = vcpu->run;
	enum vcpu_exit exit;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return pio(run, io);
	case KVM_EXIT_MMIO:
		return mmio(run, io);
	case KVM_EXIT_X86_RDMSR:
		return msr(vcpu, io, false);
	case KVM_EXIT_X86_WRMSR:
		return msr(vcpu, io, true);
	case KVM_EXIT_SHUTDOWN:
		return VCPU_EXIT_SHUTDOWN;
	case KVM_EXIT_SYSTEM_EVENT:
		return system_event(run, io);
	case KVM_EXIT_DEBUG:
		return debug(run, io);
	case KVM_EXIT_INTERNAL_ERROR:
		return internal_error(vcpu, io);
	case KVM_EXIT_FAIL_ENTRY:
		return fail(io, "the CPU refused to enter the guest",
			    run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_UNKNOWN:
		return fail(io, "KVM left the guest for a reason unknown to it",
			    run->hw.hardware_exit_reason);
	default:
		if (decode_irq(run, &exit))
			return exit;
		return fail(io, "KVM left the guest for a reason unknown to us", run->exit_reason);
	}
}

static enum vcpu_exit run_error(struct kvm_vcpu *vcpu, struct vcpu_io *io, int code)
{
	switch (code) {
	case -EINTR:
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		return VCPU_EXIT_KICKED;
	case -EFAULT:
		/* KVM_CAP_MEMORY_FAULT_INFO says where; the memory behind a slot is gone. */
		return fail(io, "KVM cannot reach the memory behind a guest address", EFAULT);
	case -ENOMEM:
		return fail(io, "the host has no memory left for the guest", ENOMEM);
	default:
		return fail(io, "KVM_RUN failed", (uint64_t)-code);
	}
}

enum vcpu_exit kvm_run_vcpu(struct vcpu *base, struct vcpu_io *io)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	int r;

	if (vcpu->tid == 0)
		first_run(vcpu);
	if (vcpu->msr_asked)
		msr_answer(vcpu, io);
	vcpu->halted = vcpu->wait_sipi = false;
	do {
		r = enter(vcpu);
	} while (r ==
		 -EAGAIN); /* an application processor that was started, or woke up for nothing */
	return r < 0 ? run_error(vcpu, io, r) : decode(vcpu, io);
}
