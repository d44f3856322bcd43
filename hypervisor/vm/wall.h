/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The server's calendar: its battery-backed clock, which counts UTC or what its owner set. */
#include <stdint.h>

/* wall_s() - seconds since 1970, UTC; 0: the clock makes no sense. Any CPU. Source: Motorola MC146818A data sheet. */
int64_t wall_s(void);
