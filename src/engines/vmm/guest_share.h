/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a spec shares of the host's (spec_is_share()), served for its virtual machine. */
#include "engines/spec.h"
#include "engines/vmm/virtiofsd.h"

struct cgroup;

/*
 * guest_share_start() - virtiofsd_start() for what a spec names; nothing, where it names nothing
 * @cgroup, @joins: where the program belongs, as strata-vmm itself: cgroup_joins_open()
 * @ret_socket: the VMM's; -EBADF: none
 */
int guest_share_start(const struct spec *spec, const struct cgroup *cgroup, const int *joins,
		      unsigned n_joins, struct virtiofsd *ret, int *ret_socket, struct err *err);
