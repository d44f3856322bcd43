/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/os/file.h"
#include "engines/cgroup/private.h"

static int setting_set(const struct cgroup *cgroup, const struct cgroup_setting *setting,
		       struct err *err)
{
	int h = cgroup_find(cgroup->layout, setting->controller);
	const char *controller = cgroup_v1_names[setting->controller];

	if (h < 0 || cgroup->fds[h] < 0)
		return err_say(err, ENOTSUP, "%s: the cgroup controller '%s' is not available here",
			       setting->what, controller);
	bool v2 = cgroup->layout->hierarchies[h].v2;
	const char *file = v2 ? setting->v2 : setting->v1;
	const char *value = v2 ? setting->v2_value : setting->v1_value;
	if (!file)
		return err_say(err, ENOTSUP,
			       "%s: the controller '%s' of cgroup v%d has nothing of the kind",
			       setting->what, controller, v2 ? 2 : 1);
	int r = file_write(cgroup->fds[h], file, value);
	if (r == -ENOENT && v2 && setting->v2_else)
		r = file_write(cgroup->fds[h], setting->v2_else, setting->v2_else_value);
	if (r == -ENOENT)
		return err_say(err, ENOTSUP, "%s: this kernel's cgroups have no %s", setting->what,
			       file);
	return r < 0 ? err_set(err, -r, "%s: write '%.64s' to %s", setting->what, value, file) : 0;
}

uint32_t cgroup_settings_need(const struct cgroup_setting *settings, size_t n)
{
	uint32_t need = 0;

	for (size_t i = 0; i < n; i++)
		need |= CGROUP_BIT(settings[i].controller);
	return need;
}

int cgroup_read_file(const struct cgroup *cgroup, enum cgroup_controller controller, const char *v1,
		     const char *v2, char *ret, size_t size)
{
	int h = cgroup_find(cgroup->layout, controller);

	if (h < 0 || cgroup->fds[h] < 0)
		return -ENOENT;
	const char *file = cgroup->layout->hierarchies[h].v2 ? v2 : v1;
	return file ? cgroup_read(cgroup->fds[h], file, ret, size) : -ENOENT;
}

int cgroup_read_v2(const struct cgroup *cgroup, const char *file, char *ret, size_t size)
{
	const int fd = cgroup_v2_fd(cgroup);

	return fd < 0 ? -ENOENT : cgroup_read(fd, file, ret, size);
}

int cgroup_settings_set(const struct cgroup *cgroup, const struct cgroup_setting *settings,
			size_t n, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = setting_set(cgroup, &settings[i], err);
	return r;
}
