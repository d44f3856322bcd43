/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The guest's vector state, which stays in the registers while its vcpu is loaded: the hypervisor itself is compiled without
 * any. Also TSC_AUX, which RDTSCP reads without an exit. SVM and VMX switch neither.
 *
 * Thread rule: that of the vcpu; load, unload and the XCR0 of a loaded one concern this CPU.
 */
#include <stdbool.h>
#include <stdint.h>

struct hw_fpu {
	uint8_t *area; /* XSAVE or FXSAVE image while it is not loaded */
	uint64_t xcr0; /* while it is not loaded */
	uint64_t tsc_aux;
};

/* hw_fpu_enable() - this CPU, once: vector instructions, and XSAVE where there is one */
void hw_fpu_enable(void);
/* hw_fpu_init() - as after a reset. Return: 0, or -ENOMEM. */
int hw_fpu_init(struct hw_fpu *fpu);
/* hw_fpu_fini() - the area is freed; a zeroed one is a no-op. */
void hw_fpu_fini(struct hw_fpu *fpu);
void hw_fpu_load(struct hw_fpu *fpu);
void hw_fpu_unload(struct hw_fpu *fpu);
/* hw_tsc_aux_write() - the loaded one's, to this CPU */
void hw_tsc_aux_write(uint64_t value);
/* hw_xcr0_get(), hw_xcr0_set() - the loaded one's; 1 where there is no XSAVE */
uint64_t hw_xcr0_get(void);
void hw_xcr0_set(uint64_t value);
