/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The VMM's end of the port strata.control: a struct console for its virtio-console device, and the conversation of
 * abi/agent.h behind it.
 *
 * No thread, no descriptor, no clock of its own: everything here runs on the thread that owns the console device (its I/O
 * thread), the callbacks too, and inside a call of the device's. A callback may call the functions below, but not agent_fini().
 *
 *	agent_init() -> the device gets &agent->console -> [started | failed] -> exited -> the VMM waits until it has the bytes of
 *	stdout and stderr that exited() told of -> agent_stop() -> the guest powers off -> agent_fini()
 */
#include "engines/vmm/agent_frame.h"
#include "engines/vmm/agent_wire.h"
#include "machine/ops.h"

struct agent;

/* Each is called at most once, but for wake. */
struct agent_events {
	/* Mandatory. There is something for the guest: call agent_poke() soon, from outside of any call of the device's. */
	void (*wake)(struct agent *agent);
	/* Mandatory. The workload runs. */
	void (*started)(struct agent *agent);
	/* Mandatory. It does not, or the guest broke the protocol: nothing else will come. Status 125, 126, 127. */
	void (*failed)(struct agent *agent, int status, const struct err *why);
	/* Mandatory. It ended; so many bytes of its streams are on their way or here. */
	void (*exited)(struct agent *agent, const struct agent_end *end);
};

enum agent_phase {
	AGENT_PHASE_BOOT,    /* READY is waited for */
	AGENT_PHASE_START,   /* CONFIG is on its way */
	AGENT_PHASE_RUNNING, /* STARTED came */
	AGENT_PHASE_ENDED, /* EXIT or FAILED came, or nonsense: what the guest still says is ignored */
};

struct agent { /* embedded by the VMM */
	struct console console;
	const struct agent_events *events;
	enum agent_phase phase;
	struct frame_reader reader;
	struct buf out; /* to the guest */
	size_t out_at;
	struct buf config; /* a CONFIG frame, until READY */
	bool early_eof;	   /* said before READY: follows CONFIG */
	struct buf hosts;  /* said when there is nothing else to say, if hosts_wait */
	bool hosts_wait, hosts_queued;
	uint16_t early_rows, early_columns;
};

/*
 * agent_init() - make the CONFIG and wait for the guest
 * Errors: agent_wire_config()'s; then there is nothing to undo.
 */
int agent_init(struct agent *agent, const struct agent_events *events, const struct spec *spec,
	       const struct agent_setup *setup, struct err *err);
void agent_fini(struct agent *agent); /* a zeroed one is a no-op */
/* agent_poke() - after wake(): tell the device that its port is readable. */
void agent_poke(struct agent *agent);

/*
 * To the guest. -ENOTCONN before READY, where there is nobody yet to hear it (agent_stop(): the VMM ends the VM then); a size
 * and the end of the input are kept until then. -ENOBUFS where the guest has stopped reading.
 */
int agent_signal(struct agent *agent, int sig);
int agent_resize(struct agent *agent, uint16_t rows, uint16_t columns);
int agent_stdin_eof(
	struct agent *agent); /* after the last byte was given to the port strata.stdin */
/*
 * agent_hosts() - what /etc/hosts says from now on; also before READY
 * Errors: -E2BIG past AGENT_HOSTS_MAX; -ENOMEM; -ENOTCONN after the end. Never -ENOBUFS.
 */
int agent_hosts(struct agent *agent, const char *text, size_t len);
int agent_stop(struct agent *agent);  /* kill what runs, then sync and power off */
