/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "base/os/self.h"
#include "base/os/wait.h"
#include "engines/oslevel/namespace.h"
#include "oci/unit.h"
#include "storage/helper.h"

#define SCOPE_FILE	"unit"
#define SCOPE_EXISTS	3 /* systemd_main.c */
#define SCOPE_WORDS_MAX ((size_t)64 << 10)

/* Root of a system container has the whole of a systemd; of one that has none but the host's outside, his own. */
static bool scope_is_users(const struct oci *oci)
{
	return oci->confined && !namespace_is_shared(1, CLONE_NEWUSER);
}

int scope_choose(const struct oci *oci, const char *id, struct config *config, struct err *err)
{
	struct unit unit;
	char group[256];

	if (!oci->systemd && !oci->no_cgroups && strchr(config->cgroups_path, ':'))
		return err_say(err, EINVAL,
			       "linux.cgroupsPath '%.60s' is systemd's form: it takes "
			       "--systemd-cgroup",
			       config->cgroups_path);
	if (!oci->systemd)
		return 0;
	config->unit_is_users = scope_is_users(oci);
	int r = unit_parse(config->cgroups_path, id, config->unit_is_users, &unit, err);
	if (r < 0)
		return r;
	r = unit_group(&unit, group, sizeof(group));
	if (r < 0)
		return err_set(err, -r, "linux.cgroupsPath '%.60s'", config->cgroups_path);
	config->unit = pool_text(&config->pool, "%s", unit.name);
	config->unit_slice = pool_text(&config->pool, "%s", unit.slice);
	config->bundle.cgroup = pool_text(&config->pool, "%s", group);
	return config->unit && config->unit_slice && config->bundle.cgroup
		       ? 0
		       : err_set(err, ENOMEM, "linux.cgroupsPath");
}

/* ---- strata-systemd ---- */

static void scope_free_p(char **text)
{
	free(*text);
}

static int scope_input(const json_t *properties, struct err *err)
{
	AUTO(scope_free_p) char *text = properties ? json_dumps(properties, JSON_COMPACT) : NULL;
	AUTO(fd_close_p) int fd = memfd_create("properties", MFD_CLOEXEC);

	if (properties && !text)
		return err_set(err, ENOMEM, "properties");
	int r = fd < 0 ? -errno : text ? fd_write_all(fd, text, strlen(text)) : 0;
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? err_set(err, -r, "properties") : fd_take(&fd);
}

/* @answer: what it prints; the end of an error of its */
static int scope_run(const char *verb, const struct config *config, const json_t *properties,
		     struct buf *answer, struct err *err)
{
	AUTO(scope_free_p) char *path = NULL;
	AUTO(fd_close_p) int in = scope_input(properties, err);
	AUTO(fd_close_p) int out = -EBADF;
	const char *argv[5];
	size_t n = 0;
	int pipes[2];
	pid_t pid;

	if (in < 0)
		return in;
	int r = self_helper_path("strata-systemd", &path, err);
	if (r < 0)
		return r;
	argv[n++] = path;
	if (config->unit_is_users)
		argv[n++] = "--user";
	argv[n++] = verb;
	argv[n++] = config->unit;
	argv[n] = NULL;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	out = pipes[0];
	r = helper_spawn(argv, (const int[]){ in, pipes[1], pipes[1] }, 3, &pid, err);
	fd_close(pipes[1]);
	if (r < 0)
		return r;
	(void)fd_read_all(out, SCOPE_WORDS_MAX, answer); /* the status says whether it is whole */
	const int status = wait_status(helper_wait(pid));
	if (!buf_str(answer))
		return err_set(err, ENOMEM, "systemd");
	answer->data[strcspn(answer->data, "\n")] = '\0';
	if (status == 0)
		return 0;
	return err_say(err, status == SCOPE_EXISTS ? EEXIST : EIO, "%.300s",
		       answer->data[0] ? answer->data : "systemd: strata-systemd failed");
}

/* ---- <root>/ID/unit ---- */

/* @made: systemd has said that the unit is ours */
static int scope_save(const struct container *container, const struct config *config, bool made,
		      struct err *err)
{
	AUTO(json_decref_p)
	json_t *json = json_pack("{s:s, s:s, s:b, s:s, s:b}", "unit", config->unit, "slice",
				 config->unit_slice, "user", config->unit_is_users, "cgroup",
				 config->bundle.cgroup, "made", made);
	AUTO(scope_free_p) char *text = json ? json_text(json, 0) : NULL;
	int r = text ? file_replace(container->dir, SCOPE_FILE, 0600, text, strlen(text), false)
		     : -ENOMEM;

	return r < 0 ? err_set(err, -r, "write the state of container '%s'", container->id) : 0;
}

void scope_load(const struct container *container, struct config *config)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;

	if (file_read(container->dir, SCOPE_FILE, SCOPE_WORDS_MAX, &text) < 0 ||
	    json_parse(buf_str(&text), text.len, SCOPE_FILE, &json, NULL) < 0)
		return;
	/* Who asked for it was killed: it may be somebody else's. Was it ours, its one process ended, and it with that. */
	if (json_is_false(json_object_get(json, "made")))
		return;
	const char *unit = pool_text(&config->pool, "%s", json_str(json, "unit", ""));
	const char *slice = pool_text(&config->pool, "%s", json_str(json, "slice", ""));
	const char *group = pool_text(&config->pool, "%s", json_str(json, "cgroup", ""));
	if (!unit || !slice || !group || !*unit || !*group)
		return;
	config->unit = unit;
	config->unit_slice = slice;
	config->unit_is_users = json_is_true(json_object_get(json, "user"));
	config->bundle.cgroup = group;
}

/* ---- the scope ---- */

/* Ends with whoever made it, and holds none of his files: his lock is among them. */
static _Noreturn void scope_hold(pid_t parent)
{
	(void)close_range(0, ~0U, 0); /* since Linux 5.9 */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	for (;;)
		(void)pause(); /* returns only for signals */
}

static int scope_holder(struct scope *scope, struct err *err)
{
	const pid_t self = getpid();
	pid_t pid = fork();

	if (pid == 0)
		scope_hold(self);
	if (pid < 0)
		return err_set(err, errno, "start a process for systemd's scope");
	scope->holder = pid;
	return 0;
}

/* "/a.slice/b.scope", as the manager sees it. */
static int scope_group(struct config *config, const char *text, struct err *err)
{
	if (text[0] != '/' || !text[1] || strlen(text) > 255)
		return err_say(err, EPROTO, "systemd: %.60s is in cgroup '%.60s'", config->unit,
			       text);
	config->bundle.cgroup = pool_text(&config->pool, "%s", text + 1);
	return config->bundle.cgroup ? 0 : err_set(err, ENOMEM, "cgroup");
}

int scope_start(const struct container *container, struct config *config, struct scope *ret,
		struct err *err)
{
	AUTO(json_decref_p) json_t *properties = NULL;
	AUTO(buf_fini) struct buf answer = { 0 };

	*ret = (struct scope){ .holder = 0 };
	if (!config->unit)
		return 0;
	int r = scope_save(container, config, false, err);
	if (r == 0)
		r = scope_holder(ret, err);
	if (r < 0)
		return r;
	properties = unit_start_properties(container->id, ret->holder, config, err);
	if (!properties)
		return -EINVAL;
	r = scope_run("start", config, properties, &answer, err);
	if (r == 0)
		r = scope_group(config, answer.data, err);
	return r < 0 ? r : scope_save(container, config, true, err);
}

void scope_settle(struct scope *scope)
{
	if (!scope->holder)
		return;
	(void)kill(scope->holder, SIGKILL); /* ours: there until waited for */
	(void)wait_child(scope->holder);
	scope->holder = 0;
}

/* Whether it has ended systemd sees in the hierarchy that is its own, where there is one: the container is to be in that too. */
void scope_adopt(const struct config *config, struct cgroup_layout *layout)
{
	if (!config->unit)
		return;
	cgroup_layout_use_all(layout);
	for (unsigned i = 0; i < layout->n; i++)
		layout->hierarchies[i].adopt = true;
}

int scope_update(const struct config *config, struct err *err)
{
	AUTO(buf_fini) struct buf answer = { 0 };

	if (!config->unit)
		return 0;
	AUTO(json_decref_p) json_t *properties = unit_limits(&config->bundle, err);
	if (!properties)
		return -ENOMEM;
	return json_array_size(properties) ? scope_run("set", config, properties, &answer, err) : 0;
}

int scope_stop(const struct config *config, struct err *err)
{
	AUTO(buf_fini) struct buf answer = { 0 };

	return config->unit ? scope_run("stop", config, NULL, &answer, err) : 0;
}
