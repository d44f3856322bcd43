/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hosted/hosted.h"

#include <stdio.h>

#include "engines/vmm/guest.h"

static int hosted_create(const struct spec *spec, const struct guest_dirs *dirs,
			 const struct guest_io *io, struct guest **ret, struct err *err)
{
	return vmm_guest_create(&hosted_engine, spec, dirs, io, ret, err);
}

/* Any x86-64 host will do: this program is compiled for nothing else. */
static void hosted_probe(struct engine_report *ret_report)
{
	struct engine_report report = { .available = true };

	(void)snprintf(report.how, sizeof(report.how),
		       "software CPU, translates x86-64 to x86-64; needs no driver"); /* fits */
	*ret_report = report;
}

static const char *hosted_cpu_name(const struct spec *spec)
{
	(void)spec;
	return "software";
}

const struct engine_ops hosted_engine = {
	.name = "hosted",
	.traits = {
		.privileged =
			"our software CPU in an ordinary process: what is privileged is carried "
			"out by our own C, the rest translated to code that reaches nothing but "
			"the guest's memory",
		.kernel = "its own, of its image's or its owner's choice",
		.shared =
			"CPUs and their caches, and the disks and sockets that were opened for "
			"it; no driver and no kernel module",
		.breach =
			"a bug in our translator or devices reaches one process that is nobody's, "
			"with an empty root, no capabilities, no /dev/kvm and a filter on each "
			"thread; past that, only a bug in the few system calls left to it reaches "
			"the host's kernel",
		.gives =
			"a kernel of its own on any x86-64 host, without a driver and without "
			"root, in other virtual machines too",
	},
	.machines = true,
	.check = vmm_guest_check,
	.cpu = hosted_cpu_name,
	.probe = hosted_probe,
	.create = hosted_create,
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
