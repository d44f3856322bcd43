/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strata exec. The process's parent is a strata-monitor in "exec" mode, a child of this command. Its streams are
 * pipes or a new terminal, copied here: no fd of the caller's ever reaches the instance.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "base/os/wait.h"
#include "engines/caps.h"
#include "manager/monitor_args.h"
#include "manager/private.h"
#include "manager/terminal.h"
#include "manager/wire.h"

#define EXEC_CHUNK 32768

struct exec {
	const struct exec_opts *opts;
	pid_t pid;	  /* of the strata-monitor */
	int started;	  /* MONITOR_EXEC_STARTED_FD's other end */
	int in, out, err; /* our ends; with a terminal in and out are its master side */
	int tty_socket;
	int signal_fd;
	struct terminal terminal;
	struct detach_keys keys;
	char pending[EXEC_CHUNK];
	size_t pending_at, pending_len;
	char chunk[EXEC_CHUNK];
};

/* Those that this host has: ALL would ask for more than some can give. */
static json_t *exec_all_caps(bool machine)
{
	json_t *names = json_array();
	uint64_t caps = caps_grantable(machine);

	for (unsigned cap = 0; names && cap < 64; cap++) {
		if (caps >> cap & 1 && caps_name(cap))
			(void)json_array_append_new(
				names, json_string(caps_name(cap))); /* one less, at worst */
	}
	return names;
}

/* What only a start needs; the longest parts of most specs, which the other process would read for nothing. */
static void exec_trim(json_t *spec)
{
	static const char *const members[] = { "layers", "mounts",  "volumes", "devices",
					       "ports",	 "restart", "labels",  "limits" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		(void)json_object_del(spec, members[i]); /* not there: as well */
}

static int exec_spec(struct manager *manager, const struct instance *instance,
		     const struct exec_opts *opts, json_t **ret, struct err *err)
{
	AUTO(json_decref_p) json_t *spec = json_copy(instance->spec);
	json_t *args = json_array();
	json_t *env = json_copy(json_object_get(spec, "env"));
	int r = spec && env ? 0 : -1;

	for (char *const *arg = opts->argv; *arg; arg++)
		r |= json_array_append_new(args, json_string(*arg));
	for (const char *const *e = opts->env; e && *e; e++)
		r |= json_array_append_new(env, json_string(*e));
	r |= json_object_set_new(spec, "args", args);
	r |= json_object_set_new(spec, "env", env);
	r |= json_object_set_new(spec, "tty", json_boolean(opts->tty));
	r |= json_object_set_new(spec, "stdin_open", json_boolean(opts->stdin_open));
	r |= json_object_set_new(spec, "init", json_false());
	if (opts->user)
		r |= json_object_set_new(spec, "user", json_string(opts->user));
	if (opts->cwd)
		r |= json_object_set_new(spec, "cwd", json_string(opts->cwd));
	if (opts->privileged)
		r |= json_object_set_new(spec, "caps",
					 exec_all_caps(json_object_get(spec, "vm") != NULL)) |
		     json_object_set_new(spec, "no_new_privileges", json_false());
	if (r)
		return err_say(err, EINVAL, "exec: an argument is not valid UTF-8");
	if (!opts->detach && terminal_size_put(spec) < 0)
		return err_set(err, ENOMEM, "exec");
	exec_trim(spec);
	r = opts->privileged ? 0 : instance_seccomp(manager, spec, err);
	if (r < 0)
		return r;
	*ret = TAKE(spec);
	return 0;
}

static int exec_pipe(int *ret_ours, int *ret_theirs, bool we_read)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ret_ours = ends[we_read ? 0 : 1];
	*ret_theirs = ends[we_read ? 1 : 0];
	return 0;
}

static int exec_streams(struct exec *e, struct spawn_fds *fds)
{
	int pair[2];
	int r = exec_pipe(&e->started, &fds->fds[MONITOR_EXEC_STARTED_FD], true);

	if (r < 0 || e->opts->detach)
		return r;
	if (e->opts->tty) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			return -errno;
		e->tty_socket = pair[0];
		fds->fds[MONITOR_EXEC_TTY_FD] = pair[1];
		return 0;
	}
	if (e->opts->stdin_open)
		r = exec_pipe(&e->in, &fds->fds[0], false);
	if (r == 0)
		r = exec_pipe(&e->out, &fds->fds[1], true);
	return r == 0 ? exec_pipe(&e->err, &fds->fds[2], true) : r;
}

static int exec_start(struct exec *e, const struct manager *manager,
		      const struct instance *instance, const struct spawn_fds *fds, struct err *err)
{
	char pid[16], state[4096], run[4096];
	char *argv[MONITOR_EXEC_ARGS + 1] = {
		[MONITOR_ARG_NAME] = (char *)(uintptr_t) "strata-monitor",
		[MONITOR_ARG_MODE] = (char *)(uintptr_t) "exec",
		[MONITOR_EXEC_PID] = pid,
		[MONITOR_EXEC_STATE] = state,
		[MONITOR_EXEC_RUN] = run,
	};

	if (instance_dir(manager, instance->id, false, state) < 0 ||
	    instance_dir(manager, instance->id, true, run) < 0)
		return err_set(err, ENAMETOOLONG, "exec");
	(void)snprintf(pid, sizeof(pid), "%d", (int)instance->pid); /* fits */
	return spawn_monitor(argv, fds, &e->pid, err);
}

static int exec_spawn(struct exec *e, const struct manager *manager,
		      const struct instance *instance, const json_t *spec, struct err *err)
{
	struct spawn_fds fds = { { -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF } };
	char *text = json_text(spec, 0);
	int r = text ? spawn_memfd("strata-exec", text, err) : err_set(err, ENOMEM, "exec");

	free(text);
	if (r < 0)
		return r;
	fds.fds[MONITOR_SPEC_FD] = r;
	r = exec_streams(e, &fds);
	if (r < 0)
		(void)err_set(err, -r, "exec: pipes");
	if (r == 0)
		r = exec_start(e, manager, instance, &fds, err);
	for (size_t i = 0; i < ARRAY_SIZE(fds.fds); i++)
		fd_close(fds.fds[i]);
	return r;
}

/* The new terminal's master side, sent before the process becomes the command. */
static int exec_take_tty(struct exec *e)
{
	int fd = -EBADF;
	char tag;
	ssize_t n = fd_receive(e->tty_socket, &tag, 1, &fd);

	if (n <= 0 || fd < 0)
		return n < 0 ? (int)n : n == 0 ? -EPIPE : -EPROTO;
	e->out = fd;
	e->in = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return 0;
}

static ssize_t exec_read(int fd, void *data, size_t len)
{
	ssize_t n;

	do {
		n = read(fd, data, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* 0: it runs; 1: nothing more is said; or a negative errno with *ret_status 125, 126, 127. */
static int exec_heard(struct exec *e, int *ret_status, struct err *err)
{
	struct monitor_exec_failure said;
	ssize_t n = exec_read(e->started, &said.tag, 1);

	if (n == 0)
		return 1;
	if (n == 1 && said.tag == 0)
		return 0;
	/* One write(2), shorter than PIPE_BUF: the rest is there whole. */
	const ssize_t rest = sizeof(said) - 1;
	if (n != 1 || said.tag != MONITOR_EXEC_FAILED ||
	    exec_read(e->started, (char *)&said + 1, (size_t)rest) != rest)
		return err_say(err, EPROTO, "exec: its parent process talks nonsense");
	said.failure.text[sizeof(said.failure.text) - 1] = '\0';
	*ret_status = said.failure.status;
	return err_say(err, said.failure.code, "exec: %s", said.failure.text);
}

static int exec_started(struct exec *e, int *ret_status, struct err *err)
{
	int r = exec_heard(e, ret_status, err);

	return r > 0 ? err_say(err, ECHILD, "exec: its parent process died") : r;
}

static void exec_resize(const struct exec *e)
{
	struct winsize ws;

	if (e->opts->tty && e->out >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0)
		(void)ioctl(e->out, TIOCSWINSZ, &ws); /* cosmetic */
}

static void exec_close(int *fd)
{
	fd_close(*fd);
	*fd = -EBADF;
}

static void exec_copy_out(struct exec *e, int *from, int to)
{
	ssize_t n = read(*from, e->chunk, sizeof(e->chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	/* EIO: the last slave of the terminal closed. EPIPE: nobody reads us, which the command is to see. */
	if (n <= 0 || fd_write_all(to, e->chunk, (size_t)n) == -EPIPE)
		exec_close(from);
}

static void exec_write_in(struct exec *e)
{
	while (e->pending_at < e->pending_len && e->in >= 0) {
		ssize_t n =
			write(e->in, e->pending + e->pending_at, e->pending_len - e->pending_at);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			exec_close(
				&e->in); /* nobody reads: the bytes are lost, as in a shell's pipe */
		else
			e->pending_at += (size_t)n;
	}
	e->pending_at = e->pending_len = 0;
}

/* Return: true when the detach keys were typed. */
static bool exec_read_in(struct exec *e, bool *in_open)
{
	ssize_t n = read(STDIN_FILENO, e->pending, sizeof(e->pending));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n <= 0) {
		*in_open = false;
		if (!e->opts->tty)
			exec_close(&e->in);
		return false;
	}
	e->pending_len = (size_t)n;
	if (e->opts->tty && detach_keys_scan(&e->keys, e->pending, e->pending_len))
		return true;
	exec_write_in(e);
	return false;
}

/* Copies until the streams end; the process may close them and live on, so its end is waited for after. */
static bool exec_copy(struct exec *e)
{
	bool in_open = e->opts->stdin_open;
	struct signalfd_siginfo info;

	if (e->in >= 0)
		(void)fcntl(e->in, F_SETFL,
			    fcntl(e->in, F_GETFL) | O_NONBLOCK); /* our own valid fd */
	while (e->out >= 0 || e->err >= 0) {
		bool pending = e->pending_at < e->pending_len;
		struct pollfd polls[] = {
			{ e->out, POLLIN, 0 },
			{ e->err, POLLIN, 0 },
			{ in_open && !pending ? STDIN_FILENO : -1, POLLIN, 0 },
			{ pending ? e->in : -1, POLLOUT, 0 },
			{ e->signal_fd, POLLIN, 0 },
		};
		if (poll(polls, ARRAY_SIZE(polls), -1) < 0 && errno != EINTR)
			return false;
		if (polls[0].revents)
			exec_copy_out(e, &e->out, STDOUT_FILENO);
		if (polls[1].revents)
			exec_copy_out(e, &e->err, STDERR_FILENO);
		if (polls[3].revents)
			exec_write_in(e);
		if (polls[2].revents && exec_read_in(e, &in_open))
			return true;
		if (polls[4].revents && read(e->signal_fd, &info, sizeof(info)) == sizeof(info))
			exec_resize(e);
	}
	return false;
}

static int exec_wait(pid_t pid)
{
	int status = wait_child(pid);

	return status < 0 ? 125 : status;
}

static int exec_foreground(struct exec *e, int *ret_status, struct err *err)
{
	sigset_t mask;

	(void)signal(SIGPIPE, SIG_IGN);
	if (e->opts->tty && exec_take_tty(e) == 0) {
		(void)sigemptyset(&mask);
		(void)sigaddset(&mask, SIGWINCH);
		(void)sigprocmask(SIG_BLOCK, &mask, NULL); /* valid arguments: cannot fail */
		e->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
		exec_resize(e);
	}
	int r = exec_started(e, ret_status, err);
	if (r < 0) {
		(void)exec_wait(e->pid);
		return r;
	}
	if (e->opts->tty && e->opts->stdin_open)
		terminal_raw(&e->terminal);
	bool detached = exec_copy(e);
	terminal_restore(&e->terminal);
	*ret_status = detached ? 0 : exec_wait(e->pid);
	/* The process's own status, or the guest was lost: then there are words. */
	r = *ret_status == 125 ? exec_heard(e, ret_status, err) : 0;
	return r < 0 ? r : 0;
}

int manager_exec(struct manager *manager, const struct instance *instance,
		 const struct exec_opts *opts, int *ret_status, struct err *err)
{
	AUTO(json_decref_p) json_t *spec = NULL;
	int r = 0;

	*ret_status = 125;
	if (instance->state == INSTANCE_PAUSED)
		r = err_say(err, EBUSY, "%s is paused: resume it first ('strata resume %s')",
			    instance->name, instance->name);
	else if (instance->state != INSTANCE_RUNNING || instance->pid <= 0)
		r = instance_not_running(instance, err);
	if (r == 0)
		r = exec_spec(manager, instance, opts, &spec, err);
	struct exec *e = r < 0 ? NULL : calloc(1, sizeof(*e));
	if (!e)
		return r < 0 ? r : err_set(err, ENOMEM, "exec");
	e->opts = opts;
	e->started = e->in = e->out = e->err = e->tty_socket = e->signal_fd = -EBADF;
	r = detach_keys_parse(opts->detach_keys, &e->keys, err);
	if (r == 0)
		r = exec_spawn(e, manager, instance, spec, err);
	if (r == 0 && opts->detach) {
		r = exec_started(e, ret_status, err);
		*ret_status = r < 0 ? *ret_status : 0;
	} else if (r == 0) {
		r = exec_foreground(e, ret_status, err);
	}
	fd_close(e->started);
	fd_close(e->in);
	fd_close(e->out);
	fd_close(e->err);
	fd_close(e->tty_socket);
	fd_close(e->signal_fd);
	free(e);
	return r;
}
