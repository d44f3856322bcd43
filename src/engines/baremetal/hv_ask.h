/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What any command asks the hypervisor under an instance that runs: by the hub's socket in its run directory. */
#include <stdbool.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "engines/baremetal/chan.h"
#include "engines/stats.h"

struct hv_ask {
	struct loop *loop;
	struct chan chan;
};

/* hv_ask_open() - a session with the hub; @dir: where its socket is, as HV_CHANNEL_NAME */
int hv_ask_open(struct hv_ask *ask, int dir, struct err *err);
void hv_ask_close(struct hv_ask *ask); /* zeroed is a no-op */
/* hv_ask_shared() - the session that `shared` has with this hub already; else a new one, which it has from now on */
int hv_ask_shared(struct stats_session *shared, int dir, struct hv_ask **ret, struct err *err);
/* hv_ask_list() - *ret is an array of struct channel_guest; CHANNEL_GUEST_SERVERS tells whose */
int hv_ask_list(struct hv_ask *ask, struct buf *ret, struct err *err);
/* hv_ask_guest() - the one of that name that has not ended; -ESRCH */
int hv_ask_guest(struct hv_ask *ask, const char *name, struct channel_guest *ret, struct err *err);
/* hv_ask_verb() - START, KILL, STOP, PAUSE, RESUME, DESTROY */
int hv_ask_verb(struct hv_ask *ask, enum channel_verb verb, uint32_t guest, struct err *err);
/* hv_ask_shares() - its part of the CPUs from now on: struct channel_update */
int hv_ask_shares(struct hv_ask *ask, uint32_t guest, uint32_t weight, uint32_t cap_percent,
		  struct err *err);
/*
 * hv_ask_memory() - what its balloon is to leave it of its memory, in bytes: whole pages of 2 MiB of that
 * Errors: -EINVAL: more than it began with; -ENODEV: no balloon; -ENOMEM: the server cannot promise so much.
 */
int hv_ask_memory(struct hv_ask *ask, uint32_t guest, uint64_t bytes, struct err *err);
/*
 * hv_ask_printed() - the next of what the server's own console had: to the end of *ret, cut to what is printable and ends of lines
 * @at: in: 0, or what the last call left   @ret_lost: so many bytes before it are gone   Nothing was added: that is all, for now.
 */
int hv_ask_printed(struct hv_ask *ask, uint64_t *at, struct buf *ret, uint64_t *ret_lost,
		   struct err *err);
/* hv_ask_stats() - CPU time, memory, disks, network, exits; the rest is left as it is */
int hv_ask_stats(struct hv_ask *ask, uint32_t guest, struct guest_stats *ret, struct err *err);
