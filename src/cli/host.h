/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --host: a server that runs strata-hv (engines/baremetal/hosts.h), and those of its guests that it started by itself. */
#include <jansson.h>

#include "cli/cmd.h"

struct guest_stats;
struct stats_session;

/* host_is_lab() - whether what that engine runs, here or on --host, is on an emulated server: its figures are the lab's */
bool host_is_lab(const struct manager *manager, const char *virt);
/* host_use() - the manager is that server's from now on */
int host_use(struct cli *cli, struct err *err);

enum host_verb { HOST_NONE, HOST_STOP, HOST_KILL, HOST_PAUSE, HOST_RESUME };

struct args;

/*
 * host_guest() - do it to the server's own guest of that name
 * @args: HOST_STOP: the flag --time. Its power button is pressed; whoever does not listen to it, or is there after that time, is killed.
 * Errors: -ENOENT: no --host, or no such guest: then err is as it was.
 */
int host_guest(struct cli *cli, const char *name, enum host_verb verb, const struct args *args,
	       struct err *err);
/* host_guest_logs() - what is left of its console, to standard output. Errors likewise. */
int host_guest_logs(struct cli *cli, const char *name, struct err *err);
/*
 * host_logs() - what the server itself printed, to standard output
 * @follow: until the server is gone, which is an error
 */
int host_logs(struct cli *cli, bool follow, struct err *err);
/* host_guests() - an array of {name, state, vcpus, memory_bytes, weight} of those; empty without --host */
int host_guests(struct cli *cli, json_t **ret, struct err *err);
/* host_guest_stats() - as they are now. Errors as host_guest(). */
int host_guest_stats(struct cli *cli, struct stats_session *session, const char *name,
		     struct guest_stats *ret, struct err *err);
