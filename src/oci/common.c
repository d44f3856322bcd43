/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "engines/seccomp/seccomp.h"
#include "oci/notify.h"
#include "oci/oci.h"

#define PRESERVE_MAX (BUNDLE_FDS_MAX / 2)

int oci_preserve_fds(const struct args *args, struct bundle_host *ret, struct err *err)
{
	const char *listen_fds = getenv("LISTEN_FDS");
	int64_t n = 0, more = 0;
	int r = args_int(args_text(args, "preserve-fds", "0"), "--preserve-fds", 0, PRESERVE_MAX,
			 &n, err);

	if (r == 0 && listen_fds)
		r = args_int(listen_fds, "LISTEN_FDS", 0, PRESERVE_MAX, &more, err);
	ret->preserve_fds = (unsigned)(n + more);
	ret->listen_fds = (unsigned)more;
	return r;
}

int oci_console(const struct args *args, int *ret, struct err *err)
{
	const char *path = args_text(args, "console-socket", NULL);

	*ret = -EBADF;
	if (!path)
		return 0;
	int fd = unix_connect(path);
	if (fd < 0)
		return err_set(err, -fd, "--console-socket %s", path);
	*ret = fd;
	return 0;
}

int oci_pid_file(const struct args *args, pid_t pid, struct err *err)
{
	const char *path = args_text(args, "pid-file", NULL);
	char text[16];

	if (!path)
		return 0;
	int n = snprintf(text, sizeof(text), "%d", (int)pid); /* fits */
	int r = file_replace(AT_FDCWD, path, 0644, text, (size_t)n, false);
	return r < 0 ? err_set(err, -r, "--pid-file %s", path) : 0;
}

/* Compiling takes milliseconds: <root>/.cache keeps what came of it, whichever container asks. */
int oci_seccomp(const struct oci *oci, const struct config *config, int *ret, struct err *err)
{
	char path[PATH_MAX];

	*ret = -EBADF;
	if (!config->seccomp)
		return 0;
	int n = snprintf(path, sizeof(path), "%s/.cache", oci->root);
	int r = n < 0 || (size_t)n >= sizeof(path) ? -ENAMETOOLONG : dir_make(AT_FDCWD, path, 0700);
	AUTO(fd_close_p) int dir = r < 0 ? r : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set(err, r < 0 ? -r : errno, "make %s", path);
	/* The profile alone: who listens to it is not the filter's. */
	AUTO(json_decref_p) json_t *profile = json_copy((json_t *)(uintptr_t)config->seccomp);
	(void)json_object_del(profile, "flags"); /* those that are not there are not */
	(void)json_object_del(profile, "listenerPath");
	(void)json_object_del(profile, "listenerMetadata");
	char *text = profile ? json_dumps(profile, JSON_COMPACT) : NULL;
	int fd = text ? seccomp_filter_fd(dir, text, strlen(text), err)
		      : err_set(err, ENOMEM, "seccomp profile");
	free(text);
	if (fd < 0)
		return err_wrap(err, "linux.seccomp");
	*ret = fd;
	return 0;
}

void oci_notify(const struct subject *subject, struct notify *notify, struct bundle_host *host)
{
	*notify = (struct notify){ &subject->container, &subject->config };
	host->seccomp_flags = subject->config.seccomp_flags;
	host->notifies = subject->config.notifies;
	if (host->notifies)
		host->notify = (struct bundle_notify){ notify_send, notify };
}

int oci_cgroup(const struct config *config, struct cgroup_layout *layout, struct cgroup *ret,
	       struct err *err)
{
	int r = bundle_layout(layout, err);

	if (r == 0)
		r = cgroup_open(layout, config->bundle.cgroup, ret, err);
	return r == -ENOENT
		       ? err_say(err, ENOENT,
				 "it has no cgroup, which this takes: its user could have none")
		       : r;
}

/* Without it there is no knowing: the cgroup is the default one then, and there are no hooks. */
static int subject_config(struct subject *subject, struct err *err)
{
	struct config *config = &subject->config;
	int r = container_config(&subject->container, config, err);

	if (r == 0)
		return 0;
	config_fini(config);
	*config = (struct config){ .json = NULL };
	config->bundle.cgroup = config_default_cgroup(&config->pool, subject->container.id);
	return -EBADMSG;
}

int oci_open(const struct oci *oci, const char *id, struct subject *ret, struct err *err)
{
	*ret = (struct subject){ .container.dir = -EBADF };
	int r = container_open(oci->root, id, &ret->container, err);

	if (r < 0)
		return r;
	/* Of one that was cut short while it was made there may be nothing to read: it can still be deleted. */
	r = subject_config(ret, ret->container.pid ? err : NULL);
	if (r < 0 && ret->container.pid) {
		oci_close(ret);
		return r;
	}
	ret->status = container_status_of(&ret->container, &ret->config.bundle);
	return 0;
}

int oci_open_damaged(const struct oci *oci, const char *id, struct subject *ret, struct err *err)
{
	*ret = (struct subject){ .container.dir = -EBADF };
	int r = container_open_damaged(oci->root, id, &ret->container, err);

	if (r < 0)
		return r;
	(void)subject_config(ret, NULL); /* whatever it holds */
	ret->status = container_status_of(&ret->container, NULL);
	return 0;
}

void oci_close(struct subject *subject)
{
	config_fini(&subject->config);
	container_close(&subject->container);
}

/* Where the hierarchies are costs a read of all mounts: once a command. */
int oci_layout(struct subject *subject, struct err *err)
{
	int r = subject->has_layout ? 0 : bundle_layout(&subject->layout, err);

	subject->has_layout = r == 0;
	return r;
}

static bool oci_has_cgroup(const struct subject *subject)
{
	const struct cgroup_layout *layout = &subject->layout;
	char path[PATH_MAX];

	for (unsigned i = 0; i < layout->n; i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", layout->hierarchies[i].mount,
				 subject->config.bundle.cgroup);
		if (n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0)
			return true;
	}
	return false;
}

int oci_destroy(const struct oci *oci, struct subject *subject, struct err *err)
{
	struct hooks hooks;
	struct err warning = { 0 };
	int r = 0;

	if (subject->config.bundle.cgroup) {
		r = oci_layout(subject, err);
		if (r == 0 && !oci_has_cgroup(subject))
			r = oci_kill_all(subject, SIGKILL, err);
		if (r == 0)
			r = cgroup_destroy(&subject->layout, subject->config.bundle.cgroup, err);
	}
	if (r == 0)
		r = container_forget(oci->root, &subject->container, err);
	if (r < 0 || !subject->config.hooks[HOOK_POSTSTOP].n)
		return r;
	if (hooks_open(&subject->container, &subject->config, &hooks, &warning) < 0 ||
	    hooks_run(&hooks, HOOK_POSTSTOP, CONTAINER_STOPPED, 0, &warning) < 0)
		oci_say(oci, "warning", warning.text);
	hooks_close(&hooks);
	return 0;
}
