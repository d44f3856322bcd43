/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strata-hub: started by strata and strata-vmm, with a listening socket as standard input; what it has to say goes to standard error.
 *
 *	strata-hub tty PATH			a serial line to a server
 *	strata-hub unix PATH			a unix socket: another emulator's
 *	strata-hub lab CONSOLE -- QEMU...	an emulated server of its own, whose console goes to a file
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/log.h"
#include "engines/baremetal/hub.h"
#include "engines/baremetal/lab.h"

#define MAIN_CONSOLE_MAX                                                                           \
	(1 << 20) /* bytes of a server's console that are kept, and as much before them */
#define MAIN_HELLO_MS 1000
#define MAIN_LINE_MS  5000 /* a socket's line; twice that the next time, and again */
#define MAIN_LINES    3
#define MAIN_READY_MS 50000 /* before a client loses its patience: CHAN_CALL_MS */
/* A line may be slow: the answer to a HELLO counts no more once there is another. 8 KiB go each way; and a server may start just now. */
#define MAIN_SLOW_HELLO_MS 10000
#define MAIN_ASK_MS	   10000
#define MAIN_DEAF_MS	   60000 /* an emulated server on a busy host takes its time */
#define MAIN_LINGER_MS	   10000
#define MAIN_QEMU_MS	   60000 /* until a QEMU that does not end is killed */

static int main_tty(const char *path, struct err *err)
{
	struct termios raw;
	AUTO(fd_close_p) int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &raw) < 0)
		return err_set(err, errno, "open %s", path);
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL | CREAD;
	(void)cfsetspeed(&raw, B115200); /* a known speed */
	if (tcsetattr(fd, TCSAFLUSH, &raw) < 0)
		return err_set(err, errno, "set up %s", path);
	return fd_take(&fd);
}

static int main_unix(const char *path, struct err *err)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	AUTO(fd_close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(to.sun_path))
		return err_say(err, ENAMETOOLONG, "%s: too long for a socket", path);
	memcpy(to.sun_path, path, strlen(path));
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return err_set(err, errno, "connect to %s", path);
	return fd_take(&fd);
}

/* A server's console: the newest is in the file, what was before in FILE.1. A process of its own, which ends with the pipe. */
static _Noreturn void main_console(int in, const char *path)
{
	char before[4096], bytes[4096];
	size_t kept = 0;
	int out = -EBADF;

	(void)snprintf(before, sizeof(before), "%s.1", path); /* a cut one is no name of ours */
	for (;;) {
		ssize_t n = read(in, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		if (out < 0 || kept > MAIN_CONSOLE_MAX) {
			fd_close(out);
			if (kept)
				(void)rename(path, before);
			kept = 0;
			out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		}
		kept += (size_t)n;
		(void)fd_write_all(out, bytes,
				   (size_t)n); /* a full disk is not the server's fault */
	}
}

static void child_dies_with(pid_t parent)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
}

static int main_console_start(const char *path, struct err *err)
{
	int ends[2];
	const pid_t parent = getpid();

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(STDIN_FILENO);
		(void)close(ends[1]);
		(void)prctl(PR_SET_NAME, "strata-hub-log");
		if (getppid() != parent)
			_exit(125);
		main_console(ends[0], path);
	}
	fd_close(ends[0]);
	if (pid < 0) {
		fd_close(ends[1]);
		return err_set(err, errno, "fork");
	}
	return ends[1];
}

static _Noreturn void main_qemu(int line, int console, char **argv, pid_t parent)
{
	char *qemu = NULL;
	struct err err = { 0 };

	child_dies_with(parent);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int r = lab_qemu(&qemu, &err);
	if (r == 0 && (dup2(null, STDIN_FILENO) < 0 || dup2(console, STDOUT_FILENO) < 0 ||
		       dup2(line, LAB_CHANNEL_FD) < 0 || fcntl(LAB_CHANNEL_FD, F_SETFD, 0) < 0 ||
		       close_range(LAB_CHANNEL_FD + 1, ~0U, 0) < 0))
		r = err_set(&err, errno, "set up the emulated server");
	if (r == 0) {
		(void)execv(qemu, argv);
		(void)err_set(&err, errno, "%s", qemu);
	}
	log_error(&err);
	_exit(125);
}

/* What its disks are to have is written when it ends by itself; and whoever waits for us may open them again. */
static void main_lab_end(pid_t qemu)
{
	AUTO(fd_close_p) int pidfd = qemu > 0 ? pidfd_of(qemu) : -ESRCH;
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int r;

	if (qemu <= 0)
		return;
	(void)kill(qemu, SIGTERM); /* our child: it is there until we wait */
	do {
		r = pidfd < 0 ? 0 : poll(&ended, 1, MAIN_QEMU_MS);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		(void)kill(qemu, SIGKILL);
	/* And whoever writes its console down, which has seen its end by then. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

static int main_lab(const char *console, char **argv, pid_t *ret_qemu, struct err *err)
{
	int pair[2];
	const pid_t parent = getpid();
	AUTO(fd_close_p) int out = main_console_start(console, err);

	if (out < 0)
		return out;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socket pair");
	pid_t pid = fork();
	if (pid == 0)
		main_qemu(pair[1], out, argv, parent);
	fd_close(pair[1]);
	if (pid < 0) {
		fd_close(pair[0]);
		return err_set(err, errno, "fork");
	}
	*ret_qemu = pid;
	return pair[0];
}

static int main_line(int argc, char **argv, struct hub_config *config, pid_t *ret_qemu,
		     struct err *err)
{
	if (argc == 3 && !strcmp(argv[1], "tty")) {
		config->hello_ms = MAIN_SLOW_HELLO_MS;
		return main_tty(argv[2], err);
	}
	if (argc == 3 && !strcmp(argv[1], "unix")) {
		config->hello_ms = config->ready_ms = MAIN_LINE_MS;
		config->reopen = main_unix;
		config->path = argv[2];
		config->tries = MAIN_LINES - 1;
		return main_unix(argv[2], err);
	}
	if (argc > 4 && !strcmp(argv[1], "lab") && !strcmp(argv[3], "--")) {
		config->linger_ms = 0;
		return main_lab(argv[2], argv + 4, ret_qemu, err);
	}
	return err_say(err, EINVAL, "strata-hub: started by strata, not by hand; see strata(1)");
}

int main(int argc, char **argv)
{
	struct hub_config config = {
		.hello_ms = MAIN_HELLO_MS,
		.ready_ms = MAIN_READY_MS,
		.ask_ms = MAIN_ASK_MS,
		.deaf_ms = MAIN_DEAF_MS,
		.linger_ms = MAIN_LINGER_MS,
	};
	struct err err = { 0 };
	pid_t qemu = 0;
	sigset_t mask;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL); /* valid arguments: cannot fail */
	config.stop = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	/* A child of ours gets neither: a server would wait for clients of its own. */
	config.listener = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	if (config.listener < 0)
		(void)err_set(&err, errno, "standard input is not a listening socket");
	int r = config.listener < 0 ? -EBADF : main_line(argc, argv, &config, &qemu, &err);
	if (r >= 0) {
		config.line = r;
		r = hub_run(&config, &err);
	}
	main_lab_end(qemu);
	if (r < 0)
		log_error(&err);
	return r < 0 ? 125 : 0;
}
