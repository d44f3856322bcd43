/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"

/*
 * image_in_use() - ids of the images that instances use, for image_remove() and image_prune()
 * @ret: NULL-ended; for image_use_p()
 */
int image_in_use(struct manager *manager, char ***ret, struct err *err);
void image_use_p(char ***ids); /* for AUTO */
