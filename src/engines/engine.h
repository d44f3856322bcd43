/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the manager asks of any architecture. One table each, listed by hand in engines.c.
 *
 * Two kinds of process call it. The instance's monitor owns the guest: create, start, reap, destroy. Any command
 * may act on a guest that a monitor runs, by its spec and pid alone: freeze, stats, processes, sweep. A third kind,
 * strata-monitor in its mode "exec", exists for one exec() alone.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "engines/spec.h"
#include "engines/stats.h"

struct engine_report {
	bool available;
	char how[128]; /* how well: "native speed, the host's kernel" */
	char why[240]; /* why not, or what is limited; "" when nothing */
};

/* The directories of one instance; borrowed. */
struct guest_dirs {
	const char *state; /* <root>/instances/ID: upper and work live here */
	const char *run;   /* <run_root>/instances/ID: hosts, hostname, resolv.conf */
};

/* The guest's ends of its standard streams: borrowed; -EBADF all three with a terminal. */
struct guest_io {
	int in, out, err;
};

/* A guest of this process. Engines embed it. */
struct guest {
	const struct engine_ops *ops;
	pid_t pid;	 /* first process, host's numbering */
	int wait_fd;	 /* readable once it has ended */
	int tty;	 /* the terminal's master side, or -EBADF */
	int stop_signal; /* what ends it cleanly, where the spec says none; 0: the engine knows none */
};

struct guest_end {
	int status; /* exit status, 128+n for signal n */
	bool oom_killed;
	bool reboot; /* a system container's init asked to be started again */
};

/* Another process in a running guest. Everything is borrowed but io. */
struct guest_exec {
	/*
	 * The guest's, but args, env, cwd, user, caps, seccomp, tty and stdin_open are the new process's. As it is stored:
	 * without what only a start needs (layers, mounts, ports).
	 */
	const struct spec *spec;
	struct guest_dirs dirs; /* the guest's: where a socket to its agent is */
	pid_t pid;		/* the guest's */
	/*
	 * Asked once that process is held by a pidfd, before anything of it is entered: whether it is still the guest's, and has begun. NULL:
	 * it is known to be.
	 */
	bool (*lives)(const struct guest_exec *exec);
	/* The process's streams, without a terminal: closed here once they are the process's, so that their ends are seen. */
	struct guest_io io;
	/*
	 * With a terminal: fd_send() one byte and the terminal's master side, before the process runs. Whoever gets it sets its
	 * size by TIOCSWINSZ, and copies.
	 */
	int tty_socket;
	int started_fd; /* write(2) one zero byte, once the process runs */
};

/*
 * The files of a running guest that no fd of the host's reaches: asked of somebody inside, who may lie. In any process; SIGPIPE
 * must be ignored. Tars are as those of storage/copy.h; paths are looked up in the guest's root.
 * Each: 0, or a negative errno; -ENOENT and -ENOTDIR where the path leads nowhere.
 */
struct guest_files {
	/* What is at a path: *ret_mode is as stat(2)'s st_mode. @follow: where it is a link, what it points to */
	int (*stat)(const struct spec *spec, const char *run_dir, const char *path, bool follow,
		    mode_t *ret_mode, struct err *err);
	/* A tar of it to out_fd; "DIR/." is what the directory holds. @as: its name in the tar; NULL: the path's last part */
	int (*get)(const struct spec *spec, const char *run_dir, const char *path, bool follow,
		   const char *as, int out_fd, struct err *err);
	/* Unpack the tar that in_fd has into a directory. */
	int (*put)(const struct spec *spec, const char *run_dir, const char *path, int in_fd,
		   struct err *err);
};

/*
 * What the architecture is, in words: clauses without a full stop, for `strata info --compare` and the reports of `strata compare`.
 * They are claims: docs/security.md and its tests stand behind them.
 */
struct engine_traits {
	const char *privileged; /* who handles the privileged instructions of what runs inside */
	const char *kernel;	/* whose kernel serves it */
	const char *shared;	/* what it shares with the host and with other instances */
	const char *breach;	/* what a breach of the guest reaches */
	const char *gives;	/* what one gets for what it costs */
};

struct engine_ops {
	const char *name;	     /* "os-level": the value of --virt */
	struct engine_traits traits; /* mandatory, every one */
	bool filters;		     /* wants the spec's seccomp profile compiled: spec.seccomp */
	bool machines;		     /* runs virtual machines: spec.vm */
	const char *network;	     /* optional: the mode of an instance that asks for none */

	/* Optional. Before an instance is made: -ENOTSUP, naming the flag, for what this architecture cannot do. */
	int (*check)(const struct spec *spec, struct err *err);

	/*
	 * Optional: the cgroup below which the instances of an ordinary user go, where he named none; "": he has none. Asked at each
	 * start: it is where the command is that starts.
	 */
	int (*parent)(char ret[256]);

	/* Optional: who executes a machine's CPUs on this host: "kvm", "software". */
	const char *(*cpu)(const struct spec *spec);

	/* Mandatory. No side effects. */
	void (*probe)(struct engine_report *ret_report);

	/*
	 * Mandatory, in the monitor. create() makes everything but the first instruction of the
	 * workload; start() lets it run. *ret_status is 126 or 127 where the command is the cause, else 125.
	 * Return: 0, or a negative errno with nothing left behind.
	 */
	int (*create)(const struct spec *spec, const struct guest_dirs *dirs,
		      const struct guest_io *io, struct guest **ret_guest, struct err *err);
	int (*start)(struct guest *guest, int *ret_status, struct err *err);
	int (*reap)(struct guest *guest,
		    struct guest_end *ret_end); /* after wait_fd was readable */
	/* Optional, in the monitor: bring up to date what a running guest is shown. Return: ns until the next time; 0: never. */
	int64_t (*refresh)(struct guest *guest);
	/* Optional, in the monitor: the guest is about to be sent its stop_signal. Does not wait for anybody inside. */
	void (*stopping)(struct guest *guest);
	void (*destroy)(struct guest *guest); /* kills what is left; NULL is a no-op */

	/* Mandatory, in any process. @pid: the guest's */
	int (*freeze)(const struct spec *spec, pid_t pid, bool frozen, struct err *err);
	/*
	 * New limits for a running guest, as limits_change() says them: 0 is left alone, -1 lifted. @run_dir: as guest_files'
	 * Errors: -ENOTSUP, with the reason, for what only a start can give. What was changed before an error stays so.
	 */
	int (*update)(const struct spec *spec, const char *run_dir,
		      const struct spec_limits *change, struct err *err);
	/* @run_dir: as guest_files'   @paused: nobody inside is asked   @session: for the next guest, too. SIGPIPE must be ignored. */
	int (*stats)(const struct spec *spec, const char *run_dir, pid_t pid, bool paused,
		     struct stats_session *session, struct guest_stats *ret, struct err *err);
	int (*processes)(const struct spec *spec, pid_t pid, pid_t **ret, size_t *ret_n,
			 struct err *err);
	/*
	 * The root file system, of a running guest (pid > 0) or one at rest: an O_PATH fd, or -errno.
	 * *ret_users: a user namespace whose root may change what is there, or -EBADF: the host's root may.
	 */
	int (*root_open)(const struct spec *spec, pid_t pid, const char *state_dir, int *ret_users,
			 struct err *err);
	/* Optional: of an engine whose root_open() refuses, what `strata cp` does while the guest runs. */
	const struct guest_files *files;
	/*
	 * Kill and remove what a dead monitor's guest left on the host; absent is fine.
	 * @pid: the guest's, as its monitor last said; 0: not known
	 */
	int (*sweep)(const char *id, const char *cgroup_parent, pid_t pid, struct err *err);

	/*
	 * Mandatory, in a process of its own with one thread, which nothing else is done in: the parent, or the stand-in, of one
	 * more process in the guest. Killed, it takes the process with it.
	 * Return: once that ended, its exit status, 128+n for signal n. Or, with err set, 126 or 127 where the command is the
	 * cause, else 125; also after it ran, where the guest was lost.
	 */
	int (*exec)(const struct guest_exec *exec, struct err *err);
};

extern const struct engine_ops *const engines[]; /* NULL-ended */

/*
 * engine_find() - by name; NULL for one that this build does not have
 * @machine: what "auto" is asked for: a kernel or a disk (hybrid where KVM has hardware assistance, else hosted; measures it), else
 * an image (OS level; hosted for a user who may not have containers)
 */
const struct engine_ops *engine_find(const char *name, bool machine);
/* engine_traits() - of the architecture that name says; NULL for one that this build does not have, or that is none. */
const struct engine_traits *engine_traits(const char *name);
