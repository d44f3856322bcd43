/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/irqchip.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "machine/layout.h"

/* Message Address Register Format, Message Data Register Format */
#define MSI_ADDRESS	 UINT64_C(0xfee00000)
#define MSI_ADDRESS_MASK (~UINT64_C(0xfffff))
#define MSI_HINT	 0x8U
#define MSI_LOGICAL	 0x4U
#define MSI_ASSERT	 0x4000U
#define MSI_LEVEL	 0x8000U

#define PIN_PIC 0U /* IOAPIC inputs */
#define PIN_PIT 2U

bool irqchip_msi_decode(uint64_t addr, uint32_t data, struct lapic_msg *ret)
{
	bool is_level = data & MSI_LEVEL;

	if ((addr & MSI_ADDRESS_MASK) != MSI_ADDRESS || (is_level && !(data & MSI_ASSERT)))
		return false;
	*ret = (struct lapic_msg){ .dest = addr >> 12 & 0xff,
				   .vector = data & 0xff,
				   .delivery = data >> 8 & 7,
				   .is_logical = addr & MSI_LOGICAL,
				   .is_level = is_level,
				   .is_lowest = addr & MSI_HINT };
	return true;
}

static void irqchip_msi(struct irq_sink *sink, uint64_t addr, uint32_t data)
{
	struct irqchip *chip = container_of(sink, struct irqchip, sink);
	struct lapic_msg msg;

	if (irqchip_msi_decode(addr, data, &msg))
		(void)lapic_bus_send(&chip->bus, &msg); /* nobody there: lost, as on the bus */
}

static void irqchip_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	struct irqchip *chip = container_of(sink, struct irqchip, sink);

	if (gsi < IRQ_GSI_ISA)
		pic_line(&chip->pic, gsi, level);
	if (gsi == GSI_PIT)
		gsi = PIN_PIT;
	else if (gsi == PIN_PIT)
		return; /* the cascade: no device is there */
	ioapic_line(&chip->ioapic, gsi, level);
}

static const struct irq_sink_ops irqchip_sink_ops = {
	.line = irqchip_line,
	.msi = irqchip_msi,
};

static void irqchip_wake(struct lapic_bus *bus, unsigned index)
{
	struct irqchip *chip = container_of(bus, struct irqchip, bus);

	chip->ops->wake(chip, index);
}

static void irqchip_eoi(struct lapic_bus *bus, uint8_t vector)
{
	ioapic_eoi(&container_of(bus, struct irqchip, bus)->ioapic, vector);
}

static uint64_t irqchip_tsc_to_ns(struct lapic_bus *bus, unsigned index, uint64_t tsc)
{
	struct irqchip *chip = container_of(bus, struct irqchip, bus);

	return chip->ops->tsc_to_ns(chip, index, tsc);
}

static const struct lapic_bus_ops irqchip_bus_ops = {
	.wake = irqchip_wake,
	.eoi = irqchip_eoi,
};

static const struct lapic_bus_ops irqchip_bus_ops_tsc = {
	.wake = irqchip_wake,
	.eoi = irqchip_eoi,
	.tsc_to_ns = irqchip_tsc_to_ns,
};

static void irqchip_intr(struct pic *pic, bool level)
{
	struct irqchip *chip = container_of(pic, struct irqchip, pic);

	lapic_lint(&chip->lapics[0], 0, level);
	ioapic_line(&chip->ioapic, PIN_PIC, level);
}

static int irqchip_add_regions(struct irqchip *chip, const struct irqchip_config *config)
{
	struct bus_region *ports[] = { &chip->pic.ports[0], &chip->pic.ports[1], &chip->pic.elcr,
				       &chip->pit.ports, &chip->pit.port_b };
	unsigned n = 0;
	int r = bus_add(config->mmio, &chip->ioapic.region);

	if (r < 0)
		return r;
	while (r >= 0 && n < ARRAY_SIZE(ports)) {
		r = bus_add(config->pio, ports[n]);
		if (r >= 0)
			n++;
	}
	if (r >= 0)
		return 0;
	while (n)
		bus_remove(config->pio, ports[--n]);
	bus_remove(config->mmio, &chip->ioapic.region);
	return r;
}

int irqchip_init(struct irqchip *chip, const struct irqchip_config *config, struct err *err)
{
	if (!config->vcpus || config->vcpus > LAPIC_MAX)
		return err_say(err, EINVAL, "%u vcpus: 1 to %u are possible", config->vcpus,
			       LAPIC_MAX);
	memset(chip, 0, sizeof(*chip));
	chip->sink.ops = &irqchip_sink_ops;
	chip->ops = config->ops;
	chip->bus.ops = config->ops->tsc_to_ns ? &irqchip_bus_ops_tsc : &irqchip_bus_ops;
	for (unsigned i = 0; i < config->vcpus; i++)
		(void)lapic_init(&chip->lapics[i], &chip->bus, config->clock,
				 config->phys_bits); /* there is room */
	ioapic_init(&chip->ioapic, &chip->bus);
	pic_init(&chip->pic, irqchip_intr);
	pit_init(&chip->pit, &chip->sink, config->clock);
	lapic_virtual_wire(&chip->lapics[0]);
	int r = irqchip_add_regions(chip, config);
	if (r < 0) {
		irqchip_fini(chip);
		return err_set(err, -r, "place the interrupt controllers");
	}
	return 0;
}

void irqchip_reset(struct irqchip *chip)
{
	pit_reset(&chip->pit);
	pic_reset(&chip->pic);
	ioapic_reset(&chip->ioapic);
	lapic_bus_reset(&chip->bus);
	lapic_virtual_wire(&chip->lapics[0]);
}

void irqchip_fini(struct irqchip *chip)
{
	if (chip->pit.clock)
		pit_fini(&chip->pit);
	for (unsigned i = 0; i < chip->bus.n; i++)
		lapic_fini(&chip->lapics[i]);
}

/* An ExtINT is worth asking for only while the PIC has something. */
static bool irqchip_extint(struct irqchip *chip, unsigned index)
{
	return lapic_extint(&chip->lapics[index]) && pic_output(&chip->pic);
}

bool irqchip_pending(struct irqchip *chip, unsigned index)
{
	return irqchip_extint(chip, index) || lapic_highest(&chip->lapics[index]) >= 0;
}

int irqchip_accept(struct irqchip *chip, unsigned index)
{
	struct lapic *lapic = &chip->lapics[index];

	if (irqchip_extint(chip, index)) {
		lapic_extint_taken(lapic);
		return pic_acknowledge(&chip->pic);
	}
	int vector = lapic_highest(lapic);
	return vector >= 0 && lapic_accept(lapic, (uint8_t)vector) ? vector : -1;
}

bool irqchip_has_work(struct irqchip *chip, unsigned index)
{
	return lapic_has_work(&chip->lapics[index]);
}
