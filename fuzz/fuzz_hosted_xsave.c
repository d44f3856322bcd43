/* SPDX-License-Identifier: Apache-2.0 */
/* An XSAVE image from a snapshot: what is taken, XRSTOR takes too, and comes back as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engines/hosted/mmu_rig.h"
#include "engines/hosted/run.h"

static enum cpu_result halt(struct hosted_cpu *cpu)
{
	cpu->halted = true;
	return CPU_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t image[8192];
	void *state = NULL;
	struct vcpu_io io;

	if (size < 8)
		return 0;
	(void)rig_create(&state);
	struct rig *rig = state;
	struct hosted_cpu *cpu = rig_boot(rig);
	rig->step = halt;
	memset(image, 0, sizeof(image));
	uint64_t xcr0;
	memcpy(&xcr0, data, sizeof(xcr0));
	memcpy(image, data + 8, size - 8 < sizeof(image) ? size - 8 : sizeof(image));
	if (hosted_xsave_set(&cpu->vcpu, xcr0, image, sizeof(image)) == 0 &&
	    hosted_run(&cpu->vcpu, &io) != VCPU_EXIT_HLT)
		abort();
	return rig_destroy(&state);
}
