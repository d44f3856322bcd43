/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the files of import-openvz: the taking over of one parameter. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/core/macros.h"
#include "manager/openvz.h"

/* One parameter being taken over. */
struct openvz_job {
	const json_t *conf;
	const struct openvz_host *host;
	json_t *config, *limits;
	char note[480]; /* what it became; or why it has no counterpart */
};

/* openvz_note() - what the report says of it; a longer one is cut. */
void openvz_note(struct openvz_job *job, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* openvz_number() - as openvz_limit(); false: noted why. What is unlimited is -1, and noted as that. */
bool openvz_number(struct openvz_job *job, const char *value, int64_t unit, int64_t *ret);
/* openvz_set() - a number as a member of the limits */
bool openvz_set(struct openvz_job *job, const char *member, int64_t value);
#define OPENVZ_BLANKS " \t\n,"
/* openvz_words() - what stands between any of these characters, as an array of strings; a new reference. */
json_t *openvz_words(const char *value, const char *between);
/* openvz_left() - add a word to the note, as one of those that were not taken over. */
void openvz_left(struct openvz_job *job, const char *word);

/*
 * Each: true where it was taken over, and the note says what it is now; else why not. Out of memory it is not.
 */
typedef bool (*openvz_fn)(struct openvz_job *job, const char *value);

/* openvz_network.c */
bool openvz_hostname(struct openvz_job *job, const char *value);
bool openvz_address(struct openvz_job *job, const char *value);
bool openvz_nameserver(struct openvz_job *job, const char *value);
bool openvz_search(struct openvz_job *job, const char *value);
bool openvz_netif(struct openvz_job *job, const char *value);
bool openvz_rate(struct openvz_job *job, const char *value);
bool openvz_ratebound(struct openvz_job *job, const char *value);
/* openvz_storage.c */
bool openvz_diskspace(struct openvz_job *job, const char *value);
bool openvz_iolimit(struct openvz_job *job, const char *value);
bool openvz_iopslimit(struct openvz_job *job, const char *value);
bool openvz_bindmount(struct openvz_job *job, const char *value);
bool openvz_devnodes(struct openvz_job *job, const char *value);
bool openvz_devices(struct openvz_job *job, const char *value);
bool openvz_features(struct openvz_job *job, const char *value);
