/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The smallest machine that a guest program of tests/guest runs on, over kvm_cpu_ops: RAM, a serial port that is only
 * written to (with a scratch register), and the debug exit port. No IOAPIC or PIT but KVM's own.
 */
#include <stdbool.h>
#include <stdint.h>

#include "tiny_vm.h"

struct guest_end {
	bool exited;		    /* through the debug exit port */
	uint8_t status;		    /* what was written to it */
	const char *failure;	    /* else: why it ended */
	uint8_t insn_len, insn[15]; /* of an instruction that KVM cannot execute */
	uint64_t rip;
	char text[16384]; /* what it printed, NUL-terminated */
};

struct guest_run {
	const char *name;    /* build/tests/guest/guest_NAME */
	const char *cmdline; /* options of the program */
	unsigned vcpus;
	enum tiny_irqchip irqchip;
	bool devices; /* those of device_host.h; with KVM's controllers */
};

/*
 * guest_host_run() - run a program to its end, one thread a vcpu
 * Fails the test case where the VM cannot be built. Ends a guest that has not ended itself after a minute.
 */
void guest_host_run(const struct guest_run *run, struct guest_end *ret);
