/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/os/fd.h"

const char *workload_getenv(const char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++) {
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	}
	return NULL;
}

void workload_signals(void)
{
	static const uint64_t dfl
		[4]; /* the kernel's struct sigaction: SIG_DFL; the C library keeps two to itself */
	sigset_t none;

	for (int sig = 1; sig <= 64; sig++)
		(void)syscall(SYS_rt_sigaction, sig, dfl, NULL,
			      sizeof(uint64_t)); /* SIGKILL, SIGSTOP: never ignored */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail: valid arguments */
}

int workload_cwd(const char *cwd, const char *root_name, int *ret_status, struct err *err)
{
	char real[PATH_MAX];

	if (chdir(cwd) < 0 && errno == ENOENT) {
		AUTO(fd_close_p) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		AUTO(fd_close_p) int dir = fd_mkdir_in(root, cwd, 0755);
		if (dir < 0) /* a root that is read-only: it is not there, and that is that */
			return err_set(err, dir == -EROFS ? ENOENT : -dir, "working directory %s",
				       cwd);
		if (fchdir(dir) < 0)
			return err_set(err, errno, "working directory %s", cwd);
	} else if (strcmp(cwd, "/") != 0 && chdir(cwd) < 0) {
		*ret_status = 126;
		return err_set(err, errno, "working directory %s", cwd);
	}
	/*
	 * A leaked host directory would show as a path that is not below this root (CVE-2024-21626). The kernel is asked: a C library
	 * looks again where it says "(unreachable)", and takes the image's directory, seen through the host's mount, for "/".
	 */
	if (syscall(SYS_getcwd, real, sizeof(real)) < 0 || real[0] != '/')
		return err_say(err, EPERM, "working directory %s leads out of %s", cwd, root_name);
	return 0;
}

/* A stream that is at its end, for an image whose /dev has no null device. */
static int workload_no_null(bool read_side)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fd_close(ends[read_side ? 1 : 0]);
	return ends[read_side ? 0 : 1];
}

int workload_null(bool read_side)
{
	AUTO(fd_close_p) int own = open("/dev/null", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (own >= 0 && fstat(own, &st) == 0 && S_ISCHR(st.st_mode) &&
	    st.st_rdev == makedev(1, 3) && fcntl(own, F_SETFL, O_RDWR) == 0)
		return fd_take(&own);
	fd_close_p(&own);
	return workload_no_null(read_side);
}

void workload_own_stdio(uid_t uid, bool tty)
{
	for (int fd = 0; uid && fd < 3; fd++) {
		struct stat st;
		if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || tty))
			(void)fchown(fd, uid, (gid_t)-1); /* a convenience, not a promise */
	}
}
