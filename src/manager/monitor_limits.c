/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/os/file.h"
#include "base/os/json.h"
#include "manager/monitor.h"
#include "manager/update.h"

#define LIMITS_FILE_MAX (1 << 20)

int update_reread(int run_fd, struct spec *spec, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *limits = NULL;
	struct spec fresh = { 0 };
	int r = file_read(run_fd, UPDATE_FILE, LIMITS_FILE_MAX, &text);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, -r, "read %s", UPDATE_FILE);
	r = json_parse(buf_str(&text), text.len, UPDATE_FILE, &limits, err);
	if (r < 0)
		return r;
	AUTO(json_decref_p) json_t *json = json_copy(spec->json);
	if (!json || json_object_set(json, "limits", limits))
		return err_set(err, ENOMEM, "new limits");
	r = update_memory(json, json_int(limits, "memory_bytes", 0), err);
	if (r < 0)
		return r;
	r = spec_load(json, &fresh, err);
	if (r < 0)
		return r;
	spec_fini(spec);
	*spec = fresh;
	return 0;
}
