/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the program says on standard error. Rooms below cli/ and the monitor only ever use
 * log_debug(); the one who handles an error reports it, once.
 */
#include "base/core/err.h"

void log_debug_enable(void); /* --debug, or STRATA_DEBUG=1 */
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2); /* "warning: ..." */
void log_error(const struct err *err);		       /* "error: ..." */
