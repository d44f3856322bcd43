/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An image's workload from the host's side, whoever's device its ports are: the agent's conversation, the workload's streams on fds,
 * the hosts file, signals, and how it ended. Embedded; all of it is the loop thread's.
 *
 *	agent_host_open() -> four ports get &agent.console, &in.console, &out.console, &err.console -> started | failed -> the machine ends ->
 *	agent_host_status()
 */
#include "engines/vmm/agent.h"
#include "engines/vmm/console_fd.h"
#include "engines/vmm/console_tail.h"
#include "engines/vmm/hosts.h"

struct loop;
struct agent_host;

struct agent_host_events {
	/* Mandatory. The workload runs. */
	void (*started)(struct agent_host *host);
	/* Mandatory. It does not, or the guest broke the protocol; status 125 to 127. */
	void (*failed)(struct agent_host *host, int status, const struct err *why);
};

struct agent_host_config {
	const struct spec *spec; /* borrowed */
	struct loop *loop;
	int in, out, err; /* borrowed, the workload's; with a terminal all are its slave */
	int run;	  /* the instance's run directory, or negative */
};

struct agent_host {
	struct agent agent;
	const struct agent_host_events *events;
	struct agent_host_config config;
	int wake;			/* an eventfd: agent_poke() is to be called */
	struct console_fd in, out, err; /* the workload's streams */
	struct vmm_hosts hosts;
	bool exited, stopped;
	struct agent_end end; /* once exited */
};

int agent_host_open(struct agent_host *host, const struct agent_host_events *events,
		    const struct agent_host_config *config, struct err *err);
/*
 * agent_host_signal() - what this process got is the workload's
 * Return: 0, or 128 + sig: there is nobody yet to hear it, and it would have ended a workload: the machine is to end with that.
 */
int agent_host_signal(struct agent_host *host, int sig);
/* agent_host_status() - the machine was switched off: how its workload ended, or that it never began, with its kernel's last words. */
int agent_host_status(const struct agent_host *host, struct console_tail *serial, int *ret_status,
		      struct err *err);
