/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of a virtual machine: its kernel, its disks, its size. */
#include <errno.h>
#include <signal.h>
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

static int vm_code_cache(const struct args *args, json_t *vm, struct err *err)
{
	const char *text = args_text(args, "code-cache", NULL);
	int64_t bytes = 0;
	int r = text ? args_size(text, "--code-cache", &bytes, err) : 0;

	if (!text || r < 0)
		return r;
	if (bytes && (bytes < SPEC_VM_CODE_CACHE_MIN || bytes > SPEC_VM_CODE_CACHE_MAX))
		return err_say(err, EINVAL,
			       "--code-cache %s: between 1m and 1g, or 0 to translate nothing",
			       text);
	const json_t *vcpus = json_object_get(vm, "vcpus"); /* vm_vcpus() was first */
	if (bytes && vcpus && bytes < SPEC_VM_CODE_CACHE_MIN * json_integer_value(vcpus))
		return err_say(err, EINVAL,
			       "--code-cache %s: at least 1m for each of %lld vcpus, or 0 to "
			       "translate nothing",
			       text, (long long)json_integer_value(vcpus));
	return flag_set(vm, "code_cache_bytes", json_integer(bytes), err);
}

/* --memory is a limit as any other here; the manager makes it the machine's size (manager/machine.c). */
static int vm_vcpus(const struct args *args, json_t *vm, struct err *err)
{
	const char *vcpus = args_text(args, "vcpus", NULL);
	int64_t n = 0;

	if (!vcpus)
		return 0;
	int r = args_int(vcpus, "--vcpus", 1, 64, &n, err);
	return r < 0 ? r : flag_set(vm, "vcpus", json_integer(n), err);
}

/* Said of what an image runs: the right word for each, where a kernel alone is booted. */
static const struct {
	const char *flag, *instead;
} vm_of_process[] = {
	{ "env", NULL },
	{ "env-file", NULL },
	{ "user", NULL },
	{ "group-add", NULL },
	{ "workdir", NULL },
	{ "entrypoint", NULL },
	{ "cap-add", NULL },
	{ "cap-drop", NULL },
	{ "ulimit", NULL },
	{ "pids-limit", NULL },
	{ "shm-size", NULL },
	{ "security-opt", NULL },
	{ "hostname", "a kernel names itself (--append hostname=NAME); others find it by "
		      "--network-alias NAME" },
};

/* What ends a machine (engines/vmm/signals.c); any other signal says nothing to a kernel. */
static int vm_stop_signal(const struct args *args, struct err *err)
{
	static const int known[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPWR, SIGKILL };
	const char *text = args_text(args, "stop-signal", NULL);
	int number;
	int r = text ? args_signal(text, "--stop-signal", &number, err) : 0;

	if (!text || r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (number == known[i])
			return 0;
	}
	return err_say(
		err, EINVAL,
		"--stop-signal %s: a kernel alone knows its power button: TERM, INT, HUP, QUIT "
		"or PWR; or KILL",
		text);
}

/* A kernel without an image has no process that is ours. */
static int vm_no_process(const struct args *args, struct err *err)
{
	static const char none[] = "a kernel alone has no process of ours";

	if (args->argc || !args_given(args, "kernel"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(vm_of_process); i++) {
		const char *instead = vm_of_process[i].instead;
		if (args_given(args, vm_of_process[i].flag))
			return err_say(err, EINVAL, "--%s is for what an image runs: %s",
				       vm_of_process[i].flag, instead ? instead : none);
	}
	if (args_on(args, "privileged"))
		return err_say(err, EINVAL, "--privileged is for what an image runs: %s", none);
	return vm_stop_signal(args, err);
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
	if (r == 0)
		r = vm_vcpus(args, vm, err);
	if (r == 0)
		r = vm_code_cache(args, vm, err);
	if (r < 0 || !json_object_size(vm))
		return r; /* nothing of a machine */
	return flag_set(config, "vm", TAKE(vm), err);
}
