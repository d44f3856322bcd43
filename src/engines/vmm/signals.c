/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "engines/vmm/devices.h"

/* Those that are about this process itself stay its own, and the engine's kick (engines/hybrid/kvm.h). */
static const int signals_own[] = { SIGSEGV, SIGBUS,  SIGFPE,	SIGILL, SIGTRAP,
				   SIGSYS,  SIGABRT, SIGSTKFLT, SIGPIPE };

static bool signal_ends(uint32_t sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT || sig == SIGPWR;
}

static void signals_bare(struct vmm *vmm, uint32_t sig)
{
	if (!signal_ends(sig))
		return;
	bool again = vmm->button_pressed;
	vmm->button_pressed = true;
	if (again || !pm_power_button(&vmm->devices->pm))
		vmm_end(vmm, VMM_EXIT, 128 + (int)sig);
}

static void signals_came(void *arg, uint32_t events)
{
	struct vmm *vmm = arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(vmm->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (vmm->spec->vm.agent)
			vmm_agent_signal(vmm, (int)info.ssi_signo);
		else
			signals_bare(vmm, info.ssi_signo);
	}
}

int vmm_signals_fd(struct err *err)
{
	sigset_t mask;

	(void)signal(SIGPIPE, SIG_IGN); /* a reader that is gone shows in write(2) */
	(void)sigfillset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals_own); i++)
		(void)sigdelset(&mask, signals_own[i]);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL); /* valid arguments: cannot fail */
	int fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_set(err, errno, "signalfd") : fd;
}

int vmm_signals_open(struct vmm *vmm, struct err *err)
{
	vmm->signal_fd = vmm_signals_fd(err);
	return vmm->signal_fd < 0
		       ? vmm->signal_fd
		       : loop_add(vmm->loop, vmm->signal_fd, EPOLLIN, signals_came, vmm, err);
}
