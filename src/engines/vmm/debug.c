/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/private.h"

void vmm_debug_stopped(struct vmm_vcpu *v, const struct vcpu_io *io)
{
	vmm_fail(v->vmm, "a debug exit that nobody asked for", io->debug.rip);
}
