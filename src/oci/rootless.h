/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Containers of ordinary users. Whoever is not root makes a user namespace of his own first, in which he is, with all ids that he
 * was given (subuid(5)), and is executed again there; from then on it is as under a manager that did the same already, as Podman
 * does. The container's user namespace, where it has one, is below that.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "oci/config.h"

/* rootless_state() - $XDG_RUNTIME_DIR/strata-oci; -ENOENT where that is not set */
int rootless_state(char ret[PATH_MAX]);
/* rootless_enter() - a user namespace with all our ids, a mount namespace, and root in both; execute again after it. */
int rootless_enter(struct err *err);
/* rootless_join() - the one in which a container of ours was made; likewise.  @pid: its first process */
int rootless_join(pid_t pid, struct err *err);
/* rootless_entered() - whether we came from there; says so once, for programs that we start are not us. */
bool rootless_entered(void);
/* rootless_translate() - mappings are in the host's ids: in those of the namespace we entered */
int rootless_translate(struct config *config, struct err *err);

/*
 * rootless_map() - the same of one mapping
 * @own: of our namespace   @ret: room for max
 * Errors: -EPERM: *ret_id is not ours; -E2BIG.
 */
int rootless_map(const struct ids_map *own, size_t n_own, const struct ids_map *asked,
		 size_t n_asked, struct ids_map *ret, size_t max, size_t *ret_n, uint32_t *ret_id);
