/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside this room: what the monitor prepares (launch.c) and the child uses (child.c, process.c). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engines/engine.h"
#include "engines/cgroup/cgroup.h"
#include "engines/oslevel/caps_apply.h"
#include "engines/oslevel/idmap.h"
#include "engines/oslevel/mount.h"
#include "engines/sysinit.h"
#include "network/passt.h"

#define SYSTEM_VIEWS 9 /* lxcfs has eight, and its boot id is ours */

/* A detached mount on its way to its place. */
struct launch_mount {
	int fd;
	const char *target;
	enum mount_target kind;
	bool read_only;
};

struct launch {
	const struct spec *spec; /* borrowed */
	struct cgroup_layout layout;
	struct guest_io io; /* borrowed */
	bool userns;
	bool no_groups;	  /* confined, and groups cannot be changed */
	bool confined;	  /* no root of the host's: see rootless.h */
	struct idmap ids; /* of the user namespace; the spec's, or the two below */
	struct ids_map *own_uids, *own_gids; /* confined; owned */
	int root;			     /* the root file system, a detached mount */
	int seccomp;			     /* compiled filter, or -EBADF */
	struct launch_mount *mounts;	     /* in the order of their depth */
	size_t n_mounts;
	struct launch_mount *devices; /* bound, in a user namespace; else made by mknod */
	size_t n_devices;
	int sync;				 /* the child's end */
	struct sysinit init;			 /* of a system container; see system.h */
	const char **args;			 /* likewise, instead of the spec's; NULL-ended */
	struct launch_mount views[SYSTEM_VIEWS]; /* likewise: what lxcfs says instead of /proc */
	size_t n_views;
	int delegated; /* likewise: index of the hierarchy that is the container's to divide, or -1 */
	int joins[CGROUP_HIERARCHIES]; /* v1 tasks files that the child writes itself into */
	unsigned n_joins;
};

int launch_prepare(const struct spec *spec, const struct guest_dirs *dirs,
		   const struct guest_io *io, struct launch *ret, struct err *err);
/* launch_lock() - what is read-only stays so, whatever root of a user namespace of its own does in the container */
int launch_lock(struct launch *launch, struct err *err);
void launch_fini(struct launch *launch);
bool launch_has_target(const struct launch *launch,
		       const char *target); /* something is mounted just there */

/*
 * rootfs_mount() - overlay of the layers and the instance's upper directory; an fd or negative errno
 * @confined: in a user namespace's mount namespace: overlay keeps its notes in attributes that its root may set
 * @discard: the upper directory goes with this mount: it is never synchronised to the disk, whose whole file
 *           system an ordinary overlay writes out when it is unmounted; it cannot be mounted again
 * Source: Linux Documentation/filesystems/overlayfs.rst, "Volatile mount".
 */
int rootfs_mount(const struct spec *spec, const char *state_dir, int idmap_fd, bool confined,
		 bool discard, struct err *err);
/*
 * rootdisk_mount() - the file system that holds an instance's upper directory where its root has a size, made by the manager
 * Return: a detached mount, or a negative errno.
 */
#define ROOTDISK_FILE "root.ext4"
int rootdisk_mount(const char *state_dir, struct err *err);
struct idmap idmap_of(const struct spec *spec);
/* idmap_userns() - a user namespace with these mappings, to map mounts by; an fd or negative errno. */
int idmap_userns(const struct idmap *map, struct err *err);
/*
 * timens_enter() - children from now on are born into a new time namespace with these offsets
 * @ret_back: what timens_leave() takes
 */
int timens_enter(const struct spec_time_offsets *offsets, int *ret_back, struct err *err);
int timens_leave(int back, struct err *err); /* takes ownership of back */
/* idmap_outside() - the host's id of one inside; -EOVERFLOW where it has none. */
int idmap_outside(const struct ids_map *map, size_t n, uint32_t inside, uint32_t *ret);
/* idmap_write() - uid_map and gid_map of a process. */
int idmap_write(const struct idmap *map, pid_t pid, struct err *err);

/* child_main() - the rest of the clone's life, in every mode; never returns. */
_Noreturn void child_main(struct launch *launch);

/* What parent and child say to each other; SOCK_SEQPACKET keeps one message one. */
enum sync_tag {
	SYNC_MAPPED = 'M',
	SYNC_GO = 'G',
	SYNC_TTY = 'T',
	SYNC_READY = 'R', /* bundle.h's */
	SYNC_DONE = 'D',
	SYNC_START = 'S',
	SYNC_NOTIFY = 'N', /* with a listener; back: it is where it belongs */
	SYNC_ERROR = 'E',
};
struct sync_message {
	char tag;
	int status; /* SYNC_ERROR: 125, 126 or 127; SYNC_GO: bit n: hierarchy n is used, or bundle.h's: the child's pid; else 0 */
	struct err err; /* SYNC_ERROR */
};
int sync_send(int fd, char tag, int status);
/* sync_tell() - the same, where a peer's death shows at the next sync_expect(): that is no error here */
int sync_tell(int fd, char tag, int status, struct err *err);
void sync_send_error(int fd, int status, const struct err *err);
void sync_send_fd(int fd, char tag, int passed); /* passed < 0: none */
/*
 * sync_expect() - wait for one tag
 * @ret_status: what came with it; may be NULL
 * @ret_fd: takes an fd that came along, -EBADF when none; may be NULL
 * Return: 0; 1 at end of file; or the negative errno of the error the other side reported, its words in err.
 */
int sync_expect(int fd, char tag, int *ret_fd, int *ret_status, struct err *err);

/* The last steps of any process in a container: see process.c. */
struct process {		 /* borrowed but groups and env's array */
	const char *const *args; /* NULL-ended, at least one */
	char **env;		 /* NULL-ended */
	const char *cwd;
	const struct spec_ulimit *ulimits;
	size_t n_ulimits;
	struct caps_sets caps;
	int seccomp; /* fd of the filter, or -EBADF */
	unsigned seccomp_flags;
	bool notifies; /* the filter's listener goes over sync, and an answer comes */
	uint32_t uid, gid;
	uint32_t *groups;
	unsigned n_groups;
	bool tty, no_new_privileges;
	bool free;	   /* it may outlive whoever started it: not tied */
	bool keep_keyring; /* of whoever started it */
	int sync;	   /* the child's end of a socket whose other end is the parent's alone */
};
/*
 * process_tie() - the kernel kills this process when its parent dies; a change of ids undoes that
 * A parent that died before shows as the end of file on the socket between them: whoever waits there next sees it,
 * and process_orphaned() asks, without waiting.
 */
int process_tie(struct err *err);
bool process_orphaned(const struct process *process);
/* process_prepare() - all but seccomp and sync by a spec, the user looked up in the current root. *ret_status: 125, 126, 127. */
int process_prepare(const struct spec *spec, struct process *ret, int *ret_status, struct err *err);
/* process_limits() - rlimits and cwd; before privileges go. */
int process_limits(const struct process *process, int *ret_status, struct err *err);
/* process_drop() - the user, capabilities and keys of the process; the filter, without no_new_privs. */
int process_drop(const struct process *process, struct err *err);
/* process_seal() - no_new_privs, and the filter with it. */
int process_seal(const struct process *process, struct err *err);
/* process_become() - give up privileges and execute; returns only on failure. */
int process_become(const struct process *process, int *ret_status, struct err *err);
/* process_stdio() - io or the terminal become 0, 1, 2; every other fd closes at execve. */
int process_stdio(const struct guest_io *io, int tty, struct err *err);
/* process_tty() - a new terminal of this size from the current root's /dev/ptmx; both sides' fds. */
int process_tty(const struct winsize *size, int *ret_master, int *ret_slave, struct err *err);

/* oslevel_exec() - engine_ops.exec */
int oslevel_exec(const struct guest_exec *exec, struct err *err);

/*
 * init_run() - --init: be pid 1 for its child, with no more rights than @process will have: reap, forward
 * signals; its exit status. Returns on failure only.
 */
int init_run(pid_t child, const struct process *process, struct err *err);
