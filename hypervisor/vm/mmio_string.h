/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* MOVS, STOS and LODS with a device on one side, one element at a time. */
#include "vm/mmio.h"

/* string_begin() - as mmio_begin(). @is_write: the destination is the device. */
enum mmio_step string_begin(struct mmio *m, struct mmio_cpu *cpu, bool is_write);
/* string_next() - the element's access is done. */
enum mmio_step string_next(struct mmio *m, struct mmio_cpu *cpu);
