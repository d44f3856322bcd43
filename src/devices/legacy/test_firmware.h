/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a PC's BIOS leaves behind, for the one test image that lives of it: kvm-unit-tests' realmode halts, and goes on with the tick of
 * the PIT, whose handler is the BIOS's.
 */
#include "machine/bus.h"
#include "machine/lapic.h"
#include "machine/mem.h"

/* test_firmware_leave() - after the kernel was loaded, before the first instruction. @lapic: of the CPU that starts; borrowed */
void test_firmware_leave(const struct guest_mem *mem, struct bus *pio, struct lapic *lapic);
