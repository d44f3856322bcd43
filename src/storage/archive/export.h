/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Export: the store's own blobs, byte for byte, in the form that Docker or the OCI layout wants. */
#include <jansson.h>

#include "base/core/err.h"

/*
 * export_run()
 * @format: "docker" and "oci" (archives; a docker archive is an OCI archive with a manifest.json),
 *          "oci-dir"
 * @image: {"manifest","config","tags":[],"layers":[hex,...],"blobs":[every hex, once]}
 * @blobs: the store's blob directory   @path: "-" is standard output
 * Errors: what was written of path is removed.
 */
int export_run(const char *format, const json_t *image, int blobs, const char *path,
	       struct err *err);
