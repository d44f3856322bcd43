/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One vcpu in diff_machine.c's guest, for tests that execute one instruction at a time. */
#include "diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define STACK	   (DIFF_DATA + DIFF_PAGE + 2048)
#define DEVICE	   (DIFF_REGION + 0x40 * DIFF_PAGE) /* a page of a device's */
#define DEVICE_GPA UINT64_C(0xfe000000)
#define GUARD	   (DIFF_DATA + 2 * DIFF_PAGE) /* the first byte that is not there */

enum { DE = 0, DB = 1, BR = 5, UD = 6, NM = 7, GP = 13, PF = 14, AC = 17 };

extern struct hosted_vm vm;
extern struct hosted_cpu cpu;
extern struct vcpu_io io;

uint8_t *at(uint64_t gva);
uint64_t get(uint64_t gva, unsigned bytes);
void put(uint64_t gva, uint64_t value, unsigned bytes);
void code_is(enum x86_code code);
int set_up(void **state);
int tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
/* step() - these bytes, at rip. */
enum cpu_result step(const char *bytes, size_t n);
#define STEP(bytes) step(bytes, sizeof(bytes) - 1)

#define assert_done(bytes)                                                                         \
	do {                                                                                       \
		uint64_t next_ = cpu.rip + sizeof(bytes) - 1;                                      \
		assert_int_equal(STEP(bytes), CPU_OK);                                             \
		assert_int_equal(cpu.rip, next_);                                                  \
	} while (0)

void assert_fault(enum cpu_result result, unsigned vector);
/* answer() - what the machine does between two run(). */
void answer(uint64_t value);
/* handlers_again() - of signals: cmocka has put its own in the place of ours. */
void handlers_again(void);
