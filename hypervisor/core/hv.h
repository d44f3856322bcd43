/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The order in which the image starts. */
#include <stdbool.h>

#include "base/core/err.h"
#include "boot/info.h"
#include "core/firmware.h"

/* hv_start() - from boot/start.S. @protocol: EAX of multiboot, 0: PVH   @info: EBX */
_Noreturn void hv_start(uint32_t protocol, uint32_t info);

/*
 * hv_main() - everything above: called on the boot CPU with all CPUs started (each of the others in hv_cpu_main()), the
 * clock running, memory free, interrupts off
 */
_Noreturn void hv_main(const struct boot_info *info, const struct firmware *firmware);
void hv_cpu_main(void);

/* hv_disks_start() - find the server's disks: drivers/disks.h. On the boot CPU, before hv_main(). */
void hv_disks_start(const struct boot_info *info, const struct firmware *firmware);

/* ---- vm/ has these ---- */

/* hv_channel_start() - the management channel, and what keeps the guests; with the scheduler there, before hv_guests_start() */
void hv_channel_start(const struct boot_info *info);

/* hv_virt_init_cpu() - this CPU can run guests from now on. Return: 0, or -errno with the words: neither SVM nor VMX, ... */
int hv_virt_init_cpu(struct err *err);
/*
 * hv_guests_start() - make and start every guest of the config that the loader brought: vm/config.h
 * One that cannot be made is a line on the console; the others start all the same. Return: how many were started.
 */
unsigned hv_guests_start(const struct boot_info *info);

/* ---- selftest/ has these: selftest/selftest.h ---- */

/* hv_self_test_asked() - by the word self-test. The guests of a config are not started then. */
bool hv_self_test_asked(const struct boot_info *info);
/* hv_self_test_server() - what the server is; before there is a scheduler */
void hv_self_test_server(const struct boot_info *info, const struct firmware *firmware);
/* hv_self_test_programs() - what guests get; begins, and ends by itself. hv_self_test_without(): this server runs no guests */
void hv_self_test_programs(void);
void hv_self_test_without(void);
