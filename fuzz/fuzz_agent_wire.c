/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile guest says on strata.control: the conversation takes every byte and ends at most once; and its statistics. */
#include <stdlib.h>
#include <string.h>

#include "engines/vmm/agent.h"

struct fuzz_heard {
	struct agent agent;
	unsigned ends;
};

static void fuzz_nothing(struct agent *agent)
{
	(void)agent;
}
static void fuzz_failed(struct agent *agent, int status, const struct err *why)
{
	if (status < 125 || status > 127 || !why->text[0] || strpbrk(why->text, "\n\x1b"))
		abort();
	container_of(agent, struct fuzz_heard, agent)->ends++;
}
static void fuzz_exited(struct agent *agent, const struct agent_end *end)
{
	if (end->status < 0 || end->status > 255)
		abort();
	container_of(agent, struct fuzz_heard, agent)->ends++;
	(void)agent_stop(agent); /* whatever it says */
}
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct agent_events events = {
		.wake = fuzz_nothing,
		.started = fuzz_nothing,
		.failed = fuzz_failed,
		.exited = fuzz_exited,
	};
	static const char *args[] = { "true", NULL };
	static const struct agent_setup setup = { 0 };
	const struct spec spec = { .args = args, .n_args = 1 };
	struct fuzz_heard heard = { .ends = 0 };
	struct console *console = &heard.agent.console;
	struct guest_stats stats = { 0 };
	char out[512];

	if (size == 0 || agent_init(&heard.agent, &events, &spec, &setup, NULL) < 0)
		return 0;
	(void)agent_wire_stats(data, size, &stats);
	size_t piece = data[0] ? data[0] : 1;
	for (size_t at = 1; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		if (console->ops->write(console, data + at, n) != (int64_t)n)
			abort();
		if (heard.agent.reader.body.cap > 4 * AGENT_CONTROL_MAX)
			abort();
		(void)console->ops->read(console, out, sizeof(out)); /* only to drain */
	}
	if (heard.ends > 1)
		abort();
	agent_fini(&heard.agent);
	return 0;
}
