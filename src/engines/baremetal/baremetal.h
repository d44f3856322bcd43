/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The architecture "bare-metal": a guest of strata-hv, on a server of its own that QEMU emulates (lab.h), or on one that a hub has. */
#include "engines/engine.h"

extern const struct engine_ops baremetal_engine;
