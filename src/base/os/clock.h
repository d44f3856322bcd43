/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL

int64_t clock_real_ns(void); /* since the epoch, CLOCK_REALTIME */
int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC: for intervals */
/* clock_rfc3339() - "2026-11-23T10:20:30.123456789Z"; ret must hold 36 bytes. */
void clock_rfc3339(int64_t real_ns, char ret[36]);
/* clock_ago() - "3 minutes ago" as ps shows it; ret must hold 32 bytes. */
void clock_ago(int64_t real_ns, char ret[32]);
