/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor wrote of an instance's checks (monitor_health.c), for `strata inspect`. */
#include <fcntl.h>
#include <stdio.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "manager/monitor_args.h"
#include "manager/private.h"

json_t *manager_health(struct manager *manager, const struct instance *instance)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *health = NULL;
	char path[96];

	if (instance->health == HEALTH_NONE)
		return NULL;
	(void)snprintf(path, sizeof(path), "instances/%s/" MONITOR_HEALTH_FILE,
		       instance->id); /* fits */
	/* Before the first check there is none. */
	if (file_read(manager->store.run_fd, path, MONITOR_HEALTH_MAX, &text) < 0 ||
	    json_parse(buf_str(&text), text.len, "health", &health, NULL) < 0)
		return json_pack("{s:s,s:i,s:[]}", "status", status_health_name(instance->health),
				 "failing_streak", 0, "log");
	return TAKE(health);
}
