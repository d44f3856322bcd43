/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An image's workload inside: the agent's port, and the workload's streams, as ports of one virtio-console. */
#include "devices/virtio/console.h"
#include "engines/vmm/agent_host.h"
#include "engines/vmm/virtio_host.h"
#include "engines/vmm/vmm_agent_socket.h"
#include "engines/vmm/vsock_unix.h"

struct vmm_agent {
	struct agent_host side;
	struct vmm *vmm;
	struct vmm_virtio host;
	struct virtio_console dev;
	struct vmm_virtio vsock_host;
	struct virtio_vsock vsock; /* exec sessions come in by it */
	struct vsock_unix *sessions;
};

int vmm_agent_create(struct vmm *vmm, struct err *err);
/* vmm_agent_status() - the machine was switched off: how its workload ended, or that it never began. */
int vmm_agent_status(const struct vmm *vmm, int *ret_status, struct err *err);
