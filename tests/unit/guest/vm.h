/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest without a VM: the agent as process 1 of new namespaces, socket pairs in place of its ports, busybox below an
 * overlay as its root; at the other end the VMM's own half of the protocol.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "engines/vmm/agent.h"
#include "engines/vmm/agent_exec.h"

struct vm {
	struct agent agent; /* the host's */
	struct spec spec;
	pid_t pid;
	int control, in, out, err; /* our ends */
	char dir[64], sock[96];
	struct buf out_text, err_text;
	bool started, failed, exited, stop_on_exit;
	int status;
	struct agent_end end;
	struct err why;
};

/* vm_possible() - NULL, or why not here. */
const char *vm_possible(void);
/* vm_start() - boot, and say CONFIG once READY came. @members: of the spec's JSON, after id, name and args. */
void vm_start(struct vm *vm, const char *args, const char *members);
/* vm_raw() - boot only: nothing is said by us. */
void vm_raw(struct vm *vm);
/* vm_until() - carry bytes both ways until something is true; fails the test after 20 seconds. */
void vm_until(struct vm *vm, bool (*done)(const struct vm *vm));
bool vm_has_started(const struct vm *vm);
bool vm_has_ended(const struct vm *vm); /* with all its output here, or failed */
/* vm_run() - the whole life: start, standard input, end, power off. Leaves what was said in vm. */
void vm_run(struct vm *vm, const char *args, const char *members, const char *input);
/* vm_off() - the agent's exit status, once it has left. */
int vm_off(struct vm *vm);
void vm_spec(const char *args, const char *members, struct spec *ret);
/* vm_exec() - a session through the socket; 0 or a negative errno. out, err: what was written. */
int vm_exec(struct vm *vm, const char *args, const char *members, const char *input,
	    struct buf *out, struct buf *error, int *ret_status, struct err *err);
/* vm_connect() - what agent_exec() and the others want for a socket. *ret_proxy: to be waited for. */
int vm_connect(struct vm *vm, pid_t *ret_proxy);
void vm_fini(struct vm *vm);
