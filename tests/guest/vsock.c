/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock: Socket Device. Wants one. With "echo_port=N" the host listens at port N and sends back what it is sent;
 * with "listen_port=N" the host connects to port N of ours, sends "listen_bytes=N" (1000), and gets them back. Nobody
 * listens at port 9.
 */
#include "lib/virtio.h"

#define HOST_CID 2
#define OUR_PORT 5000
#define BUFFERS	 16U
#define ROOM	 4096U
#define RX	 0
#define TX	 1
#define EVENT	 2

/* Device Operation: struct virtio_vsock_hdr, its operations, and the flags of a shutdown. */
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };
#define STREAM 1

struct header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));
_Static_assert(sizeof(struct header) == 44, "struct virtio_vsock_hdr");

static struct virtio vsock;
static uint8_t *rx[VIRTQ_MAX];
static uint64_t our_cid;
static uint32_t received; /* of the connection under way: fwd_cnt */

static void rx_add(uint8_t *buffer)
{
	const struct piece in = { buffer, ROOM };

	rx[virtq_add(&vsock.queues[RX], &in, 0, 1)] = buffer;
}

static bool send(uint16_t op, uint32_t to, uint32_t from, uint32_t flags, void *data, uint32_t len)
{
	static struct header out;
	const struct piece pieces[2] = { { &out, sizeof(out) }, { data, len } };

	out = (struct header){
		.src_cid = our_cid,
		.dst_cid = HOST_CID,
		.src_port = from,
		.dst_port = to,
		.len = len,
		.type = STREAM,
		.op = op,
		.flags = flags,
		.buf_alloc = BUFFERS * ROOM,
		.fwd_cnt = received,
	};
	return virtq_do(&vsock.queues[TX], pieces, len ? 2 : 1, 0) >= 0;
}

/* The next packet, its payload into data (room bytes); false: none came. */
static bool receive(struct header *ret, uint8_t *data, uint32_t room)
{
	struct virtq *q = &vsock.queues[RX];
	uint32_t head, len;

	if (!virtq_wait(q, &head, &len, 10) || len < sizeof(*ret))
		return false;
	memcpy(ret, rx[head], sizeof(*ret));
	if (ret->len > len - sizeof(*ret) || ret->len > room)
		return false;
	if (ret->len)
		memcpy(data, rx[head] + sizeof(*ret), ret->len);
	rx_add(rx[head]);
	virtq_kick(q);
	return ret->src_cid == HOST_CID && ret->dst_cid == our_cid;
}

static void nobody_listens(void)
{
	struct header h;

	check("asks_where_nobody_listens", send(REQUEST, 9, OUR_PORT, 0, NULL, 0));
	check("is_refused",
	      receive(&h, NULL, 0) && h.op == RST && h.src_port == 9 && h.dst_port == OUR_PORT);
}

static void echo(uint32_t port)
{
	uint8_t *data = mem_alloc(3000, 8), *back = mem_alloc(ROOM, 8);
	uint32_t total = 0;
	struct header h = { 0 };

	memset(data, 0x6b, 3000);
	data[0] = 1;
	data[2999] = 2;
	check("asks", send(REQUEST, port, OUR_PORT + 1, 0, NULL, 0));
	check("is_answered",
	      receive(&h, NULL, 0) && h.op == RESPONSE && h.dst_port == OUR_PORT + 1);
	check("is_given_credit", h.buf_alloc >= 4096);
	check("sends", send(RW, port, OUR_PORT + 1, 0, data, 3000));
	bool same = true;
	while (total < 3000 && receive(&h, back, ROOM)) {
		if (h.op != RW)
			continue;
		same = same && total + h.len <= 3000 && memcmp(data + total, back, h.len) == 0;
		total += h.len;
		received += h.len;
	}
	check("gets_it_back", total == 3000 && same);
	check("asks_for_credit", send(CREDIT_REQUEST, port, OUR_PORT + 1, 0, NULL, 0));
	check("is_told", receive(&h, NULL, 0) && h.op == CREDIT_UPDATE && h.fwd_cnt <= 3000);
	check("closes", send(SHUTDOWN, port, OUR_PORT + 1, 3, NULL, 0));
	bool ended = false;
	for (unsigned i = 0; i < 4 && !ended && receive(&h, back, ROOM); i++)
		ended = h.op == RST;
	check("is_closed_there", ended);
	check("writes_to_what_is_closed", send(RW, port, OUR_PORT + 1, 0, data, 10));
	check("is_refused_then", receive(&h, back, ROOM) && h.op == RST);
}

/* One connection of the host's, until it shuts down its side. */
static void serve(uint32_t port)
{
	uint8_t *data = mem_alloc(ROOM, 8);
	uint64_t total = 0;
	bool echoed = true;
	struct header h = { 0 };

	received = 0;
	check("host_asks", receive(&h, NULL, 0) && h.op == REQUEST && h.dst_port == port);
	uint32_t from = h.src_port;
	check("accepts", send(RESPONSE, from, port, 0, NULL, 0));
	while (receive(&h, data, ROOM) && h.op != SHUTDOWN && h.op != RST) {
		if (h.op == CREDIT_REQUEST)
			(void)send(CREDIT_UPDATE, from, port, 0, NULL, 0);
		if (h.op != RW)
			continue;
		total += h.len;
		received += h.len;
		echoed = send(RW, from, port, 0, data, h.len) && echoed;
	}
	check_equal("bytes_of_the_host", total, option_number("listen_bytes", 1000));
	check("sends_them_back", echoed);
	check_equal("host_shuts_down", h.op, SHUTDOWN);
	check("ends_it", send(RST, from, port, 0, NULL, 0));
}

void guest_main(void)
{
	uint32_t port = (uint32_t)option_number("echo_port", 0);

	if (!virtio_find(VIRTIO_VSOCK, 0, &vsock))
		fatal("there is no virtio-vsock");
	check("starts", virtio_start(&vsock, 0, 3));
	our_cid = read32(vsock.config);
	check("has_an_address", our_cid > HOST_CID);
	for (unsigned i = 0; i < BUFFERS; i++)
		rx_add(mem_alloc(ROOM, 8));
	virtq_kick(&vsock.queues[RX]);
	uint32_t ours = (uint32_t)option_number("listen_port", 0);
	if (ours) /* first: the host may come at any time */
		serve(ours);
	else
		skip("serve", "no option listen_port");
	nobody_listens();
	if (port)
		echo(port);
	else
		skip("echo", "no option echo_port");
	check("ends_without_needs_reset", !(virtio_status(&vsock) & STATUS_NEEDS_RESET));
}
