/* SPDX-License-Identifier: Apache-2.0 */
#include "core/apic.h"

#include "core/io.h"
#include "core/spin.h"
#include "core/trap.h"
#include "x86/msr.h"

#define BASE_ENABLED UINT64_C(0x800)
#define BASE_X2APIC  UINT64_C(0x400)

enum apic_reg {
	APIC_ID = 0x20,
	APIC_TPR = 0x80,
	APIC_EOI = 0xb0,
	APIC_LDR = 0xd0,
	APIC_SVR = 0xf0,
	APIC_ESR = 0x280,
	APIC_ICR = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_THERMAL = 0x330,
	APIC_LVT_PERF = 0x340,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
};

#define LVT_MASKED     UINT32_C(0x10000)
#define LVT_NMI	       UINT32_C(0x400)
#define LVT_DEADLINE   UINT32_C(0x40000)
#define ICR_PENDING    UINT32_C(0x1000)
#define ICR_NMI	       UINT32_C(0x400)
#define ICR_INIT       UINT32_C(0x500)
#define ICR_STARTUP    UINT32_C(0x600)
#define ICR_ASSERT     UINT32_C(0x4000)
#define ICR_ALL_OTHERS UINT32_C(0xc0000)
#define TIMER_DIVIDE_1 UINT32_C(0xb)

/* What the boot CPU found, the same for all. */
static struct {
	volatile uint32_t *mmio;
	bool is_x2;
	bool has_deadline;
} apic;

static uint32_t apic_read(enum apic_reg reg)
{
	if (apic.is_x2)
		return (uint32_t)msr_read(MSR_X2APIC + reg / 16U);
	return apic.mmio[reg / 4U];
}

static void apic_write(enum apic_reg reg, uint32_t value)
{
	if (apic.is_x2)
		msr_write(MSR_X2APIC + reg / 16U, value);
	else
		apic.mmio[reg / 4U] = value;
}

/* The boot CPU's mode is everybody's. */
static void apic_find(uint64_t base)
{
	uint32_t id[4];

	cpuid_read(1, 0, id);
	apic.has_deadline = id[2] >> 24 & 1;
	apic.is_x2 = base & BASE_X2APIC;
	apic.mmio = (volatile uint32_t *)(uintptr_t)(base & UINT64_C(0xffffffffff000));
}

bool apic_is_x2(void)
{
	return apic.is_x2;
}

void apic_init(void)
{
	uint64_t base = msr_read(MSR_APIC_BASE);

	if (!apic.mmio)
		apic_find(base);
	base |= BASE_ENABLED;
	msr_write(MSR_APIC_BASE, base);
	if (apic.is_x2)
		msr_write(MSR_APIC_BASE, base | BASE_X2APIC);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_LVT_LINT1, LVT_NMI);
	apic_write(APIC_LVT_ERROR, LVT_MASKED);
	apic_write(APIC_SVR, 0x100U | TRAP_SPURIOUS);
	apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
	apic_write(APIC_LVT_TIMER, (apic.has_deadline ? LVT_DEADLINE : 0) | TRAP_TIMER);
}

uint32_t apic_id(void)
{
	uint32_t id = apic_read(APIC_ID);

	return apic.is_x2 ? id : id >> 24;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

static void apic_command(uint32_t to, uint32_t command)
{
	if (apic.is_x2) {
		msr_write(MSR_X2APIC + APIC_ICR / 16U, (uint64_t)to << 32 | command);
		return;
	}
	while (apic_read(APIC_ICR) & ICR_PENDING)
		cpu_relax();
	apic_write(APIC_ICR_HIGH, to << 24);
	apic_write(APIC_ICR, command);
}

void apic_send(uint32_t to, uint8_t vector)
{
	apic_command(to, ICR_ASSERT | vector);
}

void apic_send_init(uint32_t to)
{
	apic_command(to, ICR_ASSERT | ICR_INIT);
}

void apic_send_startup(uint32_t to, uint8_t page)
{
	apic_command(to, ICR_ASSERT | ICR_STARTUP | page);
}

void apic_nmi_others(void)
{
	apic_command(0, ICR_ASSERT | ICR_NMI | ICR_ALL_OTHERS);
}

void apic_timer_set(uint32_t ticks)
{
	apic_write(APIC_TIMER_INITIAL, ticks);
}

uint32_t apic_timer_left(void)
{
	return apic_read(APIC_TIMER_CURRENT);
}

bool apic_has_tsc_deadline(void)
{
	return apic.has_deadline;
}

void apic_deadline_set(uint64_t tsc)
{
	msr_write(MSR_TSC_DEADLINE, tsc);
}

/* Intel 8259A data sheet, Initialization Command Words. */
void pic_mask(void)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} words[] = { { 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 0x20 }, { 0xa1, 0x28 },
		      { 0x21, 0x04 }, { 0xa1, 0x02 }, { 0x21, 0x01 }, { 0xa1, 0x01 },
		      { 0x21, 0xff }, { 0xa1, 0xff } };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		port_out8(words[i].port, words[i].value);
}
