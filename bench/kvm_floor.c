/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of a virtual machine's start and end: only the calls of the kernel that a VM of 128 MiB and one vcpu cannot do
 * without, then a guest that writes one byte to a serial port and resets. No command line, no devices, no loader,
 * no seal, no threads: what remains is the kernel's share.
 *
 *	kvm_floor [-t] [-f]
 *
 * -t: what each call costs, on standard error. -f: KVM's IOAPIC, PIC and PIT too, not its LAPIC alone: then the
 * process's end waits for the kernel (src/engines/hybrid/kvm_irq.c). Slots come before both (kvm.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "machine/irq.h"
#include "machine/layout.h"

#define RAM_BYTES  (UINT64_C(128) << 20)
#define CPUID_MOST 256

static const uint8_t guest[] = {
	0xb0, 'x',		      /* mov $'x', %al */
	0x66, 0xba, 0xf8, 0x03, 0xee, /* mov $0x3f8, %dx; out %al, %dx */
	0xb0, 0x06,		      /* mov $6, %al */
	0x66, 0xba, 0xf9, 0x0c, 0xee, /* mov $0xcf9, %dx; out %al, %dx */
};

struct floor {
	bool timed, full;
	int64_t last_ns;
	int dev, vm, vcpu;
	uint8_t *ram;
	struct kvm_run *run;
};

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* always there */
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The result of one call: told with -t, the end where it failed. */
static long done(struct floor *f, const char *what, long result)
{
	if (result < 0) {
		(void)fprintf(stderr, "kvm_floor: %s: %s\n", what, strerror(errno));
		_exit(1);
	}
	if (f->timed) {
		int64_t now = now_ns();
		(void)fprintf(stderr, "%-26s %8.1f us\n", what, (double)(now - f->last_ns) / 1e3);
		f->last_ns = now_ns();
	}
	return result;
}

static void ram_make(struct floor *f)
{
	int fd = (int)done(f, "memfd_create", memfd_create("ram", MFD_CLOEXEC));

	(void)done(f, "ftruncate", ftruncate(fd, (off_t)RAM_BYTES));
	void *ram =
		mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	(void)done(f, "mmap RAM", ram == MAP_FAILED ? -1 : 0);
	f->ram = ram;
	memcpy(f->ram + LAYOUT_KERNEL, guest, sizeof(guest));
	(void)done(f, "write guest", 0);
}

/* GSI 0 is pin 2 of the IOAPIC, as everywhere but in KVM's own table. */
static void routes_set(struct floor *f)
{
	static union {
		uint8_t room[sizeof(struct kvm_irq_routing) +
			     IRQ_GSI_COUNT * sizeof(struct kvm_irq_routing_entry)];
		struct kvm_irq_routing head;
	} routes;

	for (uint32_t i = 0; i < IRQ_GSI_COUNT; i++) {
		routes.head.entries[routes.head.nr++] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = i ? i : 2 },
		};
	}
	(void)done(f, "KVM_SET_GSI_ROUTING", ioctl(f->vm, KVM_SET_GSI_ROUTING, &routes));
}

static void irqchip_make(struct floor *f)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = IRQ_GSI_COUNT };

	if (!f->full) {
		(void)done(f, "KVM_CAP_SPLIT_IRQCHIP", ioctl(f->vm, KVM_ENABLE_CAP, &split));
		return;
	}
	(void)done(f, "KVM_CREATE_IRQCHIP", ioctl(f->vm, KVM_CREATE_IRQCHIP, 0));
	routes_set(f);
	(void)done(f, "KVM_CREATE_PIT2", ioctl(f->vm, KVM_CREATE_PIT2, &pit));
}

static void vm_make(struct floor *f)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = RAM_BYTES,
		.userspace_addr = (uintptr_t)f->ram,
	};
	struct kvm_enable_cap msrs = { .cap = KVM_CAP_X86_USER_SPACE_MSR,
				       .args[0] = KVM_MSR_EXIT_REASON_UNKNOWN };
	uint64_t identity = LAYOUT_IDENTITY_MAP;

	f->vm = (int)done(f, "KVM_CREATE_VM", ioctl(f->dev, KVM_CREATE_VM, 0));
	(void)done(f, "KVM_CAP_X86_USER_SPACE_MSR", ioctl(f->vm, KVM_ENABLE_CAP, &msrs));
	(void)done(f, "KVM_SET_IDENTITY_MAP_ADDR",
		   ioctl(f->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity));
	(void)done(f, "KVM_SET_TSS_ADDR", ioctl(f->vm, KVM_SET_TSS_ADDR, LAYOUT_TSS));
	(void)done(f, "KVM_SET_USER_MEMORY_REGION",
		   ioctl(f->vm, KVM_SET_USER_MEMORY_REGION, &slot));
	irqchip_make(f);
}

static void cpuid_copy(struct floor *f)
{
	static union {
		uint8_t room[sizeof(struct kvm_cpuid2) +
			     CPUID_MOST * sizeof(struct kvm_cpuid_entry2)];
		struct kvm_cpuid2 head;
	} list;

	list.head.nent = CPUID_MOST;
	(void)done(f, "KVM_GET_SUPPORTED_CPUID", ioctl(f->dev, KVM_GET_SUPPORTED_CPUID, &list));
	(void)done(f, "KVM_SET_CPUID2", ioctl(f->vcpu, KVM_SET_CPUID2, &list));
}

/* As PVH starts a guest: flat 32-bit protected mode. */
static void registers_set(struct floor *f)
{
	const struct kvm_segment data = { .limit = UINT32_MAX,
					  .selector = 0x10,
					  .type = 3,
					  .present = 1,
					  .db = 1,
					  .s = 1,
					  .g = 1 };
	struct kvm_regs regs = { .rip = LAYOUT_KERNEL, .rflags = 2 };
	struct kvm_sregs sregs;

	(void)done(f, "KVM_GET_SREGS", ioctl(f->vcpu, KVM_GET_SREGS, &sregs));
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.cs = data;
	sregs.cs.selector = 8;
	sregs.cs.type = 11;
	sregs.cr0 |= 1;
	(void)done(f, "KVM_SET_SREGS", ioctl(f->vcpu, KVM_SET_SREGS, &sregs));
	(void)done(f, "KVM_SET_REGS", ioctl(f->vcpu, KVM_SET_REGS, &regs));
}

static void vcpu_make(struct floor *f)
{
	long bytes = done(f, "KVM_GET_VCPU_MMAP_SIZE", ioctl(f->dev, KVM_GET_VCPU_MMAP_SIZE, 0));

	f->vcpu = (int)done(f, "KVM_CREATE_VCPU", ioctl(f->vm, KVM_CREATE_VCPU, 0));
	void *run = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f->vcpu, 0);
	(void)done(f, "mmap kvm_run", run == MAP_FAILED ? -1 : 0);
	f->run = run;
	cpuid_copy(f);
	registers_set(f);
}

static void run(struct floor *f)
{
	for (;;) {
		(void)done(f, "KVM_RUN", ioctl(f->vcpu, KVM_RUN, 0));
		if (f->run->exit_reason != KVM_EXIT_IO) {
			(void)fprintf(stderr, "kvm_floor: exit %u\n", f->run->exit_reason);
			_exit(1);
		}
		if (f->run->io.port != PORT_SERIAL_1)
			return;
		(void)done(f, "write", write(1, (uint8_t *)f->run + f->run->io.data_offset, 1));
	}
}

int main(int argc, char **argv)
{
	struct floor f = { 0 };

	for (int i = 1; i < argc; i++) {
		f.timed = f.timed || strcmp(argv[i], "-t") == 0;
		f.full = f.full || strcmp(argv[i], "-f") == 0;
	}
	f.last_ns = now_ns();
	f.dev = (int)done(&f, "open /dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
	ram_make(&f);
	vm_make(&f);
	vcpu_make(&f);
	run(&f);
	return 0;
}
