/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that kvm-unit-tests expect, where the config asks for them. */
#include <errno.h>

#include "core/page.h"
#include "devices/legacy/pc_testdev.h"
#include "devices/legacy/pci_testdev.h"
#include "devices/legacy/test_firmware.h"
#include "vm/guest.h"

struct guest_tests {
	struct pc_testdev
		pc; /* nothing is done about a page that it shall drop: the guest sees no difference */
	struct pci_testdev pci;
};

int guest_tests_init(struct guest *guest, struct err *err)
{
	if (!guest->config.test_devices)
		return 0;
	struct guest_tests *t = page_alloc(page_order(sizeof(struct guest_tests)));
	if (!t)
		return err_say(err, ENOMEM, "guest %s: no memory for test devices", guest->name);
	guest->tests = t;
	int r = pc_testdev_init(&t->pc, &guest->mmio, &guest->pio, &guest->chip.sink, err);
	if (r < 0)
		return r;
	pci_testdev_init(&t->pci);
	return pci_testdev_add(&t->pci, &guest->pci, err);
}

void guest_tests_start(struct guest *guest)
{
	if (guest->tests)
		test_firmware_leave(&guest->mem, &guest->pio, &guest->chip.lapics[0]);
}

void guest_tests_fini(struct guest *guest)
{
	page_free(guest->tests, page_order(sizeof(struct guest_tests)));
	guest->tests = NULL;
}
