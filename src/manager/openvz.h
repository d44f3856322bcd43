/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A container's configuration of OpenVZ's, /etc/vz/conf/CTID.conf: shell assignments, which are read and never executed, and what an
 * instance has that corresponds to each. Source: ctid.conf(5) and vzctl(8) of OpenVZ's vzctl 4.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/core/err.h"

#define OPENVZ_CONF_MAX (64 << 10) /* bytes; vzctl's own have two */

/*
 * openvz_parse() - NAME=value lines to an object of strings; the last of a name counts
 * @text: hostile   Nothing is expanded: $NAME stays as it is.
 * Errors: -EINVAL with the line, -EFBIG, -E2BIG.
 */
int openvz_parse(const char *text, size_t len, json_t **ret, struct err *err);

struct openvz_host {
	unsigned cpus;	     /* of this host */
	const char *network; /* of Strata, for its addresses; NULL: none was named */
	const char *disk;    /* the whole disk that roots are on, "/dev/sda"; NULL: none is */
};
/*
 * openvz_config() - what manager_create() takes, with --system, but for the image
 * @ret_report: an array of {name, value, taken, note}, one for each parameter: what it became, or why it has no counterpart
 */
int openvz_config(const json_t *conf, const struct openvz_host *host, json_t **ret_config,
		  json_t **ret_report, struct err *err);
/*
 * openvz_binds() - what a script CTID.mount binds into the container's root, as far as plain lines of "mount" say it
 * @text: hostile, and never executed   *ret: an array of "SOURCE:TARGET", the target inside; not all of them can be read
 */
int openvz_binds(const char *text, size_t len, json_t **ret, struct err *err);
/* openvz_limit() - the limit of "BARRIER:LIMIT" in bytes or a count; -1: unlimited. @unit: of a bare number, bytes. -EINVAL. */
int openvz_limit(const char *text, int64_t unit, int64_t *ret);
