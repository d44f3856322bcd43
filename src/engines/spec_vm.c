/* SPDX-License-Identifier: Apache-2.0 */
/* The "vm" member of a spec. */
#include <stdlib.h>
#include <inttypes.h>
#include <string.h>

#include "engines/spec.h"
#include "engines/spec_read.h"

#define VM_VCPUS_MAX	   64
#define VM_DIRECTORIES_MAX 1024
#define VM_SYSCTLS_MAX	   1024
#define VM_DISKS_MAX	   16
#define VM_APPEND_MAX	   4096
#define VM_MEMORY_MIN	   (INT64_C(2) << 20)

static const char *const disk_formats[] = {
	[SPEC_DISK_AUTO] = "auto", [SPEC_DISK_RAW] = "raw", [SPEC_DISK_QCOW2] = "qcow2", NULL
};
static const char *const root_types[] = { "erofs", "ext4", SPEC_ROOT_SHARED, NULL };
static const char *const irqchips[] = { "engine", "machine", NULL };

static void read_vm_disks(struct spec_reader *rd, struct spec_vm *vm)
{
	json_t *list = spec_array(rd, "disks", VM_DISKS_MAX);

	vm->disks = spec_alloc(rd, list, sizeof(*vm->disks));
	vm->n_disks = vm->disks ? json_array_size(list) : 0;
	for (size_t i = 0; i < vm->n_disks; i++) {
		struct spec_disk *d = &vm->disks[i];
		struct spec_reader in = spec_enter_item(rd, list, "disks", i);
		d->path = spec_path(&in, "path", NULL);
		spec_require(&in, "path", d->path);
		d->format = (enum spec_disk_format)spec_word(&in, "format", disk_formats,
							     SPEC_DISK_AUTO);
		d->read_only = spec_bool(&in, "read_only", false);
		spec_leave(rd, &in);
	}
}

void spec_read_vm(struct spec_reader *rd, struct spec_vm *vm)
{
	struct spec_reader in = spec_enter(rd, "vm");

	vm->kernel = spec_path(&in, "kernel", NULL);
	vm->initrd = spec_path(&in, "initrd", NULL);
	vm->append = spec_str(&in, "append", "");
	if (strlen(vm->append) > VM_APPEND_MAX)
		spec_fail(&in, "append", "must be at most %d bytes", VM_APPEND_MAX);
	int64_t memory = spec_int(&in, "memory_bytes", VM_MEMORY_MIN, INT64_MAX, SPEC_VM_MEMORY);
	if (memory % 4096)
		spec_fail(&in, "memory_bytes", "must be a multiple of 4096");
	vm->memory_bytes = (uint64_t)memory;
	vm->vcpus = (unsigned)spec_int(&in, "vcpus", 1, VM_VCPUS_MAX, 1);
	int64_t cache =
		spec_int(&in, "code_cache_bytes", 0, SPEC_VM_CODE_CACHE_MAX, SPEC_VM_CODE_CACHE);
	if (cache && cache < SPEC_VM_CODE_CACHE_MIN * vm->vcpus)
		spec_fail(&in, "code_cache_bytes",
			  "must be 0, or at least %" PRId64 " for each vcpu",
			  SPEC_VM_CODE_CACHE_MIN);
	vm->code_cache_bytes = (uint64_t)cache;
	vm->gdb = spec_str(&in, "gdb", NULL);
	vm->machine_irqchip = spec_word(&in, "irqchip", irqchips, 0) == 1;
	vm->agent = spec_bool(&in, "agent", false);
	vm->console = spec_bool(&in, "console", false);
	vm->upper = spec_bool(&in, "upper", false);
	vm->root_fs = root_types[spec_word(&in, "root_fs", root_types, 0)];
	vm->directories = spec_strings(&in, "directories", VM_DIRECTORIES_MAX, spec_is_absolute,
				       &vm->n_directories);
	vm->sysctls = spec_strings(&in, "sysctls", VM_SYSCTLS_MAX, spec_is_env, &vm->n_sysctls);
	vm->balloon = spec_bool(&in, "balloon", true);
	vm->rng = spec_bool(&in, "rng", true);
	vm->host = spec_path(&in, "host", NULL);
	vm->test_devices = spec_bool(&in, "test_devices", false);
	read_vm_disks(&in, vm);
	if (!vm->kernel && !vm->agent && (vm->initrd || vm->n_disks || vm->append[0]))
		spec_fail(&in, "kernel", "is needed with initrd, append and disks");
	spec_leave(rd, &in);
}
