/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/baremetal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/baremetal/hv_ask.h"
#include "engines/baremetal/hv_config.h"
#include "engines/baremetal/lab.h"
#include "engines/vmm/guest.h"
#include "engines/vmm/target.h"

static int baremetal_create(const struct spec *spec, const struct guest_dirs *dirs,
			    const struct guest_io *io, struct guest **ret, struct err *err)
{
	return vmm_guest_create(&baremetal_engine, spec, dirs, io, ret, err);
}

static void baremetal_probe(struct engine_report *ret_report)
{
	struct engine_report report = { .available = false };
	struct err err = { 0 };
	char *qemu = NULL, *image = NULL;

	report.available = lab_qemu(&qemu, &err) == 0 && lab_image(&image, &err) == 0;
	if (report.available) {
		(void)snprintf(report.how, sizeof(report.how), "%s", LAB_HOW); /* fits */
		(void)snprintf(
			report.why, sizeof(report.why),
			"every figure is the lab's, and says nothing of a real server's; one of "
			"those is 'strata --host CHANNEL'");
	} else {
		(void)snprintf(report.why, sizeof(report.why), "%.239s", err.text);
	}
	free(qemu);
	free(image);
	*ret_report = report;
}

static const char *baremetal_cpu(const struct spec *spec)
{
	/* A line's name begins so: hosts.h. */
	return spec->vm.host && strstr(spec->vm.host, "/hosts/+") ? "strata-hv" : "strata-hv (lab)";
}

/*
 * The directory with the socket of a guest's hub
 * @pid: whose working directory it is; 0: nobody says which process has the guest, and the spec names the socket
 */
static int baremetal_dir(const struct spec *spec, pid_t pid, struct err *err)
{
	char path[4096];
	const bool by_spec = !pid && spec->vm.host;
	int n = !by_spec ? snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid)
			 : snprintf(path, sizeof(path), "%s", spec->vm.host);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "find the server of %s", spec->name);
	char *slash = by_spec ? strrchr(path, '/') : NULL;
	if (slash)
		*slash = '\0';
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? err_set(err, errno, "find the server of %s", spec->name) : dir;
}

/* Which guest it is there. */
static int baremetal_find(struct hv_ask *ask, const struct spec *spec, struct channel_guest *ret,
			  struct err *err)
{
	char name[HV_NAME_BYTES];

	hv_guest_name(spec->id, name);
	return hv_ask_guest(ask, name, ret, err);
}

/* A session with the hub of a guest that runs, and which guest it is there. */
static int baremetal_ask(const struct spec *spec, pid_t pid, struct hv_ask *ask,
			 struct channel_guest *ret, struct err *err)
{
	AUTO(fd_close_p) int dir = baremetal_dir(spec, pid, err);
	int r = dir < 0 ? dir : hv_ask_open(ask, dir, err);

	if (r < 0)
		return r;
	r = baremetal_find(ask, spec, ret, err);
	if (r < 0)
		hv_ask_close(ask);
	return r;
}

static int baremetal_freeze(const struct spec *spec, pid_t pid, bool frozen, struct err *err)
{
	struct channel_guest guest;
	struct hv_ask ask;
	int r = baremetal_ask(spec, pid, &ask, &guest, err);

	if (r < 0)
		return r;
	r = hv_ask_verb(&ask, frozen ? CHANNEL_PAUSE : CHANNEL_RESUME, guest.id, err);
	hv_ask_close(&ask);
	return r;
}

static int baremetal_theirs(const struct spec *spec, pid_t pid, struct stats_session *session,
			    struct guest_stats *ret, struct err *err)
{
	struct channel_guest guest;
	struct hv_ask *ask;
	AUTO(fd_close_p) int dir = baremetal_dir(spec, pid, err);
	int r = dir < 0 ? dir : hv_ask_shared(session, dir, &ask, err);

	r = r < 0 ? r : baremetal_find(ask, spec, &guest, err);
	return r < 0 ? r : hv_ask_stats(ask, guest.id, ret, err);
}

/* What of the guest is not asked inside: the hypervisor knows better than this host's cgroup, which has the whole server. */
static int baremetal_stats(const struct spec *spec, const char *run_dir, pid_t pid, bool paused,
			   struct stats_session *session, struct guest_stats *ret, struct err *err)
{
	struct guest_stats theirs = { 0 };
	int r = vmm_guest_stats(spec, run_dir, pid, paused, session, ret, err);

	if (r < 0)
		return r;
	theirs = *ret;
	r = baremetal_theirs(spec, pid, session, &theirs, err);
	if (r < 0)
		return r;
	const uint64_t inside = ret->memory_bytes;
	*ret = theirs;
	if (spec->vm.agent && !paused && inside < theirs.memory_bytes)
		ret->memory_bytes = inside; /* what its workload has of it */
	ret->memory_limit_bytes = hv_guest_memory(spec);
	return 0;
}

/* What the guest of an instance's own lab has of CPUs and disks its whole server's cgroup holds. */
static int baremetal_shares(const struct spec *spec, const struct spec_limits *change,
			    struct hv_ask *ask, const struct channel_guest *guest, struct err *err)
{
	const struct spec_limits *l = &spec->limits;
	const uint32_t weight = hv_guest_weight(l->cpu_shares);

	if (!spec->vm.host)
		return vmm_guest_shares(spec, change, err);
	return hv_ask_shares(ask, guest->id, weight ? weight : HV_WEIGHT,
			     hv_guest_cap(l->cpu_quota_us, l->cpu_period_us), err);
}

static int baremetal_memory(const struct spec *spec, struct hv_ask *ask,
			    const struct channel_guest *guest, uint64_t bytes, struct err *err)
{
	struct err why = { 0 };

	if (bytes > guest->memory_bytes)
		return vmm_target_refuse(spec, guest->memory_bytes, err);
	int r = hv_ask_memory(ask, guest->id, bytes, &why);
	if (r == -ENODEV)
		return vmm_target_none(spec, err);
	return r < 0 ? err_say(err, -r, "--memory: %.200s", why.text) : 0;
}

static int baremetal_update(const struct spec *spec, const char *run_dir,
			    const struct spec_limits *change, struct err *err)
{
	AUTO(fd_close_p) int dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct channel_guest guest;
	struct hv_ask ask;
	uint64_t memory = 0;
	int r = vmm_target_limits(spec, change, &memory, err);

	r = r < 0 ? r : hv_host_check(spec, err);
	if (r < 0)
		return r;
	if (dir < 0)
		return err_set(err, errno, "open %s", run_dir);
	r = hv_ask_open(&ask, dir, err);
	if (r < 0)
		return r;
	r = baremetal_find(&ask, spec, &guest, err);
	/* This one first, which the server may not have: else nothing has changed. */
	if (r == 0 && memory)
		r = baremetal_memory(spec, &ask, &guest, memory, err);
	if (r == 0)
		r = baremetal_shares(spec, change, &ask, &guest, err);
	hv_ask_close(&ask);
	return r;
}

const struct engine_ops baremetal_engine = {
	.name = "bare-metal",
	.traits = {
		.privileged =
			"the server's CPU in guest mode (SVM with nested paging): strata-hv takes "
			"what leaves it, by its own C",
		.kernel = "its own, of its image's or its owner's choice",
		.shared =
			"the server's CPUs and their caches, memory bandwidth, and the disks it was "
			"given; no operating system is under it",
		.breach =
			"strata-hv, and with it every guest of that server; in the lab that is one "
			"guest and an unprivileged CPU of QEMU's, and past that the process of "
			"QEMU, under a filter of system calls",
		.gives =
			"a server that runs guests and nothing else; in the lab, the same hypervisor "
			"to try, at an emulator's speed",
	},
	.machines = true,
	.network = "none",
	.check = hv_guest_check,
	.cpu = baremetal_cpu,
	.probe = baremetal_probe,
	.create = baremetal_create,
	.start = vmm_guest_start,
	.reap = vmm_guest_reap,
	.destroy = vmm_guest_destroy,
	.update = baremetal_update,
	.freeze = baremetal_freeze,
	.stats = baremetal_stats,
	.processes = vmm_guest_processes,
	.root_open = vmm_guest_root_open,
	.files = &vmm_guest_files,
	.sweep = vmm_guest_sweep,
	.exec = vmm_guest_exec,
};
