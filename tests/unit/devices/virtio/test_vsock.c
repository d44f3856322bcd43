/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"
#include "devices/virtio/fakes.h"
#include "devices/virtio/vsock_guest.h"

#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "devices/virtio/vsock.h"

#define CID 42U

enum { RX, TX };

struct scene {
	struct rig rig;
	struct fake_vsock host;
	struct virtio_vsock dev;
	struct vsock_guest guest;
};

static struct scene *scene_bare(void)
{
	struct scene *s = test_calloc(1, sizeof(*s));

	assert_true(rig_init(&s->rig));
	fake_vsock_init(&s->host);
	virtio_vsock_init(&s->dev, &s->rig.place, CID, &s->host.host, &s->host.heap);
	assert_true(rig_attach(&s->rig, &s->dev.virtio));
	assert_true(rig_start(&s->rig, F_VERSION_1 | F_EVENT_IDX | FEATURE(0), 3, 128));
	s->guest = (struct vsock_guest){ .rig = &s->rig, .cid = CID, .alloc = 4096 };
	return s;
}

static struct scene *scene_new(void)
{
	struct scene *s = scene_bare();

	for (unsigned i = 0; i < 100; i++)
		vsock_guest_give(&s->guest, 2048);
	return s;
}

static void scene_free(struct scene *s)
{
	assert_true(rig_reset(&s->rig));
	assert_int_equal(s->host.n_buffers, 0);
	rig_fini(&s->rig);
	test_free(s);
}

static void send(struct scene *s, uint32_t guest_port, uint32_t host_port, uint16_t op,
		 const void *data, uint32_t len, uint32_t flags)
{
	vsock_guest_send(&s->guest, guest_port, host_port, op, data, len, flags);
}

static bool next(struct scene *s, struct vsock_packet *ret)
{
	return vsock_guest_next(&s->guest, ret);
}

static struct vsock_packet expect(struct scene *s, uint32_t guest_port, uint32_t host_port,
				  uint16_t op)
{
	struct vsock_packet p;

	assert_true(next(s, &p));
	assert_int_equal(p.op, op);
	assert_int_equal(p.dst_port, guest_port);
	assert_int_equal(p.src_port, host_port);
	return p;
}

static void expect_silence(struct scene *s)
{
	struct vsock_packet p;

	assert_false(next(s, &p));
}

static struct fake_endpoint *connect_guest(struct scene *s, uint32_t guest_port, uint32_t host_port)
{
	send(s, guest_port, host_port, VG_REQUEST, NULL, 0, 0);
	struct vsock_packet p = expect(s, guest_port, host_port, VG_RESPONSE);
	assert_int_equal(p.buf_alloc, VSOCK_BUFFER_BYTES);
	assert_int_equal(p.src_cid, 2);
	struct fake_endpoint *e = fake_vsock_find(&s->host, guest_port, host_port);
	assert_non_null(e);
	return e;
}

static void host_says(struct scene *s, struct fake_endpoint *e, const void *data, size_t len)
{
	memcpy(e->in + e->n_in, data, len);
	e->n_in += len;
	virtio_vsock_readable(&s->dev, e->stream);
}

static void guest_connects_and_bytes_flow(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_int_equal(rig_dev_config(&s->rig, 0, 8), CID);
	struct fake_endpoint *e = connect_guest(s, 1000, 80);
	send(s, 1000, 80, VG_RW, "question", 8, 0);
	assert_memory_equal(e->out, "question", 8);
	host_says(s, e, "answer", 6);
	struct vsock_packet p = expect(s, 1000, 80, VG_RW);
	assert_int_equal(p.fwd_cnt, 8);
	assert_int_equal(p.len, 6);
	assert_memory_equal(p.data, "answer", 6);
	scene_free(s);
}

static void refused_connection_is_reset(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	s->host.answer = -ECONNREFUSED;
	send(s, 1000, 80, VG_REQUEST, NULL, 0, 0);
	expect(s, 1000, 80, VG_RST);
	s->host.answer = 0;
	s->host.buffers_left = 0;
	send(s, 1000, 80, VG_REQUEST, NULL, 0, 0);
	expect(s, 1000, 80, VG_RST);
	assert_int_equal(s->host.n_closes, 0);
	scene_free(s);
}

static void host_that_needs_time_answers_later(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	s->host.answer = -EINPROGRESS;
	send(s, 1000, 80, VG_REQUEST, NULL, 0, 0);
	expect_silence(s);
	virtio_vsock_connected(&s->dev, fake_vsock_find(&s->host, 1000, 80)->stream);
	expect(s, 1000, 80, VG_RESPONSE);
	send(s, 1001, 80, VG_REQUEST, NULL, 0, 0);
	struct fake_endpoint *e = fake_vsock_find(&s->host, 1001, 80);
	virtio_vsock_abort(&s->dev, e->stream);
	e->stream = NULL;
	expect(s, 1001, 80, VG_RST);
	scene_free(s);
}

static void host_connects(void **state)
{
	struct scene *s = scene_new();
	struct vsock_stream *stream = NULL;

	(void)state;
	assert_int_equal(virtio_vsock_connect(&s->dev, 22, s, &stream), 0);
	rig_run(&s->rig);
	const uint32_t port = stream->host_port;
	assert_true(port >= VSOCK_HOST_PORTS);
	expect(s, 22, port, VG_REQUEST);
	send(s, 22, port, VG_RESPONSE, NULL, 0, 0);
	struct fake_endpoint *e = fake_vsock_find(&s->host, 22, port);
	assert_true(e->connected);
	assert_ptr_equal(stream->endpoint, s);
	host_says(s, e, "hi", 2);
	expect(s, 22, port, VG_RW);
	/* The next gets another port. */
	assert_int_equal(virtio_vsock_connect(&s->dev, 22, s, &stream), 0);
	assert_int_not_equal(stream->host_port, port);
	scene_free(s);
}

static void guest_refuses_the_host(void **state)
{
	struct scene *s = scene_new();
	struct vsock_stream *stream = NULL;

	(void)state;
	assert_int_equal(virtio_vsock_connect(&s->dev, 22, s, &stream), 0);
	rig_run(&s->rig);
	send(s, 22, stream->host_port, VG_RST, NULL, 0, 0);
	assert_int_equal(s->host.n_closes, 1);
	assert_int_equal(s->host.n_buffers, 0);
	assert_true(rig_reset(&s->rig));
	assert_int_equal(virtio_vsock_connect(&s->dev, 22, s, &stream), -ENOTCONN);
	scene_free(s);
}

static void credit_bounds_what_the_guest_gets(void **state)
{
	struct scene *s = scene_new();
	uint8_t data[600];

	(void)state;
	memset(data, 'x', sizeof(data));
	s->guest.alloc = 500;
	struct fake_endpoint *e = connect_guest(s, 1000, 80);
	host_says(s, e, data, sizeof(data));
	assert_int_equal(expect(s, 1000, 80, VG_RW).len, 500);
	expect(s, 1000, 80, VG_CREDIT_REQUEST);
	virtio_vsock_readable(&s->dev, e->stream);
	expect_silence(s); /* asked once */
	s->guest.fwd = 450;
	send(s, 1000, 80, VG_CREDIT_UPDATE, NULL, 0, 0);
	assert_int_equal(expect(s, 1000, 80, VG_RW).len, 100);
	expect_silence(s);
	/* Nonsense from the guest is no credit at all. */
	s->guest.fwd = 5000;
	send(s, 1000, 80, VG_CREDIT_UPDATE, NULL, 0, 0);
	host_says(s, e, data, 100);
	expect(s, 1000, 80, VG_CREDIT_REQUEST);
	expect_silence(s);
	scene_free(s);
}

static void guest_is_told_when_room_comes_back(void **state)
{
	struct scene *s = scene_new();
	static uint8_t data[20000];

	(void)state;
	struct fake_endpoint *e = connect_guest(s, 1000, 80);
	send(s, 1000, 80, VG_RW, data, sizeof(data), 0);
	assert_int_equal(expect(s, 1000, 80, VG_CREDIT_UPDATE).fwd_cnt, sizeof(data));
	e->room = e->n_out;
	send(s, 1000, 80, VG_RW, data, sizeof(data), 0);
	expect_silence(s);
	send(s, 1000, 80, VG_CREDIT_REQUEST, NULL, 0, 0);
	assert_int_equal(expect(s, 1000, 80, VG_CREDIT_UPDATE).fwd_cnt, sizeof(data));
	e->room = sizeof(e->out);
	virtio_vsock_writable(&s->dev, e->stream);
	assert_int_equal(expect(s, 1000, 80, VG_CREDIT_UPDATE).fwd_cnt, 2 * sizeof(data));
	scene_free(s);
}

static void bytes_are_kept_in_order_while_the_host_is_full(void **state)
{
	struct scene *s = scene_new();
	uint8_t data[1000];

	(void)state;
	struct fake_endpoint *e = connect_guest(s, 1000, 80);
	e->room = 0;
	uint32_t sent = 0, seen = 0;
	for (unsigned round = 0; round < 300; round++) {
		uint32_t n = 1 + (round * 37) % 999;
		for (uint32_t i = 0; i < n; i++)
			data[i] = (uint8_t)(sent + i);
		send(s, 1000, 80, VG_RW, data, n, 0);
		sent += n;
		/* The ring wraps: the host takes some, in its own time. */
		e->room = (round * 91) % 1500;
		e->n_out = 0;
		virtio_vsock_writable(&s->dev, e->stream);
		for (size_t i = 0; i < e->n_out; i++)
			assert_int_equal(e->out[i], (uint8_t)(seen + i));
		seen += (uint32_t)e->n_out;
		e->n_out = e->room = 0;
		struct vsock_packet p;
		while (next(s, &p))
			assert_int_equal(p.op, VG_CREDIT_UPDATE);
		if (s->rig.queues[RX].used_seen > 90)
			break;
	}
	assert_true(seen > VSOCK_BUFFER_BYTES);
	scene_free(s);
}

static void guest_that_exceeds_its_credit_is_cut_off(void **state)
{
	struct scene *s = scene_new();
	static uint8_t data[VSOCK_BUFFER_BYTES];

	(void)state;
	struct fake_endpoint *e = connect_guest(s, 1000, 80);
	e->room = 0;
	send(s, 1000, 80, VG_RW, data, VSOCK_BUFFER_BYTES, 0);
	expect_silence(s);
	send(s, 1000, 80, VG_RW, data, 1, 0);
	expect(s, 1000, 80, VG_RST);
	assert_int_equal(s->host.n_closes, 1);
	assert_int_equal(s->host.n_buffers, 0);
	scene_free(s);
}

static void guest_closes_when_all_is_written(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	struct fake_endpoint *e = connect_guest(s, 1000, 80);
	e->room = 2;
	send(s, 1000, 80, VG_RW, "data", 4, 0);
	send(s, 1000, 80, VG_SHUTDOWN, NULL, 0, 3);
	expect_silence(s);
	e->room = 10;
	virtio_vsock_writable(&s->dev, e->stream);
	assert_memory_equal(e->out, "data", 4);
	expect(s, 1000, 80, VG_RST);
	assert_int_equal(s->host.n_closes, 1);
	scene_free(s);
}

static void halves_close_apart(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	struct fake_endpoint *e = connect_guest(s, 1000, 80);
	send(s, 1000, 80, VG_SHUTDOWN, NULL, 0, 2);
	assert_true(e->shut);
	host_says(s, e, "still", 5);
	expect(s, 1000, 80, VG_RW);
	e->ended = true;
	virtio_vsock_readable(&s->dev, e->stream);
	assert_int_equal(expect(s, 1000, 80, VG_SHUTDOWN).flags, 2);
	send(s, 1000, 80, VG_RW, "no", 2, 0);
	expect(s, 1000, 80, VG_RST);
	assert_int_equal(s->host.n_closes, 1);
	scene_free(s);
}

static void endpoint_that_breaks_resets_the_guest(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	connect_guest(s, 1000, 80)->broken = true;
	send(s, 1000, 80, VG_RW, "x", 1, 0);
	expect(s, 1000, 80, VG_RST);
	struct fake_endpoint *e = connect_guest(s, 1000, 80);
	e->broken = true;
	virtio_vsock_readable(&s->dev, e->stream);
	expect(s, 1000, 80, VG_RST);
	expect_silence(s);
	scene_free(s);
}

static void packets_without_a_stream_are_reset(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	send(s, 7, 8, VG_RW, "x", 1, 0);
	expect(s, 7, 8, VG_RST);
	send(s, 7, 8, VG_RST, NULL, 0, 0);
	expect_silence(s);
	struct vsock_packet p = { .src_cid = CID,
				  .dst_cid = 9,
				  .src_port = 1,
				  .dst_port = 2,
				  .type = 1,
				  .op = VG_REQUEST };
	vsock_guest_put(&s->guest, &p);
	p.dst_cid = 2;
	p.type = 2; /* no such socket type here */
	vsock_guest_put(&s->guest, &p);
	p.type = 1;
	p.src_cid = 43; /* a liar: dropped */
	vsock_guest_put(&s->guest, &p);
	rig_kick(&s->rig, TX);
	rig_run(&s->rig);
	struct vsock_packet got;
	assert_true(next(s, &got));
	assert_true(next(s, &got));
	assert_false(next(s, &got));
	scene_free(s);
}

static void misplaced_operations_cut_the_stream(void **state)
{
	static const uint16_t ops[] = { VG_REQUEST, VG_RESPONSE, 8, 99, 0 };
	struct scene *s = scene_new();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		(void)connect_guest(s, 1000, 80);
		send(s, 1000, 80, ops[i], NULL, 0, 0);
		expect(s, 1000, 80, VG_RST);
		assert_int_equal(s->host.n_closes, i + 1);
	}
	/* Data, or an end, before the connection stands. */
	s->host.answer = -EINPROGRESS;
	for (unsigned i = 0; i < 2; i++) {
		send(s, 1000, 80, VG_REQUEST, NULL, 0, 0);
		send(s, 1000, 80, i ? VG_SHUTDOWN : VG_RW, "x", 1, 3);
		expect(s, 1000, 80, VG_RST);
	}
	scene_free(s);
}

static void lengths_that_lie_are_dropped(void **state)
{
	struct scene *s = scene_new();
	struct fake_endpoint *e;

	(void)state;
	e = connect_guest(s, 1000, 80);
	send(s, 1000, 80, VG_RW, "abc", 3, 0);
	le32_store(rig_at(&s->rig, s->rig.next_data - 48 + 24), 4000);
	rig_avail(&s->rig, TX, (uint16_t)((s->rig.queues[TX].free_next - 1) % 128));
	rig_kick(&s->rig, TX);
	rig_run(&s->rig);
	assert_int_equal(e->n_out, 3);
	expect_silence(s);
	scene_free(s);
}

static void answers_wait_for_buffers_and_so_does_the_guest(void **state)
{
	struct scene *s = scene_bare();
	const struct vsock_packet p = {
		.src_cid = CID, .dst_cid = 2, .src_port = 1, .dst_port = 2, .type = 1, .op = VG_RW
	};
	uint32_t head, len, n = 0;

	(void)state;
	for (unsigned i = 0; i < 60; i++)
		vsock_guest_put(&s->guest, &p);
	rig_kick(&s->rig, TX);
	rig_run(&s->rig);
	while (rig_used(&s->rig, TX, &head, &len))
		n++;
	assert_int_equal(n, VSOCK_RESETS);
	for (unsigned i = 0; i < 60; i++)
		vsock_guest_give(&s->guest, 64);
	rig_kick(&s->rig, RX);
	rig_run(&s->rig);
	while (rig_used(&s->rig, TX, &head, &len))
		n++;
	assert_int_equal(n, 60);
	for (unsigned i = 0; i < 60; i++)
		expect(s, 1, 2, VG_RST);
	scene_free(s);
}

static void streams_are_bounded(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	for (uint32_t i = 0; i < VSOCK_STREAMS + 1; i++) {
		send(s, 1000 + i, 80, VG_REQUEST, NULL, 0, 0);
		if (i % 64 == 63) {
			for (unsigned k = 0; k < 64; k++) {
				expect(s, 1000 + i - 63 + k, 80, VG_RESPONSE);
				vsock_guest_give(&s->guest, 64);
			}
		}
	}
	expect(s, 1000 + VSOCK_STREAMS, 80, VG_RST);
	assert_true(rig_reset(&s->rig));
	assert_int_equal(s->host.n_closes, VSOCK_STREAMS);
	scene_free(s);
}

static void small_receive_buffer_breaks_the_device(void **state)
{
	struct scene *s = scene_bare();

	(void)state;
	vsock_guest_give(&s->guest, 44); /* no room for a byte of data */
	send(s, 1, 2, VG_RW, "x", 1, 0);
	assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guest_connects_and_bytes_flow),
		cmocka_unit_test(refused_connection_is_reset),
		cmocka_unit_test(host_that_needs_time_answers_later),
		cmocka_unit_test(host_connects),
		cmocka_unit_test(guest_refuses_the_host),
		cmocka_unit_test(credit_bounds_what_the_guest_gets),
		cmocka_unit_test(guest_is_told_when_room_comes_back),
		cmocka_unit_test(bytes_are_kept_in_order_while_the_host_is_full),
		cmocka_unit_test(guest_that_exceeds_its_credit_is_cut_off),
		cmocka_unit_test(guest_closes_when_all_is_written),
		cmocka_unit_test(halves_close_apart),
		cmocka_unit_test(endpoint_that_breaks_resets_the_guest),
		cmocka_unit_test(packets_without_a_stream_are_reset),
		cmocka_unit_test(misplaced_operations_cut_the_stream),
		cmocka_unit_test(lengths_that_lie_are_dropped),
		cmocka_unit_test(answers_wait_for_buffers_and_so_does_the_guest),
		cmocka_unit_test(streams_are_bounded),
		cmocka_unit_test(small_receive_buffer_breaks_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
