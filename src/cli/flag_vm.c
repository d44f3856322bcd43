/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of a virtual machine: its kernel, its disks, its size. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/args.h"
#include "cli/flags.h"
#include "engines/spec.h"

/* What a spec takes (docs/spec.md, vm), said here with the flag's name. */
#define VM_APPEND_MAX 4096
#define VM_DISKS_MAX  16

static int vm_file(const char *text, const char *flag, json_t *into, const char *key,
		   struct err *err)
{
	AUTO(flag_text_p) char *path = NULL;
	int r = *text ? flag_host_path(text, flag, &path, err)
		      : err_say(err, EINVAL, "%s: the file's name is empty", flag);

	if (r == 0 && access(path, R_OK) < 0)
		r = err_set(err, errno, "%s %s", flag, text);
	return r < 0 ? r : flag_set(into, key, json_string(path), err);
}

static int vm_disk_option(const char *option, const char *text, const char *flag, json_t *disk,
			  struct err *err)
{
	if (!strcmp(option, "ro") || !strcmp(option, "readonly"))
		return flag_set(disk, "read_only", json_true(), err);
	if (!strcmp(option, "format=raw") || !strcmp(option, "format=qcow2"))
		return flag_set(disk, "format", json_string(option + strlen("format=")), err);
	return err_say(err, EINVAL,
		       "%s %s: '%s' is not known; write ro, format=raw or format=qcow2", flag, text,
		       option);
}

/* A word without a slash that is no file here is a volume's name. */
static int vm_disk_source(const char *text, const char *flag, json_t *disk, struct err *err)
{
	if (*text && !strchr(text, '/') && access(text, F_OK) < 0 && errno == ENOENT)
		return flag_set(disk, "volume", json_string(text), err);
	return vm_file(text, flag, disk, "path", err);
}

int flag_disk(const char *text, const char *flag, json_t *into, struct err *err)
{
	AUTO(flag_text_p) char *parts = strdup(text);
	AUTO(json_decref_p) json_t *disk = json_object();
	char *save = NULL;

	if (!parts || !disk)
		return err_set(err, ENOMEM, "read the flags");
	const char *path = strtok_r(parts, ",", &save);
	int r = vm_disk_source(path ? path : "", flag, disk, err);
	for (char *o = strtok_r(NULL, ",", &save); r == 0 && o; o = strtok_r(NULL, ",", &save))
		r = vm_disk_option(o, text, flag, disk, err);
	return r < 0 ? r : flag_append(into, TAKE(disk), err);
}

/* A socket's path is the caller's: the VMM has another working directory. */
static int vm_gdb(const char *where, json_t *vm, struct err *err)
{
	AUTO(flag_text_p) char *path = NULL;
	const size_t prefix = strlen("unix:");

	if (strncmp(where, "unix:", prefix) != 0 || !where[prefix])
		return flag_set(vm, "gdb", json_string(where), err);
	int r = flag_host_path(where + prefix, "--gdb", &path, err);
	return r < 0 ? r : flag_set(vm, "gdb", json_sprintf("unix:%s", path), err);
}

static int vm_texts(const struct args *args, json_t *vm, struct err *err)
{
	const char *kernel = args_text(args, "kernel", NULL);
	const char *initrd = args_text(args, "initrd", NULL);
	const char *append = args_text(args, "append", NULL);
	const char *gdb = args_text(args, "gdb", NULL);
	const char *irqchip = args_text(args, "irqchip", NULL);
	int r = 0;

	/* With an image it is one of those that `strata image kernel` keeps: only they have modules for it. */
	if (kernel && args->argc)
		r = flag_set(vm, "kernel_name", json_string(kernel), err);
	else if (kernel)
		r = vm_file(kernel, "--kernel", vm, "kernel", err);
	if (r == 0 && initrd && args->argc)
		return err_say(err, EINVAL,
			       "--initrd: an image brings its own; leave out one of them");
	if (r == 0 && initrd)
		r = vm_file(initrd, "--initrd", vm, "initrd", err);
	if (r == 0 && append && strlen(append) > VM_APPEND_MAX)
		return err_say(err, E2BIG, "--append: %zu bytes, more than the %d that are taken",
			       strlen(append), VM_APPEND_MAX);
	if (r == 0 && append)
		r = flag_set(vm, "append", json_string(append), err);
	if (r == 0 && gdb)
		r = vm_gdb(gdb, vm, err);
	if (r == 0 && irqchip && strcmp(irqchip, "engine") != 0 && strcmp(irqchip, "machine") != 0)
		return err_say(err, EINVAL, "--irqchip: '%s' is not known; write engine or machine",
			       irqchip);
	return r == 0 && irqchip ? flag_set(vm, "irqchip", json_string(irqchip), err) : r;
}

static int vm_code_cache(int64_t bytes, json_t *vm, struct err *err)
{
	if (bytes && (bytes < SPEC_VM_CODE_CACHE_MIN || bytes > SPEC_VM_CODE_CACHE_MAX))
		return err_say(err, EINVAL,
			       "--code-cache: between 1m and 1g, or 0 to translate nothing");
	return flag_set(vm, "code_cache_bytes", json_integer(bytes), err);
}

static int vm_size(const struct args *args, json_t *vm, struct err *err)
{
	const char *memory = args_text(args, "memory", NULL);
	const char *vcpus = args_text(args, "vcpus", NULL);
	const char *cache = args_text(args, "code-cache", NULL);
	int64_t n = 0;
	int r = 0;

	if (vcpus) {
		r = args_int(vcpus, "--vcpus", 1, 64, &n, err);
		r = r < 0 ? r : flag_set(vm, "vcpus", json_integer(n), err);
	}
	if (r == 0 && cache)
		r = args_size(cache, "--code-cache", &n, err);
	if (r == 0 && cache)
		r = vm_code_cache(n, vm, err);
	if (r < 0 || !memory)
		return r;
	r = args_size(memory, "--memory", &n, err);
	if (r == 0 && n == 0)
		return 0; /* as for a container: not limited; here, the default */
	/* Whole pages, as the guest sees them. */
	return r < 0 ? r : flag_set(vm, "memory_bytes", json_integer(n / 4096 * 4096), err);
}

/* What is said about a process: a kernel without an image has none that is ours. */
static int vm_no_process(const struct args *args, struct err *err)
{
	static const char *const flags[] = {
		"env",	   "env-file", "user",	 "group-add",  "workdir",  "entrypoint",
		"cap-add", "cap-drop", "ulimit", "pids-limit", "shm-size",
	};

	if (args->argc || !args_given(args, "kernel"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (args_given(args, flags[i]))
			return err_say(err, EINVAL,
				       "--%s is for what an image runs: a kernel alone has no "
				       "process of ours",
				       flags[i]);
	}
	return 0;
}

int flag_vm(const struct args *args, json_t *config, struct err *err)
{
	const struct args_value *disks = args_list(args, "disk");
	AUTO(json_decref_p) json_t *vm = json_object();
	AUTO(json_decref_p) json_t *list = json_array();

	if (!vm || !list)
		return err_set(err, ENOMEM, "read the flags");
	if (disks->count > VM_DISKS_MAX)
		return err_say(err, E2BIG, "--disk: %u disks, more than the %d of a machine",
			       disks->count, VM_DISKS_MAX);
	int r = vm_no_process(args, err);
	if (r == 0)
		r = vm_texts(args, vm, err);
	for (unsigned i = 0; r == 0 && i < disks->count; i++)
		r = flag_disk(disks->texts[i], "--disk", list, err);
	if (r == 0 && json_array_size(list))
		r = flag_set(vm, "disks", TAKE(list), err);
	if (r == 0 && !json_object_size(vm) && !args_given(args, "vcpus"))
		return 0; /* nothing of a machine: --memory is a limit */
	if (r == 0)
		r = vm_size(args, vm, err);
	return r < 0 ? r : flag_set(config, "vm", TAKE(vm), err);
}
