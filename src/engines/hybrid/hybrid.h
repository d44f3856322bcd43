/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Hybrid virtualization: virtual machines on Linux's KVM, each in a strata-vmm of its own. */
#include "engines/engine.h"

extern const struct engine_ops hybrid_engine;
