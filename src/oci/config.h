/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * config.json of an OCI bundle: OCI runtime specification 1.2, config.md and config-linux.md. What this runtime cannot do is
 * refused by name; what the specification does not know is left out, as it demands.
 */
#include <jansson.h>

#include "engines/oslevel/bundle.h"
#include "oci/reader.h"

#define CONFIG_VERSION	 "1.2.0" /* of the specification */
#define CONFIG_BYTES_MAX ((size_t)16 << 20)

/* In the order in which they run: config.md, "POSIX-platform Hooks". */
enum hook_kind {
	HOOK_PRESTART,
	HOOK_CREATE_RUNTIME,
	HOOK_CREATE_CONTAINER,
	HOOK_START_CONTAINER,
	HOOK_POSTSTART,
	HOOK_POSTSTOP,
	HOOK_KINDS
};
extern const char *const hook_names[HOOK_KINDS + 1]; /* "prestart"; NULL-ended */

struct hook {
	const char *path;   /* absolute */
	const char **args;  /* NULL-ended; NULL: just the path */
	const char **env;   /* NULL-ended; NULL: ours */
	unsigned timeout_s; /* 0: none */
};

struct hook_list {
	struct hook *hooks;
	size_t n;
};

struct config {
	struct pool pool;
	json_t *json; /* owns the strings */
	const char *version;
	struct bundle bundle;
	struct hook_list hooks[HOOK_KINDS];
	const json_t *annotations; /* or NULL */
	const char *cgroups_path;  /* linux.cgroupsPath as it is written; "" */
	/* With systemd: scope.h. NULL without. */
	const char *unit, *unit_slice;
	bool unit_is_users;	/* of a user's own systemd */
	const json_t *seccomp;	/* or NULL */
	unsigned seccomp_flags; /* SECCOMP_FILTER_FLAG_x */
	bool has_process;	/* else its first process has nothing to run */
	bool notifies;		/* it has SCMP_ACT_NOTIFY, and a listenerPath */
	unsigned
		warnings; /* what was left out as the specification says: capabilities nobody knows */
};

/*
 * config_parse() - a config.json, checked
 * @dir: the bundle's directory, which relative paths start from   @id: names the cgroup where the configuration does not
 * Errors: -EBADMSG: no JSON; -EINVAL with the member's place; -ENOTSUP: known, not here. *ret needs config_fini().
 */
int config_parse(const char *text, size_t len, const char *dir, const char *id, struct config *ret,
		 struct err *err);
void config_fini(struct config *config); /* a zeroed one is a no-op */

/* config_process() - another process for the container: `exec --process`. A new reference to the JSON is taken. */
int config_process(struct config *config, json_t *json, struct err *err);
/* config_update() - other resources: `update --resources`. The same. */
int config_update(struct config *config, json_t *json, struct err *err);

/* config_default_cgroup() - where linux.cgroupsPath is not there; NULL on ENOMEM */
const char *config_default_cgroup(struct pool *pool, const char *id);

/* The parts; failures stick in the reader. */
void config_read_process(const struct reader *rd, struct config *config);
/* config_no_process() - one that can be made, and not started: its command is "" */
void config_no_process(const struct reader *rd, struct bundle_process *ret);
void config_read_mounts(const struct reader *rd, const char *dir, struct bundle *bundle);
void config_finish_mounts(const struct reader *rd, struct bundle *bundle);
/* config_unlabel() - new file systems without linux.mountLabel: a kernel without SELinux knows no such option */
void config_unlabel(struct bundle *bundle);
void config_read_ids(const struct reader *rd, const char *uids, const char *gids,
		     struct idmap *ret);
void config_read_linux(const struct reader *rd, const char *id, struct config *config);
/* config_add_setting() - one more file of a cgroup; what asked is the member at key */
void config_add_setting(const struct reader *rd, const char *key, struct bundle *bundle,
			struct cgroup_setting setting);
/* config_read_weights() - of blockIO */
void config_read_weights(const struct reader *rd, struct bundle *bundle);
/* config_read_seldom() - hugepageLimits, network, rdma */
void config_read_seldom(const struct reader *rd, struct bundle *bundle);
#define CONFIG_SECCOMP_FLAGS 4
struct config_flag {
	const char *name; /* NULL: the end */
	unsigned flag;
};
extern const struct config_flag config_seccomp_flags[CONFIG_SECCOMP_FLAGS + 1];
/* config_read_seccomp() - flags and listener of linux.seccomp; the rest is seccomp.h's to check */
void config_read_seccomp(const struct reader *rd, struct config *config);
void config_read_tune(const struct reader *rd, struct bundle_process *process);
/* config_memory_word() - the modes (true) or flags of a memory policy, by number; NULL after the last */
const char *config_memory_word(bool modes, unsigned i);
void config_read_memory_policy(const struct reader *rd, struct bundle *bundle);
void config_read_personality(const struct reader *rd, struct bundle *bundle);
void config_read_resources(const struct reader *rd, struct bundle *bundle);
/* config_clean() - a path without empty, "." and ".." parts, from the root on; from the pool. */
const char *config_clean(const struct reader *rd, const char *path);
/* config_propagation() - "rslave"; false: not such a word. 0 in *ret: none asked */
bool config_propagation(const char *word, uint64_t *ret, bool *ret_all);
/* config_mount_options() - every option that a mount may have, without those of the file systems */
void config_mount_options(void (*fn)(void *arg, const char *name), void *arg);
