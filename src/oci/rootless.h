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

enum rootless {
	ROOTLESS_NO,	 /* root of the host */
	ROOTLESS_INSIDE, /* root of a user namespace: devices and most cgroups are not ours */
	ROOTLESS_USER,	 /* nobody's root yet */
};
enum rootless rootless_here(void);
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
int rootless_map(const struct spec_idmap *own, size_t n_own, const struct spec_idmap *asked,
		 size_t n_asked, struct spec_idmap *ret, size_t max, size_t *ret_n,
		 uint32_t *ret_id);
/* rootless_parse() - /proc/PID/uid_map; how many of at most max */
size_t rootless_parse(const char *text, struct spec_idmap *ret, size_t max);
/*
 * rootless_ranges() - a user's lines of subuid(5)
 * @name: as passwd(5) has it, or ""
 * Return: how many of at most max; inside is where they go one after the other, from 1 on.
 */
size_t rootless_ranges(const char *text, const char *name, uint32_t uid, struct spec_idmap *ret,
		       size_t max);
