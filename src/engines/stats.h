/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/core/exits.h"

/* What a guest has used since its start, and uses now. */
struct guest_stats {
	uint64_t cpu_ns;
	uint64_t memory_bytes, memory_limit_bytes; /* a limit of 0: none */
	uint64_t pids, pids_limit;
	uint64_t net_rx_bytes, net_tx_bytes;
	uint64_t net_rx_limit_bits, net_tx_limit_bits; /* a second; 0: none */
	uint64_t io_read_bytes, io_write_bytes;
	/* Of a virtual machine's vcpus, together; exits_counted has EXIT_BIT()s of those that are known: 0 for what has no vcpus. */
	uint64_t exits_counted;
	struct exit_counts exits;
};

/* Over which an engine asks for the figures of several guests, where that is one for all: the first opens it. Zeroed: none yet. */
struct stats_session {
	void *of; /* the engine's */
	void (*close)(void *of);
};

static inline void stats_session_close(struct stats_session *session)
{
	if (session->of)
		session->close(session->of);
	*session = (struct stats_session){ .of = NULL };
}
