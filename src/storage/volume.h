/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Volumes: named writable storage, <root>/volumes/NAME/data. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/os/store.h"

struct volume {
	char *name;
	char *path; /* the data directory */
	json_t *labels;
	bool anonymous; /* made by `-v /path` or the image's VOLUME: goes with its instance's `rm -v`, `--rm` */
	int64_t created_ns;
};
void volume_fini(struct volume *volume);

/* volume_create() - name NULL: an anonymous one with a random name. -EEXIST, -EINVAL for a bad name. */
int volume_create(struct store *store, const char *name, const json_t *labels, struct volume *ret,
		  struct err *err);
int volume_find(struct store *store, const char *name, struct volume *ret, struct err *err);
int volume_list(struct store *store, struct volume **ret, size_t *ret_n, struct err *err);
/*
 * volume_use()/volume_unuse() - who holds a volume, so that volume_remove() can refuse (-EBUSY, naming the user)
 * @user: an instance id. Both are idempotent; call them within the caller's transaction or without one.
 */
int volume_use(struct store *store, const char *name, const char *user, struct err *err);
int volume_unuse(struct store *store, const char *user, struct err *err);
int volume_remove(struct store *store, const char *name, struct err *err);
int volume_prune(struct store *store, bool all, json_t **ret_names, struct err *err);
