/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What of the host bears on the figures. */
#include <jansson.h>
#include <stdint.h>

/* facts_read() - an object of strings, a new reference; NULL: no memory. */
json_t *facts_read(uint64_t memory, unsigned cpus);
