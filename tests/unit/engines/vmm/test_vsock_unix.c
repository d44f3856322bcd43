/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock_guest.h"
#include "engines/vmm/vsock_unix.h"

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/loop.h"

#define CID 3U

struct scene {
	struct rig rig;
	struct virtio_vsock dev;
	struct vsock_guest guest;
	struct loop *loop;
	struct vsock_unix *unix_half;
	char path[100];
};

static struct scene *scene_new(void **state)
{
	const struct scratch *scratch = *state;
	struct scene *s = test_calloc(1, sizeof(*s));

	(void)snprintf(s->path, sizeof(s->path), "%s/v.sock", scratch->path);
	assert_true(rig_init(&s->rig));
	assert_int_equal(loop_create(&s->loop, NULL), 0);
	assert_int_equal(vsock_unix_create(s->path, s->loop, &s->unix_half, NULL), 0);
	virtio_vsock_init(&s->dev, &s->rig.place, CID, vsock_unix_host(s->unix_half),
			  &vsock_unix_heap);
	assert_int_equal(vsock_unix_start(s->unix_half, &s->dev, NULL), 0);
	assert_true(rig_attach(&s->rig, &s->dev.virtio));
	assert_true(rig_start(&s->rig, F_VERSION_1 | F_EVENT_IDX, 3, 256));
	s->guest = (struct vsock_guest){ .rig = &s->rig, .cid = CID, .alloc = 1 << 20 };
	for (unsigned i = 0; i < 200; i++)
		vsock_guest_give(&s->guest, 4096);
	return s;
}

static void scene_free(struct scene *s)
{
	assert_true(rig_reset(&s->rig));
	vsock_unix_free(s->unix_half);
	loop_free(s->loop);
	assert_int_not_equal(access(s->path, F_OK), 0);
	rig_fini(&s->rig);
	test_free(s);
}

/* The loop, and the device behind it, until nothing is ready. */
static void turn(struct scene *s)
{
	do
		rig_run(&s->rig);
	while (loop_run_once(s->loop, 0, NULL) > 0 || s->rig.kicks);
}

static int dial(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		fd_close(fd);
		return -errno;
	}
	return fd;
}

static int answer_at(const struct scene *s, unsigned port)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s_%u", s->path, port);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static struct vsock_packet expect(struct scene *s, uint16_t op)
{
	struct vsock_packet p;

	turn(s);
	assert_true(vsock_guest_next(&s->guest, &p));
	assert_int_equal(p.op, op);
	return p;
}

static void expect_silence(struct scene *s)
{
	struct vsock_packet p;

	turn(s);
	assert_false(vsock_guest_next(&s->guest, &p));
}

static void expect_bytes(int fd, const char *text)
{
	char got[256];
	ssize_t n = recv(fd, got, sizeof(got), 0);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void expect_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static int say(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text) ? 0 : -errno;
}

static void client_reaches_the_guest(void **state)
{
	struct scene *s = scene_new(state);
	AUTO(fd_close_p) int fd = dial(s->path);
	char ok[32];

	/* In pieces, and with data of the connection right behind. */
	assert_int_equal(say(fd, "CONN"), 0);
	turn(s);
	assert_int_equal(say(fd, "ECT 52\nearly"), 0);
	struct vsock_packet p = expect(s, VG_REQUEST);
	assert_int_equal(p.dst_port, 52);
	expect_silence(s);
	vsock_guest_send(&s->guest, 52, p.src_port, VG_RESPONSE, NULL, 0, 0);
	(void)snprintf(ok, sizeof(ok), "OK %u\n", p.src_port);
	expect_bytes(fd, ok);
	struct vsock_packet data = expect(s, VG_RW);
	assert_int_equal(data.len, 5);
	assert_memory_equal(data.data, "early", 5);
	vsock_guest_send(&s->guest, 52, p.src_port, VG_RW, "reply", 5, 0);
	expect_bytes(fd, "reply");
	assert_int_equal(say(fd, "later"), 0);
	assert_memory_equal(expect(s, VG_RW).data, "later", 5);
	vsock_guest_send(&s->guest, 52, p.src_port, VG_SHUTDOWN, NULL, 0, 3);
	expect(s, VG_RST);
	expect_end(fd);
	scene_free(s);
}

static void guest_that_refuses_closes_the_client(void **state)
{
	struct scene *s = scene_new(state);
	AUTO(fd_close_p) int fd = dial(s->path);

	assert_int_equal(say(fd, "CONNECT 52\n"), 0);
	struct vsock_packet p = expect(s, VG_REQUEST);
	vsock_guest_send(&s->guest, 52, p.src_port, VG_RST, NULL, 0, 0);
	expect_end(fd);
	scene_free(s);
}

static void client_without_a_driver_in_the_guest_is_closed(void **state)
{
	struct scene *s = scene_new(state);
	AUTO(fd_close_p) int fd = dial(s->path);

	assert_true(rig_reset(&s->rig));
	assert_int_equal(say(fd, "CONNECT 52\n"), 0);
	turn(s);
	expect_end(fd);
	scene_free(s);
}

static void other_lines_are_closed(void **state)
{
	static const char *const lines[] = {
		"CONNECT \n",	 "CONNECT 4294967296\n", "CONNECT -1\n",
		"CONNECT 5 \n",	 "connect 5\n",		 "\n",
		"CONNECT 0x5\n", "GET / HTTP/1.1\r\n",	 "CONNECT 00000000000000000000000005\n",
		"CONNECT 5\r\n",
	};
	struct scene *s = scene_new(state);

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		AUTO(fd_close_p) int fd = dial(s->path);
		assert_int_equal(say(fd, lines[i]), 0);
		expect_silence(s);
		char byte; /* bytes of it that were not read make the end a reset */
		ssize_t n = recv(fd, &byte, 1, 0);
		assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	}
	scene_free(s);
}

static void client_that_leaves_is_forgotten(void **state)
{
	struct scene *s = scene_new(state);

	/* Before the line is whole; before the guest answers; after. */
	int fd = dial(s->path);
	assert_int_equal(say(fd, "CONNECT 5"), 0);
	turn(s);
	fd_close(fd);
	expect_silence(s);

	fd = dial(s->path);
	assert_int_equal(say(fd, "CONNECT 5\n"), 0);
	struct vsock_packet p = expect(s, VG_REQUEST);
	fd_close(fd);
	expect(s, VG_RST);
	vsock_guest_send(&s->guest, 5, p.src_port, VG_RESPONSE, NULL, 0, 0);
	expect(s, VG_RST);

	fd = dial(s->path);
	assert_int_equal(say(fd, "CONNECT 5\n"), 0);
	p = expect(s, VG_REQUEST);
	vsock_guest_send(&s->guest, 5, p.src_port, VG_RESPONSE, NULL, 0, 0);
	char ok[32];
	assert_true(recv(fd, ok, sizeof(ok), 0) > 0); /* unread bytes would make the end a reset */
	fd_close(fd);
	assert_int_equal(expect(s, VG_SHUTDOWN).flags, 2);
	vsock_guest_send(&s->guest, 5, p.src_port, VG_RW, "x", 1, 0);
	expect(s, VG_RST);
	scene_free(s);
}

static void guest_reaches_who_listens(void **state)
{
	struct scene *s = scene_new(state);
	AUTO(fd_close_p) int listener = answer_at(s, 7000);

	vsock_guest_send(&s->guest, 100, 7000, VG_REQUEST, NULL, 0, 0);
	expect(s, VG_RESPONSE);
	AUTO(fd_close_p) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	vsock_guest_send(&s->guest, 100, 7000, VG_RW, "up", 2, 0);
	expect_bytes(fd, "up");
	assert_int_equal(say(fd, "down"), 0);
	assert_memory_equal(expect(s, VG_RW).data, "down", 4);
	vsock_guest_send(&s->guest, 100, 7000, VG_SHUTDOWN, NULL, 0, 2);
	expect_end(fd);
	assert_int_equal(say(fd, "still"), 0);
	expect(s, VG_RW);
	vsock_guest_send(&s->guest, 101, 7001, VG_REQUEST, NULL, 0, 0);
	expect(s, VG_RST);
	scene_free(s);
}

static void slow_reader_gets_everything_in_order(void **state)
{
	struct scene *s = scene_new(state);
	AUTO(fd_close_p) int listener = answer_at(s, 7000);
	static uint8_t data[4096], got[65536];
	uint32_t sent = 0, seen = 0, told = 0;

	vsock_guest_send(&s->guest, 100, 7000, VG_REQUEST, NULL, 0, 0);
	uint32_t room = expect(s, VG_RESPONSE).buf_alloc;
	AUTO(fd_close_p) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int)), 0);
	while (seen < 400000) {
		while (sent < 400000 && sent + sizeof(data) - told <= room) {
			for (uint32_t i = 0; i < sizeof(data); i++)
				data[i] = (uint8_t)((sent + i) * 31 >> 3);
			vsock_guest_send(&s->guest, 100, 7000, VG_RW, data, sizeof(data), 0);
			sent += sizeof(data);
			s->rig.next_data = RIG_DATA_GPA + 0x200000; /* the device is done with it */
		}
		ssize_t n = recv(fd, got, sizeof(got), 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(got[i], (uint8_t)((seen + (uint32_t)i) * 31 >> 3));
		seen += n > 0 ? (uint32_t)n : 0;
		turn(s);
		struct vsock_packet p;
		while (vsock_guest_next(&s->guest, &p)) {
			assert_int_equal(p.op, VG_CREDIT_UPDATE);
			told = p.fwd_cnt;
		}
		assert_true(n > 0 || sent > seen);
	}
	scene_free(s);
}

static void guest_without_credit_does_not_make_the_loop_spin(void **state)
{
	struct scene *s = scene_new(state);
	AUTO(fd_close_p) int listener = answer_at(s, 7000);

	s->guest.alloc = 0;
	vsock_guest_send(&s->guest, 100, 7000, VG_REQUEST, NULL, 0, 0);
	expect(s, VG_RESPONSE);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_int_equal(say(fd, "more than it has room for"), 0);
	fd_close(fd);
	turn(s); /* would not come back */
	s->guest.alloc = 100;
	vsock_guest_send(&s->guest, 100, 7000, VG_CREDIT_UPDATE, NULL, 0, 0);
	struct vsock_packet p = expect(s, VG_CREDIT_REQUEST);
	p = expect(s, VG_RW);
	assert_int_equal(p.len, 25);
	expect(s, VG_SHUTDOWN);
	scene_free(s);
}

static void clients_are_bounded(void **state)
{
	struct scene *s = scene_new(state);
	int fds[VSOCK_STREAMS + 1];

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(s->path);
		assert_true(fds[i] >= 0);
		turn(s);
	}
	expect_end(fds[VSOCK_STREAMS]);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fd_close(fds[i]);
	turn(s);
	AUTO(fd_close_p) int fd = dial(s->path);
	assert_int_equal(say(fd, "CONNECT 52\n"), 0);
	expect(s, VG_REQUEST);
	scene_free(s);
}

static void socket_file_is_private_and_a_stale_one_replaced(void **state)
{
	struct scene *s = scene_new(state);
	struct vsock_unix *second = NULL;
	struct stat st;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char path[sizeof(at.sun_path)];

	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(vsock_unix_create(s->path, s->loop, &second, NULL), -EADDRINUSE);
	(void)snprintf(path, sizeof(path), "%.90s2", s->path);
	memcpy(at.sun_path, path, sizeof(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	fd_close(fd);
	assert_int_equal(vsock_unix_create(path, s->loop, &second, NULL), 0);
	vsock_unix_free(second);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	fd_close(fd);
	assert_int_equal(vsock_unix_create(path, s->loop, &second, NULL), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0); /* a file is nobody's stale socket */
	scene_free(s);
}

static void path_that_is_too_long_is_refused(void **state)
{
	struct vsock_unix *v = NULL;
	char path[109];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[97] = '\0';
	assert_int_equal(vsock_unix_create(path, NULL, &v, NULL), -ENAMETOOLONG);
	assert_int_equal(vsock_unix_create("", NULL, &v, NULL), -ENAMETOOLONG);
	vsock_unix_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(client_reaches_the_guest),
		SCRATCH_TEST(guest_that_refuses_closes_the_client),
		SCRATCH_TEST(client_without_a_driver_in_the_guest_is_closed),
		SCRATCH_TEST(other_lines_are_closed),
		SCRATCH_TEST(client_that_leaves_is_forgotten),
		SCRATCH_TEST(guest_reaches_who_listens),
		SCRATCH_TEST(slow_reader_gets_everything_in_order),
		SCRATCH_TEST(guest_without_credit_does_not_make_the_loop_spin),
		SCRATCH_TEST(clients_are_bounded),
		SCRATCH_TEST(socket_file_is_private_and_a_stale_one_replaced),
		cmocka_unit_test(path_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
