/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What each CPU of the server has for itself, found by the base of GS. */
#include <stdbool.h>
#include <stdint.h>

#define CPU_MAX		256U
#define CPU_STACK_ORDER 3U /* 32 KiB */

#define CPU_CODE_SELECTOR 0x08U
#define CPU_DATA_SELECTOR 0x10U
#define CPU_TSS_SELECTOR  0x18U

/* The interrupt stacks: SDM 3A, 64-Bit Mode Stack Switching; each 4 KiB. */
enum cpu_ist { CPU_IST_DOUBLE_FAULT = 1, CPU_IST_NMI, CPU_IST_MACHINE_CHECK, CPU_IST_MAX };

/* SDM 3A, 64-bit TSS. */
struct cpu_tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7]; /* [n - 1] is IST n */
	uint64_t reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));

_Static_assert(sizeof(struct cpu_tss) == 104, "SDM 3A, 64-bit TSS");

/* The last exit of a guest here, for panic(). Written by the owner of the exit loop. */
struct cpu_last_exit {
	uint64_t reason, info1, info2; /* the vendor's */
	uint64_t rip;		       /* the guest's */
	const char *guest; /* static or as long-lived as the guest; NULL: none ran here */
};

struct cpu {
	struct cpu *self; /* GS:0 */
	unsigned index;	  /* 0: the boot CPU */
	uint32_t apic_id;
	uint64_t stack_top;
	bool is_online;	 /* atomic */
	bool is_settled; /* atomic: it can run guests, or why not was said */
	struct cpu_last_exit last_exit;
	uint64_t interrupts; /* taken here */
	uint64_t idle_ns;    /* spent in cpu_idle() */
	void *hw;	     /* svm/ or vmx/: what it keeps a CPU */
	void *sched;	     /* core/sched.c */
	/* hw/barrier.h: a guest's number; 0: nobody's, or anybody's */
	uint64_t branches_of, data_of;
	unsigned barriers; /* enum barrier: what it is told to forget */
	uint64_t gdt[5];
	struct cpu_tss tss;
};

static inline struct cpu *cpu_this(void)
{
	struct cpu *cpu;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* cpu_count() - CPUs that were started; cpu_at() - one of them, index < cpu_count() */
unsigned cpu_count(void);
struct cpu *cpu_at(unsigned index);

/* ---- for core/ ---- */

/* cpu_create() - the next one, not online. Return: NULL: no memory, or CPU_MAX are there. */
struct cpu *cpu_create(uint32_t apic_id);
/* cpu_discard() - the one that was created last did not come */
void cpu_discard(struct cpu *cpu);
/* cpu_load() - descriptor tables, TSS and GS of this CPU */
void cpu_load(struct cpu *cpu);
