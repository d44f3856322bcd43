/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The journal (struct cpu_io): io_access() is in cpu.h, this is run.c's and msr.c's part. */
#include "engines/hosted/cpu.h"

/* io_begin() - the entry of run(): what the machine answered to the last access joins the journal, which is read from its start. */
void io_begin(struct hosted_cpu *cpu);
/* io_retire() - an instruction, or an event's delivery, is complete: its accesses are history. */
static inline void io_retire(struct hosted_cpu *cpu)
{
	cpu->io.n_done = 0;
	cpu->io.at = 0;
}
/* io_msr() - an MSR that is the machine's, through the journal; *ret_fault: the guest gets #GP. */
enum cpu_result io_msr(struct hosted_cpu *cpu, bool is_write, uint32_t index, uint64_t *value,
		       bool *ret_fault);
/* io_fail() - VCPU_EXIT_FAIL. @what: static text. */
enum cpu_result io_fail(struct hosted_cpu *cpu, const char *what, uint64_t code);
