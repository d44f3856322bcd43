/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The image that `strata compare` measures with: tools/bench-image unpacks Debian's packages, image_import() takes them in. */
#include "storage/image.h"

#define BENCH_IMAGE "strata-bench"

/*
 * bench_image_build() - download and unpack, then import
 * @mirror: of Debian, "http://..." or "file:///..."; NULL: the one that this host uses
 * @opts: tag, and progress: a line a step on standard error
 * Errors: one line, the last that the failing program said. -EINTR: SIGINT, SIGTERM or SIGHUP came. Nothing is left behind.
 */
int bench_image_build(struct store *store, const char *mirror, const struct import_opts *opts,
		      struct image *ret, struct err *err);
