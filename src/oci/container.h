/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is kept of a container: <root>/ID/, where nobody but us writes.
 *
 *	config.json  as it was when the container was made
 *	state.json   once it is made: its first process, and which of that number
 *	start        a socket on which its first process waits; refuses once that runs the container's program
 *
 * The directory is locked (flock) by whoever makes or deletes the container.
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
	char version[24];      /* of the specification, as the bundle says */
};

/* container_make() - a new one, locked. -EEXIST; -EINVAL for what is no name. container_close() unlocks. */
int container_make(const char *root, const char *id, struct container *ret, struct err *err);
/* container_open() - -ENOENT: "container 'ID' does not exist" */
int container_open(const char *root, const char *id, struct container *ret, struct err *err);
/* container_open_damaged() - whatever can be read of one: pid is 0 where that is nothing */
int container_open_damaged(const char *root, const char *id, struct container *ret,
			   struct err *err);
/* container_lock() - as the maker; -EBUSY: somebody else has it */
int container_lock(struct container *container, struct err *err);
void container_close(struct container *container);
/* container_forget() - its directory goes */
int container_forget(const char *root, struct container *container, struct err *err);

int container_keep_config(struct container *container, const char *text, size_t len,
			  struct err *err);
/* container_config() - what it was made with. *ret needs config_fini(). */
int container_config(const struct container *container, struct config *ret, struct err *err);
/* container_save() - state.json, with the pid's start time read now */
int container_save(struct container *container, struct err *err);

/* container_status_of() - now. @bundle: NULL: whether it is paused is not asked */
enum container_status container_status_of(const struct container *container,
					  const struct bundle *bundle);
/* container_listen() - the socket `start`; an fd or a negative errno. */
int container_listen(const struct container *container, struct err *err);
/* container_connect() - to whoever waits there; -ECONNREFUSED, -ENOENT: nobody does */
int container_connect(const struct container *container);

/*
 * container_state() - runtime.md, "State": what `state` prints and hooks read; free() it
 * @pid: 0: none
 */
char *container_state(const struct container *container, const struct config *config,
		      enum container_status status, pid_t pid);
