/* SPDX-License-Identifier: Apache-2.0 */
/* Every document of an image archive: manifest, index, config, manifest.json's elements, changes. */
#include <stdint.h>
#include <stdlib.h>

#include "base/os/json.h"
#include "storage/archive/changes.h"
#include "storage/archive/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_decref_p) json_t *doc = NULL;
	struct oci_manifest manifest = { 0 };
	char(*diffs)[DIGEST_HEX + 1] = NULL;
	struct err err;
	char said[64];

	if (json_parse((const char *)data, size, "fuzz", &doc, &err) < 0)
		return 0;
	(void)oci_kind(doc, "", "fuzz", &err); /* only crashes count, here and below */
	(void)oci_platform_fits(doc, "amd64", said);
	(void)oci_docker_image(doc, "fuzz", &err);
	if (oci_manifest(doc, "fuzz", &manifest, &err) == 0) {
		for (size_t i = 0; i < manifest.n_layers; i++) {
			if (!digest_is_hex(manifest.layers[i].hex))
				abort();
		}
		oci_manifest_fini(&manifest);
	}
	size_t n = json_array_size(json_object_get(json_object_get(doc, "rootfs"), "diff_ids"));
	if (oci_config(doc, "fuzz", "amd64", n, &diffs, &err) == 0)
		free(diffs);
	(void)changes_apply(json_str(doc, "change", "CMD x"), doc, &err);
	return 0;
}
