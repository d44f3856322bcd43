/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/devices.h"

void vmm_agent_signal(struct vmm *vmm, int sig)
{
	(void)vmm;
	(void)sig;
}
