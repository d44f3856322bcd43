/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The guest's interfaces, by rtnetlink. */
#include "config.h"

/*
 * net_setup() - lo up; each interface of the config up, with its address and its default route
 * Errors: -ENODEV after 10 seconds without that interface; what the kernel says.
 */
int net_setup(const struct config *config, struct err *err);
