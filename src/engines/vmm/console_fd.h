/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's console on two file descriptors of the VMM: pipes, a terminal, files. Never blocks; write() and read() may be
 * called by any thread (a serial port is written by the vcpu), the callbacks come on the loop's thread.
 */
#include <stdbool.h>

#include "base/core/err.h"
#include "base/core/lock.h"
#include "machine/ops.h"

struct loop;

struct console_fd {
	struct console console;
	struct loop *loop;
	int in, out;	  /* own, non-blocking; -EBADF: none */
	int poke;	  /* an eventfd: have the loop look at wants_out, wants_in */
	struct lock lock; /* of what follows */
	bool wants_out, wants_in;
	bool watching_in, watching_out; /* the loop thread's, as what follows */
	bool in_over;			/* the end was read, and said */
	uint64_t written;		/* bytes, what nobody wanted too */
	void (*wrote)(void *arg);	/* optional: after some were */
	void (*ended)(void *arg);	/* optional, once: the end of the stream was read */
	void *arg;
};

/*
 * console_fd_init() - @in, @out: borrowed, opened again where that can be, so that O_NONBLOCK is ours alone;
 * negative: nothing comes, and what is written is dropped
 */
int console_fd_init(struct console_fd *c, struct loop *loop, int in, int out, struct err *err);
void console_fd_fini(struct console_fd *c); /* zeroed is a no-op */
