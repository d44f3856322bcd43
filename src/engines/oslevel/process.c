/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last steps of any process in a container, its first or one of `exec`: who it is, what it runs, and giving
 * up every right that this does not need. Runs inside the container's root.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/caps_apply.h"
#include "engines/oslevel/private.h"
#include "engines/oslevel/rlimits.h"
#include "engines/oslevel/search.h"
#include "engines/seccomp/seccomp.h"
#include "engines/oslevel/users.h"
#include "engines/oslevel/workload.h"

/* The image's environment, and HOME where it names none: as Docker, from the user's passwd entry. */
static int process_environment(const struct spec *spec, const char *home, struct process *process,
			       struct err *err)
{
	size_t n = 0;

	process->env = calloc(spec->n_env + 3, sizeof(char *));
	if (!process->env)
		return err_set(err, ENOMEM, "environment");
	for (size_t i = 0; i < spec->n_env; i++)
		process->env[n++] = (char *)(uintptr_t)spec->env[i]; /* execve(2) takes them so */
	if (!workload_getenv(spec->env, "HOME") &&
	    asprintf(&process->env[n++], "HOME=%s", home && home[0] ? home : "/") < 0)
		return err_set(err, ENOMEM, "environment");
	if (spec->tty && !workload_getenv(spec->env, "TERM") &&
	    !(process->env[n++] = strdup("TERM=xterm")))
		return err_set(err, ENOMEM, "environment");
	return 0;
}

int process_prepare(const struct spec *spec, struct process *process, int *ret_status,
		    struct err *err)
{
	struct user user = { 0 };

	*ret_status = 125;
	process->args = spec->args;
	process->cwd = spec->cwd;
	process->ulimits = spec->ulimits;
	process->n_ulimits = spec->n_ulimits;
	process->tty = spec->tty;
	process->no_new_privileges = spec->no_new_privileges;
	int r = users_resolve(spec->user, spec->groups, &user, err);
	if (r < 0)
		return r;
	process->uid = user.uid;
	process->gid = user.gid;
	process->groups = user.groups;
	process->n_groups = user.n_groups;
	process->caps = caps_of(spec->caps, user.uid);
	r = process_environment(spec, user.home, process, err);
	free(user.home);
	return r;
}

int process_limits(const struct process *process, int *ret_status, struct err *err)
{
	int r = rlimits_apply(process->ulimits, process->n_ulimits, err);

	return r < 0 ? r : workload_cwd(process->cwd, "the container", ret_status, err);
}

int process_tty(const struct winsize *size, int *ret_master, int *ret_slave, struct err *err)
{
	int unlock = 0;
	AUTO(fd_close_p) int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (master < 0 || fstat(master, &st) < 0)
		return err_set(err, errno, "open /dev/ptmx");
	/* An image's own /dev could have anything there. */
	if (!S_ISCHR(st.st_mode) || ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_say(err, ENOTTY,
			       "the container's /dev/ptmx is not a terminal multiplexer");
	AUTO(fd_close_p) int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_set(err, errno, "open a terminal");
	(void)ioctl(master, TIOCSWINSZ, size); /* cosmetic */
	*ret_master = fd_take(&master);
	*ret_slave = fd_take(&slave);
	return 0;
}

/*
 * The host's null device must not come in as a stream: fchmod(2) of it would be one of the host's. The
 * container's own takes its place. Return: 1: done; 0: fd is no null device; or a negative errno.
 */
static int process_own_null(int fd, int to, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return 0;
	AUTO(fd_close_p) int own = workload_null(to == STDIN_FILENO);
	if (own < 0 || dup2(own, to) < 0)
		return err_set(err, own < 0 ? -own : errno, "standard streams");
	return 1;
}

int process_stdio(const struct guest_io *io, int tty, struct err *err)
{
	const int from[3] = { tty >= 0 ? tty : io->in, tty >= 0 ? tty : io->out,
			      tty >= 0 ? tty : io->err };

	(void)setsid(); /* fails only for a leader, and then it is one */
	if (tty >= 0 && ioctl(tty, TIOCSCTTY, 0) < 0)
		return err_set(err, errno, "take the terminal");
	for (int i = 0; i < 3; i++) {
		int r = process_own_null(from[i], i, err);
		if (r != 0) {
			if (r < 0)
				return r;
			continue;
		}
		/* dup2(fd, fd) would keep the close-on-exec flag. */
		if (from[i] == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(from[i], i) < 0)
			return err_set(err, errno, "standard streams");
	}
	/* Whatever we may have missed must not reach the workload (CVE-2024-21626). */
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_set(err, errno, "close_range");
	return 0;
}

int process_tie(struct err *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(err, errno, "tie the workload to its monitor");
	return 0;
}

/* read(2), as no filter of the user's forbids that one. */
bool process_orphaned(const struct process *process)
{
	char byte;

	return read(process->sync, &byte, 1) == 0;
}

static int process_filter(const struct process *process, struct err *err)
{
	int listener = -EBADF;
	int r = seccomp_install_with(process->seccomp, process->seccomp_flags,
				     process->notifies ? &listener : NULL, err);

	if (r < 0 || !process->notifies)
		return r;
	sync_send_fd(process->sync, SYNC_NOTIFY, listener);
	/* With one of our own nobody would see that the other's is gone: we would wait for his answer for ever. */
	fd_close(listener);
	r = sync_expect(process->sync, SYNC_NOTIFY, NULL, NULL, err);
	return r > 0 ? err_say(err, EPIPE, "nobody took the listener of the seccomp filter") : r;
}

int process_drop(const struct process *process, struct err *err)
{
	/* Keys of whoever started us are not the guest's to list; without keyrings there is nothing to hide. */
	if (!process->keep_keyring)
		(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	/* Without no_new_privs a filter needs CAP_SYS_ADMIN, so it goes on before the capabilities go. */
	if (!process->no_new_privileges && process->seccomp >= 0) {
		int r = process_filter(process, err);
		if (r < 0)
			return r;
	}
	return caps_apply_sets(&process->caps, process->uid, process->gid, process->groups,
			       process->n_groups, err);
}

int process_seal(const struct process *process, struct err *err)
{
	if (!process->no_new_privileges)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, errno, "no_new_privs");
	return process->seccomp < 0 ? 0 : process_filter(process, err);
}

int process_become(const struct process *process, int *ret_status, struct err *err)
{
	char path[PATH_MAX];

	*ret_status = 125;
	if (!process->free)
		(void)fcntl(process->sync, F_SETFL,
			    O_RDWR | O_NONBLOCK); /* for process_orphaned(); valid */
	workload_own_stdio(process->uid, process->tty);
	int r = process_drop(process, err);
	if (r < 0)
		return r;
	r = process->free ? 0 : process_tie(err); /* changing ids cleared it */
	if (r < 0)
		return r;
	if (!process->free && process_orphaned(process))
		return err_say(err, EOWNERDEAD, "its monitor is gone");
	const char *search = workload_getenv((const char *const *)process->env, "PATH");
	r = search_find(process->args[0], search ? search : SEARCH_PATH, path, ret_status, err);
	if (r < 0)
		return r;
	r = process_seal(process, err);
	if (r < 0)
		return r;
	(void)execve(path, (char *const *)(uintptr_t)process->args,
		     process->env); /* returns on error */
	return search_failed(errno, process->args[0], ret_status, err);
}
