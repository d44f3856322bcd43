/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The other CPUs: started one after the other by INIT and SIPI, each then runs main(), and is kicked out of its halt or guest. */
#include <stdint.h>

#include "core/percpu.h"

/*
 * smp_start() - every CPU that the firmware lists, but this one
 * @apic_ids: with the boot CPU's   @page: boot_low_page()   @main: what each of them runs, forever, with interrupts off
 * Return: how many came; those that do not answer within 100 ms are named on the console and left alone.
 */
unsigned smp_start(const uint32_t *apic_ids, unsigned n, uint64_t page, void (*main)(void));

/*
 * cpu_kick() - make a CPU look again at what it has to do: it leaves cpu_idle(), or its guest with the vendor's exit for an interrupt
 * Any CPU. A kick of a CPU that runs hypervisor code is not lost: it ends the next halt, or guest, at once.
 */
void cpu_kick(const struct cpu *cpu);
