/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A container whose every part somebody else has spelled out: what an OCI bundle's config.json says, checked, and with no JSON
 * left in it. The same engine as oslevel.h, under another contract: nobody stays with the container. Who made it may end
 * before it starts, and who starts it before it ends.
 *
 *   maker                                    first process of the container
 *   clone3 ------------------------------->  waits for its user mapping (user namespace only)
 *   uid_map, gid_map; 'M' ---------------->  joins its cgroups; mounts
 *   <------------------------------------ 'R' (only where hooks want to know)
 *   limits, device rules, hooks; 'G' ----->  hooks, pivot_root, /proc, devices, terminal
 *   <------------------------------------ 'D' or 'E': it is made, or what went wrong
 *                                            waits on its listener for an 'S'
 *   (neither of the two without a listener: it runs at once, and the end of file says that it does)
 *
 * Without a mount namespace of its own (it has none, or somebody else's) there is no pivot_root, and no mount of others is touched: a
 * copy of the root is mounted at host->place, all the container's mounts are below it, and chroot(2) leads there. Whoever removes the
 * place removes them: umount2(2) in its own namespace, in others rmdir(2) does it. A namespace by path in which the place is not to be
 * seen gets no mounts: the root is the path as it is there. Nor is anything hidden or made read-only: who may leave a chroot sees it.
 *
 * Source of all members' meaning: OCI runtime specification 1.2, config.md and config-linux.md.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "engines/cgroup/cgroup.h"
#include "engines/cgroup/devices_bpf.h"
#include "engines/oslevel/bundle_tune.h"
#include "engines/oslevel/caps_apply.h"
#include "engines/oslevel/idmap.h"
#include "engines/oslevel/mount.h"
#include "engines/spec.h"

#define BUNDLE_FDS_MAX 2000

struct bundle_namespace {
	uint64_t flag;	  /* CLONE_NEWx */
	const char *path; /* NULL: a new one */
};

struct bundle_mount {
	const char *target;	     /* absolute, inside */
	const char *source;	     /* of a bind: absolute, on the host */
	const char *type;	     /* NULL: a bind */
	bool recursive;		     /* bind: with the mounts below source */
	bool copy_up;		     /* tmpfs: starts as a copy of what it hides */
	uint64_t set, clear;	     /* MOUNT_ATTR_x of the mount itself */
	uint64_t all_set, all_clear; /* of the mounts below it too */
	uint64_t propagation;	     /* MS_SHARED and its like, or 0 */
	bool all_propagation;
	struct mount_option *options; /* of the file system, ended by a NULL key */
	struct idmap ids;	      /* n_uids 0: none */
	bool container_ids;	      /* they are the container's */
	bool all_ids;
};

struct bundle_device {
	const char *path; /* absolute, inside */
	mode_t type;	  /* S_IFCHR, S_IFBLK, S_IFIFO */
	unsigned device_major, device_minor;
	mode_t mode;
	uint32_t uid, gid;
};

struct bundle_sysctl {
	const char *name; /* "net.ipv4.ip_forward" */
	const char *value;
};

struct bundle_process {
	const char *
		*args; /* NULL-ended, at least one; "" alone: nothing to run, so nobody starts it */
	const char **env; /* NULL-ended */
	const char *cwd;  /* absolute */
	uint32_t uid, gid;
	uint32_t *groups; /* the primary group is not among them but where it was asked for */
	unsigned n_groups;
	mode_t umask;
	struct caps_sets
		caps; /* what the kernel does not give is left out: config.md, "Linux Process" */
	struct spec_ulimit *ulimits;
	size_t n_ulimits;
	bool no_new_privileges, tty, set_oom_score;
	struct winsize tty_size;
	int oom_score; /* oom_score_adj */
	struct tune tune;
	const char *apparmor, *selinux; /* labels of its program, or NULL */
};

struct bundle {
	const char *root; /* absolute, on the host */
	bool root_read_only;
	uint64_t root_propagation; /* MS_x, or 0 */
	bool all_root_propagation;
	const char *hostname, *domainname;   /* or NULL */
	struct bundle_namespace *namespaces; /* each kind once */
	size_t n_namespaces;
	struct bundle_mount *mounts;
	size_t n_mounts;
	struct bundle_device *devices;
	size_t n_devices;
	struct bundle_sysctl *sysctls;
	size_t n_sysctls;
	const char **masked, **read_only;
	size_t n_masked, n_read_only;
	struct idmap ids;
	struct spec_time_offsets time_offsets;
	bool set_personality;
	unsigned long personality; /* of every process: personality(2) */
	struct tune_memory memory; /* of every process */
	const char *mount_label;   /* SELinux's, for new file systems, or NULL */
	const char *cgroup;	   /* path below each hierarchy, relative */
	struct spec_limits limits;
	struct cgroup_setting *settings;
	size_t n_settings;
	struct device_rule *rules;
	size_t n_rules;
	bool all_devices;  /* no device rules */
	bool check_memory; /* a limit below what is in use is refused: update */
	struct bundle_process process;
};

/* bundle_namespace_of() - the entry of that kind, or NULL: the container shares the maker's. */
const struct bundle_namespace *bundle_namespace_of(const struct bundle *bundle, uint64_t flag);
/* bundle_namespace_is_new() - whether it has one of that kind to itself */
bool bundle_namespace_is_new(const struct bundle *bundle, uint64_t flag);

/* bundle_source() - a bind's source, as the container will see it: a detached mount. */
int bundle_source(const struct bundle *bundle, const struct bundle_mount *mount, struct err *err);

/* Who gets the listener of a seccomp filter; NULL: the filter has none. */
struct bundle_notify {
	int (*send)(void *arg, pid_t pid, int fd, struct err *err); /* fd stays the caller's */
	void *arg;
};

/* What the caller brings. fds stay the caller's; -EBADF for those that are not there. */
struct bundle_host {
	int seccomp;		/* a compiled filter */
	unsigned seccomp_flags; /* SECCOMP_FILTER_FLAG_x */
	struct bundle_notify
		notify; /* of a filter that runs at once: without a start listener, and exec's */
	bool notifies;	/* the filter has a listener, whoever gets it */
	int console;	/* a socket: gets the terminal's master side */
	int listener; /* a listening SOCK_SEQPACKET: who connects starts it; without one it runs at once */
	const struct cgroup_layout *layout; /* of bundle_layout(), or NULL: it is read */
	int lock; /* the maker's alone: closed at once in the first process */
	/* From fd 3 on, BUNDLE_FDS_MAX at most; those that are not there are left out. */
	/* Of exec: groups below the container's, "foo" or "cpu,memory:foo"; ended by NULL, or NULL */
	const char *const *sub_groups;
	unsigned preserve_fds;
	unsigned listen_fds; /* how many of them are sockets for sd_listen_fds(3) */
	const char *
		place; /* an empty directory that is nobody else's; NULL: it has mounts of its own */
	bool no_pivot; /* chroot(2) within a moved mount, for a root on the initial ramdisk */
	bool keep_keyring;
	bool confined; /* we are root of a user namespace only: no device nodes, and no cgroup where none is open to us */
	/* In the maker: its cgroups are there, nobody in them, and from now on the caller's to remove. Not where it has none. */
	int (*grouped)(void *arg, struct err *err);
	/* Optional; in the maker, before the first process may go on. */
	int (*born)(void *arg, pid_t pid, struct err *err);
	/* Optional; in the maker, once namespaces and mounts are there, before the root changes. */
	int (*made)(void *arg, pid_t pid, struct err *err);
	/* Of exec, once the first process is held by a pidfd: whether it is that yet, and not another of its number */
	bool (*lives)(void *arg);
	/* Optional; in the first process before its root changes. @pid: its number outside */
	int (*entering)(void *arg, pid_t pid, struct err *err);
	/* Optional; in the first process, once it was told to start. */
	int (*starting)(void *arg, pid_t pid, struct err *err);
	void *arg;
};

/*
 * bundle_create() - make everything but the first instruction of the container's program; without a
 * listener that too: it runs then. The first process is a child of ours
 * Errors: nothing is left behind but the cgroup, from host->grouped() on.
 */
int bundle_create(const struct bundle *bundle, const struct bundle_host *host, pid_t *ret_pid,
		  struct err *err);
/*
 * bundle_start_by() - of one made with a listener, by anybody
 * @socket: connected to it   @pid: of the first process
 * Errors: -ESTALE: somebody else has started it.
 */
int bundle_start_by(int socket, pid_t pid, const struct bundle_notify *notify, struct err *err);

/*
 * bundle_exec() - one more process in a running container
 * @bundle: the container's, its process another: args and what follows
 * @pid: the container's first process   @ret_pid: the new one's, a child of ours
 * Return: 0: it runs; or a negative errno, *ret_status 126 or 127 where the command is the cause.
 */
int bundle_exec(const struct bundle *bundle, const struct bundle_host *host, pid_t pid,
		pid_t *ret_pid, int *ret_status, struct err *err);

/*
 * bundle_drop() - this process gets the user, groups, capabilities, no_new_privs and filter of the container's, for one that is run
 * beside it. Nobody listens to its filter: calls that are sent outside are not there.
 */
int bundle_drop(const struct bundle *bundle, const struct bundle_host *host, struct err *err);
/* bundle_layout() - every hierarchy there is, used: managers look for limits and figures in any of them. */
int bundle_layout(struct cgroup_layout *ret, struct err *err);
