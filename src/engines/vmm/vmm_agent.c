/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/vmm_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/log.h"
#include "engines/vmm/devices.h"

#define AGENT_FILE_MAX (1 << 20)
#define AGENT_CID      3 /* the guest's; each VM has a host of its own */

static struct vmm_agent *agent_mine(struct agent *agent)
{
	return container_of(agent, struct vmm_agent, agent);
}

/* Its last words are out: now it may go. A guest that claims more than it says keeps running, as it could anyway. */
static void agent_maybe_stop(struct vmm_agent *a)
{
	if (!a->exited || a->stopped || a->out.written < a->end.stdout_bytes ||
	    a->err.written < a->end.stderr_bytes)
		return;
	a->stopped = true;
	(void)agent_stop(
		&a->agent); /* a guest that does not hear it is switched off by the monitor */
}

static void agent_hosts_changed(void *arg, uint32_t events)
{
	AUTO(buf_fini) struct buf text = { 0 };
	struct vmm_agent *a = arg;

	(void)events;
	/* A text that is too large, or no memory: then the guest keeps what it knows. */
	if (vmm_hosts_read(&a->hosts, &text) == 0)
		(void)agent_hosts(&a->agent, buf_str(&text), text.len);
}

static void agent_started(struct agent *agent)
{
	vmm_started(agent_mine(agent)->vmm);
}

static void agent_failed(struct agent *agent, int status, const struct err *why)
{
	struct vmm *vmm = agent_mine(agent)->vmm;

	if (vmm->fds.sync >= 0)
		vmm_start_failed(vmm, status, why);
	else
		log_error(why);
	vmm_end(vmm, VMM_EXIT, status);
}

static void agent_exited(struct agent *agent, const struct agent_end *end)
{
	struct vmm_agent *a = agent_mine(agent);

	a->end = *end;
	a->exited = true;
	agent_maybe_stop(a);
}

static void agent_wake_loop(struct agent *agent)
{
	fd_poke(agent_mine(agent)->wake);
}

static void agent_woken(void *arg, uint32_t events)
{
	struct vmm_agent *a = arg;

	(void)events;
	fd_calm(a->wake);
	agent_poke(&a->agent);
}

static const struct agent_events agent_events = {
	.wake = agent_wake_loop,
	.started = agent_started,
	.failed = agent_failed,
	.exited = agent_exited,
};

static void agent_wrote(void *arg)
{
	agent_maybe_stop(arg);
}

static void agent_in_ended(void *arg)
{
	struct vmm_agent *a = arg;

	(void)agent_stdin_eof(&a->agent); /* not connected yet: the port's own end says it too */
}

static void agent_window(const struct vmm *vmm, uint16_t *ret_rows, uint16_t *ret_columns)
{
	struct winsize size;

	if (vmm->spec->tty && ioctl(vmm->fds.in, TIOCGWINSZ, &size) == 0) {
		*ret_rows = size.ws_row;
		*ret_columns = size.ws_col;
	}
}

void vmm_agent_signal(struct vmm *vmm, int sig)
{
	struct vmm_agent *a = vmm->devices->agent;
	uint16_t rows = 0, columns = 0;
	int r;

	if (sig == SIGWINCH && vmm->spec->tty) {
		agent_window(vmm, &rows, &columns);
		(void)agent_resize(&a->agent, rows, columns); /* cosmetic */
		return;
	}
	r = agent_signal(&a->agent, sig);
	/* There is nobody yet to hear it: what would end a workload ends the machine. */
	if (r == -ENOTCONN && (sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP))
		vmm_end(vmm, VMM_EXIT, 128 + sig);
}

static char *agent_file(const struct vmm *vmm, const char *name)
{
	AUTO(buf_fini) struct buf text = { 0 };

	if (vmm->fds.run < 0 || file_read(vmm->fds.run, name, AGENT_FILE_MAX, &text) < 0)
		return NULL;
	return text.data ? buf_steal(&text) : NULL;
}

#define AGENT_MOUNTS 64 /* as many as the guest takes: guest/config.h. Several may be of one disk */

struct agent_disks {
	struct agent_disk list[AGENT_MOUNTS];
	char sources[AGENT_MOUNTS][32];
	size_t n;
};

/* Volumes' disks are behind all others. */
static int agent_volume(const struct spec *spec, const struct spec_mount *mount,
			struct agent_disks *disks, struct err *err)
{
	size_t i = spec->vm.n_disks;

	while (i > 0 && strcmp(spec->vm.disks[i - 1].path, mount->source) != 0)
		i--;
	if (disks->n == AGENT_MOUNTS)
		return err_say(err, E2BIG, "more than %d mounts", AGENT_MOUNTS - 1);
	if (i == 0)
		return err_say(err, EINVAL, "the volume at %s is none of the machine's disks",
			       mount->target);
	char *source = disks->sources[disks->n];
	(void)snprintf(source, sizeof(disks->sources[0]), "id=strata-%zu", i - 1); /* fits */
	disks->list[disks->n++] = (struct agent_disk){
		.kind = AGENT_MOUNT_VOLUME,
		.read_only = mount->read_only,
		.source = source,
		.type = "ext4",
		.target = mount->target,
	};
	return 0;
}

/*
 * The image's layers are the first disk, and what the instance wrote, if it is to be kept, the second. Volumes are where
 * the spec's mounts say (disks.c numbers the serials).
 */
static int agent_disks(const struct spec *spec, struct agent_disks *disks, struct err *err)
{
	static const struct agent_disk first[] = {
		{ .kind = AGENT_MOUNT_ROOT, .read_only = true, .source = "id=strata-0" },
		{ .kind = AGENT_MOUNT_UPPER, .source = "id=strata-1", .type = "ext4" },
	};
	int r = 0;

	disks->n = spec->vm.upper ? 2 : 1;
	memcpy(disks->list, first, disks->n * sizeof(first[0]));
	disks->list[0].type = spec->vm.root_fs;
	for (size_t i = 0; r == 0 && i < spec->n_mounts; i++) {
		if (spec->mounts[i].type == SPEC_MOUNT_VOLUME)
			r = agent_volume(spec, &spec->mounts[i], disks, err);
	}
	return r;
}

static int agent_config(struct vmm *vmm, struct vmm_agent *a, struct err *err)
{
	struct agent_disks disks;
	int r = agent_disks(vmm->spec, &disks, err);

	/* Opened before it is read: then no change is missed. */
	if (r == 0)
		r = vmm_hosts_open(vmm->fds.run, &a->hosts, err);
	if (r == 0 && a->hosts.told >= 0)
		r = loop_add(vmm->loop, a->hosts.told, EPOLLIN, agent_hosts_changed, a, err);
	if (r < 0)
		return r;
	char *hosts = agent_file(vmm, "hosts");
	char *resolv = agent_file(vmm, "resolv.conf");
	struct agent_setup setup = {
		.disks = disks.list, .n_disks = disks.n, .hosts = hosts, .resolv = resolv
	};

	agent_window(vmm, &setup.rows, &setup.columns);
	r = agent_init(&a->agent, &agent_events, vmm->spec, &setup, err);
	free(hosts);
	free(resolv);
	return r;
}

static int agent_streams(struct vmm *vmm, struct vmm_agent *a, struct err *err)
{
	a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->wake < 0)
		return err_set(err, errno, "eventfd");
	int r = loop_add(vmm->loop, a->wake, EPOLLIN, agent_woken, a, err);
	if (r == 0)
		r = console_fd_init(&a->in, vmm->loop, vmm->fds.in, -EBADF, err);
	if (r == 0)
		r = console_fd_init(&a->out, vmm->loop, -EBADF, vmm->fds.out, err);
	if (r == 0)
		r = console_fd_init(&a->err, vmm->loop, -EBADF, vmm->fds.err, err);
	a->in.ended = agent_in_ended;
	a->out.wrote = a->err.wrote = agent_wrote;
	a->in.arg = a->out.arg = a->err.arg = a;
	return r;
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
	int r = agent_config(vmm, a, err);
	if (r == 0)
		r = agent_streams(vmm, a, err);
	if (r == 0)
		r = vmm_virtio_open(&a->host, vmm, err);
	if (r < 0)
		return r;
	const struct console_port_config ports[] = {
		{ .name = AGENT_PORT_CONTROL, .console = &a->agent.console },
		{ .name = AGENT_PORT_STDIN, .console = &a->in.console },
		{ .name = AGENT_PORT_STDOUT, .console = &a->out.console },
		{ .name = AGENT_PORT_STDERR, .console = &a->err.console },
	};
	const struct virtio_place place = { .mem = &vmm->mem, .host = &a->host.host };
	virtio_console_init(&a->dev, &place, ports, ARRAY_SIZE(ports));
	r = vmm_virtio_attach(&a->host, &a->dev.virtio, err);
	return r == 0 ? agent_sessions(vmm, a, err) : r;
}

int vmm_agent_status(const struct vmm *vmm, int *ret_status, struct err *err)
{
	const struct vmm_agent *a = vmm->devices->agent;

	if (a->exited) {
		*ret_status = a->end.status;
		return 0;
	}
	char last[CONSOLE_TAIL_BYTES];
	console_tail_last(&vmm->devices->serial_tail, last);
	*ret_status = 125;
	return err_say(err, EIO, "the guest ended before its workload did%s%.300s",
		       last[0] ? "; its kernel's last words: " : "", last);
}
