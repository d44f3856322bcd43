/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Debian kernel package, as far as a VM needs it: a .deb is an ar archive, its member data.tar.* the files.
 * Sources: deb(5); Linux Documentation/kbuild/modules.rst.
 */
#include <jansson.h>

#include "base/core/err.h"

/*
 * kernel_unpack() - the kernel and the modules wanted from a package
 * @fd: of the package, read from where it stands   @what: names it in errors   @dir: empty; gets vmlinuz, modules/NAME.ko,
 *      and all/ with what was not wanted   @wanted: names of modules, NULL-ended
 * @ret: {"version": "6.1.0-1-cloud-amd64", "modules": [names in load order]}
 * Errors: -EBADMSG (not a package, cut short, no kernel in it), -ENOENT (a module is missing), -EFBIG.
 */
int kernel_unpack(int fd, const char *what, int dir, const char *const *wanted, json_t **ret,
		  struct err *err);
