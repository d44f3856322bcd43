/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A vcpu's registers as GDB numbers them. General, segment, base and system registers; the floating-point and vector
 * registers that the description must name are shown as unavailable.
 * Source: GDB manual, G.5.6 i386 Features; E.3 Packets, 'g'.
 */
#include <stdbool.h>
#include <stddef.h>

#include "engines/vmm/gdb_packet.h"
#include "x86/state.h"

#define GDB_REG_BYTES_MAX 16U

/* The target description (XML). */
extern const char gdb_target_xml[];

unsigned gdb_reg_count(void);
/* gdb_reg_bytes() - size of a register; 0: there is no such. */
unsigned gdb_reg_bytes(unsigned number);
/* gdb_reg_print() - as hexadecimal text, "xx" for every byte of one that is unavailable. */
void gdb_reg_print(const struct x86_state *state, unsigned number, struct gdb_text *ret);
/*
 * gdb_reg_parse() - the reverse; a text of "x" leaves the register, as does one for an unavailable register, or a
 * segment selector: that alone would not load the segment
 * Return: false: not a value.
 */
bool gdb_reg_parse(struct x86_state *state, unsigned number, struct gdb_cursor *cursor);
