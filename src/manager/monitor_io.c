/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "manager/monitor.h"

static int monitor_pipe(int *ret_ours, int *ret_guests, bool guest_writes, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe for the standard streams");
	*ret_ours = ends[guest_writes ? 0 : 1];
	*ret_guests = ends[guest_writes ? 1 : 0];
	/* Only our end: the workload expects blocking streams. */
	if (fcntl(*ret_ours, F_SETFL, O_NONBLOCK) < 0)
		return err_set(err, errno, "pipe for the standard streams");
	return 0;
}

int monitor_open_io(struct monitor *m, struct guest_io *ret, struct err *err)
{
	struct guest_io io = { -EBADF, -EBADF, -EBADF };
	int r = 0;

	if (m->spec.tty) {
		*ret = io;
		return 0;
	}
	if (m->spec.stdin_open) {
		r = monitor_pipe(&m->in, &io.in, false, err);
	} else {
		io.in = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (io.in < 0)
			r = err_set(err, errno, "open /dev/null");
	}
	if (r == 0)
		r = monitor_pipe(&m->streams[0].fd, &io.out, true, err);
	if (r == 0)
		r = monitor_pipe(&m->streams[1].fd, &io.err, true, err);
	if (r < 0) {
		monitor_close_guest_io(&io);
		return r;
	}
	*ret = io;
	return 0;
}

void monitor_close_guest_io(const struct guest_io *io)
{
	fd_close(io->in);
	fd_close(io->out);
	fd_close(io->err);
}

void monitor_drop_client(struct monitor *m, unsigned index)
{
	fd_close(m->clients[index].fd);
	m->clients[index] = (struct monitor_client){ .fd = -EBADF };
	for (unsigned i = 0; i < ARRAY_SIZE(m->streams); i++)
		m->streams[i].waiting &= ~(1U << index);
	if (m->owner == (int)index)
		m->owner = -1;
	if (m->in_from == (int)index)
		m->in_from = -1;
}

static void monitor_flush(struct monitor *m, unsigned index)
{
	struct monitor_stream *s = &m->streams[index];

	for (unsigned i = 0; s->waiting >> i && i < MONITOR_CLIENTS; i++) {
		if (!(s->waiting & (1U << i)))
			continue;
		int r = wire_send(m->clients[i].fd, index ? WIRE_ERR : WIRE_OUT, s->data, s->len);
		if (r == 0)
			s->waiting &= ~(1U << i);
		else if (r != -EAGAIN && r != -ENOBUFS)
			monitor_drop_client(m, i);
	}
	if (!s->waiting)
		s->len = 0;
}

void monitor_flush_streams(struct monitor *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(m->streams); i++) {
		if (m->streams[i].waiting)
			monitor_flush(m, i);
	}
}

void monitor_read_stream(struct monitor *m, unsigned index)
{
	struct monitor_stream *s = &m->streams[index];
	ssize_t n = read(s->fd, s->data, sizeof(s->data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* a terminal's master side says EIO when the last slave closed */
		if (!m->spec.tty || m->guest == NULL) {
			fd_close(s->fd);
			s->fd = -EBADF;
		}
		return;
	}
	s->len = (size_t)n;
	/* A full disk must not stop the workload; `logs` shows the gap by its time stamps. */
	if (logfile_add(&m->log, index == 1, s->data, s->len) < 0)
		m->log_failed = true;
	s->waiting = 0;
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++) {
		if (m->clients[i].fd >= 0 && m->clients[i].attached)
			s->waiting |= 1U << i;
	}
	monitor_flush(m, index);
}

bool monitor_idle(const struct monitor *m)
{
	return !m->streams[0].waiting && !m->streams[1].waiting;
}

/* There is room for the next input, whoever's it is. */
static void monitor_in_done(struct monitor *m)
{
	if (m->in_from >= 0)
		m->clients[m->in_from].took = true;
	m->in_from = -1;
	m->in_len = m->in_at = 0;
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++)
		m->clients[i].held = false;
}

/*
 * The guest is dead: whatever the pipes still hold is the last. Somebody outside may hold a write end, so
 * "empty" ends it, not the end of file.
 */
void monitor_drain(struct monitor *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(m->streams); i++) {
		struct monitor_stream *s = &m->streams[i];
		if (s->waiting || s->fd < 0)
			continue;
		monitor_read_stream(m, i);
		if (s->len == 0 && s->fd >= 0 && !s->waiting) {
			int left = 0;
			if (ioctl(s->fd, FIONREAD, &left) == 0 && left > 0)
				continue;
			fd_close(s->fd);
			s->fd = -EBADF;
		}
	}
	fd_close(m->in);
	m->in = -EBADF;
	monitor_in_done(m);
}

/*
 * Where all places are taken a newcomer gets that of one who only waits for the end, and has another way to see it (life.c), or else of
 * whoever has said nothing yet; of these the one that came first. Attached ones stay, and never have all places.
 */
static int monitor_place(struct monitor *m)
{
	int oldest = -1;

	for (unsigned i = 0; i < MONITOR_CLIENTS; i++) {
		const struct monitor_client *one = &m->clients[i];
		const struct monitor_client *other = oldest < 0 ? NULL : &m->clients[oldest];
		if (one->fd < 0)
			return (int)i;
		if (one->attached || m->owner == (int)i)
			continue;
		if (!other || (one->wants_end && !other->wants_end) ||
		    (other->wants_end == one->wants_end && one->number < other->number))
			oldest = (int)i;
	}
	if (oldest >= 0)
		monitor_drop_client(m, (unsigned)oldest);
	return oldest;
}

int monitor_adopt(struct monitor *m, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	int i = monitor_place(m);
	if (i < 0)
		return -EUSERS;
	m->clients[i] = (struct monitor_client){ .fd = fd, .number = m->n_adopted++ };
	return i;
}

static void monitor_attach(struct monitor *m, unsigned index)
{
	struct monitor_client *client = &m->clients[index];
	unsigned n = 0;

	for (unsigned i = 0; i < MONITOR_CLIENTS; i++)
		n += m->clients[i].fd >= 0 && m->clients[i].attached;
	if (n >= MONITOR_ATTACHED) { /* it sees the end of file, and says so */
		monitor_drop_client(m, index);
		return;
	}
	client->attached = client->wants_end = true;
	(void)wire_send(client->fd, WIRE_ATTACHED, NULL, 0); /* its death shows at the next poll */
}

void monitor_accept(struct monitor *m)
{
	int fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 && monitor_adopt(m, fd) < 0)
		fd_close(fd); /* too many: the client sees the end of file and says so */
}

void monitor_tell_taken(struct monitor *m)
{
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++) {
		if (m->clients[i].fd < 0 || !m->clients[i].took)
			continue;
		int r = wire_send(m->clients[i].fd, WIRE_IN_TAKEN, NULL, 0);
		if (r != -EAGAIN && r != -ENOBUFS) /* a dead one shows in poll */
			m->clients[i].took = false;
	}
}

void monitor_write_in(struct monitor *m)
{
	int fd = m->spec.tty && m->guest ? m->guest->tty : m->in;

	while (m->in_at < m->in_len) {
		ssize_t n = fd < 0 ? -1
				   : write(fd, m->in_pending.data + m->in_at, m->in_len - m->in_at);
		if (n < 0 && fd >= 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			break; /* nobody reads: as a pipe without a reader, the bytes are lost */
		m->in_at += (size_t)n;
	}
	monitor_in_done(m);
}

/*
 * The starter's reader is gone (`strata run ... | head`): the workload is to see that as it would without us,
 * unless another command reads too. What only attached later takes nothing away.
 */
static void monitor_reader_gone(struct monitor *m, unsigned index, int32_t stream)
{
	struct monitor_stream *s = &m->streams[stream == 1];

	if ((int)index != m->owner || m->spec.tty)
		return;
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++) {
		if (i != index && m->clients[i].fd >= 0 && m->clients[i].attached)
			return;
	}
	fd_close(s->fd);
	s->fd = -EBADF;
	s->waiting = 0;
	s->len = 0;
}

static void monitor_resize(struct monitor *m, const uint16_t size[2])
{
	struct winsize ws = { .ws_row = size[0], .ws_col = size[1] };

	m->spec.tty_size = ws; /* a restart's too */
	if (m->guest && m->guest->tty >= 0)
		(void)ioctl(m->guest->tty, TIOCSWINSZ, &ws); /* cosmetic */
}

static void monitor_request(struct monitor *m, unsigned index, const struct wire_message *message,
			    size_t len)
{
	struct monitor_client *client = &m->clients[index];
	int32_t words[2] = { 0, 0 };
	uint16_t size[2];

	memcpy(words, message->data, len < sizeof(words) ? len : sizeof(words));
	switch (message->tag) {
	case WIRE_ATTACH:
		monitor_attach(m, index);
		break;
	case WIRE_WAIT:
		client->wants_end = true;
		break;
	case WIRE_IN:
		memcpy(&m->in_pending, message, len + 1);
		m->in_len = len;
		m->in_at = 0;
		m->in_from = (int)index;
		monitor_write_in(m);
		break;
	case WIRE_IN_END:
		fd_close(m->in);
		m->in = -EBADF;
		break;
	case WIRE_SIZE:
		if (len == sizeof(size)) {
			memcpy(size, message->data, sizeof(size));
			monitor_resize(m, size);
		}
		break;
	case WIRE_OUT_END:
		monitor_reader_gone(m, index, words[0]);
		break;
	case WIRE_SIGNAL:
		m->stopping = true;
		client->wants_end = true;
		monitor_signal(m, words[0]);
		break;
	case WIRE_PROXY:
		monitor_signal(m, words[0]);
		break;
	case WIRE_FROZEN:
		monitor_health_freeze(m, words[0] != 0);
		break;
	case WIRE_STOP:
		client->wants_end = true;
		monitor_stop(m, words[0], words[1]);
		break;
	default:
		monitor_drop_client(m, index);
		break;
	}
}

/* While the workload reads slowly everything but input still gets through: signals, other clients. */
static bool monitor_must_wait(const struct monitor *m, unsigned index)
{
	char tag;

	if (m->in_at >= m->in_len || recv(m->clients[index].fd, &tag, 1, MSG_PEEK) != 1)
		return false;
	return tag == WIRE_IN || tag == WIRE_IN_END;
}

void monitor_read_client(struct monitor *m, unsigned index)
{
	struct wire_message message;

	m->clients[index].held = monitor_must_wait(m, index);
	if (m->clients[index].held)
		return;
	ssize_t n = wire_receive(m->clients[index].fd, &message);

	if (n == -EAGAIN)
		return;
	if (n < 0)
		monitor_drop_client(m, index);
	else
		monitor_request(m, index, &message, (size_t)n);
}

static void monitor_tell(struct monitor *m, unsigned index)
{
	struct monitor_client *client = &m->clients[index];
	int32_t status = m->status.exit_code;

	if (client->fd < 0 || !client->wants_end)
		return;
	client->wants_end = false;
	(void)wire_send(client->fd, WIRE_ENDED, &status, sizeof(status)); /* it may be gone */
}

void monitor_tell_end(struct monitor *m)
{
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++)
		monitor_tell(m, i);
}

void monitor_tell_waiters(struct monitor *m)
{
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++) {
		if (!m->clients[i].attached)
			monitor_tell(m, i);
	}
}

bool monitor_delivered(const struct monitor *m)
{
	return m->streams[0].fd < 0 && m->streams[1].fd < 0 && monitor_idle(m);
}

void monitor_tell_owner(struct monitor *m)
{
	monitor_drain(m); /* the first pass took what was there, this one finds the end */
	if (m->owner < 0 || !monitor_delivered(m) || !m->clients[m->owner].wants_end)
		return;
	monitor_tell(m, (unsigned)m->owner);
	m->left_to_owner = m->spec.remove;
}
