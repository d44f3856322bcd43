/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The local APIC of each CPU: xAPIC, and x2APIC where the firmware left it on or an APIC id needs it.
 * Source: SDM 3A, Advanced Programmable Interrupt Controller.
 */
#include <stdbool.h>
#include <stdint.h>

/* apic_init() - this CPU's: on, everything masked but what we ask for. The boot CPU calls first. */
void apic_init(void);
uint32_t apic_id(void);
/* apic_is_x2() - IDs of 32 bits are in use */
bool apic_is_x2(void);
void apic_eoi(void);

/* An interrupt to one CPU; vector as in core/trap.h. */
void apic_send(uint32_t apic_id, uint8_t vector);
void apic_send_init(uint32_t apic_id);
/* @page: where the code is, below 1 MiB, as a page number */
void apic_send_startup(uint32_t apic_id, uint8_t page);
/* An NMI to all CPUs but this one: panic(). */
void apic_nmi_others(void);

/* The one-shot timer, vector TRAP_TIMER; ticks of the APIC's own clock divided by 1; 0: off. */
void apic_timer_set(uint32_t ticks);
uint32_t apic_timer_left(void);
/* Instead, where CPUID says so (SDM 3A, TSC-Deadline Mode): a deadline in TSC ticks, 0: off. */
bool apic_has_tsc_deadline(void);
void apic_deadline_set(uint64_t tsc);

/* MSI to a CPU: what a device writes where (SDM 3A, Message Signalled Interrupts). */
static inline uint64_t apic_msi_address(uint32_t apic_id)
{
	return UINT64_C(0xfee00000) | (uint64_t)(apic_id & 0xff) << 12;
}

/* pic_mask() - both 8259s: remapped away from the exceptions, every line masked */
void pic_mask(void);
