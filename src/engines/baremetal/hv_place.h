/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a guest of strata-hv gets its server and its files from: an emulated server of its own, or one that is there. */
#include <sys/types.h>

#include "engines/baremetal/chan.h"
#include "engines/baremetal/hv_config.h"

struct hv_place {
	int holds[HV_DISKS]; /* the locks of the disks; -EBADF: none */
	pid_t hub;	     /* of the lab's, else 0 */
};

void hv_place_init(struct hv_place *place);
/*
 * hv_place_lab() - start the lab: hub and QEMU, which end with this process. The working directory is the instance's run directory.
 * @ret: what the server calls the spec's files
 */
int hv_place_lab(struct hv_place *place, const struct spec *spec, struct hv_files *ret,
		 struct err *err);
/* hv_place_host() - the same where the server is another's: a link to its hub's socket */
int hv_place_host(const struct spec *spec, struct err *err);
/* hv_place_upload() - there, with a session: the spec's files go to the server, where they are not there yet */
int hv_place_upload(struct hv_place *place, struct chan *chan, const struct spec *spec,
		    struct hv_files *ret, struct err *err);
void hv_place_fini(struct hv_place *place);
