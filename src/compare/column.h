/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who runs the workload. Each column runs the same image's root file system with the same limits, and is measured over these
 * operations alone. Whatever it starts is in its list, and is gone after column_close(), whatever happened.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "base/core/exits.h"
#include "compare/result.h"

struct manager;

/* What every column gets alike. Borrowed. */
struct column_setup {
	struct manager *manager;
	const char *self; /* this program's path, to run itself with root and run_root */
	const char *root, *run_root;
	const char *image;
	const char *
		layers; /* the image's layers below <root>/layers as overlayfs wants them: "TOP:...:LOWEST" */
	const char *const *env; /* what the image asks for, and PATH; NULL-ended */
	const char *cwd, *user; /* likewise; "/", "" */
	uint64_t memory;	/* bytes */
	unsigned cpus;		/* how many; pinned to the same host CPUs everywhere */
	const char *tag; /* "compare-a1b2c3d4e5f6": what this comparison's things are called */
	const char
		*scratch; /* a directory of this comparison's own, on the file system of <root> */
	unsigned density_max; /* instances at most */
	int stop;	      /* readable: end early, with -EINTR; or -EBADF */
};

/* How one command ended. */
struct outcome {
	int status;	   /* exit status, 128+n by signal n */
	bool timed_out;	   /* killed at the time limit */
	double first_byte; /* ms from the request to the first byte of its output; NAN: none came */
	double elapsed;	   /* ms from the request to its known end */
	double cpu;	   /* ms of CPU time on the host of all that ran it, or NAN */
	double memory;	   /* MiB, the peak of what it took of the host, or NAN */
	char *out;	   /* standard output, NUL-ended; at most OUTCOME_MAX bytes; free() */
	size_t out_n;
	char *err_line; /* last line of standard error; free() */
};
#define OUTCOME_MAX 0x100000U
void outcome_fini(struct outcome *outcome);
/* outcome_check() - -ETIMEDOUT or -EIO, in words, for a command that was no success; @timeout: the seconds that it had. */
int outcome_check(const struct outcome *outcome, unsigned timeout, struct err *err);

struct column_ops;

struct column {
	const struct column_ops *ops;
	const struct column_setup *setup;
	void *state;
	bool running;	  /* there is a session: column_session() */
	unsigned started; /* how many instances it has made, for their names */
};

struct column_ops {
	const char *id, *title, *baseline;
	bool peer;
	bool asked_only; /* not among all that can run here: it takes its time, and is wanted by name */
	/* Whether this host can: a line for how, or why not. No side effects. Return: whether. */
	bool (*probe)(const struct column_setup *setup, char how[240], char why[240]);
	int (*open)(struct column *column, struct err *err);
	/* Kill and remove all that is left; also after a failed open(). */
	void (*close)(struct column *column);

	/*
	 * A command in a fresh instance, to its end. @argv: NULL-ended   @timeout: seconds
	 * 0 whenever there is an outcome, also a bad one; else -errno: the column itself failed.
	 */
	int (*run)(struct column *column, const char *const *argv, unsigned timeout,
		   struct outcome *ret, struct err *err);

	/*
	 * All below: absent where the column has no such thing. The session is one running instance that a column keeps for what
	 * is measured inside; start() makes it (idle) and waits until it answers.
	 */
	int (*start)(struct column *column, struct err *err);
	int (*exec)(struct column *column, const char *const *argv, unsigned timeout,
		    struct outcome *ret, struct err *err);
	/* Where exec() is not: a command that measures itself, run inside the session by other means. */
	int (*inside)(struct column *column, const char *const *argv, unsigned timeout,
		      struct outcome *ret, struct err *err);
	int (*pause)(struct column *column, struct err *err);
	int (*resume)(struct column *column, struct err *err);
	int (*stop)(struct column *column, struct err *err);
	/* How often the session's vcpus have left their guest's code; absent where it has none. */
	int (*exits)(struct column *column, struct exit_counts *ret, uint64_t *ret_counted,
		     struct err *err);
	/* The host's processes that run the session, and what add() made (monitor, VMM, workload): pids; free(). */
	int (*processes)(struct column *column, pid_t **ret, size_t *ret_n, struct err *err);
	/*
	 * More instances beside the session, for density, or to disturb it. Returns when it runs.
	 * @argv: what it runs until clear(), and says a word first: column_idle, or what takes the place of it
	 */
	int (*add)(struct column *column, const char *const *argv, struct err *err);
	/* The end of all that add() made. */
	void (*clear)(struct column *column);
};

extern const struct column_ops *const columns[]; /* NULL-ended; "host" is the first */
/* The session's workload: idle, and ends at once when it is told to, once it has said so. */
extern const char *const column_idle[];
/* column_await() - for start(): until the idle one in the session would hear SIGTERM, asked by exec(). */
int column_await(struct column *column, struct err *err);
/* column_session() - that there is one: start() where there is none. -ENOTSUP where the column has none. */
int column_session(struct column *column, struct err *err);
/* column_stop() - the session's end; none is a no-op. */
int column_stop(struct column *column, struct err *err);
/* column_find() - by id; NULL. */
const struct column_ops *column_find(const char *id);
/* column_inside() - exec() or inside() in the session where the column has one, else run(): for what measures itself. */
int column_inside(struct column *column, const char *const *argv, unsigned timeout,
		  struct outcome *ret, struct err *err);
