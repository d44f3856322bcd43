/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An instance's monitor: the process that owns the guest.
 *
 * Theory of operation. One thread, one poll(2) loop. It holds the guest's standard streams: what the workload
 * writes goes to the log first and then to every attached client; a chunk stays pending until each of them
 * has taken it, and meanwhile that stream is not read, so a slow reader slows the workload as a
 * pipe would. It reaps the guest, applies the restart policy, keeps the status file true, and at the end has a
 * strata command record it (argv "record ID"), unless the command that started it is still there to do so: that
 * "owner" closes its socket when it is done.
 */
#include <stdbool.h>
#include <stdint.h>

#include "engines/engine.h"
#include "manager/logfile.h"
#include "manager/status.h"
#include "manager/wire.h"

#define MONITOR_CLIENTS	 32
#define MONITOR_ATTACHED 24 /* of them, at most: the others are for those who come and go */
#define MONITOR_CHECK_OUT                                                                          \
	4096		    /* bytes of what a check writes that are kept; Docker keeps as many */
#define MONITOR_CHECK_LOG 5 /* checks that are remembered */

struct monitor_client {
	int fd;		 /* -EBADF: free slot */
	bool attached;	 /* gets output */
	bool wants_end;	 /* gets WIRE_ENDED */
	bool took;	 /* gets WIRE_IN_TAKEN, once its socket takes it */
	uint64_t number; /* of all, in the order in which they came */
	bool held;	 /* its next message is input, for which there is no room yet */
};

struct monitor_stream {
	int fd;		  /* our end of the guest's pipe or terminal; -EBADF: ended */
	uint32_t waiting; /* bit n: client n has not taken the pending chunk */
	size_t len;	  /* of the pending chunk; 0: none */
	char data[WIRE_DATA];
};

/* The instance's own check: monitor_health.c. */
struct monitor_health {
	pid_t pid;	     /* of the check that runs, a child of ours; 0: none does */
	int wait_fd, out_fd; /* its pidfd, and what it writes; -EBADF while none runs */
	int64_t next_ns;     /* monotonic: the next check starts; 0: none will */
	int64_t deadline_ns; /* monotonic: the one that runs has taken too long */
	int64_t began_ns;    /* since the epoch: of the one that runs */
	bool frozen;	     /* the guest is */
	bool timed_out;	     /* the one that runs, and was killed for it */
	bool cancelled;	     /* likewise, because its instance was paused: it counts nothing */
	bool passed;	     /* one did since the guest's start */
	unsigned streak;     /* failures in a row that count */
	json_t *log;	     /* of the last ones, oldest first */
	size_t out_len;
	char out[MONITOR_CHECK_OUT];
};

struct monitor {
	struct spec spec;
	struct guest_dirs dirs; /* owned strings */
	int state_fd, run_fd;
	int status_fd;	/* of our last words, locked */
	int start_lock; /* the starter's lock on the instance, until we hold one of our own */
	int listen_fd;
	int signal_fd;
	struct status status;
	struct guest *guest; /* NULL while none runs */
	struct monitor_health health;
	struct logfile log;
	bool log_failed;		  /* said once */
	struct monitor_stream streams[2]; /* standard output or terminal, standard error */
	int in;				  /* our end of standard input; -EBADF: closed or none */
	struct wire_message in_pending;	  /* what a client sent and the guest has not read */
	size_t in_len, in_at;
	int in_from; /* index into clients; -1: none, or it left */
	struct monitor_client clients[MONITOR_CLIENTS];
	uint64_t n_adopted;
	int owner;	       /* index into clients; -1: none */
	bool attach_owner;     /* from the first byte on */
	bool stopping;	       /* by the user: no restart */
	bool rebooted;	       /* its last end was a reboot of its own */
	int64_t ended_ns;      /* when finished became so; monotonic */
	bool finished;	       /* nothing will run again: drain, tell, leave */
	bool left_to_owner;    /* --rm: the owner was told of the end and removes it all */
	int64_t kill_at_ns;    /* monotonic; 0: no stop under way */
	int64_t start_at_ns;   /* monotonic; 0: no restart pending */
	int64_t refresh_at_ns; /* monotonic; 0: nothing that a guest is shown changes */
	int64_t begun_ns;      /* monotonic: of the last start */
	int64_t delay_ns;      /* of the next restart */
};

/* monitor_io.c */
int monitor_open_io(struct monitor *m, struct guest_io *ret, struct err *err);
void monitor_close_guest_io(const struct guest_io *io);
void monitor_read_stream(struct monitor *m, unsigned index);
void monitor_flush_streams(struct monitor *m);
void monitor_drain(struct monitor *m);		 /* what the guest left in its pipes when it died */
bool monitor_delivered(const struct monitor *m); /* every byte the guest wrote, to every client */
bool monitor_idle(const struct monitor *m);	 /* nothing pending for any client */
void monitor_accept(struct monitor *m);
void monitor_read_client(struct monitor *m, unsigned index);
void monitor_write_in(struct monitor *m);
void monitor_tell_taken(struct monitor *m); /* whose input was read */
void monitor_drop_client(struct monitor *m, unsigned index);
void monitor_tell_end(struct monitor *m);
void monitor_tell_waiters(struct monitor *m); /* who is not attached */
void monitor_tell_owner(struct monitor *m);   /* where every byte has been delivered already */
int monitor_adopt(struct monitor *m, int fd); /* the socket we were born with; its index */

/* monitor_health.c: nothing happens where the spec has no check */
void monitor_health_begin(struct monitor *m); /* the guest has started */
void monitor_health_end(struct monitor *m);   /* it ended */
void monitor_health_freeze(struct monitor *m, bool frozen);
void monitor_health_read(struct monitor *m);
void monitor_health_checked(struct monitor *m); /* the check's process ended */
void monitor_health_timers(struct monitor *m, int64_t now);
int64_t monitor_health_next_ns(const struct monitor *m); /* monotonic; 0: none */

/* monitor_life.c */
int monitor_start_guest(struct monitor *m, int *ret_status, struct err *err);
void monitor_guest_ended(struct monitor *m);
void monitor_stop(struct monitor *m, int sig, int64_t grace_ms);
void monitor_signal(struct monitor *m, int sig);
void monitor_timers(struct monitor *m);
int64_t monitor_next_ns(const struct monitor *m); /* monotonic time of the next timer; 0: none */
void monitor_say(struct monitor *m);		  /* status file */
