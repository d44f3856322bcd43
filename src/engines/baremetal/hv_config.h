/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What strata-hv is told of a guest: the text of CREATE (hypervisor/vm/config.h), made of a spec. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/buf.h"
#include "base/core/err.h"
#include "engines/spec.h"

#define HV_NAME_BYTES  32U /* with the NUL: CHANNEL_NAME_BYTES */
#define HV_FILE_BYTES  64U
#define HV_DISKS       8U /* of one guest: CONFIG_DISKS */
#define HV_MEMORY_STEP ((uint64_t)2 << 20)
#define HV_APPEND_MAX  511U
#define HV_WEIGHT      256U /* of a guest that asks for none: CHANNEL_UPDATE cannot say so */

/* Under which names the server has what the spec names by paths. */
struct hv_files {
	char kernel[HV_FILE_BYTES], initrd[HV_FILE_BYTES]; /* initrd "": none */
	char disks[HV_DISKS][HV_FILE_BYTES];		   /* a file's name, or "server:vd0" */
};

/* hv_guest_name() - of an instance's guest on its server, by the instance's id */
void hv_guest_name(const char *id, char ret[HV_NAME_BYTES]);
/* hv_guest_memory() - what a guest gets of what was asked: whole pages of 2 MiB */
uint64_t hv_guest_memory(const struct spec *spec);
/* hv_guest_text() - @shares: give its limits of CPU time to the hypervisor (else a cgroup holds its whole server to them) */
int hv_guest_text(const struct spec *spec, const struct hv_files *files, bool shares,
		  struct buf *ret, struct err *err);
/* hv_guest_cap(), hv_guest_weight() - the hypervisor's words for --cpus and --cpu-shares; 0: the default */
uint32_t hv_guest_cap(int64_t quota_us, int64_t period_us);
uint32_t hv_guest_weight(int64_t shares);
/* hv_host_check() - what --host cannot do for this instance; 0 without --host. Errors: -ENOTSUP, naming the flag. */
int hv_host_check(const struct spec *spec, struct err *err);
/* hv_guest_check() - engine_ops.check. -ENOTSUP, naming the flag and what to do instead. */
int hv_guest_check(const struct spec *spec, struct err *err);
