/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The rates of an instance's network (network/rate.h), as its limits have them. */
#include "base/core/err.h"
#include "engines/spec.h"

/* rates_check() - -ENOTSUP, in words, where rates are asked of a network that can have none. */
int rates_check(const struct spec *spec, struct err *err);
/* rates_start() - once its link is there, before anything runs inside. */
int rates_start(const struct spec *spec, struct err *err);
/* rates_change() - of a running guest. @change: as limits_change() says it */
int rates_change(const struct spec *spec, const struct spec_limits *change, struct err *err);
