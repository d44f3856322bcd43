/* SPDX-License-Identifier: Apache-2.0 */
#include "core/smp.h"

#include <string.h>

#include "core/apic.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/page.h"
#include "core/print.h"
#include "core/trap.h"

#define MAILBOX_OFFSET 0xfe0U /* boot/trampoline.S */
#define INIT_DELAY_NS                                                                              \
	UINT64_C(10000000) /* SDM 3A, MP Initialization Protocol: 10 ms, then 200 us */
#define STARTUP_DELAY_NS UINT64_C(200000)
#define ONLINE_TIMEOUT_NS                                                                          \
	UINT64_C(                                                                                  \
		20000000000) /* one more than is there: it is emulated, and its host lets it wait */

struct smp_mailbox {
	uint8_t gdt[6];
	uint8_t pad[2];
	uint32_t entry;
	uint16_t selector;
} __attribute__((packed));

extern const uint8_t smp_trampoline[], smp_trampoline_end[], boot_gdt_pointer[];
extern void smp_entry32(void);
extern uint64_t smp_stack;
_Noreturn void smp_main(void);

/* One CPU starts at a time: this is for it. */
static struct {
	struct cpu *starting;
	void (*main)(void);
} smp;

void smp_main(void)
{
	struct cpu *cpu = smp.starting;

	cpu_load(cpu);
	apic_init();
	__atomic_store_n(&cpu->is_online, true, __ATOMIC_RELEASE);
	smp.main();
	for (;;)
		cpu_idle();
}

static bool smp_wait_online(const struct cpu *cpu, uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	while (!__atomic_load_n(&cpu->is_online, __ATOMIC_ACQUIRE)) {
		if (clock_ns() >= end)
			return false;
		cpu_relax();
	}
	return true;
}

static bool smp_start_one(uint32_t id, uint64_t page)
{
	struct cpu *cpu = cpu_create(id);

	if (!cpu)
		return false;
	smp.starting = cpu;
	smp_stack = cpu->stack_top;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	apic_send_init(id);
	clock_delay_ns(INIT_DELAY_NS);
	apic_send_startup(id, (uint8_t)(page >> PAGE_SHIFT));
	if (smp_wait_online(cpu, STARTUP_DELAY_NS))
		return true;
	apic_send_startup(id, (uint8_t)(page >> PAGE_SHIFT));
	if (smp_wait_online(cpu, ONLINE_TIMEOUT_NS))
		return true;
	print("CPU with APIC id %u does not answer: left alone\n", id);
	apic_send_init(id); /* or it would come later and find another's stack */
	cpu_discard(cpu);
	return false;
}

unsigned smp_start(const uint32_t *apic_ids, unsigned n, uint64_t page, void (*main)(void))
{
	struct smp_mailbox mailbox = { .entry = (uint32_t)(uintptr_t)smp_entry32,
				       .selector = 0x18 };
	uint8_t *to = phys_to_ptr(page);
	size_t code = (size_t)(smp_trampoline_end - smp_trampoline);
	unsigned came = 0;

	memcpy(mailbox.gdt, boot_gdt_pointer, sizeof(mailbox.gdt));
	memcpy(to, smp_trampoline, code);
	memcpy(to + MAILBOX_OFFSET, &mailbox, sizeof(mailbox));
	smp.main = main;
	for (unsigned i = 0; i < n; i++) {
		if (apic_ids[i] != apic_id())
			came += smp_start_one(apic_ids[i], page);
	}
	return came;
}

void cpu_kick(const struct cpu *cpu)
{
	apic_send(cpu->apic_id, TRAP_KICK);
}
