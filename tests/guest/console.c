/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console: Console Device. Wants one. With "echo_port=N" port N sends back what it is sent; "ports=N": so many
 * are there at least.
 */
#include "lib/virtio.h"

#define F_SIZE	    (1ULL << 0)
#define F_MULTIPORT (1ULL << 1)

/* Device Operation, Multiport Device Operation: struct virtio_console_control. */
enum {
	DEVICE_READY,
	PORT_ADD,
	PORT_REMOVE,
	PORT_READY,
	CONSOLE_PORT,
	RESIZE,
	PORT_OPEN,
	PORT_NAME
};

struct control {
	uint32_t id;
	uint16_t event, value;
};

#define CONTROL_RX	2
#define CONTROL_TX	3
#define CONTROL_BYTES	128U
#define CONTROL_BUFFERS 16U
#define PORTS		4U

static struct virtio console;
static uint8_t *control_in[VIRTQ_MAX];
static struct control *control_out;
static bool added[PORTS], is_console[PORTS], opened[PORTS];
static char names[PORTS][CONTROL_BYTES];

/* Queues 0 and 1 are port 0's, 2 and 3 for control, then two for each port. */
static uint16_t port_rx(uint32_t port)
{
	return (uint16_t)(port ? 2 + 2 * port : 0);
}

static void control_add(uint8_t *buffer)
{
	const struct piece in = { buffer, CONTROL_BYTES };

	control_in[virtq_add(&console.queues[CONTROL_RX], &in, 0, 1)] = buffer;
}

static void control_send(uint32_t id, uint16_t event, uint16_t value)
{
	const struct piece out = { control_out, sizeof(*control_out) };

	*control_out = (struct control){ .id = id, .event = event, .value = value };
	(void)virtq_do(&console.queues[CONTROL_TX], &out, 1, 0);
}

static void control_take(const uint8_t *data, uint32_t len)
{
	struct control c;

	if (len < sizeof(c))
		return;
	memcpy(&c, data, sizeof(c));
	if (c.id >= PORTS)
		return;
	if (c.event == PORT_ADD) {
		added[c.id] = true;
		control_send(c.id, PORT_READY, 1);
	}
	is_console[c.id] = is_console[c.id] || c.event == CONSOLE_PORT;
	if (c.event == PORT_OPEN)
		opened[c.id] = c.value != 0;
	if (c.event == PORT_NAME)
		memcpy(names[c.id], data + sizeof(c), len - sizeof(c));
}

/* What comes on the control queue, until wanted is true or some seconds went by. */
static bool control_until(const bool *wanted)
{
	struct virtq *q = &console.queues[CONTROL_RX];
	struct within w = { 0 };
	uint32_t head, len;

	while (!*wanted && within(&w, 5)) {
		if (!virtq_pop(q, &head, &len))
			continue;
		control_take(control_in[head], len);
		control_add(control_in[head]);
		virtq_kick(q);
	}
	return *wanted;
}

static void single(void)
{
	check("starts_as_one_port", virtio_start(&console, 0, 2));
	static char text[] = "console: one port\n";
	const struct piece out = { text, sizeof(text) - 1 };
	check("writes_as_one_port", virtq_do(&console.queues[1], &out, 1, 0) >= 0);
	const struct piece two[2] = { { text, 7 }, { text + 7, sizeof(text) - 8 } };
	check("writes_two_pieces", virtq_do(&console.queues[1], two, 2, 0) >= 0);
}

static void echo(uint32_t port)
{
	struct virtq *in = &console.queues[port_rx(port)],
		     *out = &console.queues[port_rx(port) + 1];
	uint8_t *data = mem_alloc(256, 8), *back = mem_alloc(256, 8);
	uint32_t head, len, total = 0;

	control_send(port, PORT_OPEN, 1);
	check("echo_port_is_open_there", control_until(&opened[port]));
	memset(data, 0x5e, 200);
	data[0] = 1;
	data[199] = 2;
	const struct piece piece = { data, 200 };
	check("writes_to_the_echo_port", virtq_do(out, &piece, 1, 0) >= 0);
	while (total < 200) {
		const struct piece room = { back + total, 200 - total };
		(void)virtq_add(in, &room, 0, 1);
		virtq_kick(in);
		if (!virtq_wait(in, &head, &len, 10) || len == 0 || len > 200 - total)
			break;
		total += len;
	}
	check("reads_it_back", total == 200 && memcmp(data, back, 200) == 0);
}

static void many(void)
{
	uint64_t ports = option_number("ports", 1), port = option_number("echo_port", 0);

	for (uint16_t i = 0; i < 4; i++)
		(void)virtio_queue(&console, i, VIRTQ_MAX, NO_VECTOR);
	for (uint32_t p = 1;
	     p < PORTS && p < read32(console.config + 4) && port_rx(p) + 1 < VIRTIO_QUEUES; p++) {
		(void)virtio_queue(&console, port_rx(p), VIRTQ_MAX, NO_VECTOR);
		(void)virtio_queue(&console, (uint16_t)(port_rx(p) + 1), VIRTQ_MAX, NO_VECTOR);
	}
	virtio_ready(&console);
	control_out = mem_alloc(sizeof(*control_out), 8);
	for (unsigned i = 0; i < CONTROL_BUFFERS; i++)
		control_add(mem_alloc(CONTROL_BYTES, 8));
	virtq_kick(&console.queues[CONTROL_RX]);
	control_send(0, DEVICE_READY, 1);
	for (uint32_t p = 0; p < ports && p < PORTS; p++)
		check("port_is_added", control_until(&added[p]));
	check("port_0_is_a_console", control_until(&is_console[0]));
	control_send(0, PORT_OPEN, 1);
	static char text[] = "console: many ports\n";
	const struct piece out = { text, sizeof(text) - 1 };
	check("writes_as_port_0", virtq_do(&console.queues[1], &out, 1, 0) >= 0);
	if (port && port < PORTS)
		echo((uint32_t)port);
	else
		skip("echo", "no option echo_port");
	/* Nonsense is not answered, and does no harm. */
	control_send(12345, PORT_READY, 1);
	control_send(0, 999, 1);
	check("nonsense_does_no_harm", virtq_do(&console.queues[1], &out, 1, 0) >= 0);
}

void guest_main(void)
{
	if (!virtio_find(VIRTIO_CONSOLE, 0, &console))
		fatal("there is no virtio-console");
	single();
	check("starts_with_ports", virtio_begin(&console, F_MULTIPORT | F_SIZE));
	if (virtio_has(&console, F_MULTIPORT))
		many();
	else
		skip("ports", "not offered");
	check("ends_without_needs_reset", !(virtio_status(&console) & STATUS_NEEDS_RESET));
}
