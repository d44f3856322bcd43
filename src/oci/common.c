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
#include "oci/scope.h"

#define PRESERVE_MAX (BUNDLE_FDS_MAX / 2)

/* Of an environment that says them to be another process's, fd 3 may be anything: sd_listen_fds(3). */
static const char *listen_fds_of_ours(void)
{
	const char *pid = getenv("LISTEN_PID");
	char own[16];

	(void)snprintf(own, sizeof(own), "%d", (int)getpid()); /* fits */
	return pid && strcmp(pid, own) != 0 ? NULL : getenv("LISTEN_FDS");
}

int oci_preserve_fds(const struct args *args, struct bundle_host *ret, struct err *err)
{
	const char *listen_fds = listen_fds_of_ours();
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

int oci_pidfd(const struct args *args, pid_t pid, struct err *err)
{
	const struct iovec name = { .iov_base = (char[]){ "pidfd" }, .iov_len = 5 };
	const char *path = args_text(args, "pidfd-socket", NULL);

	if (!path)
		return 0;
	AUTO(fd_close_p) int socket = unix_connect(path);
	AUTO(fd_close_p) int pidfd = socket < 0 ? socket : pidfd_of(pid);
	int r = pidfd < 0 ? pidfd : fd_send(socket, &name, 1, pidfd);
	return r < 0 ? err_set(err, -r, "--pidfd-socket %s", path) : 0;
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
	/* Others' filters would be as good as none. */
	r = container_check_owner(dir, path, err);
	if (r < 0)
		return r;
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

int oci_cgroup(const struct subject *subject, struct cgroup_layout *layout, struct cgroup *ret,
	       struct err *err)
{
	int r = subject->spares_cgroup ? -ENOENT : bundle_layout(layout, err);

	if (r == 0)
		r = cgroup_open(layout, subject->config.bundle.cgroup, ret, err);
	return r == -ENOENT
		       ? err_say(err, ENOENT,
				 "it has no cgroup, which this takes: its user could have none")
		       : r;
}

/* systemd's scope is the container's from when systemd says so: before there is a group to be seen. */
void oci_spare_cgroup(struct subject *subject, int error)
{
	subject->spares_cgroup =
		!subject->container.has_cgroup && (error == -EEXIST || !subject->config.unit);
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
	scope_load(&subject->container, config);
	return -EBADMSG;
}

/* Of one that was cut short while it was made there may be nothing to read: it can still be deleted. */
static int subject_read(struct subject *subject, bool damaged, struct err *err)
{
	const bool must = subject->container.pid && !damaged;
	int r = subject_config(subject, must ? err : NULL);

	if (r < 0 && must) {
		oci_close(subject);
		return r;
	}
	oci_spare_cgroup(subject, 0);
	subject->status =
		container_status_of(&subject->container, damaged ? NULL : &subject->config.bundle);
	return 0;
}

int oci_open(const struct oci *oci, const char *id, struct subject *ret, struct err *err)
{
	*ret = (struct subject){ .container.dir = -EBADF };
	int r = container_open(oci->root, id, &ret->container, err);

	return r < 0 ? r : subject_read(ret, false, err);
}

int oci_open_damaged(const struct oci *oci, const char *id, struct subject *ret, struct err *err)
{
	*ret = (struct subject){ .container.dir = -EBADF };
	int r = container_open_damaged(oci->root, id, &ret->container, err);

	return r < 0 ? r : subject_read(ret, true, err);
}

int oci_open_locked(const struct oci *oci, const char *id, bool damaged, struct subject *ret,
		    struct err *err)
{
	*ret = (struct subject){ .container.dir = -EBADF };
	int r = container_open_locked(oci->root, id, damaged, &ret->container, err);

	return r < 0 ? r : subject_read(ret, damaged, err);
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

/* Groups that are not known to be its own: those which it was killed over while it made them hold nobody. */
static int destroy_groups(struct subject *subject, struct err *err)
{
	const char *path = subject->config.bundle.cgroup;
	int r = path ? oci_layout(subject, err) : 0;

	if (r < 0 || !path)
		return r;
	if (subject->spares_cgroup || !oci_has_cgroup(subject))
		r = oci_kill_all(subject, SIGKILL, err);
	if (r == 0 && subject->spares_cgroup)
		cgroup_remove_empty(&subject->layout, path);
	else if (r == 0)
		r = cgroup_destroy(&subject->layout, path, err);
	return r;
}

int oci_destroy(const struct oci *oci, struct subject *subject, struct err *err)
{
	struct hooks hooks;
	struct err warning = { 0 };
	int r = destroy_groups(subject, err);

	/* A scope that nobody is in ends by itself: what systemd says here is no reason to keep the rest. */
	if (r == 0 && !subject->spares_cgroup && scope_stop(&subject->config, &warning) < 0 && err)
		oci_say(oci, "warning", warning.text);
	if (r == 0)
		r = container_clear_place(&subject->container, err);
	if (r == 0)
		r = container_forget(oci->root, &subject->container, err);
	if (r < 0 || !subject->config.hooks[HOOK_POSTSTOP].n)
		return r;
	if (hooks_open(&subject->container, &subject->config, NULL, &hooks, &warning) < 0 ||
	    hooks_run(&hooks, HOOK_POSTSTOP, CONTAINER_STOPPED, 0, &warning) < 0)
		oci_say(oci, "warning", warning.text);
	hooks_close(&hooks);
	return 0;
}

int oci_destroy_later(const struct oci *oci, struct subject *subject, struct err *err)
{
	struct err gone = { 0 };
	int r = container_lock(&subject->container, &gone);

	if (r == 0)
		return oci_destroy(oci, subject, err);
	if (r != -ENOENT && err)
		*err = gone;
	return r == -ENOENT ? 0 : r;
}
