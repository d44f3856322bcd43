/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the host asks for: the checked view of a CONFIG or START payload (abi/agent.h). Arrays and strings point into one
 * copy of the payload.
 */
#include <stdbool.h>
#include <stddef.h>

#include "abi/agent.h"
#include "base/core/err.h"

#define CONFIG_MOUNTS  64
#define CONFIG_NETS    8
#define CONFIG_RLIMITS 16

struct config_mount {
	enum agent_mount_kind kind;
	bool read_only, copy_up;
	const char *source, *type, *target, *options;
};

struct config {
	char *payload;		      /* owned */
	char **args, **env, **groups; /* owned arrays, NULL-ended */
	size_t n_args, n_env, n_groups;
	char **directories; /* CONFIG only; absolute; an owned array, NULL-ended */
	size_t n_directories;
	char **sysctls; /* CONFIG only; "NAME=VALUE"; an owned array, NULL-ended */
	size_t n_sysctls;
	const char *cwd, *user;
	uint64_t flags, caps;
	struct agent_rlimit rlimits[CONFIG_RLIMITS];
	size_t n_rlimits;
	const void *seccomp; /* struct sock_filter[], or NULL */
	size_t n_seccomp;
	struct agent_resize size;
	/* CONFIG only */
	const char *hostname, *hosts, *resolv; /* NULL: leave what is there */
	struct agent_net nets[CONFIG_NETS];
	size_t n_nets;
	struct config_mount mounts[CONFIG_MOUNTS];
	size_t n_mounts;
	uint64_t shm_bytes, clock_ns, pids;
};

/*
 * config_parse() - check a payload
 * @type: AGENT_CONFIG or AGENT_START: which fields there may be
 * Errors: -EPROTO with the field's number; -E2BIG; -ENOMEM. *ret needs config_fini().
 */
int config_parse(enum agent_type type, const void *payload, size_t len, struct config *ret,
		 struct err *err);
void config_fini(struct config *config); /* a zeroed one is a no-op */
