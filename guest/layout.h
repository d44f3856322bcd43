/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a workload finds below its "/" beside the image: as at OS level, so that a program sees no difference. */
#include "config.h"
#include "root.h"

/*
 * layout_enter() - in the workload's own new mount and pid namespaces: build its file systems and make them "/"
 * @pts: a detached devpts   @console: the terminal's slave of that devpts, or -EBADF
 * Nothing of the agent's is left in sight. Works below root alone, whatever links the image holds.
 */
int layout_enter(const struct config *config, const struct root *root, int pts, int console,
		 struct err *err);
/* layout_pts() - a new devpts as a detached mount. */
int layout_pts(struct err *err);
