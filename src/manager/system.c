/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/idspace.h"
#include "base/os/json.h"
#include "engines/sysinit.h"
#include "storage/ext4.h"

static int system_check(const json_t *config, struct err *err)
{
	const char *userns = json_str(config, "userns", "auto");

	if (json_bool(config, "init", false))
		return err_say(
			err, EINVAL,
			"--init and --system exclude each other: the image's own init is process 1");
	if (json_str(config, "user", "")[0])
		return err_say(
			err, EINVAL,
			"--user and --system exclude each other: an init runs as root; log in, or use "
			"'strata exec --user'");
	if (!strcmp(userns, "host") && !json_bool(config, "privileged", false))
		return err_say(
			err, EINVAL,
			"--system --userns host makes its root the host's: add --privileged if "
			"that is meant");
	return 0;
}

/* What the user says; else the image's command, where that is an init; else whatever init the image has. */
static json_t *system_args(const json_t *config, const json_t *image)
{
	json_t *args = json_array();
	const json_t *of[] = { json_object_get(config, "entrypoint"),
			       json_object_get(config, "args") };

	for (size_t i = 0; i < ARRAY_SIZE(of); i++)
		(void)json_array_extend(args, (json_t *)(uintptr_t)of[i]); /* NULL: nothing */
	if (json_array_size(args))
		return args;
	(void)json_array_extend(args, json_object_get(image, "Entrypoint"));
	(void)json_array_extend(args, json_object_get(image, "Cmd"));
	const char *first = json_string_value(json_array_get(args, 0));
	if (first && sysinit_named(first))
		return args;
	(void)json_array_clear(args);
	(void)json_array_append_new(args, json_string("init"));
	return args;
}

/* By these an init knows that it is in a container, and who it is: systemd.io, "Container Interface". */
static int system_env(json_t *spec, const char *id)
{
	json_t *env = json_object_get(spec, "env");
	int r = json_array_append_new(env, json_string("container=strata"));

	return r |
	       json_array_append_new(env, json_sprintf("container_uuid=%.8s-%.4s-%.4s-%.4s-%.12s",
						       id, id + 8, id + 12, id + 16, id + 20));
}

int system_ask(json_t *spec, const json_t *config, const json_t *image, const char *id,
	       struct err *err)
{
	const bool mapped =
		json_object_get(config, "uid_map") || json_object_get(config, "gid_map");
	int r = system_check(config, err);

	if (r < 0)
		return r;
	r |= json_object_set_new(spec, "args", system_args(config, image));
	r |= system_env(spec, id);
	r |= json_object_set_new(spec, "tty", json_true());
	r |= json_object_set_new(spec, "stdin_open", json_true());
	r |= json_object_set_new(spec, "user", json_string(""));
	r |= json_object_set_new(spec, "cwd", json_string("/"));
	if (!json_object_get(config, "no_new_privileges")) /* su, sudo */
		r |= json_object_set_new(spec, "no_new_privileges", json_false());
	if (!json_object_get(config, "stop_signal") && !json_str(image, "StopSignal", "")[0])
		r |= json_object_set_new(spec, "stop_signal", json_integer(0));
	if (!json_object_get(config, "stop_timeout_ms"))
		r |= json_object_set_new(spec, "stop_timeout_ms", json_integer(SYSTEM_STOP_MS));
	if (!mapped && !json_object_get(config, "userns") &&
	    !json_bool(config, "privileged", false) && ids_here() == IDS_HOST)
		r |= json_object_set_new(spec, "userns", json_string("auto"));
	return r ? err_set(err, ENOMEM, "new instance") : 0;
}

int system_root(const json_t *spec, const char *state_dir, struct err *err)
{
	const int64_t bytes = json_int(spec, "root_bytes", 0);
	char path[4096];

	if (!bytes)
		return 0;
	int n = snprintf(path, sizeof(path), "%s/root.ext4", state_dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "state directory %s", state_dir);
	AUTO(fd_close_p) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "make %s", path);
	if (st.st_size < bytes && ftruncate(fd, bytes) < 0)
		return err_set(err, errno, "make %s", path);
	return ext4_ensure(path, false, err);
}
