/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/vmm_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/log.h"
#include "engines/vmm/devices.h"

#define AGENT_CID 3 /* the guest's; each VM has a host of its own */

static struct vmm *agent_vmm(struct agent_host *side)
{
	return container_of(side, struct vmm_agent, side)->vmm;
}

static void agent_started(struct agent_host *side)
{
	vmm_started(agent_vmm(side));
}

static void agent_failed(struct agent_host *side, int status, const struct err *why)
{
	struct vmm *vmm = agent_vmm(side);

	if (vmm->fds.sync >= 0)
		vmm_start_failed(vmm, status, why);
	else
		log_error(why);
	vmm_end(vmm, VMM_EXIT, status);
}

static const struct agent_host_events agent_events = {
	.started = agent_started,
	.failed = agent_failed,
};

void vmm_agent_signal(struct vmm *vmm, int sig)
{
	int status = agent_host_signal(&vmm->devices->agent->side, sig);

	/* What would end a workload that does not run yet ends the machine. */
	if (status)
		vmm_end(vmm, VMM_EXIT, status);
}

/* The socket is made while the run directory can be reached; clients find it there, whatever root we have by then. */
static int agent_sessions(struct vmm *vmm, struct vmm_agent *a, struct err *err)
{
	if (vmm->fds.run < 0)
		return 0; /* by hand: nobody would look for it */
	AUTO(fd_close_p) int dir = openat(vmm->fds.run, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fchdir(dir) < 0)
		return err_set(err, errno, "enter the run directory");
	int r = vsock_unix_create(VMM_VSOCK_NAME, vmm->loop, &a->sessions, err);
	if (r == 0)
		r = vmm_virtio_open(&a->vsock_host, vmm, err);
	if (r < 0)
		return r;
	const struct virtio_place place = { .mem = &vmm->mem, .host = &a->vsock_host.host };
	virtio_vsock_init(&a->vsock, &place, AGENT_CID, vsock_unix_host(a->sessions),
			  &vsock_unix_heap);
	r = vmm_virtio_attach(&a->vsock_host, &a->vsock.virtio, err);
	return r == 0 ? vsock_unix_start(a->sessions, &a->vsock, err) : r;
}

int vmm_agent_create(struct vmm *vmm, struct err *err)
{
	struct vmm_agent *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, ENOMEM, "agent");
	a->vmm = vmm;
	vmm->devices->agent = a;
	const struct agent_host_config config = {
		.spec = vmm->spec,
		.loop = vmm->loop,
		.in = vmm->fds.in,
		.out = vmm->fds.out,
		.err = vmm->fds.err,
		.run = vmm->fds.run,
	};
	int r = agent_host_open(&a->side, &agent_events, &config, err);
	if (r == 0)
		r = vmm_virtio_open(&a->host, vmm, err);
	if (r < 0)
		return r;
	const struct console_port_config ports[] = {
		{ .name = AGENT_PORT_CONTROL, .console = &a->side.agent.console },
		{ .name = AGENT_PORT_STDIN, .console = &a->side.in.console },
		{ .name = AGENT_PORT_STDOUT, .console = &a->side.out.console },
		{ .name = AGENT_PORT_STDERR, .console = &a->side.err.console },
	};
	const struct virtio_place place = { .mem = &vmm->mem, .host = &a->host.host };
	virtio_console_init(&a->dev, &place, ports, ARRAY_SIZE(ports));
	r = vmm_virtio_attach(&a->host, &a->dev.virtio, err);
	return r == 0 ? agent_sessions(vmm, a, err) : r;
}

int vmm_agent_status(const struct vmm *vmm, int *ret_status, struct err *err)
{
	return agent_host_status(&vmm->devices->agent->side, &vmm->devices->serial_tail, ret_status,
				 err);
}
