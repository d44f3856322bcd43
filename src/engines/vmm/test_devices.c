/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that kvm-unit-tests expect, where the spec asks for them. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "engines/vmm/devices.h"

/*
 * A vcpu thread, the device's lock held. The page leaves the mapping, not the memory: the guest finds its contents again.
 */
static void test_flush_page(struct pc_testdev *pc, gpa_t gpa, void *arg)
{
	const struct vmm *vmm = arg;
	void *hva = mem_hva(&vmm->mem, gpa, GUEST_PAGE_BYTES);

	(void)pc;
	if (hva)
		(void)madvise(hva, GUEST_PAGE_BYTES, MADV_DONTNEED); /* our own mapping */
}

/* As flush_page. An engine that is out of doorbells goes on with exits, which the device counts. */
static void test_doorbell(struct pci_testdev *pci, uint64_t addr, bool is_port, bool match,
			  uint8_t value, bool on, void *arg)
{
	const struct vmm_test_devices *t = arg;
	const struct cpu_ops *cpu = t->vmm->cpu;

	(void)pci;
	(void)cpu->doorbell_set(t->vmm->vm, addr, 1, is_port, match, value, on ? t->bell : -1);
}

int vmm_test_devices_create(struct vmm *vmm, struct err *err)
{
	if (!vmm->spec->vm.test_devices)
		return 0;
	struct vmm_test_devices *t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, ENOMEM, "test devices");
	vmm->devices->test = t;
	t->vmm = vmm;
	t->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->bell < 0)
		return err_set(err, errno, "eventfd");
	int r = pc_testdev_init(&t->pc, &vmm->mmio, &vmm->pio, vmm->irq, err);
	if (r < 0)
		return r;
	t->pc.flush_page = test_flush_page;
	t->pc.flush_arg = vmm;
	pci_testdev_init(&t->pci);
	t->pci.doorbell = vmm->caps.doorbells ? test_doorbell : NULL;
	t->pci.doorbell_arg = t;
	return pci_testdev_add(&t->pci, &vmm->devices->pci, err);
}
