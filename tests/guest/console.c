/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console: Console Device. Wants one. With "echo_port=N" port N sends back what it is sent; "ports=N": so many
 * are there at least. "agent=1": they are those of a VM that runs an image (include/abi/agent.h), and this program is its
 * agent, whose workload copies one line of standard input to standard output, and says something on standard error.
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

/* ---- agent=1 ---- */

enum { AGENT_CONTROL, AGENT_STDIN, AGENT_STDOUT, AGENT_STDERR };
enum { CONFIG = 1, STOP = 4, STDIN_EOF = 6, READY = 64, STARTED = 65, EXIT = 67 };
#define LINE_MOST 8192U
#define READ_MOST 256U

/* What came on a port and was not looked at yet. */
struct reader {
	uint32_t port;
	uint8_t *data;
	uint32_t at, len;
};

static void reader_offer(const struct reader *r)
{
	struct virtq *q = &console.queues[port_rx(r->port)];
	const struct piece room = { r->data, READ_MOST };

	(void)virtq_add(q, &room, 0, 1);
	virtq_kick(q);
}

static bool reader_byte(struct reader *r, uint8_t *ret)
{
	uint32_t head;

	if (r->at == r->len) {
		reader_offer(r);
		r->at = r->len = 0;
		if (!virtq_wait(&console.queues[port_rx(r->port)], &head, &r->len, 10) ||
		    r->len == 0)
			return false;
	}
	*ret = r->data[r->at++];
	return true;
}

static bool reader_word(struct reader *r, uint32_t *ret)
{
	uint8_t bytes[4];

	for (unsigned i = 0; i < 4; i++) {
		if (!reader_byte(r, &bytes[i]))
			return false;
	}
	memcpy(ret, bytes, 4);
	return true;
}

/* The next frame's type, whatever is in it; 0: none came. */
static uint32_t reader_frame(struct reader *r)
{
	uint32_t type, len;
	uint8_t byte;

	if (!reader_word(r, &type) || !reader_word(r, &len))
		return 0;
	while (len && reader_byte(r, &byte))
		len--;
	return len ? 0 : type;
}

static bool port_write(uint32_t port, void *data, uint32_t len)
{
	const struct piece out = { data, len };

	return virtq_do(&console.queues[port_rx(port) + 1], &out, 1, 0) >= 0;
}

static bool frame_write(uint32_t type, const void *body, uint32_t len)
{
	uint8_t *frame = mem_alloc(8 + len, 8);

	memcpy(frame, &type, 4);
	memcpy(frame + 4, &len, 4);
	memcpy(frame + 8, body, len);
	return port_write(AGENT_CONTROL, frame, 8 + len);
}

static void agent_workload(uint64_t ret_written[2])
{
	static char words[] = "console: standard error\n";
	struct reader in = { AGENT_STDIN, mem_alloc(READ_MOST, 8), 0, 0 };
	uint8_t *line = mem_alloc(LINE_MOST, 8);
	uint32_t len = 0;

	while (len < LINE_MOST && reader_byte(&in, &line[len]) && line[len++] != '\n')
		;
	check("reads_a_line", len && line[len - 1] == '\n');
	reader_offer(&in); /* for more, or its end, which the host then says */
	check("writes_it", port_write(AGENT_STDOUT, line, len));
	check("writes_to_standard_error", port_write(AGENT_STDERR, words, sizeof(words) - 1));
	ret_written[0] = len;
	ret_written[1] = sizeof(words) - 1;
}

static void agent(void)
{
	struct reader control = { AGENT_CONTROL, mem_alloc(READ_MOST, 8), 0, 0 };
	const uint32_t version = 1;
	uint64_t end[3] = { 0 }; /* status and memory, bytes of standard output and error */

	for (uint16_t i = 0; i < 10; i++)
		(void)virtio_queue(&console, i, VIRTQ_MAX, NO_VECTOR);
	virtio_ready(&console);
	control_out = mem_alloc(sizeof(*control_out), 8);
	for (unsigned i = 0; i < CONTROL_BUFFERS; i++)
		control_add(mem_alloc(CONTROL_BYTES, 8));
	virtq_kick(&console.queues[CONTROL_RX]);
	control_send(0, DEVICE_READY, 1);
	for (uint32_t p = 0; p < PORTS; p++) {
		check("port_is_added", control_until(&added[p]));
		control_send(p, PORT_OPEN, 1);
	}
	check("says_that_it_is_ready", frame_write(READY, &version, sizeof(version)));
	check_equal("is_configured", reader_frame(&control), CONFIG);
	check("says_that_it_started", frame_write(STARTED, NULL, 0));
	agent_workload(&end[1]);
	check_equal("hears_of_the_end_of_its_input", reader_frame(&control), STDIN_EOF);
	check("says_its_end", frame_write(EXIT, end, sizeof(end)));
	check_equal("is_told_to_stop", reader_frame(&control), STOP);
}

void guest_main(void)
{
	if (!virtio_find(VIRTIO_CONSOLE, 0, &console))
		fatal("there is no virtio-console");
	if (!option_number("agent", 0))
		single();
	check("starts_with_ports", virtio_begin(&console, F_MULTIPORT | F_SIZE));
	if (option_number("agent", 0))
		agent();
	else if (virtio_has(&console, F_MULTIPORT))
		many();
	else
		skip("ports", "not offered");
	check("ends_without_needs_reset", !(virtio_status(&console) & STATUS_NEEDS_RESET));
}
