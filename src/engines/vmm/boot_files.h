/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel and the initrd of a virtual machine: mapped, loaded into its memory, let go. */
#include "base/core/err.h"
#include "machine/mem.h"
#include "x86/state.h"

struct spec_vm;

/*
 * vmm_boot() - load what the spec names and give the state of the first vcpu
 * Errors: that names the file: not readable, empty, not a kernel, larger than memory.
 */
int vmm_boot(const struct spec_vm *vm, struct guest_mem *mem, struct x86_state *ret,
	     struct err *err);
