/* SPDX-License-Identifier: Apache-2.0 */
/* Which architecture, and what a virtual machine cannot have. */
#include "oci/vm.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sched.h>
#include <sys/mount.h>

#include "base/os/json.h"
#include "engines/engine.h"
#include "engines/vmm/virtiofsd.h"

#define VM_NAME "strata-oci-" /* and an architecture: what this program may be called */

const char *vm_called(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');
	const char *name = slash ? slash + 1 : argv0;

	return strncmp(name, VM_NAME, strlen(VM_NAME)) ? NULL : name + strlen(VM_NAME);
}

/* A bundle's machine has the bundle's network and this host's disks: one on a server of strata-hv has neither. */
static bool choose_is_elsewhere(const char *word)
{
	return !strcmp(word, "bare-metal");
}

/* "os-level, hosted": what of @but's like this host runs. */
static void choose_others(const char *but, char *ret, size_t size)
{
	size_t n = 0;

	ret[0] = '\0';
	for (size_t i = 0; engines[i]; i++) {
		struct engine_report report = { 0 };
		if (choose_is_elsewhere(engines[i]->name))
			continue;
		engines[i]->probe(&report);
		if (report.available && strcmp(engines[i]->name, but) != 0 && n < size)
			n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? " or " : "",
					      engines[i]->name);
	}
}

static int choose_engine(const char *word, const char **ret, struct err *err)
{
	const bool elsewhere = choose_is_elsewhere(word);
	const struct engine_ops *engine = elsewhere ? NULL : engine_find(word, false);
	struct engine_report report = { 0 };
	char others[80];

	if (!engine && !elsewhere)
		return err_say(err, EINVAL,
			       "%s: '%.40s' is not known: os-level, hosted, hybrid or auto",
			       VM_ANNOTATION, word);
	if (engine && !engine->machines) {
		*ret = NULL;
		return 0;
	}
	if (engine)
		engine->probe(&report);
	else
		(void)snprintf(
			report.why, sizeof(report.why),
			"it is for 'strata run', whose machine has neither a bundle's network nor its root"); /* fits */
	if (report.available) {
		*ret = engine->name;
		return 0;
	}
	choose_others(word, others, sizeof(others));
	return err_say(err, ENOTSUP, "%s: %.240s; use %s", word, report.why, others);
}

/* The name is the administrator's word, the annotation the user's: it cannot take that back. */
int vm_choose(const char *called, const struct config *config, const char **ret, struct err *err)
{
	const char *word = json_str(config->annotations, VM_ANNOTATION, NULL);

	if (called && word && strcmp(word, called) != 0 && strcmp(word, "auto") != 0)
		return err_say(err, EINVAL,
			       "%s=%.40s: this runtime is " VM_NAME "%s, which is %s only",
			       VM_ANNOTATION, word, called, called);
	if (called)
		word = called;
	*ret = NULL;
	/* "auto" of an image is a container, as for `strata run`. */
	return !word || !strcmp(word, "auto") ? 0 : choose_engine(word, ret, err);
}

static int check_refuse(const char *member, const char *why, struct err *err)
{
	return err_say(err, ENOTSUP, "%s is not for a virtual machine: %s", member, why);
}

static int check_namespaces(const struct config *config, struct err *err)
{
	const struct bundle *bundle = &config->bundle;
	const struct bundle_namespace *pid = bundle_namespace_of(bundle, CLONE_NEWPID);

	if (!config->has_process)
		return check_refuse("a configuration without a process", "it ends with one", err);
	if (!bundle_namespace_of(bundle, CLONE_NEWNET))
		return check_refuse("the host's network",
				    "it has a network stack of its own, so give it a network "
				    "namespace",
				    err);
	if (!bundle_namespace_is_new(bundle, CLONE_NEWNS))
		return check_refuse("a shared mount namespace", "its mounts are its own", err);
	if (bundle_namespace_of(bundle, CLONE_NEWUSER))
		return check_refuse("a user namespace", "its users are its own already", err);
	if (bundle_namespace_of(bundle, CLONE_NEWTIME))
		return check_refuse("a time namespace", "its clocks are its own already", err);
	if (pid && pid->path)
		return check_refuse("a shared pid namespace", "its processes are its kernel's",
				    err);
	return 0;
}

/* The guest makes these as a container has them (guest/layout.c). */
static bool mount_is_own(const struct bundle_mount *mount)
{
	static const char *const table[][2] = {
		{ "/proc", "proc" },
		{ "/sys", "sysfs" },
		{ "/dev", "tmpfs" },
		{ "/dev/pts", "devpts" },
		{ "/dev/mqueue", "mqueue" },
		{ "/dev/shm", "tmpfs" },
		{ "/sys/fs/cgroup", "cgroup" },
		{ "/sys/fs/cgroup", "cgroup2" },
	};

	if (!mount->type)
		return !strcmp(mount->target, "/dev/shm");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!strcmp(table[i][0], mount->target) && !strcmp(table[i][1], mount->type))
			return true;
	}
	return false;
}

/* What only its own kernel can say; below /dev and /sys a bind has its place. */
static bool mount_is_kernels(const char *target)
{
	return !strcmp(target, "/proc") || !strncmp(target, "/proc/", 6) ||
	       !strcmp(target, "/sys") || !strcmp(target, "/dev");
}

enum vm_mount vm_mount_kind(const struct bundle_mount *mount, const struct vm_sharing *sharing)
{
	static const char *const files[] = { "/etc/hosts", "/etc/resolv.conf", "/etc/hostname" };
	/* Managers write these once, before the start, but do not say that nobody else may. */
	static const char *const still[] = { "/run/.containerenv", "/run/secrets" };

	if (mount_is_own(mount))
		return VM_MOUNT_OWN;
	if (mount->type)
		return strcmp(mount->type, "tmpfs") || mount->copy_up ? VM_MOUNT_NONE
								      : VM_MOUNT_TMPFS;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (!strcmp(mount->target, files[i]))
			return VM_MOUNT_FILE;
	}
	if (mount_is_kernels(mount->target))
		return VM_MOUNT_NONE;
	if (sharing->binds)
		return VM_MOUNT_SHARE;
	if (mount->ids.n_uids || mount->container_ids)
		return VM_MOUNT_NONE; /* a copy has the ids of its source */
	for (size_t i = 0; i < ARRAY_SIZE(still); i++) {
		if (!strcmp(mount->target, still[i]))
			return VM_MOUNT_COPY;
	}
	return (mount->set | mount->all_set) & MOUNT_ATTR_RDONLY ? VM_MOUNT_COPY : VM_MOUNT_NONE;
}

int vm_sharing(const struct config *config, struct vm_sharing *ret, struct err *err)
{
	const char *word = json_str(config->annotations, VM_ANNOTATION_ROOT, "");
	const bool shared = !strcmp(word, "shared"), copy = !strcmp(word, "copy");
	char *program = NULL;

	if (word[0] && !shared && !copy)
		return err_say(err, EINVAL, "%s: '%.40s' is not known: shared or copy",
			       VM_ANNOTATION_ROOT, word);
	int r = virtiofsd_find(NULL, &program, err);
	free(program);
	*ret = (struct vm_sharing){ .binds = r == 0, .root = r == 0 && !copy };
	return shared ? r : 0;
}

static int check_mounts(const struct bundle *bundle, const struct vm_sharing *sharing,
			struct err *err)
{
	for (size_t i = 0; i < bundle->n_mounts; i++) {
		const struct bundle_mount *mount = &bundle->mounts[i];
		if (vm_mount_kind(mount, sharing) != VM_MOUNT_NONE)
			continue;
		if (mount->type)
			return err_say(
				err, ENOTSUP,
				"mounts[%zu]: %s at %.200s is not for a virtual machine, which "
				"has a kernel of its own",
				i, mount->type, mount->target);
		if (mount_is_kernels(mount->target))
			return err_say(
				err, ENOTSUP,
				"mounts[%zu]: a bind at %.200s is not for a virtual machine, "
				"which has a kernel of its own",
				i, mount->target);
		return err_say(
			err, ENOTSUP,
			"mounts[%zu]: %.150s, for %.100s, is shared by the program virtiofsd, "
			"which is not installed: apt-get install qemu-system-common, or give it "
			"read-only, and the machine gets a copy",
			i, mount->source, mount->target);
	}
	return 0;
}

int vm_check_process(const struct bundle_process *process, struct err *err)
{
	const struct tune *tune = &process->tune;

	if (tune->scheduler.set || tune->set_io || tune->set_personality)
		return check_refuse("process.scheduler, ioPriority or personality",
				    "its kernel has a scheduler of its own", err);
	if (tune->set_initial || tune->set_final)
		return check_refuse("process.execCPUAffinity", "its CPUs are its own", err);
	if (process->umask != 0022)
		return check_refuse("process.user.umask", "its first process has 0022", err);
	return 0;
}

static int check_seccomp(const struct config *config, struct err *err)
{
	if (config->notifies)
		return check_refuse("linux.seccomp.listenerPath",
				    "its kernel has no listener on the host", err);
	if (config->seccomp_flags)
		return check_refuse("linux.seccomp.flags", "its agent loads the filter without any",
				    err);
	return 0;
}

int vm_check(const struct config *config, const struct bundle_host *host,
	     const struct vm_sharing *sharing, struct err *err)
{
	const struct bundle *bundle = &config->bundle;
	int r = check_namespaces(config, err);

	if (r == 0)
		r = check_mounts(bundle, sharing, err);
	if (r < 0)
		return r;
	if (bundle->n_devices)
		return check_refuse("linux.devices", "it has devices of its own", err);
	if (config->hooks[HOOK_START_CONTAINER].n)
		return check_refuse("hooks.startContainer",
				    "it would run inside, where only its kernel starts programs",
				    err);
	if (host->preserve_fds)
		return check_refuse("--preserve-fds",
				    "no open file of the host's reaches its kernel", err);
	if (bundle->set_personality)
		return check_refuse("linux.personality", "its kernel has its own", err);
	r = check_seccomp(config, err);
	return r < 0 ? r : vm_check_process(&bundle->process, err);
}

struct spec_limits vm_limits(const struct spec_limits *limits)
{
	struct spec_limits ret = *limits;

	ret.memory_bytes = ret.memory_swap_bytes = ret.memory_reservation_bytes = 0;
	ret.pids = 0;
	return ret;
}

int vm_update(const struct spec_limits *before, struct spec_limits *limits, struct err *err)
{
	if (limits->memory_bytes != before->memory_bytes ||
	    limits->memory_swap_bytes != before->memory_swap_bytes ||
	    limits->memory_reservation_bytes != before->memory_reservation_bytes)
		return check_refuse("another limit of memory", "it has what it was started with",
				    err);
	if (limits->pids != before->pids)
		return check_refuse("another limit of processes",
				    "its kernel has what it was "
				    "started with",
				    err);
	*limits = vm_limits(limits);
	return 0;
}
