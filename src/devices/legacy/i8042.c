/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/legacy/i8042.h"

#include "base/core/macros.h"
#include "machine/layout.h"

#define PORT_I8042_COMMAND (PORT_I8042 + 4)
#define PORT_SYSTEM_A	   0x92U

#define STATUS_OUTPUT_FULL 0x01U
#define STATUS_SYSTEM	   0x04U /* the self-test passed */
#define STATUS_COMMAND	   0x08U /* the last byte went to 0x64 */
#define STATUS_UNLOCKED	   0x10U
#define STATUS_AUX	   0x20U /* the output is the mouse's */
#define STATUS_TIMEOUT	   0x40U

#define MODE_KEYBOARD_IRQ 0x01U
#define MODE_SYSTEM	  0x04U
#define MODE_KEYBOARD_OFF 0x10U
#define MODE_AUX_OFF	  0x20U

#define PORT_NO_RESET 0x01U
#define PORT_A20      0x02U

#define COMMAND_READ_MODE	0x20U
#define COMMAND_WRITE_MODE	0x60U
#define COMMAND_AUX_OFF		0xa7U
#define COMMAND_AUX_ON		0xa8U
#define COMMAND_AUX_TEST	0xa9U
#define COMMAND_SELF_TEST	0xaaU
#define COMMAND_KEYBOARD_TEST	0xabU
#define COMMAND_KEYBOARD_OFF	0xadU
#define COMMAND_KEYBOARD_ON	0xaeU
#define COMMAND_READ_INPUT	0xc0U
#define COMMAND_READ_PORT	0xd0U
#define COMMAND_WRITE_PORT	0xd1U
#define COMMAND_KEYBOARD_OUTPUT 0xd2U
#define COMMAND_AUX_OUTPUT	0xd3U
#define COMMAND_AUX_INPUT	0xd4U
#define COMMAND_PULSE		0xf0U /* and up: pulse the bits that are 0 */

#define SELF_TEST_PASSED    0x55U
#define KEYBOARD_LINE_FINE  0x00U
#define AUX_CLOCK_STUCK_LOW 0x01U /* as with nothing plugged in */
#define RESEND		    0xfeU
#define UNLOCKED_INPUT	    0x80U

static void i8042_update(struct i8042 *kbc)
{
	bool level = kbc->status & STATUS_OUTPUT_FULL && !(kbc->status & STATUS_AUX) &&
		     kbc->mode & MODE_KEYBOARD_IRQ;

	if (level == kbc->level)
		return;
	kbc->level = level;
	kbc->irq->ops->line(kbc->irq, GSI_KEYBOARD, level);
}

/* @flags: STATUS_AUX, STATUS_TIMEOUT */
static void i8042_answer(struct i8042 *kbc, uint8_t value, uint8_t flags)
{
	kbc->output = value;
	kbc->status = (uint8_t)((kbc->status & ~(STATUS_AUX | STATUS_TIMEOUT)) |
				STATUS_OUTPUT_FULL | flags);
}

static void i8042_port_set(struct i8042 *kbc, uint8_t value)
{
	kbc->port = value | PORT_NO_RESET;
	if (!(value & PORT_NO_RESET))
		kbc->events->ops->reset(kbc->events);
}

/* ---- commands: kbc->lock is held ---- */

static void i8042_self_test(struct i8042 *kbc)
{
	kbc->status |= STATUS_SYSTEM;
	kbc->mode |= MODE_SYSTEM | MODE_KEYBOARD_OFF | MODE_AUX_OFF;
	i8042_answer(kbc, SELF_TEST_PASSED, 0);
}

static void i8042_command(struct i8042 *kbc, uint8_t command)
{
	kbc->status |= STATUS_COMMAND;
	kbc->pending = 0;
	switch (command) {
	case COMMAND_READ_MODE:
		i8042_answer(kbc, kbc->mode, 0);
		break;
	case COMMAND_WRITE_MODE:
	case COMMAND_WRITE_PORT:
	case COMMAND_KEYBOARD_OUTPUT:
	case COMMAND_AUX_OUTPUT:
	case COMMAND_AUX_INPUT:
		kbc->pending = command;
		break;
	case COMMAND_AUX_OFF:
		kbc->mode |= MODE_AUX_OFF;
		break;
	case COMMAND_AUX_ON:
		kbc->mode &= (uint8_t)~MODE_AUX_OFF;
		break;
	case COMMAND_AUX_TEST:
		i8042_answer(kbc, AUX_CLOCK_STUCK_LOW, 0);
		break;
	case COMMAND_SELF_TEST:
		i8042_self_test(kbc);
		break;
	case COMMAND_KEYBOARD_TEST:
		i8042_answer(kbc, KEYBOARD_LINE_FINE, 0);
		break;
	case COMMAND_KEYBOARD_OFF:
		kbc->mode |= MODE_KEYBOARD_OFF;
		break;
	case COMMAND_KEYBOARD_ON:
		kbc->mode &= (uint8_t)~MODE_KEYBOARD_OFF;
		break;
	case COMMAND_READ_INPUT:
		i8042_answer(kbc, UNLOCKED_INPUT, 0);
		break;
	case COMMAND_READ_PORT:
		i8042_answer(kbc, kbc->port, 0);
		break;
	default:
		if (command >= COMMAND_PULSE && !(command & PORT_NO_RESET))
			kbc->events->ops->reset(kbc->events);
		break;
	}
}

/*
 * A byte for 0x60. What goes to a device that is not there times out: the controller says so with a "resend" and the
 * time-out bit. The mouse's loop (AUX_OUTPUT) comes back on the keyboard's side, by which a driver sees that there is
 * no second port.
 */
static void i8042_data(struct i8042 *kbc, uint8_t value)
{
	uint8_t command = kbc->pending;

	kbc->status &= (uint8_t)~STATUS_COMMAND;
	kbc->pending = 0;
	switch (command) {
	case COMMAND_WRITE_MODE:
		kbc->mode = value;
		kbc->status = (uint8_t)((kbc->status & ~STATUS_SYSTEM) |
					(value & MODE_SYSTEM ? STATUS_SYSTEM : 0));
		break;
	case COMMAND_WRITE_PORT:
		i8042_port_set(kbc, value);
		break;
	case COMMAND_KEYBOARD_OUTPUT:
	case COMMAND_AUX_OUTPUT:
		i8042_answer(kbc, value, 0);
		break;
	case COMMAND_AUX_INPUT:
		i8042_answer(kbc, RESEND, STATUS_AUX | STATUS_TIMEOUT);
		break;
	default:
		i8042_answer(kbc, RESEND, STATUS_TIMEOUT);
		break;
	}
}

/* ---- ports ---- */

static uint64_t i8042_data_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct i8042 *kbc = container_of(region, struct i8042, data);

	(void)offset;
	(void)len;
	kbc->status &= (uint8_t) ~(STATUS_OUTPUT_FULL | STATUS_AUX | STATUS_TIMEOUT);
	i8042_update(kbc);
	return kbc->output;
}

static void i8042_data_write(struct bus_region *region, uint64_t offset, unsigned len,
			     uint64_t value)
{
	struct i8042 *kbc = container_of(region, struct i8042, data);

	(void)offset;
	(void)len;
	i8042_data(kbc, (uint8_t)value);
	i8042_update(kbc);
}

static const struct bus_ops i8042_data_ops = {
	.name = "i8042-data",
	.read = i8042_data_read,
	.write = i8042_data_write,
};

static uint64_t i8042_status_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	(void)offset;
	(void)len;
	return container_of(region, struct i8042, command)->status;
}

static void i8042_command_write(struct bus_region *region, uint64_t offset, unsigned len,
				uint64_t value)
{
	struct i8042 *kbc = container_of(region, struct i8042, command);

	(void)offset;
	(void)len;
	i8042_command(kbc, (uint8_t)value);
	i8042_update(kbc);
}

static const struct bus_ops i8042_command_ops = {
	.name = "i8042-command",
	.read = i8042_status_read,
	.write = i8042_command_write,
};

static uint64_t port_a_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	(void)offset;
	(void)len;
	return container_of(region, struct i8042, port_a)->port & PORT_A20;
}

/* Bit 0 resets, the other way round than the output port's. */
static void port_a_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct i8042 *kbc = container_of(region, struct i8042, port_a);

	(void)offset;
	(void)len;
	i8042_port_set(kbc, (uint8_t)((kbc->port & ~(PORT_A20 | PORT_NO_RESET)) |
				      (value & PORT_A20) | (~value & PORT_NO_RESET)));
}

static const struct bus_ops port_a_ops = {
	.name = "port-a",
	.read = port_a_read,
	.write = port_a_write,
};

int i8042_init(struct i8042 *kbc, struct bus *pio, struct irq_sink *irq,
	       struct machine_events *events, struct err *err)
{
	*kbc = (struct i8042){
		.data = { &i8042_data_ops, &kbc->lock, PORT_I8042, 1 },
		.command = { &i8042_command_ops, &kbc->lock, PORT_I8042_COMMAND, 1 },
		.port_a = { &port_a_ops, &kbc->lock, PORT_SYSTEM_A, 1 },
		.irq = irq,
		.events = events,
		.status = STATUS_SYSTEM | STATUS_UNLOCKED,
		.mode = MODE_SYSTEM | MODE_KEYBOARD_OFF | MODE_AUX_OFF,
		.port = PORT_NO_RESET | PORT_A20,
	};
	int r = bus_add(pio, &kbc->data);
	if (r == 0)
		r = bus_add(pio, &kbc->command);
	if (r == 0)
		r = bus_add(pio, &kbc->port_a);
	if (r == 0)
		return 0;
	bus_remove(pio, &kbc->data);
	bus_remove(pio, &kbc->command);
	return err_say(err, -r, "add the keyboard controller: its ports are taken");
}
