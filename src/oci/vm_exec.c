/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One more process in a machine. On the host a stand-in has its number: it copies the streams through the machine's vsock, hands on
 * the signals that it gets, ends with the process's status, and, killed, takes the process with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "base/os/wait.h"
#include "engines/cgroup/instance.h"
#include "engines/vmm/agent_exec.h"
#include "engines/vmm/guest.h"
#include "engines/vmm/sync.h"
#include "engines/vmm/vmm_agent_socket.h"
#include "oci/vm.h"

#define EXEC_KILLED (128 + SIGKILL)

struct exec_work {
	const struct spec *spec; /* of the process */
	const struct bundle_host *host;
	int agent; /* connected */
	int sync;  /* gets one byte once it runs, or a struct vmm_message */
	int joins[CGROUP_HIERARCHIES];
	unsigned n_joins;
};

static int exec_tty(const struct exec_work *work, struct err *err)
{
	const struct iovec name = { .iov_base = (char[]){ "/dev/ptmx" }, .iov_len = 9 };
	int master, slave;
	int r = vmm_raw_tty(&work->spec->tty_size, &master, &slave, err);

	if (r < 0)
		return r;
	r = fd_send(work->host->console, &name, 1, master);
	fd_close(master);
	if (r < 0) {
		fd_close(slave);
		return err_set(err, -r, "send the terminal to the console socket");
	}
	/* So that SIGWINCH comes when its size changes. */
	if (setsid() > 0)
		(void)ioctl(slave, TIOCSCTTY, 0);
	return slave;
}

/* All but those that are about this process itself. */
static int exec_signals(void)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE,  SIGILL, SIGTRAP,
				   SIGABRT, SIGSYS, SIGCHLD, SIGPIPE };
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigfillset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		(void)sigdelset(&set, own[i]);
	(void)sigprocmask(SIG_SETMASK, &set, NULL); /* valid arguments: cannot fail */
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int exec_run(const struct exec_work *work, int *ret_status, struct err *err)
{
	const bool tty = work->spec->tty;
	int r = cgroup_join(work->joins, work->n_joins);
	AUTO(fd_close_p) int signals = exec_signals();
	AUTO(fd_close_p) int slave = -EBADF;

	if (r < 0 || signals < 0)
		return err_set(err, r < 0 ? -r : errno, "join the machine's cgroups");
	if (tty && (r = slave = exec_tty(work, err)) < 0)
		return r;
	const struct agent_exec session = {
		.socket = work->agent,
		.spec = work->spec,
		.in = tty ? slave : STDIN_FILENO,
		.out = tty ? slave : STDOUT_FILENO,
		.err = tty ? -EBADF : STDERR_FILENO,
		.tty = slave,
		.signals = signals,
		.started = work->sync,
	};
	return agent_exec(&session, ret_status, err);
}

static _Noreturn void exec_child(const struct exec_work *work)
{
	struct err err = { 0 };
	int status = 125;

	if (exec_run(work, &status, &err) < 0) {
		vmm_say_failed(work->sync, status, &err); /* nobody listens any more once it ran */
		status = EXEC_KILLED;			  /* with the machine */
	}
	_exit(status);
}

static int exec_clone(struct exec_work *work, const struct cgroup *cgroup, int ours, pid_t *ret_pid,
		      struct err *err)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	bool into;
	long pid = cgroup_clone_into(&args, cgroup_v2_fd(cgroup), &into);

	if (pid < 0)
		return err_set(err, errno, "start a process in the machine");
	if (pid == 0) {
		fd_close(ours);
		exec_child(work);
	}
	*ret_pid = (pid_t)pid;
	return into ? 0 : cgroup_instance_move(cgroup, *ret_pid, err);
}

/* A byte: it runs. */
static int exec_wait(int ours, int *ret_status, struct err *err)
{
	struct vmm_message message = { 0 };
	ssize_t n;

	do {
		n = recv(ours, &message, sizeof(message), 0);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		return 0;
	if (n != sizeof(message))
		return err_say(err, ECHILD, "the process's stand-in died");
	message.text[sizeof(message.text) - 1] = '\0';
	*ret_status = message.status;
	return err_say(err, message.code > 0 ? message.code : EIO, "%s", message.text);
}

static int exec_start(struct exec_work *work, const struct bundle *bundle, pid_t *ret_pid,
		      int *ret_status, struct err *err)
{
	struct cgroup_layout layout;
	AUTO(cgroup_close) struct cgroup cgroup = { .layout = NULL };
	int pair[2];
	int r = bundle_layout(&layout, err);

	if (r == 0)
		r = cgroup_open(&layout, bundle->cgroup, &cgroup, err);
	if (r == 0)
		r = cgroup_joins_open(&cgroup, work->joins, &work->n_joins, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socket pair");
	work->sync = pair[1];
	pid_t pid = 0;
	r = exec_clone(work, &cgroup, pair[0], &pid, err);
	fd_close(pair[1]);
	if (r == 0)
		r = exec_wait(pair[0], ret_status, err);
	fd_close(pair[0]);
	if (r == 0) {
		*ret_pid = pid;
	} else if (pid > 0) {
		(void)kill(pid, SIGKILL); /* ours: there until waited for */
		(void)wait_child(pid);
	}
	return r;
}

int vm_exec(const struct container *container, const struct config *config,
	    const struct bundle_host *host, pid_t *ret_pid, int *ret_status, struct err *err)
{
	struct exec_work work = { .host = host, .agent = -EBADF, .sync = -EBADF };
	struct spec spec = { 0 };
	char dir[32];

	*ret_status = 125;
	if (host->preserve_fds)
		return err_say(err, ENOTSUP,
			       "--preserve-fds is not for a virtual machine: no open file of the "
			       "host's reaches its kernel");
	int r = vm_check_process(&config->bundle.process, err);
	if (r < 0)
		return r;
	AUTO(json_decref_p) json_t *json = vm_spec_process(&config->bundle, host->seccomp);
	r = json ? spec_load(json, &spec, err) : err_set(err, ENOMEM, "process");
	(void)snprintf(dir, sizeof(dir), "/proc/self/fd/%d", container->dir); /* fits */
	if (r == 0)
		r = work.agent = vmm_agent_connect(dir, err);
	work.spec = &spec;
	if (r >= 0)
		r = exec_start(&work, &config->bundle, ret_pid, ret_status, err);
	for (unsigned i = 0; i < work.n_joins; i++)
		fd_close(work.joins[i]);
	fd_close(work.agent);
	spec_fini(&spec);
	return r;
}
