/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/oci.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/core/macros.h"
#include "base/os/json.h"

const char *oci_host_arch(void)
{
	static const char *const names[][2] = {
		{ "x86_64", "amd64" },	  { "aarch64", "arm64" },   { "i686", "386" },
		{ "armv7l", "arm" },	  { "ppc64le", "ppc64le" }, { "s390x", "s390x" },
		{ "riscv64", "riscv64" },
	};
	struct utsname host;

	if (uname(&host) < 0)
		return "unknown";
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(host.machine, names[i][0]))
			return names[i][1];
	}
	return "unknown";
}

int oci_digest(const char *text, const char *what, char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	if (!text)
		return err_say(err, EBADMSG, "%s: a digest is missing", what);
	if (!strncmp(text, "sha512:", 7))
		return err_say(err, ENOTSUP, "%s: digest %.100s: only sha256 is supported", what,
			       text);
	if (strncmp(text, "sha256:", 7) || !digest_is_hex(text + 7))
		return err_say(err, EBADMSG, "%s: digest \"%.100s\" is not sha256:<64 hex digits>",
			       what, text);
	memcpy(ret_hex, text + 7, DIGEST_HEX + 1);
	return 0;
}

int oci_descriptor(const json_t *json, const char *what, struct oci_descriptor *ret,
		   struct err *err)
{
	struct oci_descriptor descriptor = {
		.size = json_int(json, "size", -1),
		.type = json_str(json, "mediaType", ""),
	};

	int r = oci_digest(json_str(json, "digest", NULL), what, descriptor.hex, err);
	if (r < 0)
		return r;
	*ret = descriptor;
	return 0;
}

int oci_kind(const json_t *doc, const char *type, const char *what, struct err *err)
{
	const char *own = json_str(doc, "mediaType", type);

	if (!strcmp(own, OCI_TYPE_INDEX) ||
	    !strcmp(own, "application/vnd.docker.distribution.manifest.list.v2+json"))
		return OCI_IS_INDEX;
	if (!strcmp(own, OCI_TYPE_MANIFEST) ||
	    !strcmp(own, "application/vnd.docker.distribution.manifest.v2+json"))
		return OCI_IS_MANIFEST;
	if (json_is_array(json_object_get(doc, "manifests")))
		return OCI_IS_INDEX;
	if (json_is_array(json_object_get(doc, "layers")))
		return OCI_IS_MANIFEST;
	return err_say(err, EBADMSG, "%s: neither an image manifest nor an index of them", what);
}

bool oci_platform_fits(const json_t *entry, const char *arch, char ret_said[64])
{
	const json_t *platform = json_object_get(entry, "platform");
	const char *has_os = json_str(platform, "os", "");
	const char *has_arch = json_str(platform, "architecture", "");

	ret_said[0] = '\0';
	if (!json_is_object(platform))
		return true;					       /* the config will say */
	(void)snprintf(ret_said, 64, "%.30s/%.30s", has_os, has_arch); /* a cut text is a text */
	return !strcmp(has_os, "linux") && !strcmp(has_arch, arch);
}

int oci_layer_type(const char *type, const char *what, struct err *err)
{
	static const char *const known[] = {
		"",
		OCI_TYPE_LAYER,
		OCI_TYPE_LAYER "+gzip",
		OCI_TYPE_LAYER "+zstd",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!strcmp(type, known[i]))
			return 0;
	}
	return err_say(err, ENOTSUP,
		       "%s: layer of type %.120s: only tar, tar+gzip and tar+zstd can be unpacked",
		       what, type);
}

int oci_manifest(const json_t *doc, const char *what, struct oci_manifest *ret, struct err *err)
{
	AUTO(oci_manifest_fini) struct oci_manifest manifest = { 0 };
	const json_t *layers = json_object_get(doc, "layers");

	if (json_int(doc, "schemaVersion", 2) != 2)
		return err_say(err, ENOTSUP, "%s: manifest of schema %lld: only 2 is supported",
			       what, (long long)json_int(doc, "schemaVersion", 0));
	if (!json_is_object(json_object_get(doc, "config")) || !json_is_array(layers))
		return err_say(err, EBADMSG, "%s: manifest without \"config\" or \"layers\"", what);
	size_t n = json_array_size(layers);
	if (n > OCI_LAYERS_MAX)
		return err_say(err, E2BIG, "%s: %zu layers, more than the %d that can be stacked",
			       what, n, OCI_LAYERS_MAX);

	int r = oci_descriptor(json_object_get(doc, "config"), what, &manifest.config, err);
	if (r < 0)
		return r;
	manifest.layers = calloc(n + 1, sizeof(*manifest.layers));
	if (!manifest.layers)
		return err_set(err, ENOMEM, "%s", what);
	for (; manifest.n_layers < n; manifest.n_layers++) {
		struct oci_descriptor *layer = &manifest.layers[manifest.n_layers];
		r = oci_descriptor(json_array_get(layers, manifest.n_layers), what, layer, err);
		if (r == 0)
			r = oci_layer_type(layer->type, what, err);
		if (r < 0)
			return r;
	}
	*ret = manifest;
	manifest.layers = NULL;
	return 0;
}

void oci_manifest_fini(struct oci_manifest *manifest)
{
	free(manifest->layers);
	manifest->layers = NULL;
}

static void diffs_free_p(char (**diffs)[DIGEST_HEX + 1])
{
	free(*diffs);
}

int oci_config(const json_t *doc, const char *what, const char *arch, size_t n_layers,
	       char (**ret_diffs)[DIGEST_HEX + 1], struct err *err)
{
	const json_t *ids = json_object_get(json_object_get(doc, "rootfs"), "diff_ids");
	const char *has_os = json_str(doc, "os", "linux");
	const char *has_arch = json_str(doc, "architecture", arch);

	if (strcmp(has_os, "linux") || (strcmp(has_arch, arch) && has_arch[0]))
		return err_say(err, ENOEXEC,
			       "%s: the image is for %.30s/%.30s, this host is linux/%s", what,
			       has_os, has_arch, arch);
	if (!json_is_array(ids))
		return err_say(err, EBADMSG, "%s: image config without rootfs.diff_ids", what);
	if (json_array_size(ids) != n_layers)
		return err_say(err, EBADMSG, "%s: the config lists %zu layers, the manifest %zu",
			       what, json_array_size(ids), n_layers);
	const json_t *config = json_object_get(doc, "config");
	if (config && !json_is_object(config) && !json_is_null(config))
		return err_say(err, EBADMSG, "%s: image config: \"config\" is not an object", what);

	AUTO(diffs_free_p) char(*diffs)[DIGEST_HEX + 1] = calloc(n_layers + 1, sizeof(*diffs));
	if (!diffs)
		return err_set(err, ENOMEM, "%s", what);
	for (size_t i = 0; i < n_layers; i++) {
		int r = oci_digest(json_string_value(json_array_get(ids, i)), what, diffs[i], err);
		if (r < 0)
			return r;
	}
	*ret_diffs = TAKE(diffs);
	return 0;
}

static bool oci_strings(const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		if (!json_is_string(json_array_get(array, i)))
			return false;
	}
	return true;
}

int oci_docker_image(const json_t *element, const char *what, struct err *err)
{
	const json_t *layers = json_object_get(element, "Layers");
	const json_t *tags = json_object_get(element, "RepoTags");

	if (!json_is_string(json_object_get(element, "Config")) || !json_is_array(layers) ||
	    !oci_strings(layers) ||
	    (tags && !json_is_null(tags) && (!json_is_array(tags) || !oci_strings(tags))))
		return err_say(err, EBADMSG,
			       "%s: manifest.json: an image without \"Config\" or \"Layers\"",
			       what);
	if (json_array_size(layers) > OCI_LAYERS_MAX)
		return err_say(err, E2BIG, "%s: %zu layers, more than the %d that can be stacked",
			       what, json_array_size(layers), OCI_LAYERS_MAX);
	return 0;
}
