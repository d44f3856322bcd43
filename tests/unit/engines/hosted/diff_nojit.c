/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter is tested without the translator. */
#include "engines/hosted/jit.h"

void jit_wrote(struct hosted_vm *vm, uint64_t gpa, uint64_t len)
{
	(void)vm;
	(void)gpa;
	(void)len;
}

bool jit_page_has_code(const struct hosted_vm *vm, uint64_t gpa)
{
	(void)vm;
	(void)gpa;
	return false;
}

void jit_mapping_changed(struct hosted_cpu *cpu)
{
	(void)cpu;
}
