/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The self-test (word `self-test`): what the server is, and whether guests get on it what they are promised. It writes to no
 * disk. Each result is one line on the console; the last one counts them.
 *
 *	hv_self_test_server()	server.c, before there is a scheduler: the CPU, memory, clocks, disks
 *	hv_self_test_programs()	programs.c, an entity of its own: the TSCs, then tests/guest's programs, one after the other on
 *				every CPU
 *
 * Thread rule: the boot CPU before the scheduler, then that entity.
 */
#include "base/core/macros.h"
#include "core/firmware.h"

/* self_test_note() - a fact, not counted. The others count: it is as it should be; it is not; there is none here. No new line. */
void self_test_note(const char *fmt, ...) PRINTF_LIKE(1, 2);
void self_test_pass(const char *fmt, ...) PRINTF_LIKE(1, 2);
void self_test_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
void self_test_absent(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* self_test_add() - results of a program that counted by itself */
void self_test_add(unsigned passed, unsigned failed, unsigned absent);
/* self_test_end() - the last line; then, if it is asked for (self-test=off) and it can be, the server is switched off */
void self_test_end(void);

/* self_test_is_off() - for the end. @firmware: lives as long as the server */
void self_test_is_off(const struct firmware *firmware);
/* self_test_power_off() - power.c. It comes back if the server does not go. */
void self_test_power_off(const struct firmware *firmware);
