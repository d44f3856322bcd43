/* SPDX-License-Identifier: Apache-2.0 */
/* What PCs have had since they exist, but for interrupts and clocks. */
#include "bare.h"

#include <string.h>

enum { SERIAL_IER = 1, SERIAL_FCR = 2, SERIAL_LCR = 3, SERIAL_MCR = 4, SERIAL_LSR = 5 };

static bool drive_serial_input(struct board *b)
{
	bus_write(&b->mmio, LAYOUT_IOAPIC, 4, 0x10 + 2 * GSI_SERIAL_1);
	bus_write(&b->mmio, LAYOUT_IOAPIC + 0x10, 4, 0x44);
	out(b, PORT_SERIAL_1 + SERIAL_IER, 1, 1); /* received data */
	ram_console_type(&b->com, "hi");
	(void)serial_service(&b->serial); /* everything is taken at once */
	EXPECT(board_serve(b, 0) == 0x44);
	EXPECT((in(b, PORT_SERIAL_1 + SERIAL_FCR, 1) & 0xf) != 1); /* it says so itself */
	EXPECT(in(b, PORT_SERIAL_1 + SERIAL_LSR, 1) & 1);
	EXPECT(in(b, PORT_SERIAL_1, 1) == 'h' && in(b, PORT_SERIAL_1, 1) == 'i');
	EXPECT(!(in(b, PORT_SERIAL_1 + SERIAL_LSR, 1) & 1));
	out(b, PORT_SERIAL_1 + SERIAL_IER, 1, 0);
	bus_write(&b->mmio, LAYOUT_IOAPIC, 4, 0x10 + 2 * GSI_SERIAL_1);
	bus_write(&b->mmio, LAYOUT_IOAPIC + 0x10, 4, 0x10000);
	return true;
}

bool drive_serial(struct board *b)
{
	out(b, PORT_SERIAL_1 + SERIAL_LCR, 1, 0x80); /* 115200 baud */
	out(b, PORT_SERIAL_1, 1, 1);
	out(b, PORT_SERIAL_1 + SERIAL_IER, 1, 0);
	out(b, PORT_SERIAL_1 + SERIAL_LCR, 1, 3);
	out(b, PORT_SERIAL_1 + SERIAL_FCR, 1, 7);
	out(b, PORT_SERIAL_1 + SERIAL_MCR, 1, 0xb);
	for (const char *c = "strata\n"; *c; c++) {
		EXPECT(in(b, PORT_SERIAL_1 + SERIAL_LSR, 1) & 0x20);
		out(b, PORT_SERIAL_1, 1, (uint8_t)*c);
	}
	(void)serial_service(&b->serial); /* everything is taken at once */
	EXPECT(b->com.n_out == 7 && memcmp(b->com.out, "strata\n", 7) == 0);
	return drive_serial_input(b);
}

bool drive_i8042(struct board *b)
{
	unsigned resets = b->resets;

	out(b, PORT_I8042 + 4, 1, 0xaa); /* self-test */
	EXPECT(in(b, PORT_I8042 + 4, 1) & 1);
	EXPECT(in(b, PORT_I8042, 1) == 0x55);
	EXPECT(!(in(b, PORT_I8042 + 4, 1) & 1));
	out(b, PORT_I8042 + 4, 1, 0xfe); /* the line to the CPU's reset */
	EXPECT(b->resets == resets + 1);
	return true;
}

bool drive_debug_exit(struct board *b)
{
	EXPECT(b->exit_status == -1);
	out(b, PORT_DEBUG_EXIT, 1, 5);
	EXPECT(b->exit_status == 11);
	return true;
}

static uint64_t fwcfg_item(struct board *b, uint16_t selector, unsigned len)
{
	uint64_t value = 0;

	out(b, PORT_FW_CFG, 2, selector);
	for (unsigned i = 0; i < len; i++)
		value |= in(b, PORT_FW_CFG + 1, 1) << 8 * i;
	return value;
}

bool drive_fwcfg(struct board *b)
{
	EXPECT(fwcfg_item(b, 0, 4) == 0x554d4551); /* "QEMU" */
	EXPECT(fwcfg_item(b, 5, 2) == 2);	   /* CPUs */
	EXPECT(fwcfg_item(b, 3, 8) == BARE_RAM_BYTES);
	return true;
}
