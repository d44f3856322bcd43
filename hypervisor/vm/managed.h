/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest as who manages the server sees it: named in a config, made, started, paused, ended, gone. The server's own guests and
 * those of the management channel are the same; only what becomes of them when they end differs.
 *
 * Theory of operation. A list of all, under one lock, that owns them. What takes time or cannot be done by a vcpu itself (make, take
 * apart, start again) is work for the keeper, an entity of its own. The channel's entity alone has streams on a guest, counts
 * them in it, and closes them before it orders a guest to be destroyed. `guest` goes to NULL under managed.lock before the machine is
 * taken apart: who asks it for something holds that lock.
 * Lock order: the list's, a guest's own, its devices', pipes', run queues'.
 */
#include "abi/channel.h"
#include "vm/config.h"
#include "vm/files.h"
#include "vm/guest.h"
#include "vm/guest_console.h"
#include "vm/pipe.h"

#define MANAGED_FILES (2U + CONFIG_DISKS)
#define MANAGED_ENDS  64U /* of the guest's vsock at a time */
#define MANAGED_MOST  256U

/* A port of its virtio-console. */
struct managed_port {
	struct console console;
	struct pipe pipe;
};

/* What a connection to its vsock has come to. */
enum end_state { END_ASKED, END_ASKED_GUEST, END_OPEN, END_REFUSED, END_OVER };

/* A connection to its vsock: a page. The channel's until managed_end_drop(). */
struct managed_end {
	struct managed_end *next;
	struct pipe pipe;
	uint32_t port;
	uint32_t state;		     /* enum end_state; atomic */
	int error;		     /* with END_REFUSED */
	struct vsock_stream *stream; /* the guest's turn only; NULL: the device has none for it */
	bool is_dropped; /* nobody has it any more: closed in the guest's turn, then freed */
};

/* Work for the keeper (keeper.c). */
enum managed_work { WORK_BUILD = 1, WORK_ENDED = 2, WORK_DESTROY = 4, WORK_BALLOON = 8 };

/* A request of the channel's that the keeper works on, or has done. */
enum managed_job_state { JOB_NONE, JOB_UNDER_WAY, JOB_DONE };

struct managed_job {
	uint32_t state; /* enum managed_job_state; atomic */
	uint32_t request, session;
	struct err err; /* code 0: it went well */
	bool is_gone;	/* nothing of the guest is left: managed_free() it */
};

struct managed {
	struct managed *next;
	uint32_t id;
	struct spin lock; /* guest, has_machine, ends */
	struct config_guest config;
	struct guest *guest;
	bool has_machine; /* its devices may still call what is behind its ports and sockets */
	unsigned busy;	  /* atomic: entities that do something with the guest, without the lock */
	uint32_t state;	  /* enum channel_state, 0: being made; atomic */
	uint16_t how;	  /* enum channel_how */
	/* Optional, set before its start; called once, by the keeper, no lock: its machine is gone, and it will be soon. */
	void (*over)(struct managed *m);
	uint32_t status;
	char failure[48];
	bool is_servers;
	bool is_going;	  /* to be destroyed: nothing else may be asked for */
	bool is_told;	  /* its end: atomic; false: an event is due. Set while it has not ended */
	unsigned streams; /* the channel's entity's */
	uint64_t created_ns, started_ns, ended_ns;
	uint64_t target_bytes; /* of its memory, that the last UPDATE left it; 0: there was none */
	struct hv_file *files[MANAGED_FILES];
	struct managed_job job;
	struct managed *next_work; /* under the keeper's lock, as the next two */
	unsigned work;		   /* enum managed_work */
	bool is_queued;
	/* Its serial port. */
	struct console serial;
	struct guest_console lines;
	bool lines_room;  /* atomic: it may be its turn on the server's console */
	struct pipe keys; /* `in` only */
	struct hv_timer console_timer;
	bool console_told; /* atomic: the timer is armed */
	struct spin console_lock;
	uint64_t console_written; /* ever */
	uint8_t console_kept[CHANNEL_CONSOLE_KEEPS];
	struct managed_port ports[CONFIG_PORTS];
	struct vsock_host vsock_host;
	struct virtio_vsock *vsock; /* NULL: it has none */
	struct managed_end *ends;
	unsigned n_ends;
	struct channel_stats stats; /* as it ended */
	uint64_t vcpu_ns[GUEST_VCPUS];
	uint64_t exits[HW_EXIT_KINDS];
};

/* managed_init() - once, before all others. @wake: the channel's entity has something to look at; any CPU, under any lock */
void managed_init(void (*wake)(void));
void managed_wake(void);

/*
 * managed_new() - listed, not made yet
 * Errors: -EEXIST (a guest that has not ended has this name), -EBUSY (a disk of its), -ENOENT (files), -ENOMEM, -ENOSPC.
 */
int managed_new(const struct config_guest *config, bool is_servers, struct managed **ret,
		struct err *err);
/* managed_build() - make its machine now. An error: it is gone. */
int managed_build(struct managed *m, struct err *err);
/* managed_order() - WORK_BUILD, WORK_DESTROY (no stream is left): by the keeper, job->state says when */
void managed_order(struct managed *m, enum managed_work work, uint32_t request, uint32_t session);
/* managed_free() - its machine is gone, or never was. Only the channel's entity may, but for one that never was CREATED. */
void managed_free(struct managed *m);

/* managed_memory_mark() - before the server's own guests are made; managed_memory_check(): they all were, had_any: some started */
void managed_memory_mark(void);
void managed_memory_check(bool had_any);

/* managed_find() - by number, NULL: there is none, or it is being made or destroyed. For the channel's entity alone. */
struct managed *managed_find(uint32_t id);
/* managed_next() - the first behind a number, as the channel says it. Return: false: none. */
bool managed_next(uint32_t after, struct channel_guest *ret);
unsigned managed_count(void);
void managed_describe(const struct managed *m, struct channel_guest *ret);
/* managed_first_job() - one whose job is done; managed_first_end(): one whose end is to be told of, or that can be freed. NULL: none */
struct managed *managed_first_job(void);
struct managed *managed_first_end(void);

/* ---- what can be asked of one ---- */

int managed_start(struct managed *m, struct err *err);
int managed_kill(struct managed *m, struct err *err);
int managed_button(struct managed *m, struct err *err);
int managed_pause(struct managed *m, struct err *err);
int managed_resume(struct managed *m, struct err *err);
int managed_update(struct managed *m, const struct channel_update *update, struct err *err);
/* managed_stats() - @ret: CHANNEL_PAYLOAD_MAX bytes. Return: how many. */
size_t managed_stats(struct managed *m, uint8_t *ret);

/* ---- streams: the channel's entity alone ---- */

/* managed_ask() - there is news in a pipe: whoever serves the guest is to look */
void managed_ask(struct managed *m);
/* managed_console() - bytes from position *at on; moved forward over what is lost. Return: how many. */
size_t managed_console(struct managed *m, uint64_t *at, uint8_t *ret, size_t room);
/* managed_has_ended() - no byte comes any more but what is in pipes */
bool managed_has_ended(const struct managed *m);
struct managed_port *managed_port(struct managed *m, const char *name);
int managed_end_new(struct managed *m, uint32_t port, struct managed_end **ret, struct err *err);
void managed_end_drop(struct managed *m, struct managed_end *end);

/* ---- inside ---- */

/* managed.c */
int managed_make(struct managed *m, struct err *err); /* the machine */
void managed_unmake(struct managed *m);		      /* and no more */
uint32_t managed_vcpu_cap(const struct managed *m);   /* of its cap */
void managed_ended(struct managed *m);		      /* what is to be known of it */
/* managed_io.c */
void managed_io_init(struct managed *m);
int managed_io_add(struct managed *m, struct guest *guest, struct err *err); /* the devices */
void managed_io_last(struct managed *m,
		     struct guest *guest); /* it runs no more: what is left in its serial port */
void managed_io_over(struct managed *m);   /* the machine is gone */
void managed_io_fini(struct managed *m);
void managed_serve(struct guest *guest, void *arg);
/* managed_stats.c: of one that ends */
void managed_stats_keep(struct managed *m);
/* keeper.c */
void keeper_init(void);
void keeper_ended(struct guest *guest, void *arg);
void keeper_balloon(struct guest *guest, void *arg);
