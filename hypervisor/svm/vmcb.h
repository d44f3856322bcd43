/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The virtual machine control block: what of a guest's CPU the hardware keeps, and what makes it exit.
 * Source: AMD64 Architecture Programmer's Manual, volume 2, 24593 rev. 3.41, appendix B, Layout of VMCB: VMCB Layout,
 * Control Area; VMCB Layout, State Save Area; appendix C, SVM Intercept Exit Codes.
 */
#include <stddef.h>
#include <stdint.h>

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes; /* bits 0..7: 40..47 of the descriptor, 8..11: 52..55 */
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	/* ---- control area ---- */
	uint16_t intercept_cr_read, intercept_cr_write;
	uint16_t intercept_dr_read, intercept_dr_write;
	uint32_t intercept_exceptions;
	uint32_t intercept_misc1, intercept_misc2, intercept_misc3;
	uint8_t reserved_018[0x03c - 0x018];
	uint16_t pause_threshold, pause_count;
	uint64_t iopm_base, msrpm_base;
	uint64_t tsc_offset;
	uint32_t asid;
	uint8_t tlb_control;
	uint8_t reserved_05d[3];
	uint64_t interrupt_control; /* VMCB_INT_* */
	uint64_t interrupt_shadow;  /* bit 0 */
	uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
	uint64_t nested_control; /* bit 0: nested paging */
	uint8_t reserved_098[0x0a8 - 0x098];
	uint64_t event_injection;
	uint64_t nested_cr3;
	uint64_t lbr_control;
	uint64_t clean;
	uint64_t next_rip;
	uint8_t insn_len; /* decode assists */
	uint8_t insn[15];
	uint8_t reserved_0e0[0x400 - 0x0e0];

	/* ---- state save area ---- */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_4a0[0x4cb - 0x4a0];
	uint8_t cpl;
	uint8_t reserved_4cc[4];
	uint64_t efer;
	uint8_t reserved_4d8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved_580[0x5d8 - 0x580];
	uint64_t rsp;
	uint64_t s_cet, ssp, isst_addr;
	uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	uint8_t reserved_648[0x668 - 0x648];
	uint64_t pat;
	uint64_t debugctl, br_from, br_to, exception_from, exception_to;
	uint8_t reserved_698[0x1000 - 0x698];
};

_Static_assert(offsetof(struct vmcb, pause_threshold) == 0x3c, "VMCB layout");
_Static_assert(offsetof(struct vmcb, iopm_base) == 0x40, "VMCB layout");
_Static_assert(offsetof(struct vmcb, tsc_offset) == 0x50, "VMCB layout");
_Static_assert(offsetof(struct vmcb, asid) == 0x58, "VMCB layout");
_Static_assert(offsetof(struct vmcb, interrupt_control) == 0x60, "VMCB layout");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "VMCB layout");
_Static_assert(offsetof(struct vmcb, nested_control) == 0x90, "VMCB layout");
_Static_assert(offsetof(struct vmcb, event_injection) == 0xa8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, nested_cr3) == 0xb0, "VMCB layout");
_Static_assert(offsetof(struct vmcb, clean) == 0xc0, "VMCB layout");
_Static_assert(offsetof(struct vmcb, next_rip) == 0xc8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, insn_len) == 0xd0, "VMCB layout");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "VMCB layout");
_Static_assert(offsetof(struct vmcb, gdtr) == 0x460, "VMCB layout");
_Static_assert(offsetof(struct vmcb, tr) == 0x490, "VMCB layout");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "VMCB layout");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "VMCB layout");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "VMCB layout");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "VMCB layout");
_Static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, kernel_gs_base) == 0x620, "VMCB layout");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "VMCB layout");
_Static_assert(offsetof(struct vmcb, pat) == 0x668, "VMCB layout");
_Static_assert(sizeof(struct vmcb) == 0x1000, "VMCB layout");

/* Intercepts: writes of control registers at 0x002; misc1 at 0x00c, misc2 at 0x010. */
#define VMCB_MISC1(bit)	  (UINT32_C(1) << (bit))
#define VMCB_EXCEPTION_UD UINT32_C(0x40)
#define VMCB_EXCEPTION_MC UINT32_C(0x40000)
#define VMCB_CR4_WRITE	  UINT16_C(0x10)
#define VMCB_CR8_WRITE	  UINT16_C(0x100)
enum vmcb_misc1 {
	MISC1_INTR = 0,
	MISC1_NMI = 1,
	MISC1_SMI = 2,
	MISC1_INIT = 3,
	MISC1_VINTR = 4,
	MISC1_RDPMC = 15,
	MISC1_CPUID = 18,
	MISC1_RSM = 19,
	MISC1_IRET = 20,
	MISC1_INVD = 22,
	MISC1_HLT = 24,
	MISC1_INVLPGA = 26,
	MISC1_IOIO = 27,
	MISC1_MSR = 28,
	MISC1_TASK_SWITCH = 29,
	MISC1_SHUTDOWN = 31,
};
/* VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT, WBINVD MONITOR MWAIT MWAIT-armed XSETBV */
#define VMCB_MISC2_ALL UINT32_C(0x3e7f)

/* Debug exceptions and alignment checks: svm_exit.c says why. A machine check is the server's, not a guest's. */
#define VMCB_EXCEPTIONS (UINT32_C(1) << 1 | UINT32_C(1) << 17 | VMCB_EXCEPTION_MC)

/* 0x060 */
#define VMCB_INT_TPR	    UINT64_C(0xf)
#define VMCB_INT_PENDING    UINT64_C(0x100)
#define VMCB_INT_PRIORITY   UINT64_C(0xf0000)
#define VMCB_INT_IGNORE_TPR UINT64_C(0x100000)
#define VMCB_INT_MASKING    UINT64_C(0x1000000) /* RFLAGS.IF and CR8 are the guest's own */

/* Event injection and exit interrupt information: AMD APM 2, Event Injection. */
#define VMCB_EVENT_VALID UINT64_C(0x80000000)
#define VMCB_EVENT_ERROR UINT64_C(0x800)
enum vmcb_event {
	VMCB_EVENT_INTR = 0,
	VMCB_EVENT_NMI = 2,
	VMCB_EVENT_EXCEPTION = 3,
	VMCB_EVENT_SOFT = 4
};

#define VMCB_TLB_FLUSH_ALL 1U

/* I/O intercept information: EXITINFO1. */
#define VMCB_IO_IN     0x01U
#define VMCB_IO_STRING 0x04U
#define VMCB_IO_SIZE   4U /* bits 4..6: 1, 2, 4 bytes */
#define VMCB_IO_PORT   16U

/* Nested page fault: EXITINFO1. */
#define VMCB_NPF_WRITE UINT64_C(0x2)
#define VMCB_NPF_FETCH UINT64_C(0x10)
#define VMCB_NPF_TABLE UINT64_C(0x200000000) /* in the walk of the guest's tables */

enum vmcb_exit {
	VMEXIT_CR4_WRITE = 0x14,
	VMEXIT_CR8_WRITE = 0x18,
	VMEXIT_EXCEPTION_0 = 0x40,
	VMEXIT_DEBUG = 0x41,
	VMEXIT_UD = 0x46,
	VMEXIT_ALIGNMENT = 0x51,
	VMEXIT_MACHINE_CHECK = 0x52,
	VMEXIT_INTR = 0x60,
	VMEXIT_NMI = 0x61,
	VMEXIT_SMI = 0x62,
	VMEXIT_INIT = 0x63,
	VMEXIT_VINTR = 0x64,
	VMEXIT_RDPMC = 0x6f,
	VMEXIT_CPUID = 0x72,
	VMEXIT_RSM = 0x73,
	VMEXIT_IRET = 0x74,
	VMEXIT_INVD = 0x76,
	VMEXIT_HLT = 0x78,
	VMEXIT_INVLPGA = 0x7a,
	VMEXIT_IOIO = 0x7b,
	VMEXIT_MSR = 0x7c,
	VMEXIT_SHUTDOWN = 0x7f,
	VMEXIT_VMRUN = 0x80,
	VMEXIT_VMMCALL = 0x81,
	VMEXIT_VMLOAD = 0x82,
	VMEXIT_VMSAVE = 0x83,
	VMEXIT_STGI = 0x84,
	VMEXIT_CLGI = 0x85,
	VMEXIT_SKINIT = 0x86,
	VMEXIT_WBINVD = 0x89,
	VMEXIT_MONITOR = 0x8a,
	VMEXIT_MWAIT = 0x8b,
	VMEXIT_MWAIT_ARMED = 0x8c,
	VMEXIT_XSETBV = 0x8d,
	VMEXIT_NPF = 0x400,
};
