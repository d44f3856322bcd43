/* SPDX-License-Identifier: Apache-2.0 */
#include "become.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines/oslevel/caps_apply.h"
#include "engines/oslevel/search.h"
#include "engines/oslevel/workload.h"

void become_fini(struct become *become)
{
	user_fini(&become->user);
	free(become->home);
	become->home = NULL;
}

/* HOME and TERM where the image names none, as Docker; config_parse() left room for them. */
static int become_environment(struct become *become, struct err *err)
{
	static const char term[] = "TERM=xterm";
	const struct config *config = become->config;
	const char *const *env = (const char *const *)config->env;
	size_t n = config->n_env;
	const char *home = become->user.home && become->user.home[0] ? become->user.home : "/";

	if (!workload_getenv(env, "HOME")) {
		if (asprintf(&become->home, "HOME=%s", home) < 0) {
			become->home = NULL;
			return err_set(err, ENOMEM, "environment");
		}
		config->env[n++] = become->home;
	}
	if ((config->flags & AGENT_FLAG_TTY) && !workload_getenv(env, "TERM"))
		config->env[n++] = (char *)(uintptr_t)term; /* execve(2) takes them so */
	config->env[n] = NULL;
	return 0;
}

static int become_rlimits(const struct config *config, struct err *err)
{
	for (size_t i = 0; i < config->n_rlimits; i++) {
		const struct agent_rlimit *limit = &config->rlimits[i];
		const struct rlimit want = { .rlim_cur = limit->soft, .rlim_max = limit->hard };
		if (limit->resource >= RLIM_NLIMITS ||
		    syscall(SYS_prlimit64, 0, (int)limit->resource, &want, NULL) < 0)
			return err_set(err, limit->resource >= RLIM_NLIMITS ? EINVAL : errno,
				       "limit %llu", (unsigned long long)limit->resource);
	}
	return 0;
}

int become_prepare(struct become *become, int *ret_status, struct err *err)
{
	const struct config *config = become->config;

	*ret_status = 125;
	int r = users_resolve(config->user, (const char *const *)config->groups, &become->user,
			      err);
	if (r == 0)
		r = become_environment(become, err);
	if (r == 0)
		r = become_rlimits(config, err);
	return r == 0 ? workload_cwd(config->cwd, "the root file system", ret_status, err) : r;
}

int become_stdio(const struct become *become, int in, int out, int error, struct err *err)
{
	const int from[3] = { in, out, error };

	workload_signals();
	(void)setsid(); /* fails only for a leader, and then it is one */
	if ((become->config->flags & AGENT_FLAG_TTY) && ioctl(in, TIOCSCTTY, 0) < 0)
		return err_set(err, errno, "take the terminal");
	for (int i = 0; i < 3; i++) {
		int fd = from[i] >= 0 ? from[i] : workload_null(i == 0);
		/* dup2(fd, fd) would keep the close-on-exec flag. */
		if (fd < 0 || (fd == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(fd, i) < 0))
			return err_set(err, fd < 0 ? -fd : errno, "standard streams");
	}
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_set(err, errno, "close_range");
	return 0;
}

static int become_seccomp(const struct config *config, struct err *err)
{
	struct sock_filter filter[BPF_MAXINSNS];
	const struct sock_fprog program = { (unsigned short)config->n_seccomp, filter };

	if (!config->seccomp)
		return 0;
	memcpy(filter, config->seccomp,
	       config->n_seccomp * sizeof(filter[0])); /* config_seccomp() */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_set(err, errno, "seccomp filter");
	return 0;
}

int become_drop(const struct become *become, struct err *err)
{
	const struct config *config = become->config;

	(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING,
		      NULL); /* without keyrings: nothing to hide */
	/* Without no_new_privs a filter needs CAP_SYS_ADMIN, so it goes on before the capabilities go. */
	if (!(config->flags & AGENT_FLAG_NO_NEW_PRIVS)) {
		int r = become_seccomp(config, err);
		if (r < 0)
			return r;
	}
	return caps_apply(config->caps, become->user.uid, become->user.gid, become->user.groups,
			  become->user.n_groups, err);
}

int become_run(const struct become *become, int *ret_status, struct err *err)
{
	const struct config *config = become->config;
	char full[PATH_MAX];

	*ret_status = 125;
	workload_own_stdio(become->user.uid, config->flags & AGENT_FLAG_TTY);
	int r = become_drop(become, err);
	if (r < 0)
		return r;
	/* Changing ids cleared it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(err, errno, "tie the process to its parent");
	const char *search = workload_getenv((const char *const *)config->env, "PATH");
	r = search_find(config->args[0], search ? search : SEARCH_PATH, full, ret_status, err);
	if (r < 0)
		return r;
	if (config->flags & AGENT_FLAG_NO_NEW_PRIVS) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			return err_set(err, errno, "no_new_privs");
		r = become_seccomp(config, err);
		if (r < 0)
			return r;
	}
	(void)execve(full, config->args, config->env); /* returns on error */
	return search_failed(errno, config->args[0], ret_status, err);
}
