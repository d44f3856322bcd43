/* SPDX-License-Identifier: Apache-2.0 */
/* config.md, "Process". */
#include <errno.h>
#include <string.h>

#include "base/os/rlimit.h"
#include "engines/caps.h"
#include "oci/config.h"

#define PROCESS_GROUPS_MAX 65536 /* NGROUPS_MAX */

/* A name that nobody here knows is a warning: "Linux Process", capabilities. */
static uint64_t process_caps(const struct reader *rd, const char *set, struct config *config)
{
	size_t n;
	const char **names = reader_strings(rd, set, &n);
	uint64_t caps = 0, cap;

	for (size_t i = 0; i < n; i++) {
		if (!strncmp(names[i], "CAP_", 4) && caps_from_name(names[i], &cap, NULL) == 0)
			caps |= cap;
		else
			config->warnings++;
	}
	return caps;
}

static void process_user(const struct reader *rd, struct bundle_process *process)
{
	const struct reader in = reader_enter(rd, "user");
	size_t n;

	process->uid = reader_u32(&in, "uid", 0);
	process->gid = reader_u32(&in, "gid", 0);
	process->umask = (mode_t)reader_int(&in, "umask", 0, 0777, 0022);
	const json_t *list = reader_list(&in, "additionalGids", &n);
	if (n > PROCESS_GROUPS_MAX)
		reader_fail(&in, "additionalGids", EINVAL, "must have %d members at most",
			    PROCESS_GROUPS_MAX);
	process->groups = reader_get(&in, n + 1, sizeof(*process->groups));
	for (size_t i = 0; process->groups && i < n; i++) {
		const json_t *gid = json_array_get(list, i);
		if (!json_is_integer(gid) || json_integer_value(gid) < 0 ||
		    json_integer_value(gid) > UINT32_MAX - 1)
			reader_fail(&in, "additionalGids", EINVAL, "must be group numbers");
		process->groups[i] = (uint32_t)json_integer_value(gid);
	}
	process->n_groups = process->groups ? (unsigned)n : 0;
	if (process->uid == UINT32_MAX || process->gid == UINT32_MAX)
		reader_fail(&in, "uid", EINVAL, "and gid must be below 4294967295");
}

static int process_rlimit_find(const char *type)
{
	char name[24];
	size_t n = strlen(type);

	if (strncmp(type, "RLIMIT_", 7) != 0 || n - 7 >= sizeof(name))
		return -EINVAL;
	for (size_t i = 7; i <= n; i++)
		name[i - 7] = type[i] >= 'A' && type[i] <= 'Z' ? (char)(type[i] + 32) : type[i];
	return rlimit_find(name);
}

static void process_rlimits(const struct reader *rd, struct bundle_process *process)
{
	size_t n;
	const json_t *list = reader_list(rd, "rlimits", &n);
	uint64_t seen = 0;

	process->ulimits = reader_get(rd, n + 1, sizeof(*process->ulimits));
	for (size_t i = 0; process->ulimits && i < n; i++) {
		const struct reader in = reader_item(rd, "rlimits", list, i);
		const char *type = reader_str(&in, "type", "");
		int at = process_rlimit_find(type);
		if (at < 0) {
			reader_fail(&in, "type", EINVAL, "'%.40s' is not known", type);
			return;
		}
		if (seen & 1ULL << at)
			reader_fail(&in, "type", EINVAL, "%s is there twice", type);
		if (!reader_member(&in, "soft") || !reader_member(&in, "hard"))
			reader_fail(&in, "soft", EINVAL, "and hard must both be there");
		seen |= 1ULL << at;
		process->ulimits[i] = (struct spec_ulimit){
			.resource = rlimit_resources[at],
			.name = rlimit_names[at],
			.soft = reader_u64(&in, "soft", 0),
			.hard = reader_u64(&in, "hard", 0),
		};
		if (process->ulimits[i].soft > process->ulimits[i].hard)
			reader_fail(&in, "soft", EINVAL, "must not be more than hard");
	}
	process->n_ulimits = process->ulimits ? n : 0;
}

static void process_command(const struct reader *rd, struct bundle_process *process)
{
	size_t n;

	process->args = reader_strings(rd, "args", &n);
	if (!n)
		reader_fail(rd, "args", EINVAL, "is missing or empty");
	else if (!process->args[0][0])
		reader_fail(rd, "args[0]", EINVAL, "must not be empty");
	process->env = reader_strings(rd, "env", &n);
	for (size_t i = 0; i < n; i++) {
		if (!strchr(process->env[i], '=') || process->env[i][0] == '=')
			reader_fail(rd, "env", EINVAL, "'%.60s' is not NAME=VALUE",
				    process->env[i]);
	}
	process->cwd = reader_path(rd, "cwd");
}

void config_no_process(const struct reader *rd, struct bundle_process *ret)
{
	const char **args = reader_get(rd, 2, sizeof(*args));
	const char **env = reader_get(rd, 1, sizeof(*env));

	if (!args || !env)
		return;
	args[0] = "";
	*ret = (struct bundle_process){ .args = args, .env = env, .cwd = "/", .umask = 0022 };
}

void config_read_process(const struct reader *rd, struct config *config)
{
	struct bundle_process *process = &config->bundle.process;
	const struct reader size = reader_enter(rd, "consoleSize");
	const struct reader caps = reader_enter(rd, "capabilities");

	process_command(rd, process);
	process_user(rd, process);
	process_rlimits(rd, process);
	config_read_tune(rd, process);
	process->caps = (struct caps_sets){
		.bounding = process_caps(&caps, "bounding", config),
		.effective = process_caps(&caps, "effective", config),
		.permitted = process_caps(&caps, "permitted", config),
		.inheritable = process_caps(&caps, "inheritable", config),
		.ambient = process_caps(&caps, "ambient", config),
	};
	process->no_new_privileges = reader_bool(rd, "noNewPrivileges", false);
	process->tty = reader_bool(rd, "terminal", false);
	process->tty_size.ws_row = (unsigned short)reader_int(&size, "height", 0, 65535, 0);
	process->tty_size.ws_col = (unsigned short)reader_int(&size, "width", 0, 65535, 0);
	process->set_oom_score = reader_member(rd, "oomScoreAdj") != NULL;
	process->oom_score = (int)reader_int(rd, "oomScoreAdj", -1000, 1000, 0);
}
