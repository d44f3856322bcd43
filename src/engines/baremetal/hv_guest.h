/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An instance of --virt bare-metal: in strata-vmm, in the place of a machine of its own. It has the same fds, says the same words to
 * its monitor and ends with the same status; but the machine is a guest of strata-hv, and what are devices there are streams of the
 * management channel here.
 *
 *	strata-monitor - strata-vmm (hv_guest_run) - hub - strata-hv
 *	                 agent, streams, sessions   \- and QEMU, where the server is the instance's own
 *
 * In the run directory: `channel`, the hub's socket, by which other commands ask the hypervisor (hv_ask.h); `vsock`, as of every
 * machine; `server.log`, the server's console, and `hub.log`, what hub and QEMU had to say, both where the server is its own.
 * Everything ends with this process: the hub destroys what it created, or ends itself.
 */
#include "base/core/err.h"
#include "engines/spec.h"
#include "engines/vmm/vmm.h"

#define HV_CHANNEL_NAME "channel"
#define HV_SERVER_LOG	"server.log"
#define HV_HUB_LOG	"hub.log"

/* hv_guest_run() - as vmm_run() */
int hv_guest_run(const struct spec *spec, const struct vmm_fds *fds, int *ret_status,
		 struct err *err);
