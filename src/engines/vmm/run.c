/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual machine from its spec to its end: build, seal, run, take apart. */
#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "devices/legacy/test_firmware.h"
#include "engines/cgroup/cgroup.h"
#include "engines/vmm/boot_files.h"
#include "engines/vmm/devices.h"
#include "engines/vmm/holder.h"
#include "engines/vmm/private.h"
#include "engines/vmm/seal.h"
#include "engines/vmm/signals.h"
#include "engines/vmm/sync.h"
#include "engines/vmm/threads.h"
#include "engines/vmm/vmm_agent.h"
#include "machine/irqchip.h"

static void run_poked(void *arg, uint32_t events)
{
	struct vmm *vmm = arg;

	(void)events;
	fd_calm(vmm->poke);
}

static void run_timers(void *arg, uint32_t events)
{
	struct vmm *vmm = arg;

	(void)events;
	vmm_clock_fire(&vmm->clock);
}

static int run_loop_init(struct vmm *vmm, struct err *err)
{
	int r = loop_create(&vmm->loop, err);

	if (r < 0)
		return r;
	vmm->poke = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vmm->poke < 0)
		return err_set(err, errno, "eventfd");
	r = loop_add(vmm->loop, vmm->poke, EPOLLIN, run_poked, vmm, err);
	if (r == 0)
		r = vmm_clock_init(&vmm->clock, err);
	if (r == 0)
		r = loop_add(vmm->loop, vmm->clock.fd, EPOLLIN, run_timers, vmm, err);
	return r == 0 ? vmm_signals_open(vmm, err) : r;
}

static int run_check(const struct vmm *vmm, struct err *err)
{
	const struct spec_vm *vm = &vmm->spec->vm;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (vm->vcpus > vmm->caps.vcpus || vm->vcpus > VMM_VCPUS)
		return err_say(err, EINVAL, "%u vcpus asked: %s can run %u at most", vm->vcpus,
			       vmm->cpu->name,
			       vmm->caps.vcpus < VMM_VCPUS ? vmm->caps.vcpus : VMM_VCPUS);
	if (cpus > 0 && vm->vcpus > 8 * (unsigned long)cpus)
		return err_say(err, EINVAL,
			       "%u vcpus asked, this host has %ld CPUs: more than 8 for each is "
			       "refused",
			       vm->vcpus, cpus);
	return 0;
}

static int run_slots(struct vmm *vmm, struct err *err)
{
	for (unsigned i = 0; i < vmm->mem.n; i++) {
		int r = vmm->cpu->slot_set(vmm->vm, &vmm->mem.slots[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Before anything else, which is to count there: memory, and threads. */
static int run_place(struct vmm_fds *fds, struct vmm_holder *holder, struct err *err)
{
	int r = vmm_holder_begin(fds->home, holder, err);

	if (r == 0) {
		r = cgroup_join(fds->joins, fds->n_joins);
		if (r < 0)
			(void)err_set(err, -r, "join the virtual machine's cgroup");
	}
	for (unsigned i = 0; i < fds->n_joins; i++)
		fd_close(fds->joins[i]);
	fds->n_joins = 0;
	fd_close(fds->home);
	fds->home = -EBADF;
	return r;
}

static int run_build(struct vmm *vmm, struct err *err)
{
	const struct spec_vm *vm = &vmm->spec->vm;
	int r = vmm->cpu->caps(&vmm->caps, err);

	if (r == 0)
		r = run_check(vmm, err);
	if (r == 0)
		r = run_loop_init(vmm, err);
	if (r == 0)
		r = vmm_memory_init(&vmm->memory, &vmm->mem, vm->memory_bytes, err);
	if (r < 0)
		return r;
	const struct vm_config config = {
		.mem = &vmm->mem,
		.own_irqchip = vmm->caps.irqchip && !vm->machine_irqchip,
		.vcpus = vm->vcpus,
		.code_cache_bytes = vm->code_cache_bytes,
		.interpret_only = !vm->code_cache_bytes,
	};
	r = vmm->cpu->vm_create(&config, &vmm->vm, err);
	if (r == 0)
		r = run_slots(vmm, err);
	if (r == 0)
		r = vmm_vcpus_create(vmm, err);
	if (r == 0)
		r = vmm_irq_init(vmm, err);
	if (r == 0)
		r = vmm_devices_create(vmm, err);
	if (r == 0)
		r = vmm_vcpus_boot(vmm, err);
	if (r == 0)
		r = vmm_exits_open(vmm, err);
	if (r == 0 && vmm->spec->vm.test_devices && vmm->chip)
		test_firmware_leave(&vmm->mem, &vmm->pio, &vmm->chip->lapics[0]);
	return r == 0 ? vmm_debug_open(vmm, err) : r;
}

/* The host's directory, which it was given for its building. */
static void run_close_dir(struct vmm_fds *fds)
{
	fd_close(fds->run);
	fds->run = -EBADF;
}

/* From here on the process holds nothing that it does not need; then it says so and waits for its turn. */
static int run_seal(struct vmm *vmm, struct vmm_holder *holder, struct err *err)
{
	struct seal_report report;
	const pid_t monitor = getppid();

	run_close_dir(&vmm->fds);
	int r = vmm_seal_process(vmm->fds.free, &report, err);

	/* Becoming somebody else took that back: a machine dies with its monitor. */
	if (r == 0 && vmm->fds.sync >= 0 && !vmm->fds.free &&
	    (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != monitor))
		r = err_say(err, ECHILD, "the monitor is gone");
	if (r == 0)
		r = vmm_holder_seal(holder, err);
	if (r < 0 || vmm->fds.sync < 0)
		return r;
	r = vmm_say(vmm->fds.sync, VMM_WORD_READY);
	if (r < 0)
		return err_set(err, -r, "talk to the monitor");
	return vmm_expect(vmm->fds.sync, VMM_WORD_GO, NULL, err);
}

void vmm_started(struct vmm *vmm)
{
	if (vmm->fds.sync < 0)
		return;
	(void)vmm_say(vmm->fds.sync, VMM_WORD_STARTED); /* a dead monitor takes us with it */
	fd_close(vmm->fds.sync);
	vmm->fds.sync = -EBADF;
}

void vmm_start_failed(struct vmm *vmm, int status, const struct err *err)
{
	if (vmm->fds.sync < 0)
		return;
	vmm->told = true;
	vmm_say_failed(vmm->fds.sync, status, err);
	fd_close(vmm->fds.sync);
	vmm->fds.sync = -EBADF;
}

static int run_go(struct vmm *vmm, struct err *err)
{
	int r = vmm_vcpus_start(vmm, err);

	if (r == 0)
		r = vmm_debug_start(vmm, err);
	if (r == 0 && !vmm->spec->vm.agent)
		vmm_started(vmm);
	/* After the threads were made: that takes more than they may do. */
	if (r == 0)
		r = vmm_disks_seal(vmm, err);
	if (r == 0)
		r = vmm_thread_seal(vmm, VMM_THREAD_LOOP, err);
	while (r >= 0 && vmm_ended(vmm) == VMM_RUNS)
		r = loop_run_once(vmm->loop, -1, err);
	return r < 0 ? r : 0;
}

static int run_status(struct vmm *vmm, int *ret_status, struct err *err)
{
	switch (vmm_ended(vmm)) {
	case VMM_POWER_OFF:
		if (vmm->spec->vm.agent)
			return vmm_agent_status(vmm, ret_status, err);
		*ret_status = 0;
		return 0;
	case VMM_RESET:
		*ret_status = 0;
		return 0;
	case VMM_EXIT:
		*ret_status = vmm->status;
		return 0;
	case VMM_SHUTDOWN:
		*ret_status = 125;
		return err_say(err, EIO, "the guest crashed its CPU (triple fault)");
	default:
		*ret_status = 125;
		if (!vmm->failure.code)
			return err_say(err, EIO, "the virtual machine failed");
		*err = vmm->failure;
		return -err->code;
	}
}

/* Whoever started us says it: said by both, it would be two lines, or one, as it happens. */
static int run_told(const struct vmm *vmm, int r, struct err *err)
{
	if (vmm->told)
		*err = (struct err){ 0 };
	return r;
}

int vmm_run(const struct spec *spec, const struct vmm_engine *engine, const struct vmm_fds *fds,
	    int *ret_status, struct err *err)
{
	struct vmm *vmm = calloc(1, sizeof(*vmm));
	struct vmm_holder holder;

	*ret_status = 125;
	if (!vmm)
		return err_set(err, ENOMEM, "virtual machine");
	vmm->spec = spec;
	vmm->engine = engine;
	vmm->cpu = engine->cpu;
	vmm->fds = *fds;
	vmm->poke = -EBADF;
	int r = run_place(&vmm->fds, &holder, err);
	if (r == 0)
		r = run_build(vmm, err);
	if (r == 0)
		r = run_seal(vmm, &holder, err);
	if (r < 0) { /* no instruction of the guest's was executed: nothing is under way */
		vmm_start_failed(vmm, 125, err);
		return run_told(vmm, r, err);
	}
	r = run_go(vmm, err);
	if (r < 0)
		vmm_end(vmm, VMM_FAILED, 0);
	vmm_vcpus_join(vmm);
	vmm_devices_drain(vmm);
	if (r == 0)
		r = run_status(vmm, ret_status, err);
	if (r < 0)
		vmm_start_failed(vmm, *ret_status, err); /* if it was not said to run yet */
	vmm_debug_ended(vmm, *ret_status);
	/* What is left is memory and fds: the process ends now, and its holder takes them along. */
	return run_told(vmm, r, err);
}
