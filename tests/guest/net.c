/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net: Network Device. Wants one whose other side sends each frame to everybody back as it came, as a port of Strata's
 * bridges does, which are hairpins. Frames of a type of our own; others are passed over.
 */
#include "lib/virtio.h"

#define F_CSUM	    (1ULL << 0)
#define F_MTU	    (1ULL << 3)
#define F_MAC	    (1ULL << 5)
#define F_MRG_RXBUF (1ULL << 15)
#define F_STATUS    (1ULL << 16)

#define HEADER	    12U	    /* virtio_net_hdr_v1 */
#define ETHERTYPE   0xb588U /* 0x88b5, in network order: for experiments (IEEE 802) */
#define RX_BUFFERS  16U
#define FRAME_MOST  1514U
#define SMALL_BYTES 256U

static struct virtio net;
static uint8_t *buffers[VIRTQ_MAX]; /* by head */
static uint32_t buffer_len;
static uint8_t *frame, *got;

static void rx_add(uint8_t *buffer)
{
	const struct piece in = { buffer, buffer_len };
	uint16_t head = virtq_add(&net.queues[0], &in, 0, 1);

	buffers[head] = buffer;
}

static void rx_fill(uint32_t len)
{
	buffer_len = len;
	for (unsigned i = 0; i < RX_BUFFERS; i++)
		rx_add(mem_alloc(len, 8));
	virtq_kick(&net.queues[0]);
}

static void frame_make(uint16_t number, uint32_t len)
{
	memset(frame, 0, HEADER);
	memset(frame + HEADER, 0xff, 6); /* to everybody */
	for (unsigned i = 0; i < 6; i++)
		frame[HEADER + 6 + i] = read8(net.config + i);
	frame[HEADER + 12] = ETHERTYPE & 0xff;
	frame[HEADER + 13] = ETHERTYPE >> 8;
	memset(frame + HEADER + 14, (int)(number * 7 + 1), len - 14);
	frame[HEADER + 14] = (uint8_t)number;
	frame[HEADER + len - 1] = (uint8_t)(number >> 8);
}

/* One frame into got, from as many buffers as it took; its length without the header, or 0. */
static uint32_t rx_frame(void)
{
	struct virtq *q = &net.queues[0];
	uint32_t head, len, total = 0;
	unsigned parts = 1;

	for (unsigned i = 0; i < parts; i++) {
		if (!virtq_wait(q, &head, &len, 10) || head >= VIRTQ_MAX || len > buffer_len ||
		    total + len > HEADER + FRAME_MOST)
			return 0;
		if (i == 0) {
			const uint8_t *at = buffers[head] + 10; /* num_buffers */
			parts = at[0] | (unsigned)at[1] << 8;
		}
		memcpy(got + total, buffers[head], len);
		total += len;
		rx_add(buffers[head]);
	}
	virtq_kick(q);
	return total > HEADER ? total - HEADER : 0;
}

static uint32_t rx_ours(void)
{
	for (unsigned i = 0; i < 32; i++) {
		uint32_t len = rx_frame();
		if (len == 0)
			return 0;
		if (got[HEADER + 12] == (ETHERTYPE & 0xff) && got[HEADER + 13] == ETHERTYPE >> 8)
			return len;
	}
	return 0;
}

static bool round_trip(uint16_t number, uint32_t len)
{
	const struct piece out[2] = { { frame, HEADER }, { frame + HEADER, len } };

	frame_make(number, len);
	if (virtq_do(&net.queues[1], out, 2, 0) < 0)
		return false;
	return rx_ours() == len && memcmp(frame + HEADER, got + HEADER, len) == 0;
}

static void frames(void)
{
	check("smallest_frame", round_trip(1, 60));
	check("largest_frame", round_trip(2, FRAME_MOST));
	check("odd_frame", round_trip(3, 333));
	bool all = true;
	for (uint16_t i = 0; i < 40; i++)
		all = round_trip((uint16_t)(10 + i), 64 + i) && all;
	check("ring_wraps", all);
	check_equal("header_says_one_buffer", got[10] | (unsigned)got[11] << 8, 1);
}

static void burst(void)
{
	struct virtq *q = &net.queues[1];
	const struct piece out = { frame, HEADER + 100 };
	uint32_t head, len, back = 0;

	frame_make(0x55, 100);
	for (unsigned i = 0; i < 8; i++)
		(void)virtq_add(q, &out, 1, 0);
	virtq_kick(q);
	unsigned sent = 0;
	while (sent < 8 && virtq_wait(q, &head, &len, 10))
		sent++;
	check_equal("burst_is_sent", sent, 8);
	while (back < 8 && rx_ours() == 100)
		back++;
	check_equal("burst_comes_back", back, 8);
}

void guest_main(void)
{
	frame = mem_alloc(HEADER + FRAME_MOST, 16);
	got = mem_alloc(HEADER + FRAME_MOST, 16);
	if (!virtio_find(VIRTIO_NET, 0, &net))
		fatal("there is no virtio-net");
	check("starts", virtio_start(&net, F_MAC | F_STATUS | F_MTU, 2));
	check("has_an_address", virtio_has(&net, F_MAC) && !(read8(net.config) & 1));
	if (virtio_has(&net, F_STATUS))
		check("link_is_up", read16(net.config + 6) & 1);
	rx_fill(HEADER + FRAME_MOST);
	frames();
	burst();

	check("starts_with_merged_buffers", virtio_start(&net, F_MAC | F_MRG_RXBUF, 2));
	if (!virtio_has(&net, F_MRG_RXBUF)) {
		skip("merged_buffers", "not offered");
		return;
	}
	rx_fill(SMALL_BYTES);
	check("frame_in_one_small_buffer", round_trip(0x101, 100));
	check("frame_in_many_small_buffers", round_trip(0x102, FRAME_MOST));
	check("says_how_many", (got[10] | (unsigned)got[11] << 8) == 6);
	check("ends_without_needs_reset", !(virtio_status(&net) & STATUS_NEEDS_RESET));
}
