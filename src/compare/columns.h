/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The columns there are, each in the file of its name; and what those of ours have in common. */
#include "compare/column.h"

extern const struct column_ops column_host, column_crun, column_qemu_tcg, column_qemu_kvm;
extern const struct column_ops column_os_level, column_hybrid, column_hosted, column_bare_metal;

int strata_open(struct column *column, struct err *err);
void strata_close(struct column *column);
int strata_run(struct column *column, const char *const *argv, unsigned timeout,
	       struct outcome *ret, struct err *err);
int strata_start(struct column *column, struct err *err);
int strata_exec(struct column *column, const char *const *argv, unsigned timeout,
		struct outcome *ret, struct err *err);
int strata_pause(struct column *column, struct err *err);
int strata_resume(struct column *column, struct err *err);
int strata_stop(struct column *column, struct err *err);
int strata_processes(struct column *column, pid_t **ret, size_t *ret_n, struct err *err);
int strata_add(struct column *column, const char *const *argv, struct err *err);
void strata_clear(struct column *column);
int strata_exits(struct column *column, struct exit_counts *ret, uint64_t *ret_counted,
		 struct err *err);
/* strata_probe() - whether the engine of that name can run an image here. */
bool strata_probe(const struct column_setup *setup, const char *engine, char how[240],
		  char why[240]);

/* An architecture of ours: @engine is the value of --virt, and the column's id; @base: what its ratios are to; @counts: strata_exits where it
 * runs machines, else NULL; @asked: asked_only. */
#define COLUMN_STRATA(symbol, engine, words, base, counts, asked)                                  \
	static bool symbol##_probe(const struct column_setup *setup, char how[240], char why[240]) \
	{                                                                                          \
		return strata_probe(setup, engine, how, why);                                      \
	}                                                                                          \
	const struct column_ops symbol = {                                                         \
		.id = engine,                                                                      \
		.title = words,                                                                    \
		.baseline = base,                                                                  \
		.asked_only = asked,                                                               \
		.probe = symbol##_probe,                                                           \
		.open = strata_open,                                                               \
		.close = strata_close,                                                             \
		.run = strata_run,                                                                 \
		.start = strata_start,                                                             \
		.exec = strata_exec,                                                               \
		.pause = strata_pause,                                                             \
		.resume = strata_resume,                                                           \
		.stop = strata_stop,                                                               \
		.processes = strata_processes,                                                     \
		.add = strata_add,                                                                 \
		.exits = counts,                                                                   \
		.clear = strata_clear,                                                             \
	}
