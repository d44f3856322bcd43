/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/agent_host.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/loop.h"

#define AGENT_FILE_MAX (1 << 20)

static struct agent_host *agent_mine(struct agent *agent)
{
	return container_of(agent, struct agent_host, agent);
}

/* Its last words are out: now it may go. A guest that claims more than it says keeps running, as it could anyway. */
static void agent_maybe_stop(struct agent_host *a)
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
	struct agent_host *a = arg;

	(void)events;
	/* A text that is too large, or no memory: then the guest keeps what it knows. */
	if (vmm_hosts_read(&a->hosts, &text) == 0)
		(void)agent_hosts(&a->agent, buf_str(&text), text.len);
}

static void agent_started(struct agent *agent)
{
	struct agent_host *a = agent_mine(agent);

	a->events->started(a);
}

static void agent_failed(struct agent *agent, int status, const struct err *why)
{
	struct agent_host *a = agent_mine(agent);

	a->events->failed(a, status, why);
}

static void agent_exited(struct agent *agent, const struct agent_end *end)
{
	struct agent_host *a = agent_mine(agent);

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
	struct agent_host *a = arg;

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
	struct agent_host *a = arg;

	(void)agent_stdin_eof(&a->agent); /* not connected yet: the port's own end says it too */
}

static void agent_window(const struct agent_host *a, uint16_t *ret_rows, uint16_t *ret_columns)
{
	struct winsize size;

	if (a->config.spec->tty && ioctl(a->config.in, TIOCGWINSZ, &size) == 0) {
		*ret_rows = size.ws_row;
		*ret_columns = size.ws_col;
	}
}

int agent_host_signal(struct agent_host *a, int sig)
{
	uint16_t rows = 0, columns = 0;

	if (sig == SIGWINCH && a->config.spec->tty) {
		agent_window(a, &rows, &columns);
		(void)agent_resize(&a->agent, rows, columns); /* cosmetic */
		return 0;
	}
	int r = agent_signal(&a->agent, sig);
	bool ends = sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP;
	return r == -ENOTCONN && ends ? 128 + sig : 0;
}

static char *agent_file(int run, const char *name)
{
	AUTO(buf_fini) struct buf text = { 0 };

	if (run < 0 || file_read(run, name, AGENT_FILE_MAX, &text) < 0)
		return NULL;
	return text.data ? buf_steal(&text) : NULL;
}

#define AGENT_MOUNTS 64 /* as many as the guest takes: guest/config.h. Several may be of one disk */

struct agent_disks {
	struct agent_disk list[AGENT_MOUNTS];
	char sources[AGENT_MOUNTS][32];
	size_t n;
};

/* Volumes' disks are behind all others; what is no disk is shared. */
static int agent_volume(const struct spec *spec, const struct spec_mount *mount,
			struct agent_disks *disks, struct err *err)
{
	const bool share = spec_is_share(mount);
	const int disk = share ? 0 : spec_disk_of(spec, mount->source);

	if (disks->n == AGENT_MOUNTS)
		return err_say(err, E2BIG, "more than %d mounts", AGENT_MOUNTS - 1);
	if (disk < 0)
		return err_say(err, EINVAL, "the volume at %s is none of the machine's disks",
			       mount->target);
	char *source = disks->sources[disks->n];
	if (share)
		(void)snprintf(source, sizeof(disks->sources[0]), SPEC_SHARE_TAG ":%zu",
			       (size_t)(mount - spec->mounts)); /* fits */
	else
		(void)snprintf(source, sizeof(disks->sources[0]), "id=strata-%d", disk); /* fits */
	disks->list[disks->n++] = (struct agent_disk){
		.kind = AGENT_MOUNT_VOLUME,
		.read_only = mount->read_only,
		.source = source,
		.type = share ? "virtiofs" : "ext4",
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
	const struct agent_disk shared = {
		.kind = AGENT_MOUNT_ROOT,
		.read_only = spec->read_only,
		.source = SPEC_SHARE_TAG ":" SPEC_SHARE_ROOT,
	};
	int r = 0;

	disks->n = spec->vm.upper ? 2 : 1;
	memcpy(disks->list, first, disks->n * sizeof(first[0]));
	if (spec_root_is_shared(spec))
		disks->list[0] = shared;
	disks->list[0].type = spec->vm.root_fs;
	for (size_t i = 0; r == 0 && i < spec->n_mounts; i++) {
		if (spec->mounts[i].type != SPEC_MOUNT_TMPFS)
			r = agent_volume(spec, &spec->mounts[i], disks, err);
	}
	return r;
}

static int agent_config(struct agent_host *a, struct err *err)
{
	const struct agent_host_config *config = &a->config;
	struct agent_disks disks;
	int r = agent_disks(config->spec, &disks, err);

	/* Opened before it is read: then no change is missed. */
	if (r == 0)
		r = vmm_hosts_open(config->run, &a->hosts, err);
	if (r == 0 && a->hosts.told >= 0)
		r = loop_add(config->loop, a->hosts.told, EPOLLIN, agent_hosts_changed, a, err);
	if (r < 0)
		return r;
	char *hosts = agent_file(config->run, "hosts");
	char *resolv = agent_file(config->run, "resolv.conf");
	struct agent_setup setup = {
		.disks = disks.list, .n_disks = disks.n, .hosts = hosts, .resolv = resolv
	};

	agent_window(a, &setup.rows, &setup.columns);
	r = agent_init(&a->agent, &agent_events, config->spec, &setup, err);
	free(hosts);
	free(resolv);
	return r;
}

static int agent_streams(struct agent_host *a, struct err *err)
{
	struct loop *loop = a->config.loop;

	a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->wake < 0)
		return err_set(err, errno, "eventfd");
	int r = loop_add(loop, a->wake, EPOLLIN, agent_woken, a, err);
	if (r == 0)
		r = console_fd_init(&a->in, loop, a->config.in, -EBADF, err);
	if (r == 0)
		r = console_fd_init(&a->out, loop, -EBADF, a->config.out, err);
	if (r == 0)
		r = console_fd_init(&a->err, loop, -EBADF, a->config.err, err);
	a->in.ended = agent_in_ended;
	a->out.wrote = a->err.wrote = agent_wrote;
	a->in.arg = a->out.arg = a->err.arg = a;
	return r;
}

int agent_host_open(struct agent_host *a, const struct agent_host_events *events,
		    const struct agent_host_config *config, struct err *err)
{
	a->events = events;
	a->config = *config;
	int r = agent_config(a, err);
	return r == 0 ? agent_streams(a, err) : r;
}

int agent_host_status(const struct agent_host *a, struct console_tail *serial, int *ret_status,
		      struct err *err)
{
	if (a->exited) {
		*ret_status = a->end.status;
		return 0;
	}
	char last[CONSOLE_TAIL_BYTES];
	console_tail_last(serial, last);
	*ret_status = 125;
	return err_say(err, EIO, "the guest ended before its workload did%s%.300s",
		       last[0] ? "; its kernel's last words: " : "", last);
}
