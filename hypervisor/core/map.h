/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The hypervisor's own page tables: everything where it is, the first 4 GiB from the start (boot/start.S), the rest by whole GiB
 * as it is asked for. Shared by all CPUs; entries are added, never changed.
 */
#include <stdbool.h>
#include <stdint.h>

#define MAP_BOOT_BYTES (UINT64_C(4) << 30)

/* map_range() - make [start, start + len) reachable. Return: false: no memory for tables. */
bool map_range(uint64_t start, uint64_t len);
