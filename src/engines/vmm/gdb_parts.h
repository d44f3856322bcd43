/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What gdb.c, gdb_memory.c and gdb_query.c share. Handlers write gdb->reply; what is no command leaves it empty. */
#include "engines/vmm/gdb.h"

void gdb_ok(struct gdb *gdb);
void gdb_error(struct gdb *gdb, int error); /* -errno */
void gdb_result(struct gdb *gdb, int r);    /* gdb_ok(), or gdb_error() of a negative errno */
/* gdb_thread() - a thread's number, 1 for vcpu 0; 0 (any) and -1 (all) give *ret_all. False: no such thread. */
bool gdb_thread(const struct gdb *gdb, struct gdb_cursor *cursor, unsigned *ret_vcpu,
		bool *ret_all);

/* gdb_memory.c */
void gdb_memory_read(struct gdb *gdb, struct gdb_cursor *in);
void gdb_memory_write(struct gdb *gdb, struct gdb_cursor *in);
void gdb_memory_write_binary(struct gdb *gdb, struct gdb_cursor *in);
void gdb_break_set(struct gdb *gdb, struct gdb_cursor *in);
void gdb_break_clear(struct gdb *gdb, struct gdb_cursor *in);
void gdb_break_clear_all(struct gdb *gdb);

/* gdb_query.c */
void gdb_query(struct gdb *gdb, struct gdb_cursor *in);
void gdb_query_set(struct gdb *gdb, struct gdb_cursor *in);
