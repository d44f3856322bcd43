/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI bus, on the machine's virtio-rng: configuration by ports and by ECAM, BARs that move, MSI-X masks, INTx. Wants a
 * virtio-rng. INTx arrives at GSI 16 + slot % 8, or the option "intx=GSI"; with "in_service=0" it may come once too often
 * (interrupts.c says why). "nobody=0": what is behind no address reads as 0.
 */
#include "lib/irq.h"
#include "lib/virtio.h"

#define MSI_VECTOR  0x52
#define INTX_VECTOR 0x53

static struct virtio rng;
static uint64_t nobody;

static void intx_handler(struct irq_frame *frame)
{
	(void)read8(rng.isr); /* the read takes the line back: virtio 1.2, ISR status capability */
	irq_counter(frame);
}

static void configuration(void)
{
	uint64_t ecam = pci_ecam();
	uint32_t id = pci_read32(rng.slot, 0);

	check("host_bridge_is_class_6", pci_read16(0, 0xa) == 0x600);
	check("ids_by_bytes", pci_read8(rng.slot, 0) == 0xf4 && pci_read8(rng.slot, 1) == 0x1a);
	check_equal("ids_by_words", pci_read16(rng.slot, 2), 0x1044);
	pci_write32(rng.slot, 0, 0x12345678);
	check_equal("ids_cannot_be_written", pci_read32(rng.slot, 0), id);
	check_equal("empty_slot", pci_read32(30, 0), UINT32_MAX);
	pci_write32(30, 0x10, 5);
	check_equal("empty_slot_after_a_write", pci_read16(30, 0x10), 0xffff);
	if (!ecam) {
		skip("ecam", "not where it is looked for");
		return;
	}
	bool same = true;
	for (unsigned offset = 0; offset < 64; offset += 4)
		same = same &&
		       read32(ecam + rng.slot * 0x8000 + offset) == pci_read32(rng.slot, offset);
	check("ecam_shows_the_same", same);
	check_equal("ecam_by_bytes", read8(ecam + rng.slot * 0x8000 + 1), 0x1a);
	check_equal("ecam_of_an_empty_slot", read32(ecam + 30 * 0x8000), UINT32_MAX);
	check_equal("ecam_of_another_bus", read32(ecam + 0x5500000), UINT32_MAX);
	uint8_t line = pci_read8(rng.slot, PCI_LINE);
	write8(ecam + rng.slot * 0x8000 + PCI_LINE, 0x77);
	check_equal("ecam_writes", pci_read8(rng.slot, PCI_LINE), 0x77);
	pci_write8(rng.slot, PCI_LINE, line);
}

/* The BAR of the common structure: it goes elsewhere and comes back, and the device with it. */
static void bars(void)
{
	unsigned bar = rng.common_bar;
	uint64_t size = pci_bar_size(rng.slot, bar), home = pci_bar(rng.slot, bar);
	uint64_t other = home < 0x100000000ULL ? 0xe8000000 : 0x4000000000ULL + 0x38000000;
	uint64_t status = rng.common - home + 0x14;

	check("bar_size_is_a_power_of_two", size >= 0x1000 && (size & (size - 1)) == 0);
	check_equal("bar_is_aligned", home & (size - 1), 0);
	virtio_status_set(&rng, 0);
	virtio_status_set(&rng, 1);
	check_equal("status_at_home", read8(home + status), 1);
	pci_bar_move(rng.slot, bar, other);
	check_equal("bar_moved", pci_bar(rng.slot, bar), other);
	check_equal("status_at_the_new_place", read8(other + status), 1);
	check_equal("nobody_at_the_old", read8(home + status), nobody & 0xff);
	write8(other + status, 3);
	pci_bar_move(rng.slot, bar, home);
	check_equal("status_back_home", read8(home + status), 3);
	uint16_t command = pci_read16(rng.slot, PCI_COMMAND);
	pci_write16(rng.slot, PCI_COMMAND, command & (uint16_t)~PCI_COMMAND_MEMORY);
	check_equal("nobody_without_decoding", read8(home + status), nobody & 0xff);
	pci_write16(rng.slot, PCI_COMMAND, command);
	check_equal("decoding_again", read8(home + status), 3);
}

static void ask(struct virtq *q)
{
	static uint8_t bytes[16];
	const struct piece in = { bytes, sizeof(bytes) };

	(void)virtq_add(q, &in, 0, 1);
	virtq_kick(q);
}

static void msix(void)
{
	struct virtq *q = &rng.queues[0];
	struct msix msix;
	uint32_t head, len;

	if (!msix_find(rng.slot, &msix))
		fatal("the device has no MSI-X");
	irq_set(MSI_VECTOR, irq_counter);
	msix_set(&msix, 0, MSI_VECTOR);
	msix_enable(&msix, true);
	(void)virtio_begin(&rng, 0);
	check("vector_is_taken", virtio_queue(&rng, 0, 8, 0));
	virtio_ready(&rng);
	ask(q);
	check("msi_comes", irq_wait(MSI_VECTOR, 1, 10) && virtq_pop(q, &head, &len));

	msix_mask(&msix, 0, true);
	ask(q);
	check("masked_request_is_done", virtq_wait(q, &head, &len, 10));
	struct within w = { 0 };
	while (!msix_pending(&msix, 0) && within(&w, 5))
		pause();
	check("masked_vector_is_pending", msix_pending(&msix, 0));
	irq_gap();
	check_equal("masked_vector_does_not_come", irq_counts[MSI_VECTOR], 1);
	msix_mask(&msix, 0, false);
	check("comes_when_unmasked", irq_wait(MSI_VECTOR, 2, 10));
	check("is_pending_no_more", !msix_pending(&msix, 0));

	msix_mask_all(&msix, true);
	ask(q);
	check("request_under_the_function_mask", virtq_wait(q, &head, &len, 10));
	irq_gap();
	check_equal("function_mask_holds_it", irq_counts[MSI_VECTOR], 2);
	msix_mask_all(&msix, false);
	check("comes_when_the_function_is_unmasked", irq_wait(MSI_VECTOR, 3, 10));
	msix_enable(&msix, false);
}

static void intx(void)
{
	struct virtq *q = &rng.queues[0];
	unsigned gsi = (unsigned)option_number("intx", 16 + rng.slot % 8);
	uint32_t head, len;

	irq_set(INTX_VECTOR, intx_handler);
	ioapic_route(gsi, INTX_VECTOR, IOAPIC_LEVEL, lapic_id());
	(void)virtio_begin(&rng, 0);
	(void)virtio_queue(&rng, 0, 8, NO_VECTOR);
	virtio_ready(&rng);
	for (uint32_t i = 1; i <= 3; i++) {
		uint32_t before = irq_counts[INTX_VECTOR];
		ask(q);
		check("intx_comes", irq_wait(INTX_VECTOR, before + 1, 10));
		check("intx_request_is_done", virtq_wait(q, &head, &len, 10));
		irq_gap();
	}
	if (option_number("in_service", 1))
		check_equal("once_a_request", irq_counts[INTX_VECTOR], 3);
	else
		skip("once_a_request", "the option in_service=0");
	pci_write16(rng.slot, PCI_COMMAND, pci_read16(rng.slot, PCI_COMMAND) | PCI_COMMAND_NO_INTX);
	uint32_t before = irq_counts[INTX_VECTOR];
	ask(q);
	check("request_without_intx", virtq_wait(q, &head, &len, 10));
	irq_gap();
	check_equal("disabled_intx_is_quiet", irq_counts[INTX_VECTOR], before);
	check("status_bit_says_so", pci_read16(rng.slot, PCI_STATUS) & 8);
	pci_write16(rng.slot, PCI_COMMAND,
		    pci_read16(rng.slot, PCI_COMMAND) & (uint16_t)~PCI_COMMAND_NO_INTX);
	check("enabled_again_it_comes", irq_wait(INTX_VECTOR, before + 1, 10));
	(void)virtio_reset(&rng);
	ioapic_route(gsi, INTX_VECTOR, IOAPIC_MASKED, lapic_id());
}

void guest_main(void)
{
	nobody = option_number("nobody", 1) ? UINT64_MAX : 0;
	if (!virtio_find(VIRTIO_RNG, 0, &rng))
		fatal("there is no virtio-rng");
	lapic_init();
	configuration();
	bars();
	msix();
	intx();
}
