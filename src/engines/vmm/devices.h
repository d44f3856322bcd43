/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What hangs on a machine's buses, and the back ends behind it. Inside this room. */
#include "devices/legacy/debug_exit.h"
#include "engines/vmm/private.h"
#include "machine/events.h"
#include "machine/pci.h"

struct vmm_devices {
	struct machine_events events;
	struct vmm *vmm;
	struct pci_bus pci;
	struct debug_exit debug_exit;
};
