/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "engines/caps.h"
#include "oci/oci.h"
#include "oci/vm.h"

static const struct opt exec_opts[] = {
	OCI_OPTS_PROCESS,
	{ 'p', OPT_TEXT, "process", "FILE", "the process as JSON; then no operands but the ID" },
	{ 'd', OPT_SWITCH, "detach", NULL, "do not stay with it" },
	{ 't', OPT_SWITCH, "tty", NULL, "give it a terminal" },
	{ 0, OPT_TEXT, "cwd", "DIR", "its working directory" },
	{ 'e', OPT_LIST, "env", "NAME=VALUE", "add to its environment" },
	{ 'u', OPT_TEXT, "user", "UID[:GID]", "who it is, in numbers" },
	{ 'g', OPT_LIST, "additional-gids", "GID", "a further group" },
	{ 'c', OPT_LIST, "cap", "CAP_NAME", "a further capability" },
	{ 0, OPT_TEXT, "process-label", "LABEL", "SELinux's label of it" },
	{ 0, OPT_TEXT, "apparmor", "PROFILE", "AppArmor's profile of it" },
	{ 0, OPT_LIST, "cgroup", "[CONTROLLER,...:]PATH",
	  "a group below the container's, in place of that" },
	{ 0, OPT_SWITCH, "no-new-privs", NULL, "it cannot gain privileges" },
	{ 0, OPT_SWITCH, "no-new-keyring", NULL, "keep the caller's session keyring" },
	{ 0, OPT_SWITCH, "ignore-paused", NULL, "also in a paused container, where it waits" },
	{ 0 },
};

static int exec_process_file(const char *path, struct config *config, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;
	int r = file_read(AT_FDCWD, path, CONFIG_BYTES_MAX, &text);

	if (r < 0)
		return err_set(err, -r, "--process %s", path);
	struct bundle_process *process = &config->bundle.process;
	const bool has_score = process->set_oom_score;
	const int score = process->oom_score;
	r = json_parse(buf_str(&text), text.len, "process", &json, err);
	if (r == 0)
		r = config_process(config, json, err);
	/* What it does not say is the container's, and not the caller's. */
	if (r == 0 && has_score && !process->set_oom_score) {
		process->set_oom_score = true;
		process->oom_score = score;
	}
	return r;
}

static int exec_user(const char *text, struct bundle_process *process, struct err *err)
{
	char uid[16];
	const char *colon = strchr(text, ':');
	int64_t number;

	(void)snprintf(uid, sizeof(uid), "%.*s", (int)strcspn(text, ":"),
		       text); /* cut: no number */
	int r = args_int(uid, "--user", 0, UINT32_MAX - 1, &number, err);
	process->uid = (uint32_t)number;
	if (r == 0 && colon)
		r = args_int(colon + 1, "--user", 0, UINT32_MAX - 1, &number, err);
	if (r == 0 && colon)
		process->gid = (uint32_t)number;
	return r;
}

/* In the place of one with the same name: a program finds the first. There is room. */
static void exec_setenv(const char **env, size_t *n, const char *text)
{
	const size_t len = strcspn(text, "=") + 1;
	size_t i = 0;

	while (i < *n && strncmp(env[i], text, len) != 0)
		i++;
	env[i] = text;
	*n += i == *n;
}

static int exec_lists(const struct args *args, struct config *config, struct err *err)
{
	struct bundle_process *process = &config->bundle.process;
	const struct args_value *env = args_list(args, "env");
	const struct args_value *gids = args_list(args, "additional-gids");
	size_t n = 0;

	while (process->env[n])
		n++;
	const char **all = pool_get(&config->pool, n + env->count + 1, sizeof(*all));
	uint32_t *groups =
		pool_get(&config->pool, process->n_groups + gids->count + 1, sizeof(*groups));
	if (!all || !groups)
		return err_set(err, ENOMEM, "process");
	memcpy(all, process->env, n * sizeof(*all));
	for (unsigned i = 0; i < env->count; i++) {
		if (!strchr(env->texts[i], '='))
			return err_say(err, EINVAL, "--env %.60s: must be NAME=VALUE",
				       env->texts[i]);
		exec_setenv(all, &n, env->texts[i]);
	}
	process->env = all;
	for (unsigned i = 0; i < process->n_groups; i++)
		groups[i] = process->groups[i];
	for (unsigned i = 0; i < gids->count; i++) {
		int64_t gid;
		int r = args_int(gids->texts[i], "--additional-gids", 0, UINT32_MAX - 1, &gid, err);
		if (r < 0)
			return r;
		groups[process->n_groups++] = (uint32_t)gid;
	}
	process->groups = groups;
	return 0;
}

static int exec_caps(const struct args *args, struct bundle_process *process, struct err *err)
{
	const struct args_value *caps = args_list(args, "cap");

	for (unsigned i = 0; i < caps->count; i++) {
		uint64_t cap;
		int r = caps_from_name(caps->texts[i], &cap, err);
		if (r < 0)
			return r;
		process->caps.bounding |= cap;
		process->caps.effective |= cap;
		process->caps.permitted |= cap;
		/* Root gets what is permitted at execve(2); to files of others nothing passes on (CVE-2022-24769). */
		if (process->uid == 0)
			continue;
		process->caps.inheritable |= cap;
		process->caps.ambient |= cap;
	}
	return 0;
}

/* The container's own process, but with other arguments. */
static int exec_process_args(const struct args *args, struct config *config, struct err *err)
{
	struct bundle_process *process = &config->bundle.process;
	const char *user = args_text(args, "user", NULL);
	int r = user ? exec_user(user, process, err) : 0;

	if (args->argc < 2)
		return err_say(err, EINVAL, "exec takes a command, or --process");
	const char **command = pool_get(&config->pool, (size_t)args->argc, sizeof(*command));
	if (!command)
		return err_set(err, ENOMEM, "process");
	for (int i = 1; i < args->argc; i++)
		command[i - 1] = args->argv[i];
	process->args = command;
	process->cwd = args_text(args, "cwd", process->cwd);
	if (process->cwd[0] != '/')
		return err_say(err, EINVAL, "--cwd %.60s: must be absolute", process->cwd);
	process->tty = args_on(args, "tty");
	process->no_new_privileges |= args_on(args, "no-new-privs");
	process->apparmor = args_text(args, "apparmor", process->apparmor);
	process->selinux = args_text(args, "process-label", process->selinux);
	if (r == 0)
		r = exec_lists(args, config, err);
	return r < 0 ? r : exec_caps(args, process, err);
}

static int exec_ready(const struct subject *subject, bool ignore_paused, struct err *err)
{
	if (subject->status == CONTAINER_PAUSED && !ignore_paused)
		return err_say(err, EBUSY, "cannot exec in container '%s': it is paused",
			       subject->container.id);
	if (subject->status == CONTAINER_RUNNING && subject->container.is_unfinished)
		return err_say(err, EBUSY,
			       "cannot exec in container '%s': it is still being made, or whoever "
			       "made it was killed",
			       subject->container.id);
	if (subject->status == CONTAINER_STOPPED || subject->status == CONTAINER_CREATING)
		return err_say(err, ESRCH, "cannot exec: container not running: '%s' is %s",
			       subject->container.id, container_status_names[subject->status]);
	return 0;
}

static int exec_console(const struct args *args, struct bundle_process *process,
			struct bundle_host *host, int *ret_ours, struct err *err)
{
	const bool tty = process->tty;
	int pair[2];
	int r = oci_console(args, &host->console, err);

	if (r < 0)
		return r;
	if (!tty && host->console >= 0)
		return err_say(err, EINVAL, "--console-socket: the process has no terminal");
	if (!tty || host->console >= 0)
		return 0;
	if (args_on(args, "detach"))
		return err_say(err, EINVAL, "a terminal takes a --console-socket");
	r = foreground_console(pair, &process->tty_size, err);
	if (r < 0)
		return r;
	*ret_ours = pair[0];
	host->console = pair[1];
	return 0;
}

static int exec_run(const struct args *args, const struct subject *subject,
		    const struct bundle_host *host, int console, struct err *err)
{
	AUTO(fd_close_p) int master = -EBADF;
	pid_t pid;
	int status;
	int r = subject->container.virt[0]
			? vm_exec(&subject->container, &subject->config, host, &pid, &status, err)
			: bundle_exec(&subject->config.bundle, host, subject->container.pid, &pid,
				      &status, err);

	if (r == 0)
		r = oci_pid_file(args, pid, err);
	if (r == 0)
		r = oci_pidfd(args, pid, err);
	if (r == 0 && console >= 0)
		r = master = foreground_master(console, err);
	if (r < 0)
		return r;
	return args_on(args, "detach") ? 0 : foreground_wait(pid, fd_take(&master), err);
}

static int exec_groups(const struct args *args, struct config *config, bool virt,
		       struct bundle_host *host, struct err *err)
{
	const struct args_value *groups = args_list(args, "cgroup");
	const char **list = pool_get(&config->pool, groups->count + 1, sizeof(*list));

	if (!list)
		return err_set(err, ENOMEM, "--cgroup");
	if (groups->count && virt)
		return err_say(err, ENOTSUP,
			       "--cgroup: the processes of a virtual machine have none");
	for (unsigned i = 0; i < groups->count; i++)
		list[i] = groups->texts[i];
	host->sub_groups = list;
	return 0;
}

static bool exec_lives(void *arg)
{
	return container_status_of(arg, NULL) != CONTAINER_STOPPED;
}

static int exec(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	struct bundle_host host = {
		.seccomp = -EBADF,
		.console = -EBADF,
		.listener = -EBADF,
		.lock = -EBADF,
		.lives = exec_lives,
		.arg = &subject.container,
	};
	const struct cgroup_layout none = { .v2 = -1 };
	const char *file = args_text(args, "process", NULL);
	struct notify notify;
	int console = -EBADF;

	int r = oci_open(oci, args->argv[0], &subject, err);
	if (r < 0)
		return r;
	r = exec_ready(&subject, args_on(args, "ignore-paused"), err);
	if (r == 0)
		r = file ? exec_process_file(file, &subject.config, err)
			 : exec_process_args(args, &subject.config, err);
	if (r == 0)
		r = exec_groups(args, &subject.config, subject.container.virt[0] != '\0', &host,
				err);
	if (r == 0)
		r = oci_preserve_fds(args, &host, err);
	if (r == 0)
		r = exec_console(args, &subject.config.bundle.process, &host, &console, err);
	if (r == 0)
		r = oci_seccomp(oci, &subject.config, &host.seccomp, err);
	host.confined = oci->confined || oci->no_cgroups || subject.spares_cgroup;
	host.layout = subject.spares_cgroup ? &none : NULL;
	oci_notify(&subject, &notify, &host);
	host.keep_keyring = args_on(args, "no-new-keyring");
	if (r == 0 && !args_on(args, "detach"))
		foreground_begin();
	if (r == 0)
		r = exec_run(args, &subject, &host, console, err);
	fd_close(host.seccomp);
	fd_close(host.console);
	fd_close(console);
	return r;
}

const struct verb oci_verb_exec = {
	.name = "exec",
	.operands = "ID [COMMAND [ARG...]]",
	.summary = "run one more process in a container",
	.opts = exec_opts,
	.stop_at_operand = true,
	.min_operands = 1,
	.max_operands = -1,
	.failed = 255,
	.run = exec,
};
