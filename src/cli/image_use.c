/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image_use.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "storage/image.h"

void image_use_p(char ***ids)
{
	for (char **id = *ids; id && *id; id++)
		free(*id);
	free(*ids);
	*ids = NULL;
}

/* the spec's own record, or for one without it whatever its name means now; NULL: gone */
static int image_of(struct manager *manager, const struct instance *instance, char **ret,
		    struct err *err)
{
	AUTO(image_fini) struct image image = { 0 };
	const char *id = json_str(instance->spec, "image_id", NULL);

	if (!id) {
		int r = image_find(&manager->store, json_str(instance->spec, "image", ""), &image,
				   err);
		if (r == -ENOENT)
			return 0;
		if (r < 0)
			return r;
		id = image.id;
	}
	*ret = strdup(id);
	return *ret ? 0 : err_set(err, ENOMEM, "list the images in use");
}

int image_in_use(struct manager *manager, char ***ret, struct err *err)
{
	struct instance *instances;
	size_t n, used = 0;

	int r = manager_list(manager, true, LIST_SUMMARY, &instances, &n, err);
	if (r < 0)
		return r;
	AUTO(image_use_p) char **ids = calloc(n + 1, sizeof(*ids));
	if (!ids)
		r = err_set(err, ENOMEM, "list the images in use");
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = image_of(manager, &instances[i], &ids[used], err);
		used += ids[used] != NULL;
	}
	instances_free(instances, n);
	if (r == 0)
		*ret = TAKE(ids);
	return r;
}
