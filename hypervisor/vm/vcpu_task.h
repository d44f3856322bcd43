/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Task switches, where the hardware leaves them to its hypervisor: all of them on VMX.
 *
 * Theory of operation. What the old task is left with is written first, then the new TSS is read, once; nothing of the CPU's state has
 * changed until both are done, so a fault up to there is the old task's, and its instruction can be executed again. What is wrong with
 * the new task's segments after that is the new task's fault: it is in force then, as far as it could be loaded.
 *
 * Everything that is read is the guest's memory: descriptors and segments are copied, then checked.
 * Sources: Intel SDM 3A, Task Management: Task Switching; Interrupt and Exception Handling: Error Code; SDM 3C, Treatment of Task
 * Switches.
 */
#include "hw/hw_ops.h"
#include "machine/mem.h"

struct task_fault {
	uint8_t vector; /* #DB: the new task's trap bit */
	uint32_t error; /* of those that have one: all but #DB */
	gva_t gva;	/* #PF: CR2 */
};

/*
 * task_switch()
 * @state: the vcpu's; rip is that of the instruction, if one asked for it
 * @insn_len: bytes; 0: none did
 * @phys_bits: of guest physical addresses
 * Return: 0; -EFAULT: the task that is in force now gets *ret_fault, which may be what the whole switch was for already being a
 * fault: task_combine(); -EIO: a table or a segment is not in RAM.
 */
int task_switch(struct guest_mem *mem, struct x86_state *state, const struct hw_task *task,
		unsigned insn_len, unsigned phys_bits, struct task_fault *ret_fault);

enum task_combined { TASK_FAULT, TASK_DOUBLE_FAULT, TASK_TRIPLE_FAULT };
/* task_combine() - what a fault is that came while an event was delivered. Source: SDM 3A, Interrupt 8, Double Fault Exception. */
enum task_combined task_combine(const struct hw_event *event, uint8_t vector);
