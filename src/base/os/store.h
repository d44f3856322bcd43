/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The two directories a command works on, and the state database in the first:
 *
 *   root      /var/lib/strata        what must survive a reboot: strata.db, images, volumes, instances
 *   run_root  /run/strata            what must not: sockets, status files, locks
 *
 * Rooms name their own sub-directories; nothing outside these two is ever written, but cgroups,
 * links and rules of the kernel, and what the stores of one host share: docs/architecture.md, "Where things are kept".
 */
#include "base/core/err.h"
#include "base/os/db.h"

struct store {
	char *root;	/* absolute, no trailing slash; owned */
	char *run_root; /* likewise */
	int root_fd;	/* O_PATH would not do: fsync and flock work on it */
	int run_fd;
	struct db db;
};

/*
 * store_open() - make the directories (mode 0711 and 0700) where they are missing and open the database
 * @root, @run_root: NULL for the defaults: as root the two above, else $XDG_DATA_HOME/strata
 *                   (~/.local/share/strata) and $XDG_RUNTIME_DIR/strata (/tmp/strata-UID)
 */
int store_open(const char *root, const char *run_root, const struct db_schema *const schemas[],
	       struct store *ret, struct err *err);
void store_close(struct store *store); /* a zeroed store is a no-op */
