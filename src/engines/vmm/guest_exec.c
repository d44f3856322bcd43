/* SPDX-License-Identifier: Apache-2.0 */
/* One more process in a running virtual machine: asked of the agent inside, through the machine's vsock. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/vmm/agent_exec.h"
#include "engines/vmm/guest.h"
#include "engines/vmm/vmm_agent_socket.h"

int vmm_agent_connect(const char *run_dir, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO(fd_close_p) int dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd_close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (dir < 0 || fd < 0)
		return err_set(err, errno, "reach the agent: %s", run_dir);
	/* A run directory's own name may be longer than an address has room for. */
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" VMM_VSOCK_NAME,
		       dir); /* fits */
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_set(err, errno, "reach the agent of the virtual machine");
	return fd_take(&fd);
}

int vmm_raw_tty(const struct winsize *size, int *ret_master, int *ret_slave, struct err *err)
{
	struct termios raw;
	int master, slave;

	if (openpty(&master, &slave, NULL, NULL, size) < 0)
		return err_set(err, errno, "make a terminal");
	(void)fcntl(master, F_SETFD, FD_CLOEXEC); /* valid fds */
	(void)fcntl(slave, F_SETFD, FD_CLOEXEC);
	if (tcgetattr(slave, &raw) == 0) {
		cfmakeraw(&raw);
		(void)tcsetattr(slave, TCSANOW, &raw);
	}
	*ret_master = master;
	*ret_slave = slave;
	return 0;
}

/* The other side of a new terminal goes to whoever asked; here its bytes are copied as they are. */
static int exec_tty(const struct guest_exec *exec, int *ret_slave, struct err *err)
{
	const struct iovec iov = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
	int master, slave;

	int r = vmm_raw_tty(&exec->spec->tty_size, &master, &slave, err);
	if (r < 0)
		return r;
	r = fd_send(exec->tty_socket, &iov, 1, master);
	fd_close(master);
	if (r < 0) {
		fd_close(slave);
		return err_set(err, -r, "hand over the terminal");
	}
	/* So that SIGWINCH comes when its size changes. */
	if (setsid() > 0)
		(void)ioctl(slave, TIOCSCTTY, 0);
	*ret_slave = slave;
	return 0;
}

static int exec_signals(void)
{
	sigset_t mask;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGWINCH);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL); /* valid arguments: cannot fail */
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

int vmm_guest_exec(const struct guest_exec *exec, struct err *err)
{
	AUTO(fd_close_p) int tty = -EBADF;
	AUTO(fd_close_p) int signals = exec_signals();
	int status = 125;

	if (!exec->spec->vm.agent) {
		(void)err_say(err, ENOTSUP,
			      "%s runs a kernel of its own, with no agent of ours inside: use its "
			      "console ('strata attach %s')",
			      exec->spec->name, exec->spec->name);
		return 125;
	}
	AUTO(fd_close_p) int fd = vmm_agent_connect(exec->dirs.run, err);
	if (fd < 0 || (exec->spec->tty && exec_tty(exec, &tty, err) < 0))
		return 125;
	const struct agent_exec session = {
		.socket = fd,
		.spec = exec->spec,
		.in = exec->spec->tty ? tty : exec->io.in,
		.out = exec->spec->tty ? tty : exec->io.out,
		.err = exec->spec->tty ? -EBADF : exec->io.err,
		.tty = tty,
		.signals = signals,
		.started = exec->started_fd,
	};
	(void)agent_exec(&session, &status, err); /* the status says it, and err */
	return status;
}
