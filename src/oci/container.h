/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is kept of a container: <root>/ID/, where nobody but us writes.
 *
 *	config.json  as it was when the container was made
 *	state.json   once it is made: its first process, and which of that number
 *	rootfs/      only without a mount namespace of its own: its root and what is mounted there
 *	start        a socket on which its first process waits; refuses once that runs the container's program
 *
 * The directory is locked (flock) by whoever makes or deletes the container. Its sticky bit says that the cgroup at the container's
 * path is its own: set between making it and the birth of the first process in it, so that one that was cut short earlier never
 * takes for its own what is somebody else's. Its set-user-ID bit says that `run` is not done with the first process, which is known
 * already: nobody may enter where that still has the host's files. Bits and no files: they outlive all that a broken directory may lack.
 */
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "oci/config.h"

enum container_status {
	CONTAINER_CREATING,
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_STOPPED,
};
extern const char *const container_status_names[]; /* runtime.md, "State": "creating" */

struct container {
	char id[NAME_MAX + 1];
	int dir;	       /* open, for *at() and flock() */
	pid_t pid;	       /* 0: none yet */
	uint64_t start_time;   /* of that pid: proc(5), stat, field 22 */
	char bundle[PATH_MAX]; /* absolute */
	char created[36];      /* RFC 3339 */
	char virt[16];	       /* the architecture, "" for a container: vm.h */
	bool locked;	       /* by us */
	bool is_unfinished; /* it has a first process, which is not the container's program yet */
	bool has_cgroup;    /* of its own; else what is at its path is another's */
	char version[24];   /* of the specification, as the bundle says */
};

/*
 * container_check_owner() - whether a directory of state is this user's: what it says names processes to kill and hooks to run
 * Errors: -EPERM
 */
int container_check_owner(int dir, const char *path, struct err *err);
/* container_make() - a new one, locked. -EEXIST; -EINVAL for what is no name. container_close() unlocks. */
int container_make(const char *root, const char *id, struct container *ret, struct err *err);
/* container_open() - -ENOENT: "container 'ID' does not exist" */
int container_open(const char *root, const char *id, struct container *ret, struct err *err);
/* container_open_damaged() - whatever can be read of one: pid is 0 where that is nothing */
int container_open_damaged(const char *root, const char *id, struct container *ret,
			   struct err *err);
/*
 * container_open_locked() - locked before anything is read: who made or started it meanwhile is seen
 * @damaged: as container_open_damaged()
 * Errors: container_open()'s; -EBUSY: somebody else makes or deletes it.
 */
int container_open_locked(const char *root, const char *id, bool damaged, struct container *ret,
			  struct err *err);
/*
 * container_lock() - whoever has it else is waited for
 * Errors: -ENOENT: it was deleted meanwhile; what has its name now is another.
 */
int container_lock(struct container *container, struct err *err);
void container_unlock(struct container *container);
void container_close(struct container *container);
/*
 * container_place() - <root>/ID/rootfs, an empty directory: where the root of one hangs that has no mounts of its own
 * container_clear_place() - what hangs there goes, whichever namespaces show it, and the directory
 */
#define CONTAINER_PLACE "rootfs"
int container_place(const struct container *container, const char *root, char ret[PATH_MAX],
		    struct err *err);
int container_clear_place(const struct container *container, struct err *err);
/* container_forget() - its directory goes */
int container_forget(const char *root, struct container *container, struct err *err);

int container_keep_config(struct container *container, const char *text, size_t len,
			  struct err *err);
/* container_config() - what it was made with. *ret needs config_fini(). */
int container_config(const struct container *container, struct config *ret, struct err *err);
/* container_save() - state.json, with the pid's start time read now */
int container_save(struct container *container, struct err *err);

/* container_finish() - whether the first process, known by container_save(), is the container's program */
int container_finish(struct container *container, bool finished, struct err *err);
/* container_own_cgroup() - its groups have been made, and nobody is in them yet */
int container_own_cgroup(struct container *container, struct err *err);

/* container_status_of() - now. @bundle: NULL: whether it is paused is not asked */
enum container_status container_status_of(const struct container *container,
					  const struct bundle *bundle);
/* container_listen() - the socket `start`; an fd or a negative errno. */
int container_listen(const struct container *container, struct err *err);
/*
 * container_connect() - to whoever waits there, without waiting for him
 * Errors: -ECONNREFUSED, -ENOENT: nobody does; -EAGAIN: somebody, who takes no more: he is frozen or stopped
 */
int container_connect(const struct container *container);

/*
 * container_state() - runtime.md, "State": what `state` prints and hooks read; free() it
 * @pid: 0: none
 */
char *container_state(const struct container *container, const struct config *config,
		      enum container_status status, pid_t pid);
