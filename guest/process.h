/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Start a process of the workload's: its first, or one of a session's. */
#include <sys/types.h>

#include "config.h"
#include "root.h"

/* Our ends of a process's streams. */
struct process_io {
	int in, out,
		err; /* pipes; with a terminal in is its master side, and the others are -EBADF */
};

/* What goes back from a child that could not become its command: one write, one read. */
struct process_failure {
	int status, code; /* 125, 126, 127; errno */
	char text[AGENT_TEXT_MAX + 1];
};

struct process {
	pid_t pid;
	int started; /* end of file: it runs; a struct process_failure: it does not */
	struct process_io io;
};

void process_init(struct process *process);
void process_fini(struct process *process); /* closes; the process itself lives on */

/* process_io_open() - pipes or a terminal; theirs are for the child. @pts: a devpts mount for the terminal, else unused. */
int process_io_open(const struct config *config, int pts, struct process_io *ours,
		    struct process_io *theirs, struct err *err);
void process_io_close(struct process_io *io);

/*
 * process_workload() - the first one, in new pid, mount and cgroup namespaces
 * @root: its file systems   @cgroup: an open cgroup.procs, or -EBADF
 */
int process_workload(const struct config *config, const struct root *root, int cgroup,
		     struct process *ret, struct err *err);
/* process_join() - one more, by a caller that has joined the workload's namespaces (session.c). */
int process_join(const struct config *config, struct process *ret, struct err *err);
/* process_started() - the answer that came on started: 0, or a negative errno with *ret_status. */
int process_started(int started, int *ret_status, struct err *err);
/* process_status() - exit status of what wait(2) gave: 128+n for signal n. */
int process_status(int wait_status);
