/* SPDX-License-Identifier: Apache-2.0 */
/* What a virtual machine cannot be given, said before anything is made. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/json.h"
#include "engines/cgroup/cgroup.h"
#include "engines/cgroup/instance.h"
#include "engines/rates.h"
#include "engines/vmm/guest.h"
#include "engines/vmm/target.h"
#include "engines/vmm/virtiofsd.h"

static void check_text_p(char **text)
{
	free(*text);
}

static int check_refuse(const char *flag, const char *instead, struct err *err)
{
	return err_say(err, ENOTSUP, "%s is not for a virtual machine: %s", flag, instead);
}

/* The host's things that a guest's kernel cannot see. */
static int check_host(const struct spec *spec, struct err *err)
{
	if (spec->n_devices)
		return check_refuse("--device", "it has devices of its own; a disk is --disk", err);
	if (spec->network == SPEC_NETWORK_HOST)
		return check_refuse("--network host", "use a network of its own (--network bridge)",
				    err);
	if (spec->network == SPEC_NETWORK_BRIDGE && geteuid() != 0)
		return err_say(err, EPERM,
			       "--network bridge changes the host's network, which takes root: use "
			       "--network passt or none, or sudo");
	if (spec->n_uid_map || spec->n_gid_map ||
	    !strcmp(json_str(spec->json, "userns", "host"), "auto"))
		return check_refuse("--userns, --uidmap or --gidmap",
				    "its users are its own already", err);
	if (spec->time_offsets.monotonic_s || spec->time_offsets.boottime_s)
		return check_refuse("--time-offset", "its clocks are its own already", err);
	if (spec->limits.memory_swap_bytes || spec->limits.memory_reservation_bytes)
		return check_refuse("--memory-swap or --memory-reservation",
				    "--memory is the size of its memory", err);
	if (spec->root_bytes)
		return check_refuse("--root-size", "what it writes is on a disk of 16 GiB already",
				    err);
	return 0;
}

/* What is shared has a program that serves it, and no mount of the host's that the guest's would follow. */
static int check_shares(const struct spec *spec, struct err *err)
{
	AUTO(check_text_p) char *program = NULL;

	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct spec_mount *mount = &spec->mounts[i];
		if (mount->type == SPEC_MOUNT_BIND && strcmp(mount->propagation, "rprivate") != 0 &&
		    strcmp(mount->propagation, "private") != 0)
			return check_refuse("a bind's propagation",
					    "what the host mounts later stays with the host", err);
	}
	return spec_has_shares(spec) ? virtiofsd_find(NULL, &program, err) : 0;
}

/* What only a process has. */
static int check_kernel(const struct spec *spec, struct err *err)
{
	if (spec->init)
		return check_refuse("--init", "a bare kernel has no process of ours", err);
	if (spec->read_only)
		return check_refuse("--read-only", "write --disk FILE,ro", err);
	if (spec->n_mounts)
		return check_refuse("--volume, --mount or --tmpfs", "write --disk FILE", err);
	return 0;
}

int vmm_guest_limits(const struct spec *spec, const struct cgroup_layout *layout,
		     struct spec_limits *ret, struct err *err)
{
	struct spec_limits limits = spec->limits;
	const int64_t cpus = limits.cpu_period_us ? limits.cpu_quota_us / limits.cpu_period_us : 0;
	char where[CGROUP_PATH_BYTES];

	limits.memory_bytes = limits.memory_swap_bytes = limits.memory_reservation_bytes = 0;
	limits.pids = 0;
	if (!cgroup_limits_denied(layout, spec->cgroup_parent, &limits, where)) {
		*ret = limits;
		return 0;
	}
	/* As many vcpus as that take no more. */
	if (cpus * limits.cpu_period_us == limits.cpu_quota_us && spec->vm.vcpus <= cpus)
		limits.cpu_quota_us = limits.cpu_period_us = 0;
	if (limits.cpuset || limits.cpu_shares || limits.cpu_quota_us || limits.n_io ||
	    limits.io_weight)
		return err_say(err, EACCES,
			       "%s needs a cgroup, and you may make none in %s: leave it out%s, or "
			       "use sudo",
			       limits.n_io	   ? "a limit of block I/O"
			       : limits.io_weight  ? "--blkio-weight"
			       : limits.cpuset	   ? "--cpuset-cpus"
			       : limits.cpu_shares ? "--cpu-shares"
						   : "a part of a CPU (--cpus)",
			       where, limits.cpu_quota_us ? ", give whole CPUs" : "");
	*ret = limits;
	return 0;
}

int vmm_guest_shares(const struct spec *spec, const struct spec_limits *change, struct err *err)
{
	struct spec_limits held = *change;

	held.memory_bytes = held.memory_swap_bytes = held.memory_reservation_bytes = 0;
	int r = rates_change(spec, &held, err);
	if (r < 0 || !(held.cpu_quota_us || held.cpu_period_us || held.cpu_shares || held.cpuset ||
		       held.n_io || held.io_weight))
		return r;
	r = cgroup_instance_update(spec, &held, err);
	if (r == -ENOENT)
		return err_say(
			err, ENOTSUP,
			"%s has no cgroup, which an ordinary user's machine cannot have: stop it, "
			"and start it with sudo, or update it while it is stopped",
			spec->name);
	return r;
}

int vmm_guest_update(const struct spec *spec, const char *run_dir, const struct spec_limits *change,
		     struct err *err)
{
	uint64_t memory = 0;
	int r = vmm_target_limits(spec, change, &memory, err);

	if (r == 0 && memory)
		r = vmm_target_check(spec, run_dir, memory, err);
	if (r == 0)
		r = vmm_guest_shares(spec, change, err);
	return r == 0 && memory ? vmm_target_set(spec, run_dir, memory, err) : r;
}

static int check_limits(const struct spec *spec, struct err *err)
{
	const struct spec_limits *l = &spec->limits;
	struct cgroup_layout layout;
	struct spec_limits unused;

	if (!l->cpuset && !l->cpu_shares && !l->cpu_quota_us && !l->n_io && !l->io_weight)
		return 0; /* mostly: not worth a look at the mounts */
	int r = cgroup_layout_read(NULL, &layout, err);
	return r < 0 ? r : vmm_guest_limits(spec, &layout, &unused, err);
}

int vmm_guest_check(const struct spec *spec, struct err *err)
{
	int r = check_host(spec, err);

	if (r == 0 && !spec->vm.agent)
		r = check_kernel(spec, err);
	if (r == 0)
		r = check_shares(spec, err);
	return r == 0 ? check_limits(spec, err) : r;
}
