/* SPDX-License-Identifier: Apache-2.0 */
/* Staying with a process: its signals, and its terminal. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/wait.h"
#include "oci/oci.h"

struct foreground {
	pid_t pid;
	int signals, master;
	bool raw, input; /* our terminal is raw; standard input is still read */
	struct termios saved;
};

static void foreground_set(sigset_t *set)
{
	/* Those that are about this process itself stay as they are. */
	static const int own[] = { SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
				   SIGTRAP, SIGABRT, SIGSYS, SIGPIPE };

	(void)sigfillset(set);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		(void)sigdelset(set, own[i]);
}

void foreground_begin(void)
{
	sigset_t set;

	foreground_set(&set);
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* cannot fail: valid arguments */
}

/* false: standard input is no terminal, or one that does not know its size. */
static bool foreground_ours(struct winsize *ret)
{
	return ioctl(STDIN_FILENO, TIOCGWINSZ, ret) == 0 && (ret->ws_row || ret->ws_col);
}

int foreground_console(int ret[2], struct winsize *size, struct err *err)
{
	struct winsize ours;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) < 0)
		return err_set(err, errno, "socket pair");
	if (foreground_ours(&ours))
		*size = ours;
	return 0;
}

int foreground_master(int socket, struct err *err)
{
	char name[16];
	int master = -EBADF;
	ssize_t n = fd_receive(socket, name, sizeof(name), &master);

	if (n < 0)
		return err_set(err, (int)-n, "take the container's terminal");
	return master < 0 ? err_say(err, EPROTO, "the container has no terminal") : master;
}

static void foreground_size(const struct foreground *fg)
{
	struct winsize size;

	if (fg->master >= 0 && foreground_ours(&size))
		(void)ioctl(fg->master, TIOCSWINSZ, &size); /* cosmetic */
}

static void foreground_raw(struct foreground *fg)
{
	if (fg->master < 0 || tcgetattr(STDIN_FILENO, &fg->saved) < 0)
		return;
	struct termios raw = fg->saved;
	cfmakeraw(&raw);
	fg->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

/* false: at its end. */
static bool foreground_copy(int from, int to)
{
	char data[16384];
	ssize_t n = read(from, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	return n > 0 && fd_write_all(to, data, (size_t)n) == 0;
}

/* true: it has ended. */
static bool foreground_signal(struct foreground *fg, int *ret_status)
{
	struct signalfd_siginfo info;
	int status;

	if (read(fg->signals, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo == SIGWINCH) {
		foreground_size(fg);
	} else if (info.ssi_signo == SIGCHLD) {
		if (waitpid(fg->pid, &status, WNOHANG) != fg->pid)
			return false;
		*ret_status = wait_status(status);
		return true;
	} else {
		(void)kill(fg->pid, (int)info.ssi_signo); /* ours: there until waited for */
	}
	return false;
}

static int foreground_loop(struct foreground *fg)
{
	int status = 0;

	for (;;) {
		struct pollfd fds[3] = { { .fd = fg->signals, .events = POLLIN },
					 { .fd = fg->master, .events = POLLIN },
					 { .fd = fg->input ? STDIN_FILENO : -1,
					   .events = POLLIN } };
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue; /* EINTR: nothing else can be wrong with them */
		if (fds[1].revents && !foreground_copy(fg->master, STDOUT_FILENO))
			fd_close_p(&fg->master);
		if (fds[2].revents && fg->master >= 0)
			fg->input = foreground_copy(STDIN_FILENO, fg->master);
		fg->input &= fg->master >= 0;
		if (fds[0].revents && foreground_signal(fg, &status))
			return status;
	}
}

int foreground_wait(pid_t pid, int master, struct err *err)
{
	struct foreground fg = { .pid = pid, .master = master, .input = master >= 0 };
	sigset_t set;

	foreground_set(&set);
	fg.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fg.signals < 0) {
		fd_close(master);
		return err_set(err, errno, "signalfd");
	}
	foreground_size(&fg);
	foreground_raw(&fg);
	int status = foreground_loop(&fg);
	/* What it said last may still be in the terminal: it ends with the last process that has it, or is empty. */
	for (struct pollfd last = { .fd = fg.master, .events = POLLIN };
	     fg.master >= 0 && poll(&last, 1, 0) > 0 && foreground_copy(fg.master, STDOUT_FILENO);)
		;
	if (fg.raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW,
				&fg.saved); /* the terminal is gone: nothing to restore */
	fd_close(fg.signals);
	fd_close(fg.master);
	return status;
}
