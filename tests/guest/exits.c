/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaves for the machine as often as it is told, and for no other reason: options ports=N, reads=N (of device memory), cpuids=N, msrs=N.
 * With stay=1 it stays then, halted, for who counts.
 */
#include "lib/guest.h"

#define NOBODY	   0x1234
#define NOBODY_MEM 0xd0000000ULL
#define MSR_TSC	   0x10U

void guest_main(void)
{
	const uint64_t ports = option_number("ports", 1), reads = option_number("reads", 1);
	const uint64_t cpuids = option_number("cpuids", 1), msrs = option_number("msrs", 1);
	uint64_t last = 0;
	uint32_t regs[4];
	bool grows = true;

	for (uint64_t i = 0; i < ports; i++)
		out8(NOBODY, (uint8_t)i);
	for (uint64_t i = 0; i < reads; i++)
		(void)read32(NOBODY_MEM + i % 64 * 4);
	for (uint64_t i = 0; i < cpuids; i++)
		cpuid(0, 0, regs);
	for (uint64_t i = 0; i < msrs; i++) {
		uint64_t now = msr_read(MSR_TSC);
		grows = grows && now > last;
		last = now;
	}
	check("time_stamps_grow", grows);
	while (option_number("stay", 0))
		__asm__ volatile("cli; hlt");
}
