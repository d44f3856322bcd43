/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * strata-oci: runc's command line over our engine of containers (engines/oslevel/bundle.h). There is no daemon, and nobody stays
 * behind: what is known of a container is in its directory below --root (container.h), and in the kernel.
 */
#include "cli/args.h"
#include "oci/container.h"
#include "oci/hooks.h"
#include "oci/notify.h"

#define OCI_ROOT  "/run/strata-oci"
#define OCI_STORE "/var/lib/strata" /* base/os/store.h */

struct oci {
	const char *root;	  /* absolute */
	char root_text[PATH_MAX]; /* where it is not the default */
	const char *store;	  /* --strata-root: absolute */
	const char *called;	  /* the architecture that our name asks for, or NULL */
	int log;		  /* --log, or -EBADF */
	bool log_json, debug;
	bool confined;	 /* root of a user namespace only, or to be treated as such: rootless.h */
	bool no_cgroups; /* --cgroup-manager disabled */
	bool systemd;	 /* --systemd-cgroup */
	bool entered;	 /* of one that we made */
};

struct verb {
	const char *name, *operands, *summary;
	const struct opt *opts;
	bool stop_at_operand;
	int min_operands, max_operands; /* max -1: any number */
	int failed;			/* exit status where run() fails; 0: 1 */
	/* Return: the exit status, or a negative errno with err set. */
	int (*run)(const struct oci *oci, const struct args *args, struct err *err);
};

extern const struct verb oci_verb_create, oci_verb_start, oci_verb_run, oci_verb_state,
	oci_verb_kill, oci_verb_delete, oci_verb_exec, oci_verb_list, oci_verb_ps, oci_verb_pause,
	oci_verb_resume, oci_verb_update, oci_verb_features, oci_verb_spec, oci_verb_events,
	oci_verb_checkpoint, oci_verb_restore;

/* oci_say() - a line of level "error", "warning" or "debug" to --log, and to standard error: the last only with --debug */
void oci_say(const struct oci *oci, const char *level, const char *text);

/* --console-socket and its like, of create, run and exec alike. */
#define OCI_OPTS_PROCESS                                                                           \
	{ 0, OPT_TEXT, "console-socket", "PATH",                                                   \
	  "a unix socket that gets the terminal's master side" },                                  \
		{ 0, OPT_TEXT, "pid-file", "PATH", "where to write the process's number" },        \
		{ 0, OPT_TEXT, "pidfd-socket", "PATH", "a unix socket that gets its pidfd" },      \
	{                                                                                          \
		0, OPT_TEXT, "preserve-fds", "N", "hand on so many fds from 3 on"                  \
	}
/* What create and run have in common. */
#define OCI_OPTS_CREATE                                                                            \
	{ 'b', OPT_TEXT, "bundle", "DIR", "the bundle (.)" },                                      \
		{ 'f', OPT_TEXT, "config", "FILE",                                                 \
		  "the configuration (the bundle's config.json)" },                                \
		OCI_OPTS_PROCESS,                                                                  \
		{ 0, OPT_SWITCH, "no-pivot", NULL,                                                 \
		  "move the root's mount instead of pivot_root" },                                 \
	{                                                                                          \
		0, OPT_SWITCH, "no-new-keyring", NULL, "keep the caller's session keyring"         \
	}
/* oci_preserve_fds() - --preserve-fds, with LISTEN_FDS of socket activation: sd_listen_fds(3) */
int oci_preserve_fds(const struct args *args, struct bundle_host *ret, struct err *err);
/* oci_console() - connected to --console-socket, -EBADF in *ret where none is asked */
int oci_console(const struct args *args, int *ret, struct err *err);
int oci_pid_file(const struct args *args, pid_t pid, struct err *err);
/* oci_pidfd() - a pidfd to --pidfd-socket, where one is asked */
int oci_pidfd(const struct args *args, pid_t pid, struct err *err);
/* oci_seccomp() - the compiled filter of a configuration, -EBADF in *ret where it has none */
int oci_seccomp(const struct oci *oci, const struct config *config, int *ret, struct err *err);

/* A container and what it was made from, for a verb that acts on it. oci_close() it. */
struct subject {
	struct container container;
	struct config config;
	struct cgroup_layout layout; /* with has_layout: of oci_layout() */
	bool has_layout;
	bool spares_cgroup; /* what is in its place is not its own: it has none */
	enum container_status status;
};
int oci_open(const struct oci *oci, const char *id, struct subject *ret, struct err *err);
/* oci_open_damaged() - whatever can be read: where its configuration cannot, its cgroup is the default one */
int oci_open_damaged(const struct oci *oci, const char *id, struct subject *ret, struct err *err);
/* oci_open_locked() - while nobody makes, pauses or deletes it. @damaged: as oci_open_damaged() */
int oci_open_locked(const struct oci *oci, const char *id, bool damaged, struct subject *ret,
		    struct err *err);
/* oci_spare_cgroup() - of one whose making failed, with @error, what was not made for it is somebody else's */
void oci_spare_cgroup(struct subject *subject, int error);
/* oci_cgroup() - the container's, for one use; *layout must live as long. cgroup_close() it. */
int oci_cgroup(const struct subject *subject, struct cgroup_layout *layout, struct cgroup *ret,
	       struct err *err);
/* oci_notify() - flags and listener of its filter; *notify must live as long as the host */
void oci_notify(const struct subject *subject, struct notify *notify, struct bundle_host *host);
void oci_close(struct subject *subject);
int oci_layout(struct subject *subject, struct err *err);
/*
 * oci_pids() - its processes, host's numbering; *ret is the caller's to free()
 * Without a cgroup: those in its pid namespace, or where that is shared the first one alone.
 */
int oci_pids(const struct subject *subject, pid_t **ret, size_t *ret_n, struct err *err);
/* oci_kill_all() - a signal to each of them; SIGKILL: and wait for their end */
int oci_kill_all(const struct subject *subject, int sig, struct err *err);
/* oci_destroy_later() - oci_destroy() of one that was not locked meanwhile: whoever deleted it has done so */
int oci_destroy_later(const struct oci *oci, struct subject *subject, struct err *err);
/* oci_destroy() - its processes, cgroups and directory, and its poststop hooks, whose failure is a warning */
int oci_destroy(const struct oci *oci, struct subject *subject, struct err *err);

/* scope.h */
struct scope {
	pid_t holder; /* 0: none. In the scope till the container is: an empty one ends */
};

/* vm.h. What is shared with a machine: binds, where the host has virtiofsd; and its root, unless a copy is asked for. */
struct vm_sharing {
	bool binds, root;
};

/* A container being made: create and run. */
struct making {
	struct subject subject;
	struct hooks hooks;
	struct notify notify;
	struct bundle_host host;
	struct scope scope;
	struct vm_sharing sharing; /* of a machine */
	pid_t pid;
	const struct args *args; /* borrowed */
	int console;		 /* of foreground_console(): ours */
	bool is_made;		 /* it has a directory */
	char place[PATH_MAX];	 /* container_place() */
};
enum make_for {
	MAKE_FOR_OTHERS,  /* another process starts it */
	MAKE_FOR_LEAVING, /* it runs at once, and the caller goes */
	MAKE_FOR_STAYING, /* or stays with its terminal */
};
/*
 * oci_make() - what create and run have in common
 * Errors: nothing is left behind. *ret needs oci_make_done() in any case.
 */
int oci_make(const struct oci *oci, const struct args *args, enum make_for how, struct making *ret,
	     struct err *err);
void oci_make_done(struct making *making);
/* oci_poststart() - those hooks; a failure is a warning */
void oci_poststart(const struct oci *oci, const struct hooks *hooks, pid_t pid);

/*
 * foreground_begin() - signals are kept for foreground_wait(), from before the process is born
 * foreground_wait() - stay with a child: hand on signals and, where it has one, its terminal
 * @master: of the terminal, or -EBADF; taken
 * Return: its exit status, 128+n for signal n.
 */
void foreground_begin(void);
int foreground_wait(pid_t pid, int master, struct err *err);
/*
 * foreground_console() - a socket pair: ours, and the one that oci_make()'s console is
 * @size: of the terminal to be made; becomes that of ours, where it has one. To be told before the
 *        process is born: it may ask at once.
 */
int foreground_console(int ret[2], struct winsize *size, struct err *err);
/* foreground_master() - what came over it */
int foreground_master(int socket, struct err *err);

/*
 * self_seal() - run from where nobody inside a container can write to us
 * @again: in any case; else it returns where that is so already
 */
int self_seal(char *const *argv, bool again, struct err *err);
