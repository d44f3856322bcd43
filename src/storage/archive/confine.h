/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Give up what is not needed to read hostile bytes: what is behind a flaw in a parser is then little. */
#include <stdbool.h>

#include "base/core/err.h"

/*
 * confine() - make a directory the root of this process and drop capabilities
 * @dir: the new root; with unpack it is replaced by a view of it that opens no devices
 * @unpack: keep what setting owners, modes, devices and attributes takes; else only reading
 * @overlay: keep CAP_SYS_ADMIN too, which trusted.overlay.opaque needs
 * As an ordinary user only no_new_privs is set: there is nothing to drop.
 */
int confine(int *dir, bool unpack, bool overlay, struct err *err);
