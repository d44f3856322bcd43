/* SPDX-License-Identifier: Apache-2.0 */
#include "smp.h"
#include "irq.h"

#define TRAMPOLINE  0x8000U /* start.S knows it */
#define PORT_FW_CFG 0x510

struct cpu {
	uint32_t id; /* of its LAPIC */
	void (*volatile work)(void *arg);
	void *arg;
};

extern const uint8_t trampoline[], trampoline_end[];
extern volatile uint32_t ap_count;
void smp_entered(uint64_t cpu);

static struct cpu cpus[SMP_MAX];
static volatile uint32_t up;

/* QEMU docs/specs/fw_cfg.rst: selector 0 is the signature, 5 the number of CPUs (16 bits). */
static unsigned fw_cfg_cpus(void)
{
	char text[4];

	out16(PORT_FW_CFG, 0);
	for (unsigned i = 0; i < 4; i++)
		text[i] = (char)in8(PORT_FW_CFG + 1);
	if (memcmp(text, "QEMU", 4) != 0)
		return 1;
	out16(PORT_FW_CFG, 5);
	unsigned n = in8(PORT_FW_CFG + 1);
	return n | (unsigned)in8(PORT_FW_CFG + 1) << 8;
}

unsigned smp_count(void)
{
	uint64_t n = option_number("cpus", 0);

	if (n == 0)
		n = fw_cfg_cpus();
	return n > SMP_MAX ? SMP_MAX : (unsigned)n;
}

void smp_entered(uint64_t cpu)
{
	if (cpu >= SMP_MAX) {
		for (;;)
			__asm__ volatile("cli; hlt");
	}
	struct cpu *self = &cpus[cpu];
	irq_load();
	lapic_init();
	self->id = lapic_id();
	__atomic_fetch_add(&up, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		while (!self->work)
			pause();
		self->work(self->arg);
		barrier();
		self->work = NULL;
	}
}

unsigned smp_start(void)
{
	unsigned others = smp_count() - 1;
	struct within w = { 0 };

	cpus[0].id = lapic_id();
	memcpy((void *)(uintptr_t)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	for (unsigned i = 1; i <= others; i++) {
		lapic_ipi(i, 0x4500); /* INIT, level asserted */
		lapic_ipi(i, 0x4600 | TRAMPOLINE >> 12);
		lapic_ipi(i, 0x4600 | TRAMPOLINE >> 12); /* one that runs ignores it */
	}
	while (up < others && within(&w, 20))
		pause();
	return up;
}

void smp_run(unsigned cpu, void (*work)(void *arg), void *arg)
{
	cpus[cpu].arg = arg;
	barrier();
	cpus[cpu].work = work;
}

bool smp_wait(unsigned cpu, unsigned seconds)
{
	struct within w = { 0 };

	while (cpus[cpu].work && within(&w, seconds))
		pause();
	return !cpus[cpu].work;
}

uint32_t smp_id(unsigned cpu)
{
	return cpus[cpu].id;
}
