/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/bundle_private.h"
#include "engines/oslevel/search.h"
#include "engines/oslevel/users.h"
#include "engines/oslevel/workload.h"
#include "engines/seccomp/seccomp.h"

/* HOME is the one variable that is added where it is missing: the user's, by the root's own passwd file. */
static char *process_home(uint32_t uid)
{
	struct user user = { 0 };
	char name[12], *home = NULL;

	(void)snprintf(name, sizeof(name), "%u", uid); /* fits */
	if (users_resolve(name, NULL, &user, NULL) < 0 ||
	    asprintf(&home, "HOME=%s", user.home[0] ? user.home : "/") < 0)
		home = strdup("HOME=/");
	user_fini(&user);
	return home;
}

/* sd_listen_fds(3): only the process with this number takes them. */
static char **process_listen(char **env, unsigned n_fds)
{
	if (n_fds && asprintf(env, "LISTEN_FDS=%u", n_fds) > 0)
		env++;
	if (n_fds && asprintf(env, "LISTEN_PID=%d", (int)getpid()) > 0)
		env++;
	*env = NULL;
	return env;
}

static int process_env(const struct bundle_process *from, unsigned listen_fds, char ***ret)
{
	size_t n = 0;

	while (from->env[n])
		n++;
	char **env = calloc(n + 4, sizeof(*env));
	if (!env)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		env[i] = (char *)(uintptr_t)from->env[i]; /* execve(2) takes them so */
	if (!workload_getenv(from->env, "HOME") && !(env[n++] = process_home(from->uid))) {
		free(env);
		return -ENOMEM;
	}
	(void)process_listen(env + n, listen_fds); /* without them it looks at nothing */
	*ret = env;
	return 0;
}

int bundle_process_of(const struct bundle *bundle, const struct bundle_host *host, int sync,
		      struct process *ret, struct err *err)
{
	const struct bundle_process *from = &bundle->process;

	*ret = (struct process){
		.args = from->args,
		.cwd = from->cwd,
		.ulimits = from->ulimits,
		.n_ulimits = from->n_ulimits,
		.caps = from->caps,
		.seccomp = host->seccomp,
		.seccomp_flags = host->seccomp_flags,
		.notifies = host->notifies,
		.uid = from->uid,
		.gid = from->gid,
		.groups = from->groups,
		.n_groups = from->n_groups,
		.tty = from->tty,
		.no_new_privileges = from->no_new_privileges,
		.free = true,
		.keep_keyring = host->keep_keyring,
		.sync = sync,
	};
	struct tune tune = from->tune;
	tune.set_personality = bundle->set_personality;
	tune.personality = bundle->personality;
	tune.memory = bundle->memory;
	int r = tune_apply(&tune, err);
	if (r < 0)
		return r;
	r = process_env(from, host->listen_fds, &ret->env);
	return r < 0 ? err_set(err, -r, "environment") : caps_keep(&ret->caps, err);
}

static int console_bind(int slave, struct err *err)
{
	AUTO(fd_close_p) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd_close_p) int copy = mount_clone(slave, "", false, err);

	return copy < 0 ? copy
			: mount_at(copy, root, "/dev/console", MOUNT_TARGET_FILE, MOUNT_TRUST_NONE,
				   err);
}

int bundle_console(const struct bundle *bundle, const struct bundle_host *host, bool bind,
		   int *ret_slave, struct err *err)
{
	const struct iovec name = { .iov_base = (char[]){ "/dev/ptmx" }, .iov_len = 9 };
	const struct winsize *size = &bundle->process.tty_size;
	AUTO(fd_close_p) int master = -EBADF;
	AUTO(fd_close_p) int slave = -EBADF;
	int r = process_tty(size, &master, &slave, err);

	if (r == 0 && bind)
		r = console_bind(slave, err);
	if (r < 0)
		return r;
	r = fd_send(host->console, &name, 1, master);
	if (r < 0)
		return err_set(err, -r, "send the terminal to the console socket");
	*ret_slave = fd_take(&slave);
	return 0;
}

/*
 * The caller's fds from 3 on are the workload's too. One that he does not have is a number that one of ours may have got: his came
 * through an execve(2), so that what closes at the next one is ours.
 */
static void preserve_find(const struct bundle_host *host, bool ret_is_his[BUNDLE_FDS_MAX])
{
	for (unsigned i = 0; i < host->preserve_fds; i++)
		ret_is_his[i] = fcntl(3 + (int)i, F_GETFD) == 0;
}

int bundle_streams(const struct bundle_host *host, int slave, struct err *err)
{
	static const struct guest_io io = { .in = 0, .out = 1, .err = 2 };
	bool is_his[BUNDLE_FDS_MAX] = { false };

	preserve_find(host, is_his);
	int r = process_stdio(&io, slave, err);
	for (unsigned i = 0; r == 0 && i < host->preserve_fds; i++) {
		if (is_his[i] && fcntl(3 + (int)i, F_SETFD, 0) < 0)
			r = err_set(err, errno, "--preserve-fds: fd %u", 3 + i);
	}
	return r;
}

static int drop_filter(const struct bundle_host *host, struct err *err)
{
	const unsigned flags =
		host->seccomp_flags & ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

	return host->seccomp < 0 ? 0 : seccomp_install_with(host->seccomp, flags, NULL, err);
}

/* In the order of process_drop() and process_seal(). */
int bundle_drop(const struct bundle *bundle, const struct bundle_host *host, struct err *err)
{
	const struct bundle_process *as = &bundle->process;
	struct caps_sets caps = as->caps;
	int r = caps_keep(&caps, err);

	if (r == 0 && !as->no_new_privileges)
		r = drop_filter(host, err);
	if (r == 0)
		r = caps_apply_sets(&caps, as->uid, as->gid, as->groups, as->n_groups, err);
	if (r < 0 || !as->no_new_privileges)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, errno, "no_new_privs");
	return drop_filter(host, err);
}

int bundle_become(const struct bundle *bundle, const struct process *process,
		  const struct label *label, int *ret_status, struct err *err)
{
	int r = label_set(label, bundle->process.apparmor, bundle->process.selinux, err);

	*ret_status = 125;
	if (r < 0)
		return r;
	(void)umask(bundle->process.umask);
	workload_signals();
	return process_become(process, ret_status, err);
}

/* A command that is not there is told before anything runs, in words that managers look for. */
int bundle_find(const struct process *process, int *status, struct err *err)
{
	const char *search = workload_getenv((const char *const *)process->env, "PATH");
	const char *command = process->args[0];
	char path[PATH_MAX];
	struct stat st;
	int r = search_find(command, search ? search : SEARCH_PATH, path, status, err);

	if (r == 0 && stat(path, &st) < 0)
		return search_failed(errno, command, status, err);
	if (r == 0 && (!S_ISREG(st.st_mode) || !(st.st_mode & 0111)))
		return search_failed(EACCES, command, status, err);
	if (r == -ENOENT && !strchr(command, '/'))
		return err_say(err, ENOENT, "run %s: executable file not found in $PATH", command);
	return r;
}
