/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources: IBM PC/AT Technical Reference, ROM BIOS (vectors, 18.2 ticks a second); 8259A and 8254 data sheets; MultiProcessor
 * Specification 1.4, Virtual Wire Mode.
 */
#include "devices/legacy/test_firmware.h"

#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "machine/layout.h"

#define IVT_ENTRIES 256U
#define HANDLER	    0x4f0U /* the BIOS data area's bytes for applications */

#define LAPIC_SPURIOUS 0xf0U
#define LAPIC_LINT0    0x350U

/* push ax; mov al, 0x20; out 0xa0, al; out 0x20, al; pop ax; iret: the end of whichever interrupt it was */
static const uint8_t handler[] = { 0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf };

static const struct {
	uint8_t port, value;
} firmware_writes[] = {
	/* ICW1 to ICW4: vectors 0x08 and 0x70; then only the PIT's tick and what comes through the slave */
	{ PORT_PIC_MASTER, 0x11 },
	{ PORT_PIC_MASTER + 1, 0x08 },
	{ PORT_PIC_MASTER + 1, 0x04 },
	{ PORT_PIC_MASTER + 1, 0x01 },
	{ PORT_PIC_SLAVE, 0x11 },
	{ PORT_PIC_SLAVE + 1, 0x70 },
	{ PORT_PIC_SLAVE + 1, 0x02 },
	{ PORT_PIC_SLAVE + 1, 0x01 },
	{ PORT_PIC_MASTER + 1, 0xfa },
	{ PORT_PIC_SLAVE + 1, 0xff },
	/* channel 0, both bytes, rate generator, 65,536 */
	{ PORT_PIT + 3, 0x34 },
	{ PORT_PIT, 0 },
	{ PORT_PIT, 0 },
};

void test_firmware_leave(const struct guest_mem *mem, struct bus *pio, struct lapic *lapic)
{
	uint8_t *low = mem_hva(mem, 0, HANDLER + sizeof(handler));

	if (!low)
		return;
	for (unsigned i = 0; i < IVT_ENTRIES; i++)
		le32_store(low + i * sizeof(uint32_t), HANDLER); /* segment 0 */
	memcpy(low + HANDLER, handler, sizeof(handler));
	for (size_t i = 0; i < ARRAY_SIZE(firmware_writes); i++)
		bus_write(pio, firmware_writes[i].port, 1, firmware_writes[i].value);
	lapic_mmio_write(lapic, LAPIC_SPURIOUS, 4, 0x1ff); /* on */
	lapic_mmio_write(lapic, LAPIC_LINT0, 4, 0x700);	   /* ExtINT */
}
