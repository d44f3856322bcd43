/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The JSON of the OCI image specification and of Docker's archives, checked: what comes out of here
 * is bounded, and every digest in it is safe as a file name.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"
#include "base/os/digest.h"

#define OCI_JSON_MAX   (8u << 20)
#define OCI_LAYERS_MAX 500 /* what overlayfs takes: OVL_MAX_STACK */

#define OCI_TYPE_INDEX	  "application/vnd.oci.image.index.v1+json"
#define OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_TYPE_CONFIG	  "application/vnd.oci.image.config.v1+json"
#define OCI_TYPE_LAYER	  "application/vnd.oci.image.layer.v1.tar"

struct oci_descriptor {
	char hex[DIGEST_HEX + 1];
	int64_t size;	  /* -1: not said */
	const char *type; /* borrowed from the JSON; "" when absent */
};

/* oci_host_arch() - this machine in the specification's words (GOARCH): "amd64". */
const char *oci_host_arch(void);

/* oci_digest() - "sha256:HEX"; -EBADMSG for any other text (NULL too), -ENOTSUP for another algorithm. */
int oci_digest(const char *text, const char *what, char ret_hex[DIGEST_HEX + 1], struct err *err);
int oci_descriptor(const json_t *json, const char *what, struct oci_descriptor *ret,
		   struct err *err);

enum oci_kind { OCI_IS_MANIFEST, OCI_IS_INDEX };
/* oci_kind() - by media type, else by what a document has; -EBADMSG when it is neither. */
int oci_kind(const json_t *doc, const char *type, const char *what, struct err *err);

/*
 * oci_platform_fits() - does an index entry name this host's platform?
 * @ret_said: "linux/arm64", borrowed text written into 64 bytes, "" when the entry names none
 */
bool oci_platform_fits(const json_t *entry, const char *arch, char ret_said[64]);

/* oci_layer_type() - 0 for a layer that can be unpacked; -ENOTSUP with a line else. */
int oci_layer_type(const char *type, const char *what, struct err *err);

struct oci_manifest {
	struct oci_descriptor config;
	struct oci_descriptor *layers; /* owned array */
	size_t n_layers;
};
int oci_manifest(const json_t *doc, const char *what, struct oci_manifest *ret, struct err *err);
void oci_manifest_fini(struct oci_manifest *manifest);

/*
 * oci_config() - check an image configuration: for this host, with so many layers
 * @n_layers: what the manifest has   @ret_diffs: owned array of n_layers hex digests
 */
int oci_config(const json_t *doc, const char *what, const char *arch, size_t n_layers,
	       char (**ret_diffs)[DIGEST_HEX + 1], struct err *err);

/* oci_docker_image() - one element of manifest.json: {"Config","RepoTags","Layers"} of right types. */
int oci_docker_image(const json_t *element, const char *what, struct err *err);
