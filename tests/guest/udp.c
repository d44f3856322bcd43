/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net on a network that passt makes: asks who the gateway is, asks the name server one question (dns=1), then sends
 * back echo=N datagrams that come to UDP port 7. Addresses are passt's fixed ones (src/network/passt.h).
 */
#include "lib/virtio.h"

#define F_MTU (1ULL << 3)
#define F_MAC (1ULL << 5)

#define HEADER	    12U /* virtio_net_hdr_v1 */
#define RX_BUFFERS  16U
#define FRAME_MOST  1514U
#define IP_AT	    14U
#define UDP_AT	    34U
#define DATA_AT	    42U
#define ARP_BYTES   42U
#define WAIT_FRAMES 64U
#define ECHO_PORT   7U

static struct virtio net;
static uint8_t *buffers[VIRTQ_MAX]; /* by head */
static uint8_t *out, *in;	    /* frames, behind their headers */
static uint8_t mac[6], gateway_mac[6];
static const uint8_t address[4] = { 10, 0, 2, 15 }, gateway[4] = { 10, 0, 2, 2 },
		     resolver[4] = { 10, 0, 2, 3 };

static uint16_t be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void be16_put(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void rx_add(uint8_t *buffer)
{
	const struct piece piece = { buffer, HEADER + FRAME_MOST };
	uint16_t head = virtq_add(&net.queues[0], &piece, 0, 1);

	buffers[head] = buffer;
}

/* A frame into in, its length; 0: none came. */
static uint32_t receive(unsigned seconds)
{
	uint32_t head, len;

	if (!virtq_wait(&net.queues[0], &head, &len, seconds) || head >= VIRTQ_MAX ||
	    len <= HEADER || len > HEADER + FRAME_MOST)
		return 0;
	memcpy(in, buffers[head] + HEADER, len - HEADER);
	rx_add(buffers[head]);
	virtq_kick(&net.queues[0]);
	return len - HEADER;
}

static bool send(uint32_t len)
{
	const struct piece piece = { out - HEADER, HEADER + len };

	return virtq_do(&net.queues[1], &piece, 1, 0) >= 0;
}

static void ethernet(const uint8_t *to, unsigned type)
{
	memcpy(out, to, 6);
	memcpy(out + 6, mac, 6);
	be16_put(out + 12, type);
}

/* RFC 826 */
static bool find_gateway(void)
{
	static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	memset(out, 0, ARP_BYTES);
	ethernet(everybody, 0x0806);
	memcpy(out + 14, head, sizeof(head));
	memcpy(out + 22, mac, 6);
	memcpy(out + 28, address, 4);
	memcpy(out + 38, gateway, 4);
	if (!send(ARP_BYTES))
		return false;
	for (unsigned i = 0; i < WAIT_FRAMES; i++) {
		uint32_t len = receive(10);
		if (!len)
			return false;
		if (len < ARP_BYTES || be16(in + 12) != 0x0806 || be16(in + 20) != 2)
			continue;
		memcpy(gateway_mac, in + 22, 6);
		return memcmp(in + 28, gateway, 4) == 0;
	}
	return false;
}

/* RFC 791, 3.1: the one's complement of the header's sum. */
static void ip_seal(void)
{
	uint32_t sum = 0;

	be16_put(out + IP_AT + 10, 0);
	for (unsigned i = 0; i < 20; i += 2)
		sum += be16(out + IP_AT + i);
	sum = (sum & 0xffff) + (sum >> 16);
	be16_put(out + IP_AT + 10, (uint16_t) ~(sum + (sum >> 16)));
}

/* RFC 768, without a checksum */
static bool datagram(const uint8_t *to, unsigned from_port, unsigned to_port, uint32_t len)
{
	ethernet(gateway_mac, 0x0800);
	memset(out + IP_AT, 0, 28);
	out[IP_AT] = 0x45;
	be16_put(out + IP_AT + 2, 28 + len);
	out[IP_AT + 8] = 64;
	out[IP_AT + 9] = 17;
	memcpy(out + IP_AT + 12, address, 4);
	memcpy(out + IP_AT + 16, to, 4);
	be16_put(out + UDP_AT, from_port);
	be16_put(out + UDP_AT + 2, to_port);
	be16_put(out + UDP_AT + 4, 8 + len);
	ip_seal();
	return send(DATA_AT + len);
}

/* The next datagram to a port of ours; its data's length, or 0. */
static uint32_t hear(unsigned port, unsigned seconds)
{
	for (unsigned i = 0; i < WAIT_FRAMES; i++) {
		uint32_t len = receive(seconds);
		if (!len)
			return 0;
		if (len > DATA_AT && be16(in + 12) == 0x0800 && in[IP_AT] == 0x45 &&
		    in[IP_AT + 9] == 17 && be16(in + UDP_AT + 2) == port &&
		    be16(in + UDP_AT + 4) > 8 && be16(in + UDP_AT + 4) <= len - UDP_AT)
			return be16(in + UDP_AT + 4) - 8U;
	}
	return 0;
}

/* RFC 1035, 4.1: a question for the address of "t". What comes back is it with an answer. */
static void ask_name(void)
{
	static const uint8_t question[] = { 0x12, 0x34, 1, 0,	0, 1, 0, 0, 0, 0,
					    0,	  0,	1, 't', 0, 0, 1, 0, 1 };

	memcpy(out + DATA_AT, question, sizeof(question));
	check("question_is_sent", datagram(resolver, 4000, 53, sizeof(question)));
	uint32_t len = hear(4000, 10);
	check("answer_comes", len >= sizeof(question) && memcmp(in + DATA_AT, question, 2) == 0);
	check("answer_is_the_resolvers", memcmp(in + IP_AT + 12, resolver, 4) == 0);
	check("answer_has_the_address", len >= 4 && in[DATA_AT + len - 1] == 99);
}

static void echo(uint64_t count)
{
	uint64_t done = 0;

	print("listening\n");
	while (done < count) {
		uint32_t len = hear(ECHO_PORT, 60);
		uint8_t to[4];
		if (!len || DATA_AT + len > FRAME_MOST)
			break;
		memcpy(to, in + IP_AT + 12, 4);
		memcpy(out + DATA_AT, in + DATA_AT, len);
		if (!datagram(to, ECHO_PORT, be16(in + UDP_AT), len))
			break;
		done++;
	}
	check_equal("echoes", done, count);
}

void guest_main(void)
{
	out = (uint8_t *)mem_alloc(HEADER + FRAME_MOST, 16) + HEADER;
	in = mem_alloc(FRAME_MOST, 16);
	if (!virtio_find(VIRTIO_NET, 0, &net))
		fatal("there is no virtio-net");
	check("starts", virtio_start(&net, F_MAC | F_MTU, 2));
	for (unsigned i = 0; i < 6; i++)
		mac[i] = read8(net.config + i);
	check_equal("mtu", virtio_has(&net, F_MTU) ? read16(net.config + 10) : 0, 65520);
	for (unsigned i = 0; i < RX_BUFFERS; i++)
		rx_add(mem_alloc(HEADER + FRAME_MOST, 8));
	virtq_kick(&net.queues[0]);
	check("gateway_answers", find_gateway());
	if (option_number("dns", 0))
		ask_name();
	if (option_number("echo", 0))
		echo(option_number("echo", 0));
	check("ends_without_needs_reset", !(virtio_status(&net) & STATUS_NEEDS_RESET));
}
