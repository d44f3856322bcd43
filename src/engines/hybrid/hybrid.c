/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/hybrid.h"

#include "engines/hybrid/hybrid_cpu.h"
#include "engines/hybrid/kvm_probe.h"
#include "engines/vmm/guest.h"

/* A host without KVM is told so before anything is made; who executes the CPUs is asked again at each start. */
static int hybrid_check(const struct spec *spec, struct err *err)
{
	enum hybrid_cpu cpu;
	int r = vmm_guest_check(spec, err);

	return r < 0 ? r : hybrid_cpu_choose(spec, &cpu, err);
}

static const char *hybrid_cpu_name(const struct spec *spec)
{
	enum hybrid_cpu cpu;

	return hybrid_cpu_choose(spec, &cpu, NULL) == 0 && cpu == HYBRID_CPU_SOFTWARE ? "software"
										      : "kvm";
}

static int hybrid_create(const struct spec *spec, const struct guest_dirs *dirs,
			 const struct guest_io *io, struct guest **ret, struct err *err)
{
	return vmm_guest_create(&hybrid_engine, spec, dirs, io, ret, err);
}

const struct engine_ops hybrid_engine = {
	.name = "hybrid",
	.traits = {
		.privileged =
			"KVM in the host's kernel: the CPU runs the guest in a mode of its own "
			"and hands back what it may not do; without that hardware KVM interprets "
			"it, or our software CPU takes the guest",
		.kernel = "its own, of its image's or its owner's choice",
		.shared =
			"KVM, CPUs and their caches, and the disks and sockets that were opened "
			"for it; no file system and no process of the host",
		.breach =
			"a bug in our devices reaches one process that is nobody's, with an empty "
			"root, no capabilities and a filter on each thread; a bug in KVM, or in "
			"the few system calls left to that process, reaches the host's kernel",
		.gives =
			"a kernel of its own behind a boundary that hardware keeps, where the "
			"host has that hardware",
	},
	.machines = true,
	.check = hybrid_check,
	.cpu = hybrid_cpu_name,
	.probe = kvm_probe,
	.create = hybrid_create,
	.start = vmm_guest_start,
	.reap = vmm_guest_reap,
	.destroy = vmm_guest_destroy,
	.update = vmm_guest_update,
	.freeze = vmm_guest_freeze,
	.stats = vmm_guest_stats,
	.processes = vmm_guest_processes,
	.root_open = vmm_guest_root_open,
	.files = &vmm_guest_files,
	.sweep = vmm_guest_sweep,
	.exec = vmm_guest_exec,
};
