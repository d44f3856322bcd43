/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/agent.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define AGENT_QUEUE_MAX ((size_t)64 << 10) /* of messages that the guest has not read */

static struct agent *agent_of(struct console *console)
{
	return container_of(console, struct agent, console);
}

/* Often inside a call of the device's, which holds its lock: it cannot be told from here. */
static void agent_wake(struct agent *agent)
{
	if (agent->out_at < agent->out.len)
		agent->events->wake(agent);
}

void agent_poke(struct agent *agent)
{
	if (agent->out_at < agent->out.len && agent->console.readable)
		agent->console.readable(&agent->console, agent->console.arg);
}

static void agent_failed(struct agent *agent, int status, const struct err *why)
{
	if (agent->phase == AGENT_PHASE_ENDED)
		return;
	agent->phase = AGENT_PHASE_ENDED;
	agent->events->failed(agent, status, why);
}

static void agent_nonsense(struct agent *agent)
{
	struct err err = { 0 };

	(void)err_say(&err, EPROTO, "the guest's agent broke its protocol (message %u)",
		      agent->reader.type);
	agent_failed(agent, 125, &err);
}

/* ---- what the guest says ---- */

static int agent_take_ready(struct agent *agent, const void *data, size_t len)
{
	struct err err = { 0 };
	uint32_t version;

	if (agent->phase != AGENT_PHASE_BOOT || agent_wire_ready(data, len, &version) < 0)
		return -EPROTO;
	if (version != AGENT_VERSION) {
		(void)err_say(&err, EPROTO,
			      "the guest's agent speaks version %u, this VMM version %u: make the "
			      "initramfs anew",
			      version, AGENT_VERSION);
		agent_failed(agent, 125, &err);
		return 0;
	}
	agent->phase = AGENT_PHASE_START;
	if (buf_add(&agent->out, buf_str(&agent->config), agent->config.len) < 0)
		return -ENOMEM;
	buf_fini(&agent->config);
	if (agent->early_rows || agent->early_columns)
		agent_wire_resize(&agent->out, agent->early_rows, agent->early_columns);
	if (agent->early_eof)
		frame_add(&agent->out, AGENT_STDIN_EOF, NULL, 0);
	if (agent->out.failed)
		return -ENOMEM;
	agent_wake(agent);
	return 0;
}

static int agent_take_exit(struct agent *agent, const void *data, size_t len)
{
	struct agent_end end;

	if (agent->phase != AGENT_PHASE_RUNNING || agent_wire_exit(data, len, &end) < 0)
		return -EPROTO;
	agent->phase = AGENT_PHASE_ENDED;
	agent->events->exited(agent, &end);
	return 0;
}

static int agent_take_failed(struct agent *agent, const void *data, size_t len)
{
	struct err err = { 0 };
	int status;

	if (agent_wire_failed(data, len, &status, &err) < 0)
		return -EPROTO;
	agent_failed(agent, status, &err);
	return 0;
}

static int agent_take(struct agent *agent)
{
	const void *data = agent->reader.body.data;
	size_t len = agent->reader.len;

	switch (agent->reader.type) {
	case AGENT_READY:
		return agent_take_ready(agent, data, len);
	case AGENT_STARTED:
		if (agent->phase != AGENT_PHASE_START || len)
			return -EPROTO;
		agent->phase = AGENT_PHASE_RUNNING;
		agent->events->started(agent);
		return 0;
	case AGENT_FAILED:
		return agent_take_failed(agent, data, len);
	case AGENT_EXIT:
		return agent_take_exit(agent, data, len);
	default:
		return -EPROTO;
	}
}

/* ---- the port ---- */

/* Takes everything: a guest that talks after the end is not heard, but never held up either. */
static int64_t agent_console_write(struct console *console, const void *data, size_t len)
{
	struct agent *agent = agent_of(console);
	const uint8_t *bytes = data;
	size_t at = 0;

	while (at < len && agent->phase != AGENT_PHASE_ENDED) {
		size_t used = 0;
		int r = frame_reader_feed(&agent->reader, bytes + at, len - at, &used);
		at += used;
		if (r > 0)
			r = agent_take(agent);
		if (r < 0)
			agent_nonsense(agent);
	}
	return (int64_t)len;
}

/* Behind all else, one at a time: however often they change, and however slowly the guest reads, the last text counts. */
static bool agent_queue_hosts(struct agent *agent)
{
	if (!agent->hosts_wait || agent->phase == AGENT_PHASE_BOOT ||
	    agent->out_at < agent->out.len)
		return false;
	frame_add(&agent->out, AGENT_HOSTS, buf_str(&agent->hosts), agent->hosts.len);
	buf_fini(&agent->hosts);
	agent->hosts_wait = false;
	agent->hosts_queued = true;
	return true;
}

static int64_t agent_console_read(struct console *console, void *ret, size_t len)
{
	struct agent *agent = agent_of(console);

	(void)agent_queue_hosts(agent); /* mostly there are none */
	size_t left = agent->out.len - agent->out_at;
	size_t n = len < left ? len : left;

	if (n)
		memcpy(ret, agent->out.data + agent->out_at, n);
	agent->out_at += n;
	if (agent->out_at == agent->out.len) {
		buf_fini(&agent->out); /* CONFIG and HOSTS are large; nothing else is */
		agent->out_at = 0;
		agent->hosts_queued = false;
	}
	return (int64_t)n;
}

static void agent_console_close(struct console *console)
{
	if (console)
		agent_fini(agent_of(console));
}

static const struct console_ops agent_console_ops = {
	.write = agent_console_write,
	.read = agent_console_read,
	.close = agent_console_close,
};

/* ---- the VMM's calls ---- */

int agent_init(struct agent *agent, const struct agent_events *events, const struct spec *spec,
	       const struct agent_setup *setup, struct err *err)
{
	AUTO(buf_fini) struct buf config = { 0 };
	int r = agent_wire_config(&config, spec, setup, err);

	assert(events->wake && events->started && events->failed && events->exited);
	if (r < 0)
		return r;
	*agent = (struct agent){ .console.ops = &agent_console_ops, .events = events };
	frame_reader_init(&agent->reader, AGENT_CONTROL_MAX);
	agent->config = config;
	config = (struct buf){ 0 };
	return 0;
}

void agent_fini(struct agent *agent)
{
	buf_fini(&agent->config);
	buf_fini(&agent->hosts);
	buf_fini(&agent->out);
	frame_reader_fini(&agent->reader);
	agent->out_at = 0;
	agent->phase = AGENT_PHASE_ENDED;
}

/* Room for one more message. STOP always has some: it is the last. */
static int agent_may_say(const struct agent *agent, size_t spare)
{
	if (agent->phase == AGENT_PHASE_BOOT)
		return -ENOTCONN;
	size_t queued = agent->out.len - agent->out_at;
	size_t most = AGENT_QUEUE_MAX + (agent->phase == AGENT_PHASE_START ? AGENT_CONFIG_MAX : 0) +
		      (agent->hosts_queued ? AGENT_HOSTS_MAX : 0);
	return agent->out.failed || queued > most + spare ? -ENOBUFS : 0;
}

static int agent_say(struct agent *agent, uint32_t type, const struct buf *frame, size_t spare)
{
	int r = agent_may_say(agent, spare);

	if (r < 0)
		return r;
	if (frame)
		(void)buf_add(&agent->out, buf_str(frame), frame->len); /* looked at below */
	else
		frame_add(&agent->out, type, NULL, 0);
	if (agent->out.failed)
		return -ENOBUFS;
	agent_wake(agent);
	return 0;
}

int agent_signal(struct agent *agent, int sig)
{
	AUTO(buf_fini) struct buf frame = { 0 };

	agent_wire_signal(&frame, sig);
	return frame.failed ? -ENOBUFS : agent_say(agent, 0, &frame, 0);
}

int agent_resize(struct agent *agent, uint16_t rows, uint16_t columns)
{
	AUTO(buf_fini) struct buf frame = { 0 };

	if (agent->phase == AGENT_PHASE_BOOT) {
		agent->early_rows = rows;
		agent->early_columns = columns;
		return 0;
	}
	agent_wire_resize(&frame, rows, columns);
	return frame.failed ? -ENOBUFS : agent_say(agent, 0, &frame, 0);
}

int agent_stdin_eof(struct agent *agent)
{
	if (agent->phase == AGENT_PHASE_BOOT) {
		agent->early_eof = true;
		return 0;
	}
	return agent_say(agent, AGENT_STDIN_EOF, NULL, 4096);
}

int agent_hosts(struct agent *agent, const char *text, size_t len)
{
	if (len > AGENT_HOSTS_MAX)
		return -E2BIG;
	if (agent->phase == AGENT_PHASE_ENDED)
		return -ENOTCONN;
	agent->hosts.len = 0;
	int r = buf_add(&agent->hosts, text, len);
	agent->hosts_wait = r == 0;
	if (r == 0 && agent_queue_hosts(agent))
		agent_wake(agent);
	return r;
}

int agent_stop(struct agent *agent)
{
	return agent_say(agent, AGENT_STOP, NULL, 4096);
}
