/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * <root>/instances/ID/log: what the workload wrote, in the format of Kubernetes' container runtime interface, one
 * line an entry: "2026-11-23T10:20:30.123456789Z stdout F the text". P instead of F: the line went on in the
 * next entry of the same stream. Rotated to log.1, log.2, ... before an entry would take it past its
 * size: only an entry that is longer all by itself does.
 * Source of the format: Kubernetes design proposals, "CRI: Log management for container stdout/stderr streams".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/buf.h"
#include "base/core/err.h"

struct logfile {
	int dir; /* the state directory; borrowed */
	int fd;	 /* -EBADF until the first entry */
	int64_t size_bytes, max_bytes;
	unsigned files; /* kept, the current one included */
	struct buf buf;
};

void logfile_init(struct logfile *log, int dir, int64_t max_bytes, unsigned files);
void logfile_fini(struct logfile *log);
/* logfile_add() - one chunk of a stream, however many lines; 0 or -errno (the workload goes on regardless). */
int logfile_add(struct logfile *log, bool is_stderr, const char *data, size_t len);

struct logline {
	int64_t time_ns;
	const char *stamp; /* borrowed from the line, its length in stamp_len */
	size_t stamp_len;
	bool is_stderr, partial;
	const char *text; /* borrowed; no newline */
	size_t len;
};
/* logline_parse() - one line without its newline; -EBADMSG. */
int logline_parse(const char *line, size_t len, struct logline *ret);
