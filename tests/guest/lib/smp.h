/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* More CPUs than one. At most 8; the first is number 0. */
#include "guest.h"

#define SMP_MAX 8

/* smp_count() - by the option "cpus=N", or QEMU's fw_cfg (selector 5), or 1. */
unsigned smp_count(void);
/*
 * smp_start() - start all others by INIT and start-up IPIs (SDM 3A, MP Initialization); they wait for work
 * Return: how many came up in time. Their LAPICs are on and their interrupt table is loaded; interrupts are off.
 */
unsigned smp_start(void);
/* smp_run() - have CPU number cpu call work(arg); smp_wait() - until it is done: false if it takes too long. */
void smp_run(unsigned cpu, void (*work)(void *arg), void *arg);
bool smp_wait(unsigned cpu, unsigned seconds);
/* smp_id() - the LAPIC id of a CPU that came up. */
uint32_t smp_id(unsigned cpu);
