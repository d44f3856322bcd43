/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/core/macros.h"

struct trap_frame;

/*
 * panic() - a mistake of ours that nothing can go on from: the line, registers, a backtrace and the exit that led here on
 * the console; every other CPU is stopped; does not return
 */
_Noreturn void panic(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* panic_trap() - the same for an exception inside the hypervisor */
_Noreturn void panic_trap(const struct trap_frame *frame);
