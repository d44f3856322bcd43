/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that rewrites rings and registers on one thread while the device reads them on another. Run under ASan and
 * TSan it shows that what is checked is a copy, and that the registers are under the lock.
 */
#include "devices/virtio/driver.h"
#include "devices/virtio/fake_disk.h"
#include "devices/virtio/fakes.h"

#include "give_way.h"
#include "scratch.h"

#include <pthread.h>
#include <string.h>

#include "base/core/macros.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vsock.h"

#define ROUNDS 6000U

struct scene {
	struct rig rig;
	union {
		struct {
			struct fake_disk disk;
			struct virtio_blk blk;
		};
		struct {
			struct fake_net net;
			struct virtio_net nic;
		};
		struct {
			struct fake_console port;
			struct virtio_console console;
		};
		struct {
			struct fake_entropy entropy;
			struct virtio_rng rng;
		};
		struct {
			struct fake_balloon pages;
			struct virtio_balloon balloon;
		};
		struct {
			struct fake_vsock host;
			struct virtio_vsock vsock;
		};
	};
	uint16_t n_queues;
	uint32_t in_queues;		  /* bit n: the device only writes */
	void (*backend)(struct scene *s); /* on the I/O thread */
	uint32_t stop;			  /* atomic */
};

/* xorshift: the same run every time, but for the threads' timing. */
static uint32_t dice(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

#define DESCS 16U

/* Mostly what a driver would write: forward, the writable ones last, inside the data. Now and then not. */
static void scribble_desc(struct scene *s, uint16_t queue, uint32_t *state)
{
	const uint32_t d = dice(state), i = d % DESCS, next = i + 1 + d / 16 % 4;
	uint16_t flags = i >= DESCS / 2 ? VD_WRITE : 0;
	uint64_t addr = RIG_DATA_GPA + dice(state) % 0x10000;

	if (next < DESCS)
		flags |= VD_NEXT;
	if (d % 64 == 7)
		flags = (uint16_t)(d >> 8 & 7);
	if (d % 64 == 9)
		addr = (uint64_t)d << 20;
	rig_desc(&s->rig, queue, (uint16_t)i, addr,
		 flags & VD_WRITE ? d % 4 * 512 + d % 2 : 16 + d % 1500, flags,
		 (uint16_t)(next % DESCS));
}

static void scribble(struct scene *s, uint32_t *state)
{
	const uint16_t queue = (uint16_t)(dice(state) % s->n_queues);
	struct rig_queue *q = &s->rig.queues[queue];
	const uint32_t d = dice(state);
	uint32_t head, len;

	scribble_desc(s, queue, state);
	while (rig_used(&s->rig, queue, &head, &len))
		continue;
	/* A ring that overflows is broken at once: seldom. */
	if ((uint16_t)(q->avail_idx - q->used_seen) < q->size || d % 512 == 0)
		rig_avail(&s->rig, queue,
			  (uint16_t)(d % 1024 == 0		 ? d
				     : s->in_queues >> queue & 1 ? DESCS / 2 + d % (DESCS / 2)
								 : d % (DESCS / 2)));
	if (d % 4 == 1)
		rig_kick(&s->rig, queue);
	rig_used_event_set(&s->rig, queue, (uint16_t)(q->used_seen + d % 4));
}

static void registers(struct scene *s, uint32_t *state)
{
	const uint32_t d = dice(state);

	(void)rig_common(&s->rig, d % 64, 1U << (d >> 8) % 4);
	(void)rig_dev_config(&s->rig, d % 64, 4);
	(void)bus_read(&s->rig.mmio, s->rig.isr, 1);
	if (d % 3 == 0)
		bus_write(&s->rig.mmio, s->rig.config + d % 64, 1, d);
	if (d % 256 == 0 || rig_status(&s->rig) & ST_NEEDS_RESET)
		rig_common_set(&s->rig, CC_STATUS, 1, 0);
}

/* As a driver does, as far as the other thread lets it. */
static void restart(struct scene *s)
{
	if (rig_status(&s->rig) != 0)
		return;
	if (!rig_features(&s->rig, F_VERSION_1 | F_EVENT_IDX | F_INDIRECT))
		return;
	for (uint16_t i = 0; i < s->n_queues; i++)
		rig_queue_setup(&s->rig, i, 16);
	rig_common_set(&s->rig, CC_STATUS, 1, 15);
}

static void *io_thread(void *arg)
{
	struct scene *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		for (uint16_t i = 0; i < s->n_queues; i++)
			virtio_queue_run(s->rig.dev, i);
		if (s->backend)
			s->backend(s);
	}
	return NULL;
}

static void race(struct scene *s, struct virtio_dev *dev, uint16_t n_queues, uint32_t in_queues)
{
	uint32_t state = 2463534242;
	pthread_t thread;
	const int64_t until = give_way_until(2000);

	s->n_queues = n_queues;
	s->in_queues = in_queues;
	assert_true(rig_attach(&s->rig, dev));
	assert_true(rig_start(&s->rig, F_VERSION_1 | F_EVENT_IDX | F_INDIRECT, n_queues, 16));
	assert_int_equal(pthread_create(&thread, NULL, io_thread, s), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		scribble(s, &state);
		if (i % 8 == 0) {
			registers(s, &state);
			restart(s);
			(void)give_way(until); /* on one CPU too, the other thread has its turns */
		}
	}
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* The device is whole. */
	assert_true(virtio_stop(dev));
	assert_true(rig_start(&s->rig, F_VERSION_1, n_queues, 16));
}

static struct scene *scene_new(void)
{
	struct scene *s = test_calloc(1, sizeof(*s));

	assert_true(rig_init(&s->rig));
	return s;
}

static void scene_free(struct scene *s)
{
	assert_true(virtio_stop(s->rig.dev));
	rig_fini(&s->rig);
	test_free(s);
}

static void complete_disk(struct scene *s)
{
	while (fake_disk_complete(&s->disk, s->disk.n_waiting / 2))
		continue;
}

static void blk(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	fake_disk_init(&s->disk);
	s->disk.async = true;
	s->backend = complete_disk;
	virtio_blk_init(&s->blk, &s->rig.place, &s->disk.disk);
	race(s, &s->blk.virtio, 1, 0);
	scene_free(s);
}

static void frames_come(struct scene *s)
{
	(void)fake_net_put(&s->net, 60 + s->net.n_sent % 1000);
	s->net.net.readable(&s->net.net, s->net.net.arg);
}

static void net(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct scene *s = scene_new();

	(void)state;
	fake_net_init(&s->net, UINT64_MAX, 0);
	s->backend = frames_come;
	virtio_net_init(&s->nic, &s->rig.place, &s->net.net, mac);
	race(s, &s->nic.virtio, 3, 1);
	scene_free(s);
}

static void typing(struct scene *s)
{
	s->port.n_out = 0;
	fake_console_put(&s->port, "typed", 5);
	s->port.console.readable(&s->port.console, s->port.console.arg);
}

static void console(void **state)
{
	struct scene *s = scene_new();
	const struct console_port_config port = { "p", &s->port.console, true };

	(void)state;
	fake_console_init(&s->port);
	s->backend = typing;
	virtio_console_init(&s->console, &s->rig.place, &port, 1);
	race(s, &s->console.virtio, 4, 5);
	scene_free(s);
}

static void rng(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	fake_entropy_init(&s->entropy);
	virtio_rng_init(&s->rng, &s->rig.place, &s->entropy.entropy);
	race(s, &s->rng.virtio, 1, 1);
	scene_free(s);
}

static void ask(struct scene *s)
{
	virtio_balloon_ask(&s->balloon);
}

static void balloon(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	fake_balloon_init(&s->pages);
	s->backend = ask;
	virtio_balloon_init(&s->balloon, &s->rig.place, &s->pages.host);
	race(s, &s->balloon.virtio, 5, 16);
	scene_free(s);
}

static void call_guest(struct scene *s)
{
	struct vsock_stream *stream;

	(void)virtio_vsock_connect(&s->vsock, 5, NULL, &stream);
}

static void vsock(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	fake_vsock_init(&s->host);
	s->backend = call_guest;
	virtio_vsock_init(&s->vsock, &s->rig.place, 3, &s->host.host, &s->host.heap);
	race(s, &s->vsock.virtio, 3, 1);
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blk), cmocka_unit_test(net),	  cmocka_unit_test(console),
		cmocka_unit_test(rng), cmocka_unit_test(balloon), cmocka_unit_test(vsock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
