/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle as the spec of a virtual machine (docs/spec.md). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/core/buf.h"
#include "base/os/digest.h"
#include "base/os/json.h"
#include "engines/caps.h"
#include "engines/vmm/sync.h"
#include "network/takeover.h"
#include "oci/vm.h"

/* As for `strata run` (manager/machine.c). */
#define VM_APPEND "console=ttyS0 quiet panic=-1 reboot=t"
#define VM_PAGE	  4096
#define VM_VCPUS  64 /* at most: docs/spec.md */

static json_t *spec_strings(const char *const *list)
{
	json_t *array = json_array();

	for (size_t i = 0; array && list && list[i]; i++) {
		if (json_array_append_new(array, json_string(list[i]))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *spec_caps(uint64_t caps)
{
	json_t *array = json_array();

	for (unsigned cap = 0; cap < 64; cap++) {
		if (caps & 1ULL << cap && caps_name(cap))
			(void)json_array_append_new(array,
						    json_string(caps_name(cap))); /* ENOMEM */
	}
	return array;
}

static json_t *spec_groups(const struct bundle_process *process)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < process->n_groups; i++)
		(void)json_array_append_new(array, json_sprintf("%u", process->groups[i]));
	return array;
}

static json_int_t spec_limit(uint64_t value)
{
	return value > INT64_MAX ? -1 : (json_int_t)value;
}

static json_t *spec_ulimits(const struct bundle_process *process)
{
	json_t *array = json_array();

	for (size_t i = 0; i < process->n_ulimits; i++) {
		const struct spec_ulimit *limit = &process->ulimits[i];
		(void)json_array_append_new(array, json_pack("{s:s,s:I,s:I}", "name", limit->name,
							     "soft", spec_limit(limit->soft),
							     "hard", spec_limit(limit->hard)));
	}
	return array;
}

static int spec_process(json_t *spec, const struct bundle_process *process, int seccomp)
{
	int r = json_object_set_new(spec, "args", spec_strings(process->args));

	r |= json_object_set_new(spec, "env", spec_strings(process->env));
	r |= json_object_set_new(spec, "cwd", json_string(process->cwd));
	r |= json_object_set_new(spec, "user", json_sprintf("%u:%u", process->uid, process->gid));
	r |= json_object_set_new(spec, "groups", spec_groups(process));
	r |= json_object_set_new(spec, "caps", spec_caps(process->caps.bounding));
	r |= json_object_set_new(spec, "ulimits", spec_ulimits(process));
	r |= json_object_set_new(spec, "tty", json_boolean(process->tty));
	r |= json_object_set_new(spec, "stdin_open", json_true());
	r |= json_object_set_new(spec, "no_new_privileges",
				 json_boolean(process->no_new_privileges));
	r |= json_object_set_new(spec, "tty_size",
				 json_pack("{s:i,s:i}", "rows", (int)process->tty_size.ws_row,
					   "columns", (int)process->tty_size.ws_col));
	if (seccomp >= 0)
		r |= json_object_set_new(spec, "seccomp",
					 json_sprintf("/proc/self/fd/%d", seccomp));
	return r;
}

/* A container's tmpfs allows what its options do not forbid; the guest's default forbids. */
static json_t *spec_tmpfs(const struct bundle_mount *mount)
{
	static const struct {
		uint64_t attr;
		const char *option;
	} allowed[] = {
		{ MOUNT_ATTR_NOSUID, "suid" },
		{ MOUNT_ATTR_NODEV, "dev" },
		{ MOUNT_ATTR_NOEXEC, "exec" },
	};
	AUTO(buf_fini) struct buf options = { 0 };
	const uint64_t set = mount->set | mount->all_set;

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		if (!(set & allowed[i].attr))
			(void)buf_printf(&options, "%s,", allowed[i].option); /* sticky */
	}
	for (const struct mount_option *o = mount->options; o && o->key; o++) {
		if (strcmp(o->key, "source") != 0)
			(void)buf_printf(&options, "%s%s%s,", o->key, o->value ? "=" : "",
					 o->value ? o->value : "");
	}
	if (options.len)
		options.data[--options.len] = '\0';
	return options.failed ? NULL
			      : json_pack("{s:s,s:s,s:s,s:b}", "type", "tmpfs", "target",
					  mount->target, "options", buf_str(&options), "read_only",
					  (set & MOUNT_ATTR_RDONLY) != 0);
}

static json_t *spec_share(const struct bundle_mount *mount)
{
	return json_pack("{s:s,s:s,s:s,s:b}", "type", "bind", "source", mount->source, "target",
			 mount->target, "read_only",
			 ((mount->set | mount->all_set) & MOUNT_ATTR_RDONLY) != 0);
}

/* vm_share.c counts them as they stand here. */
static json_t *spec_mounts(const struct bundle *bundle, const struct vm_sharing *sharing)
{
	json_t *array = json_array();

	for (size_t i = 0; i < bundle->n_mounts; i++) {
		const struct bundle_mount *mount = &bundle->mounts[i];
		const enum vm_mount kind = vm_mount_kind(mount, sharing);
		if (kind == VM_MOUNT_TMPFS || kind == VM_MOUNT_SHARE)
			(void)json_array_append_new(array, kind == VM_MOUNT_TMPFS
								   ? spec_tmpfs(mount)
								   : spec_share(mount));
	}
	return array;
}

/* "65536k" of a tmpfs at /dev/shm; 0: the default */
static json_int_t spec_shm(const struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->n_mounts; i++) {
		const struct bundle_mount *mount = &bundle->mounts[i];
		if (!mount->type || strcmp(mount->target, "/dev/shm") != 0)
			continue;
		for (const struct mount_option *o = mount->options; o && o->key; o++) {
			char unit = '\0';
			long long n = 0;
			if (strcmp(o->key, "size") != 0 || !o->value ||
			    sscanf(o->value, "%12lld%c", &n, &unit) < 1 || n <= 0)
				continue;
			const int shift = unit == 'k'	? 10
					  : unit == 'm' ? 20
					  : unit == 'g' ? 30
							: 0;
			return n > INT64_MAX >> shift ? 0 : n << shift;
		}
	}
	return 0;
}

static json_t *spec_sysctls(const struct bundle *bundle)
{
	json_t *array = json_array();

	for (size_t i = 0; i < bundle->n_sysctls; i++)
		(void)json_array_append_new(array, json_sprintf("%s=%s", bundle->sysctls[i].name,
								bundle->sysctls[i].value));
	return array;
}

static json_t *spec_network(const struct takeover *net)
{
	if (!net)
		return json_pack("{s:s}", "mode", "none");
	json_t *endpoint = json_pack("{s:s,s:s,s:i}", "network", "container", "mac", net->mac,
				     "mtu", (int)net->mtu);
	if (endpoint && net->address[0]) {
		(void)json_object_set_new(endpoint, "address", json_string(net->address));
		(void)json_object_set_new(endpoint, "prefix", json_integer(net->prefix));
	}
	if (endpoint && net->gateway[0])
		(void)json_object_set_new(endpoint, "gateway", json_string(net->gateway));
	if (endpoint && net->address6[0]) {
		(void)json_object_set_new(endpoint, "address6", json_string(net->address6));
		(void)json_object_set_new(endpoint, "prefix6", json_integer(net->prefix6));
	}
	if (endpoint && net->gateway6[0])
		(void)json_object_set_new(endpoint, "gateway6", json_string(net->gateway6));
	return json_pack("{s:s,s:o}", "mode", "bridge", "endpoint", endpoint);
}

/* What is not shared: the root, and what is written. */
static json_t *spec_disks(const struct bundle *bundle)
{
	json_t *disks = json_pack("[{s:o,s:s,s:b}]", "path",
				  json_sprintf("/proc/self/fd/%d", VMM_FDS + VM_ROOT_FD), "format",
				  "raw", "read_only", 1);

	if (disks && !bundle->root_read_only)
		(void)json_array_append_new(
			disks, json_pack("{s:o,s:s}", "path",
					 json_sprintf("/proc/self/fd/%d", VMM_FDS + VM_UPPER_FD),
					 "format", "raw"));
	return disks;
}

static json_t *spec_vm(const struct bundle *bundle, const struct vm_parts *parts)
{
	const bool shared = parts->sharing.root;
	const struct spec_limits *limits = &bundle->limits;
	json_int_t vcpus =
		limits->cpu_quota_us > 0 && limits->cpu_period_us > 0
			? (limits->cpu_quota_us + limits->cpu_period_us - 1) / limits->cpu_period_us
			: 1;
	json_t *vm = json_pack("{s:s,s:s,s:s,s:b,s:s,s:b,s:I,s:o}", "kernel", parts->kernel,
			       "initrd", parts->initramfs, "append", VM_APPEND, "agent", 1,
			       "root_fs", shared ? SPEC_ROOT_SHARED : "ext4", "upper",
			       !shared && !bundle->root_read_only, "vcpus",
			       vcpus > VM_VCPUS ? (json_int_t)VM_VCPUS : vcpus, "disks",
			       shared ? json_array() : spec_disks(bundle));
	if (vm)
		(void)json_object_set_new(vm, "sysctls", spec_sysctls(bundle));
	if (vm && limits->memory_bytes > 0) /* whole pages, as the guest sees them */
		(void)json_object_set_new(vm, "memory_bytes",
					  json_integer(limits->memory_bytes / VM_PAGE * VM_PAGE));
	return vm;
}

/* A spec's own words for what only the command line's instances have. */
static json_t *spec_begin(const char *id)
{
	char hex[DIGEST_HEX + 1];

	digest_of(id, strlen(id), hex);
	return json_pack("{s:s,s:s}", "id", hex, "name", hex);
}

json_t *vm_spec(const struct config *config, const char *id, const struct vm_parts *parts)
{
	const struct bundle *bundle = &config->bundle;
	AUTO(json_decref_p) json_t *spec = spec_begin(id);
	const int64_t pids = bundle->limits.pids;

	if (!spec)
		return NULL;
	int r = spec_process(spec, &bundle->process,
			     parts->seccomp ? VMM_FDS + VM_SECCOMP_FD : -EBADF);
	r |= json_object_set_new(spec, "virt", json_string(parts->virt));
	r |= json_object_set_new(spec, "hostname",
				 json_string(bundle->hostname ? bundle->hostname : ""));
	r |= json_object_set_new(spec, "read_only", json_boolean(bundle->root_read_only));
	r |= json_object_set_new(spec, "privileged",
				 json_boolean(!bundle->n_masked && !bundle->n_read_only));
	r |= json_object_set_new(spec, "mounts", spec_mounts(bundle, &parts->sharing));
	r |= json_object_set_new(spec, "network", spec_network(parts->net));
	r |= json_object_set_new(spec, "vm", spec_vm(bundle, parts));
	if (spec_shm(bundle))
		r |= json_object_set_new(spec, "shm_bytes", json_integer(spec_shm(bundle)));
	if (pids > 0)
		r |= json_object_set_new(spec, "limits",
					 json_pack("{s:I}", "pids", (json_int_t)pids));
	return r ? NULL : TAKE(spec);
}

json_t *vm_spec_process(const struct bundle *bundle, int seccomp)
{
	AUTO(json_decref_p) json_t *spec = spec_begin("exec");
	int r = spec ? spec_process(spec, &bundle->process, seccomp) : -1;

	return r ? NULL : TAKE(spec);
}
