/* SPDX-License-Identifier: Apache-2.0 */
/* The command's side of an attached instance: standard streams, terminal, signals. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "manager/private.h"
#include "manager/terminal.h"
#include "manager/wire.h"

struct attach {
	int fd;
	const struct attach_opts *opts;
	struct terminal terminal;
	struct detach_keys keys;
	int signal_fd;
	bool no_reader[2];	/* of our standard output, of our standard error */
	bool in_open;		/* standard input still has something to say */
	bool in_flight;		/* sent, and not taken yet: no more is read until then */
	bool end_owed;		/* its end is to be said */
	bool no_reader_owed[2]; /* likewise */
	uint64_t signals_owed;	/* bit n: signal n + 1 */
	struct wire_message in; /* read, not sent yet */
	size_t in_len;
	struct wire_message message;
};

static void attach_size(const struct attach *a)
{
	struct winsize ws;

	if (a->opts->tty && ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0) {
		uint16_t size[2] = { ws.ws_row, ws.ws_col };
		(void)wire_send(a->fd, WIRE_SIZE, size, sizeof(size)); /* cosmetic */
	}
}

static int attach_signals(const struct attach_opts *opts, struct err *err)
{
	static const int proxied[] = { SIGHUP,	SIGINT,	 SIGQUIT, SIGTERM,
				       SIGUSR1, SIGUSR2, SIGCONT, SIGALRM };
	sigset_t mask;

	(void)sigemptyset(&mask);
	if (opts->tty)
		(void)sigaddset(&mask, SIGWINCH);
	for (size_t i = 0; opts->proxy_signals && i < ARRAY_SIZE(proxied); i++)
		(void)sigaddset(&mask, proxied[i]);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL); /* valid arguments: cannot fail */
	int fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_set(err, errno, "signalfd") : fd;
}

static void attach_signal(struct attach *a)
{
	struct signalfd_siginfo info;

	if (read(a->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		attach_size(a);
	else
		a->signals_owed |= UINT64_C(1) << (info.ssi_signo - 1);
}

/* false: the socket is full. A monitor that is gone is seen by whoever reads. */
static bool attach_send(const struct attach *a, char tag, const void *data, size_t len)
{
	int r = wire_send(a->fd, tag, data, len);

	return r != -EAGAIN && r != -ENOBUFS;
}

static bool attach_owes(const struct attach *a)
{
	return a->in_len || a->end_owed || a->signals_owed || a->no_reader_owed[0] ||
	       a->no_reader_owed[1];
}

/* As much of what is owed as the socket takes. */
static void attach_flush(struct attach *a)
{
	while (a->signals_owed) {
		int32_t sig = __builtin_ctzll(a->signals_owed) + 1;
		if (!attach_send(a, WIRE_PROXY, &sig, sizeof(sig)))
			return;
		a->signals_owed &= a->signals_owed - 1;
	}
	for (int32_t stream = 0; stream < 2; stream++) {
		if (a->no_reader_owed[stream] &&
		    !attach_send(a, WIRE_OUT_END, &stream, sizeof(stream)))
			return;
		a->no_reader_owed[stream] = false;
	}
	if (a->in_len) {
		if (!attach_send(a, WIRE_IN, a->in.data, a->in_len))
			return;
		a->in_len = 0;
		a->in_flight = true;
	}
	if (a->end_owed && attach_send(a, WIRE_IN_END, NULL, 0))
		a->end_owed = false;
}

/* Return: 1 when the detach keys were typed. */
static int attach_read_in(struct attach *a)
{
	ssize_t n = read(STDIN_FILENO, a->in.data, sizeof(a->in.data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		a->in_open = false;
		a->end_owed = true;
		return 0;
	}
	a->in_len = (size_t)n;
	if (a->opts->tty && detach_keys_scan(&a->keys, a->in.data, a->in_len))
		return 1;
	return 0;
}

/* Where nobody reads us any more the monitor is told once, and the rest is thrown away. */
static void attach_write_out(struct attach *a, int32_t stream, size_t len)
{
	int fd = stream ? STDERR_FILENO : STDOUT_FILENO;

	if (a->no_reader[stream] || fd_write_all(fd, a->message.data, len) != -EPIPE)
		return;
	a->no_reader[stream] = a->no_reader_owed[stream] = true;
}

/* Return: 1 at the end of the workload, 0 to go on, or a negative errno. */
static int attach_receive(struct attach *a, int *ret_status, struct err *err)
{
	int32_t status;
	ssize_t n = wire_receive(a->fd, &a->message);

	if (n == -EAGAIN)
		return 0;
	if (n == -EPIPE)
		return err_say(err, ECONNRESET,
			       "the instance's monitor died, and the workload with it");
	if (n < 0)
		return err_set(err, (int)-n, "read from the instance's monitor");
	switch (a->message.tag) {
	case WIRE_OUT:
	case WIRE_ERR:
		attach_write_out(a, a->message.tag == WIRE_ERR, (size_t)n);
		return 0;
	case WIRE_IN_TAKEN:
		a->in_flight = false;
		return 0;
	case WIRE_ENDED:
		if (n == sizeof(status)) {
			memcpy(&status, a->message.data, sizeof(status));
			*ret_status = status;
		}
		return 1;
	default:
		return 0;
	}
}

static int attach_loop(struct attach *a, int *ret_status, struct err *err)
{
	for (;;) {
		attach_flush(a);
		bool owes = attach_owes(a);
		bool reads = a->in_open && !a->in_len && !a->in_flight;
		struct pollfd polls[] = {
			{ a->fd, (short)(POLLIN | (owes ? POLLOUT : 0)), 0 },
			{ reads ? STDIN_FILENO : -1, POLLIN, 0 },
			{ a->signal_fd, POLLIN, 0 },
		};
		if (poll(polls, ARRAY_SIZE(polls), -1) < 0) {
			if (errno == EINTR)
				continue;
			return err_set(err, errno, "poll");
		}
		if (polls[2].revents)
			attach_signal(a);
		if (polls[0].revents & ~POLLOUT) {
			int r = attach_receive(a, ret_status, err);
			if (r != 0)
				return r < 0 ? r : 0;
		}
		if (polls[1].revents && attach_read_in(a)) {
			*ret_status = -1;
			return 0;
		}
	}
}

int attach_run(int fd, const struct attach_opts *opts, int *ret_status, struct err *err)
{
	struct attach *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, ENOMEM, "attach");
	a->fd = fd;
	a->opts = opts;
	a->in_open = opts->forward_in;
	int r = detach_keys_parse(opts->detach_keys, &a->keys, err);
	if (r == 0)
		r = a->signal_fd = attach_signals(opts, err);
	(void)signal(SIGPIPE, SIG_IGN);
	int flags = fcntl(fd, F_GETFL);
	if (r >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		r = err_set(err, errno, "attach");
	if (r >= 0) {
		if (opts->tty && opts->forward_in)
			terminal_raw(&a->terminal);
		attach_size(a);
		r = attach_loop(a, ret_status, err);
		terminal_restore(&a->terminal);
		fd_close(a->signal_fd);
	}
	free(a);
	return r < 0 ? r : 0;
}

int instance_connect(struct manager *manager, const struct instance *instance, struct err *err)
{
	char path[4096];

	if (instance_dir(manager, instance->id, true, path) < 0)
		return err_set(err, ENAMETOOLONG, "connect to %s", instance->name);
	AUTO(fd_close_p) int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -errno : wire_connect(dir, "sock");
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_say(err, ESRCH, "%s is not running", instance->name);
	return fd < 0 ? err_set(err, -fd, "connect to the monitor of %s", instance->name) : fd;
}

/* A socket whose monitor has answered; -EPIPE where it hung up: it has too many, or it is about to end. */
static int attach_ask(struct manager *manager, const struct instance *instance, struct err *err)
{
	static struct wire_message message; /* as in start_wait() */
	AUTO(fd_close_p) int fd = instance_connect(manager, instance, err);

	if (fd < 0)
		return fd;
	int r = wire_send(fd, WIRE_ATTACH, NULL, 0);
	ssize_t n = r < 0 ? r : wire_receive(fd, &message);
	return n < 0 || message.tag != WIRE_ATTACHED ? -EPIPE : fd_take(&fd);
}

int manager_attach(struct manager *manager, const struct instance *instance, int *ret_attach,
		   struct err *err)
{
	int fd = -EPIPE;

	/*
	 * Who ends hangs up on those whom he has not heard, and takes nobody from before that on: asked again he is "not running", or it is
	 * another run's, which can be attached to. One that hangs up each time has too many.
	 */
	for (int tries = 0; tries < 3 && fd == -EPIPE; tries++)
		fd = attach_ask(manager, instance, err);
	if (fd == -EPIPE)
		return err_say(err, ECONNREFUSED,
			       "attach to %s: its monitor refused (too many attached commands?)",
			       instance->name);
	if (fd < 0)
		return fd;
	*ret_attach = fd;
	return 0;
}
