/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Instances and their life: the only room that decides policy.
 *
 * Theory of operation. The state database holds what an instance is (its spec) and how it last ended. A
 * running instance belongs to its monitor, a process of its own that outlives the command; the monitor
 * keeps <run_root>/instances/ID/status up to date and a lock on it while it lives. Whoever looks at an
 * instance reads both and repairs what a dead monitor left (manager_reconcile), so that no daemon is
 * needed. Changes of one instance are serialised by a flock on <root>/instances/ID.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "base/os/digest.h"
#include "base/os/store.h"
#include "engines/stats.h"
#include "manager/status.h"

/* A monitor started ahead of need: manager_prepare(). */
struct manager_spare {
	pid_t pid; /* 0: none */
	int socket, spec;
};

struct manager {
	struct store store;
	/* Another server, of strata-hv, on which instances are: its name, "" for this host; and its hub's socket */
	char host[256];
	char host_socket[4096];
	struct manager_spare spare;
};

enum instance_state {
	INSTANCE_CREATED,
	INSTANCE_RUNNING,
	INSTANCE_PAUSED,
	INSTANCE_RESTARTING, /* waiting for the restart policy's delay */
	INSTANCE_EXITED,
	INSTANCE_DEAD, /* its monitor died; error says so */
};

struct instance {
	char id[DIGEST_HEX + 1];
	char *name;
	json_t *spec;
	enum instance_state state;
	pid_t pid;     /* of the workload's first process, host's numbering; 0: none */
	pid_t monitor; /* 0: none */
	int exit_code; /* 128+n where a signal ended it */
	bool oom_killed;
	unsigned restarts;
	bool stopped_by_user;
	enum status_health health; /* what its own check says */
	char *error;		   /* why it could not run, or what happened to it; "" mostly */
	int64_t created_ns, started_ns, finished_ns; /* since the epoch; 0: never */
	char *image, *virt, *command;		     /* of the spec: only in a list, else NULL */
};

int manager_open(const char *root, const char *run_root, struct manager *ret, struct err *err);
void manager_close(struct manager *manager); /* a zeroed one is a no-op */
/*
 * manager_use_host() - instances are created on, and listed and found of, that server (strata --host)
 * Images, volumes and the state of instances stay here.
 * @name, @socket: engines/baremetal/hosts.h; shorter than there is room for
 */
void manager_use_host(struct manager *manager, const char *name, const char *socket);

const char *instance_state_name(enum instance_state state);
void instance_fini(struct instance *instance);

/*
 * manager_create() - record a new instance
 * @config: what the command line asks, in the form of docs/spec.md; members that are absent come from the
 *          image's config or the defaults; a new reference is not taken. "name" may be absent.
 * Errors: -ENOENT no such image, -EEXIST the name is taken, -EINVAL, -ENOTSUP; nothing is left behind.
 */
int manager_create(struct manager *manager, const json_t *config, struct instance *ret,
		   struct err *err);

/* manager_find() - by name, full id, or an id's unique prefix; reconciled. -ENOENT, -ENOTUNIQ. */
int manager_find(struct manager *manager, const char *ref, struct instance *ret, struct err *err);
enum list_detail {
	LIST_SHOWN, /* spec is NULL: the fastest */
	LIST_SUMMARY, /* spec has image, image_id, virt, args, ports, labels, restart, remove, network, limits */
};
/* manager_list() - newest first; instances_free() them. What needs more of a spec takes manager_find(). */
int manager_list(struct manager *manager, bool all, enum list_detail detail, struct instance **ret,
		 size_t *ret_n, struct err *err);
void instances_free(struct instance *instances, size_t n);

/*
 * manager_prepare() - start the next instance's monitor now, so that it is there when manager_start() needs it: worth it
 * where something else is to be done in between
 * manager_dismiss() - it is not needed after all; also done by manager_close()
 */
int manager_prepare(struct manager *manager, struct err *err);
void manager_dismiss(struct manager *manager);

/*
 * manager_start() - start the instance's monitor and wait until the workload runs
 * @ret_attach: NULL: detached; else a connected socket for attach_run(): no output is missed
 * Errors: -EALREADY it runs. err->code is EACCES or ENOEXEC where the command can't be run (126), and
 * ENOENT with *ret_status 127 where it is not found: *ret_status (never NULL) is 125, 126 or 127.
 */
int manager_start(struct manager *manager, struct instance *instance, int *ret_attach,
		  int *ret_status, struct err *err);
/* manager_attach() - a connected socket for attach_run(), of a running instance. */
int manager_attach(struct manager *manager, const struct instance *instance, int *ret_attach,
		   struct err *err);

struct attach_opts {
	bool tty;	 /* the instance has one */
	bool forward_in; /* standard input goes in */
	bool proxy_signals;
	const char *detach_keys; /* "ctrl-p,ctrl-q"; NULL: none */
};
/*
 * attach_run() - copy standard streams until the workload ends or the user detaches
 * @fd: stays the caller's: manager_end() or close(2)
 * Return: 0 with *ret_status the exit status, or -1 in it when detached; negative errno.
 */
int attach_run(int fd, const struct attach_opts *opts, int *ret_status, struct err *err);

/*
 * manager_end() - record the end of what this process has started and attached to, and with --rm remove it
 * @attach: manager_start()'s socket; taken
 */
int manager_end(struct manager *manager, struct instance *instance, int attach, struct err *err);

/* manager_stop() - stop signal, then SIGKILL after the grace; timeout_ms < 0: the instance's own. */
int manager_stop(struct manager *manager, struct instance *instance, int64_t timeout_ms,
		 struct err *err);
int manager_kill(struct manager *manager, struct instance *instance, int sig, struct err *err);
int manager_pause(struct manager *manager, struct instance *instance, struct err *err);
int manager_resume(struct manager *manager, struct instance *instance, struct err *err);
/* manager_wait() - until it is not running; the exit status. */
int manager_wait(struct manager *manager, struct instance *instance, int *ret_status,
		 struct err *err);
/* manager_remove() - -EBUSY while it runs, unless force (then it is killed). volumes: anonymous ones too. */
int manager_remove(struct manager *manager, struct instance *instance, bool force, bool volumes,
		   struct err *err);
/*
 * manager_update() - new limits, in force at once where it runs, and at every start
 * @changes: as docs/spec.md, "limits", but null lifts a limit, as does a rate of 0 in "io"
 * Errors: -ENOTSUP, -EBUSY, -EINVAL, -ERANGE, with the flag and the reason; then what was is in force again.
 */
int manager_update(struct manager *manager, struct instance *instance, const json_t *changes,
		   struct err *err);
int manager_rename(struct manager *manager, struct instance *instance, const char *name,
		   struct err *err);

struct exec_opts {
	char *const *argv;	/* NULL-ended */
	const char *const *env; /* "K=V", NULL-ended, on top of the instance's; or NULL */
	const char *user;	/* NULL: the instance's */
	const char *cwd;	/* NULL: the instance's */
	bool tty, stdin_open, detach, privileged;
	const char *detach_keys;
};
/* manager_exec() - another process in a running instance; *ret_status as manager_start()'s or the command's. */
int manager_exec(struct manager *manager, const struct instance *instance,
		 const struct exec_opts *opts, int *ret_status, struct err *err);

struct logs_opts {
	bool follow, timestamps;
	bool no_stdout, no_stderr;
	int64_t tail;		    /* lines; < 0: all */
	int64_t since_ns, until_ns; /* 0: no bound */
};
int manager_logs(struct manager *manager, const struct instance *instance,
		 const struct logs_opts *opts, FILE *out, FILE *errout, struct err *err);

/* manager_stats() - @session: of one round of figures; stats_session_close() is the caller's */
int manager_stats(struct manager *manager, const struct instance *instance,
		  struct stats_session *session, struct guest_stats *ret, struct err *err);

/*
 * manager_health() - {"status", "failing_streak", "log": [{"start","end","exit_code","output"}]}: the last checks, oldest
 * first; NULL where it has none, or does not run. The caller's.
 */
json_t *manager_health(struct manager *manager, const struct instance *instance);

/* manager_cpu() - who executes a virtual machine's CPUs: "kvm", "software"; NULL for what is none. Static. */
const char *manager_cpu(const struct instance *instance);
/* manager_processes() - rows {"pid","user","time","command"} of the instance's processes, host's pids. */
int manager_processes(const struct instance *instance, json_t **ret, struct err *err);

/*
 * manager_copy_in/out() - strata cp: files cross as a tar stream, whoever is inside cannot lead it astray
 * @path: inside the instance, running or not   @follow: -L
 */
int manager_copy_in(struct manager *manager, struct instance *instance, const char *host_path,
		    const char *path, struct err *err);
int manager_copy_out(struct manager *manager, struct instance *instance, const char *path,
		     const char *host_path, bool follow, struct err *err);

/* manager_events() - {"time","type","action","id","name",...}; follow until the callback returns non-zero. */
typedef int (*event_fn)(const json_t *event, void *arg);
int manager_events(struct manager *manager, int64_t since_ns, int64_t until_ns, bool follow,
		   event_fn fn, void *arg, struct err *err);

/* manager_boot() - after a reboot: start what its restart policy wants; how many in *ret_started. */
int manager_boot(struct manager *manager, unsigned *ret_started, struct err *err);
/* manager_reconcile() - repair what killed processes left; NULL: every instance. */
int manager_reconcile(struct manager *manager, const char *id, struct err *err);
/* manager_info() - what `strata info` shows, as JSON: host, store, engines[] with "available", "why". */
int manager_info(struct manager *manager, json_t **ret, struct err *err);
