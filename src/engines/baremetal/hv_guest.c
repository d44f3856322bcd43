/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hv_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "abi/agent.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/log.h"
#include "base/os/loop.h"
#include "engines/baremetal/chan.h"
#include "engines/baremetal/hub_start.h"
#include "engines/baremetal/hv_config.h"
#include "engines/baremetal/hv_place.h"
#include "engines/baremetal/hv_port.h"
#include "engines/baremetal/hv_vsock.h"
#include "engines/cgroup/cgroup.h"
#include "engines/vmm/agent_host.h"
#include "engines/vmm/signals.h"
#include "engines/vmm/vmm_agent_socket.h"

enum { PORT_CONTROL, PORT_STDIN, PORT_STDOUT, PORT_STDERR, PORT_SERIAL, PORTS };

struct hv_guest {
	const struct spec *spec; /* borrowed */
	struct vmm_fds fds;
	struct loop *loop;
	struct chan chan;
	struct hv_place place;
	uint32_t id; /* the hypervisor's; 0: none yet */
	struct agent_host side;
	struct console_fd serial_fd; /* a bare kernel's, or one that is to be seen */
	struct console_tail serial_tail;
	struct hv_port ports[PORTS];
	struct hv_vsock vsock;
	struct vsock_unix *sessions;
	int signal_fd;
	bool button_pressed, told;
	bool over;  /* there is nothing more to wait for: status and why say how it ended */
	bool ended; /* the guest did: as */
	struct channel_guest last; /* says */
	int status;
	struct err why;
};

static void guest_end(struct hv_guest *g, int status, const struct err *why)
{
	if (g->over)
		return;
	g->over = true;
	g->status = status;
	if (why)
		g->why = *why;
}

/* ---- the monitor ---- */

static void guest_said(struct hv_guest *g)
{
	fd_close(g->fds.sync);
	g->fds.sync = -EBADF;
}

static void guest_started(struct hv_guest *g)
{
	if (g->fds.sync < 0)
		return;
	(void)vmm_say(g->fds.sync, VMM_WORD_STARTED); /* a dead monitor takes us with it */
	guest_said(g);
}

static void guest_start_failed(struct hv_guest *g, int status, const struct err *why)
{
	if (g->fds.sync < 0)
		return;
	g->told = true;
	vmm_say_failed(g->fds.sync, status, why);
	guest_said(g);
}

/* ---- the agent ---- */

static void side_started(struct agent_host *side)
{
	guest_started(container_of(side, struct hv_guest, side));
}

static void side_failed(struct agent_host *side, int status, const struct err *why)
{
	struct hv_guest *g = container_of(side, struct hv_guest, side);

	guest_start_failed(g, status, why);
	guest_end(g, status, g->told ? NULL : why);
}

static const struct agent_host_events side_events = {
	.started = side_started,
	.failed = side_failed,
};

/* ---- signals ---- */

static void guest_button_failed(void *arg, uint32_t status, const void *data, size_t len)
{
	struct hv_guest *g = arg;

	(void)data;
	(void)len;
	if (status)
		guest_end(g, g->status, NULL); /* nobody listens to the button */
}

/* A bare kernel has a power button: vmm/signals.h. */
static void guest_signal_bare(struct hv_guest *g, int sig)
{
	const struct channel_ref ref = { .guest = g->id };
	const bool again = g->button_pressed;

	if (sig != SIGTERM && sig != SIGINT && sig != SIGHUP && sig != SIGQUIT && sig != SIGPWR)
		return;
	g->button_pressed = true;
	g->status = 128 + sig;
	if (again ||
	    chan_request(&g->chan, CHANNEL_STOP, &ref, sizeof(ref), guest_button_failed, g) < 0)
		guest_end(g, 128 + sig, NULL);
}

static void guest_signals(void *arg, uint32_t events)
{
	struct hv_guest *g = arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(g->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		int sig = (int)info.ssi_signo;
		if (sig == SIGCHLD)
			continue; /* the hub: the channel's end says more */
		if (!g->spec->vm.agent) {
			guest_signal_bare(g, sig);
			continue;
		}
		int status = agent_host_signal(&g->side, sig);
		if (status)
			guest_end(g, status, NULL);
	}
}

/* ---- the channel ---- */

static void guest_bare_status(struct hv_guest *g)
{
	struct err err = { 0 };

	switch (g->last.how) {
	case CHANNEL_HOW_POWER_OFF:
	case CHANNEL_HOW_RESET:
		guest_end(g, 0, NULL);
		return;
	case CHANNEL_HOW_EXIT:
		guest_end(g, (int)(g->last.status & 0xff), NULL);
		return;
	default:
		break;
	}
	if (g->last.how == CHANNEL_HOW_CRASHED)
		(void)err_say(&err, EIO, "the guest crashed its CPU (triple fault)");
	else if (g->last.how == CHANNEL_HOW_KILLED)
		(void)err_say(&err, EIO, "the guest was killed on its server");
	else
		(void)err_say(&err, EIO, "the hypervisor stopped the guest: %.47s",
			      g->last.failure);
	guest_end(g, 125, &err);
}

/* Its last words are here too: now the end is one. */
static void guest_maybe_over(struct hv_guest *g)
{
	struct err err = { 0 };
	int status = 125;

	for (size_t i = 0; i < PORTS; i++) {
		const struct hv_port *port = &g->ports[i];
		if (!port->console || hv_port_done(port))
			continue;
		if (g->ended)
			return;
	}
	for (size_t i = 0; i < PORTS && !g->ended; i++) {
		if (g->ports[i].closed && g->ports[i].status) {
			(void)err_say(&err, (int)g->ports[i].status, "a port of the guest's: %s",
				      g->ports[i].why);
			guest_end(g, 125, &err);
		}
	}
	if (!g->ended || g->over)
		return;
	if (!g->spec->vm.agent || (g->last.how != CHANNEL_HOW_POWER_OFF && !g->side.exited)) {
		guest_bare_status(g);
		return;
	}
	int r = agent_host_status(&g->side, &g->serial_tail, &status, &err);
	guest_end(g, status, r < 0 ? &err : NULL);
}

static void guest_event(struct chan *chan, uint32_t kind, const void *body, size_t len)
{
	struct hv_guest *g = container_of(chan, struct hv_guest, chan);
	struct channel_guest guest;

	if (kind != CHANNEL_EVENT_ENDED || len != sizeof(guest))
		return;
	memcpy(&guest, body, sizeof(guest));
	if (!g->id || guest.id != g->id)
		return;
	guest.failure[sizeof(guest.failure) - 1] = '\0';
	g->last = guest;
	g->ended = true;
}

/* What is known of why a server of our own went: the hub's last line, or the console's. */
static void guest_lost(struct chan *chan, const struct err *why)
{
	struct hv_guest *g = container_of(chan, struct hv_guest, chan);
	struct err err = { 0 };
	char last[256] = "";
	AUTO(fd_close_p) int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)why;
	if (dir >= 0 && !g->spec->vm.host) {
		hub_log_last(dir, HV_HUB_LOG, last);
	}
	(void)err_say(&err, EIO, "the server under the guest is gone%s%.200s", last[0] ? ": " : "",
		      last);
	guest_end(g, 125, &err);
}

static const struct chan_events guest_chan_events = { .event = guest_event, .lost = guest_lost };

/* ---- building ---- */

/* As a machine's process does (vmm/run.c), but for the holder: there is no KVM to be taken apart. */
static int guest_join(struct vmm_fds *fds, struct err *err)
{
	int r = cgroup_join(fds->joins, fds->n_joins);

	for (unsigned i = 0; i < fds->n_joins; i++)
		fd_close(fds->joins[i]);
	fds->n_joins = 0;
	fd_close(fds->home);
	fds->home = -EBADF;
	return r < 0 ? err_set(err, -r, "join the virtual machine's cgroup") : 0;
}

/* With an agent the standard streams are the workload's: what its kernel says is shown on request only. */
static int guest_serial(struct hv_guest *g, struct err *err)
{
	const bool ours = !g->spec->vm.agent;

	console_tail_init(&g->serial_tail);
	if (!ours && !g->spec->vm.console)
		return 0;
	return console_fd_init(&g->serial_fd, g->loop, ours ? g->fds.in : -EBADF,
			       ours ? g->fds.out : g->fds.err, err);
}

static int guest_agent(struct hv_guest *g, struct err *err)
{
	const struct agent_host_config config = {
		.spec = g->spec,
		.loop = g->loop,
		.in = g->fds.in,
		.out = g->fds.out,
		.err = g->fds.err,
		.run = g->fds.run,
	};

	return g->spec->vm.agent ? agent_host_open(&g->side, &side_events, &config, err) : 0;
}

static int guest_host_side(struct hv_guest *g, struct err *err)
{
	int r = loop_create(&g->loop, err);

	if (r == 0) {
		g->signal_fd = vmm_signals_fd(err);
		r = g->signal_fd < 0
			    ? g->signal_fd
			    : loop_add(g->loop, g->signal_fd, EPOLLIN, guest_signals, g, err);
	}
	if (r == 0)
		r = guest_serial(g, err);
	if (r == 0)
		r = guest_agent(g, err);
	if (r < 0)
		return r;
	/* What follows has its place in the run directory. */
	AUTO(fd_close_p) int dir = openat(g->fds.run, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fchdir(dir) < 0)
		return err_set(err, errno, "enter the run directory");
	fd_close(g->fds.run);
	g->fds.run = -EBADF;
	return 0;
}

static int guest_connect(struct hv_guest *g, struct hv_files *files, struct err *err)
{
	const bool lab = !g->spec->vm.host;
	struct err why = { 0 };
	int r = lab ? hv_place_lab(&g->place, g->spec, files, err) : hv_place_host(g->spec, err);

	if (r < 0)
		return r;
	AUTO(fd_close_p) int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set(err, errno, "open the run directory");
	r = chan_connect(&g->chan, dir, HV_CHANNEL_NAME, g->loop, &guest_chan_events, &why);
	if (r < 0) /* lost() knows more, where it was called */
		return g->why.code ? err_say(err, g->why.code, "%s", g->why.text)
				   : err_say(err, -r, "%s", why.text);
	return lab ? 0 : hv_place_upload(&g->place, &g->chan, g->spec, files, err);
}

static int guest_create(struct hv_guest *g, const struct hv_files *files, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(buf_fini) struct buf ref = { 0 };
	int r = hv_guest_text(g->spec, files, g->spec->vm.host != NULL, &text, err);

	if (r == 0 && text.len > CHANNEL_PAYLOAD_MAX - sizeof(struct channel_request))
		r = err_say(err, E2BIG, "the guest's text is too long for the channel");
	if (r == 0)
		r = chan_call(&g->chan, CHANNEL_CREATE, text.data, text.len, &ref, err);
	if (r == 0 && ref.len != sizeof(g->id))
		r = err_say(err, EPROTO, "the hypervisor's answer makes no sense");
	if (r == 0)
		memcpy(&g->id, ref.data, sizeof(g->id));
	return r;
}

static int guest_ports(struct hv_guest *g, struct err *err)
{
	const struct {
		const char *name;
		struct console *console;
	} ports[] = {
		[PORT_CONTROL] = { AGENT_PORT_CONTROL, &g->side.agent.console },
		[PORT_STDIN] = { AGENT_PORT_STDIN, &g->side.in.console },
		[PORT_STDOUT] = { AGENT_PORT_STDOUT, &g->side.out.console },
		[PORT_STDERR] = { AGENT_PORT_STDERR, &g->side.err.console },
	};
	struct console *serial =
		g->serial_fd.console.ops ? &g->serial_fd.console : &g->serial_tail.console;
	int r = hv_port_open(&g->ports[PORT_SERIAL], &g->chan, serial, CHANNEL_KIND_CONSOLE, g->id,
			     "");

	for (size_t i = 0; r == 0 && g->spec->vm.agent && i < ARRAY_SIZE(ports); i++)
		r = hv_port_open(&g->ports[i], &g->chan, ports[i].console, CHANNEL_KIND_PORT, g->id,
				 ports[i].name);
	if (r < 0)
		return err_set(err, -r, "open the guest's ports");
	if (!g->spec->vm.agent)
		return 0;
	r = vsock_unix_create(VMM_VSOCK_NAME, g->loop, &g->sessions, err);
	if (r < 0)
		return r;
	hv_vsock_init(&g->vsock, &g->chan, g->id, vsock_unix_host(g->sessions));
	return vsock_unix_serve(g->sessions, &g->vsock.side, err);
}

static int guest_build(struct hv_guest *g, struct err *err)
{
	struct hv_files files;
	int r = guest_join(&g->fds, err);

	if (r == 0)
		r = guest_host_side(g, err);
	if (r == 0)
		r = guest_connect(g, &files, err);
	if (r == 0)
		r = guest_create(g, &files, err);
	if (r == 0)
		r = guest_ports(g, err);
	if (r < 0)
		return r;
	r = vmm_say(g->fds.sync, VMM_WORD_READY);
	if (r < 0)
		return err_set(err, -r, "talk to the monitor");
	return vmm_expect(g->fds.sync, VMM_WORD_GO, NULL, err);
}

static int guest_go(struct hv_guest *g, struct err *err)
{
	const struct channel_ref ref = { .guest = g->id };
	int r = chan_call(&g->chan, CHANNEL_START, &ref, sizeof(ref), NULL, err);

	if (r < 0)
		return r;
	if (!g->spec->vm.agent)
		guest_started(g);
	/* It may have come and gone before START was answered: then nothing more is heard of it. */
	for (guest_maybe_over(g); r >= 0 && !g->over; guest_maybe_over(g))
		r = loop_run_once(g->loop, -1, err);
	if (r < 0)
		return r;
	if (g->why.code)
		*err = g->why;
	return -g->why.code;
}

/* What a guest has written is on its disks when its server says so: not before it is gone from there. */
static void guest_leave(struct hv_guest *g)
{
	const struct channel_ref ref = { .guest = g->id };

	if (g->id && g->chan.ready)
		(void)chan_call(&g->chan, CHANNEL_DESTROY, &ref, sizeof(ref), NULL, NULL);
	vsock_unix_free(g->sessions);
	for (size_t i = 0; i < PORTS; i++)
		hv_port_fini(&g->ports[i]);
	chan_fini(&g->chan);
	hv_place_fini(&g->place);
}

int hv_guest_run(const struct spec *spec, const struct vmm_fds *fds, int *ret_status,
		 struct err *err)
{
	struct hv_guest *g = calloc(1, sizeof(*g)); /* lives as long as the process */

	*ret_status = 125;
	if (!g)
		return err_set(err, ENOMEM, "virtual machine");
	if (fds->sync < 0 || fds->run < 0)
		return err_say(err, EINVAL, "--virt bare-metal runs by 'strata run' only");
	g->spec = spec;
	g->fds = *fds;
	g->status = 125;
	hv_place_init(&g->place);
	int r = guest_build(g, err);
	if (r == 0) {
		r = guest_go(g, err);
		*ret_status = g->over ? g->status : 125;
	}
	guest_leave(g);
	if (r < 0)
		guest_start_failed(g, *ret_status, err); /* if it was not said to run yet */
	if (g->told)
		*err = (struct err){ 0 }; /* said once is enough */
	return r;
}
