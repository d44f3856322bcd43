/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Hosted virtualization: virtual machines on the software CPU, each in a strata-vmm of its own; no driver, no privilege. */
#include "engines/engine.h"

extern const struct engine_ops hosted_engine;
