/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/wait.h"

#define CRIU_LOG_MAX ((size_t)64 << 20)

void criu_add(struct criu *criu, const char *word)
{
	if (!word || criu->n == CRIU_ARGS_MAX - 1)
		criu->failed = true;
	else
		criu->args[criu->n++] = word;
}

void criu_addf(struct criu *criu, const char *fmt, ...)
{
	char text[2 * PATH_MAX];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	criu->failed |= n < 0 || (size_t)n >= sizeof(text);
	criu_add(criu, pool_text(criu->pool, "%s", text));
}

static int criu_dir(const char *path, char ret[PATH_MAX], struct err *err)
{
	int r = dir_make(AT_FDCWD, path, 0700);

	if (r < 0)
		return err_set(err, -r, "make %s", path);
	return realpath(path, ret) ? 0 : err_set(err, errno, "%s", path);
}

/* criu knows namespaces that a container has to itself; of the others only the network's by name. */
static int criu_namespaces(const struct config *config, struct err *err)
{
	if (!bundle_namespace_is_new(&config->bundle, CLONE_NEWNS))
		return err_say(err, ENOTSUP,
			       "a container without a mount namespace of its own is not supported "
			       "by checkpoint and restore");
	for (size_t i = 0; i < config->bundle.n_namespaces; i++) {
		const struct bundle_namespace *ns = &config->bundle.namespaces[i];
		if (ns->path && ns->flag != CLONE_NEWNET)
			return err_say(
				err, ENOTSUP,
				"namespace %s: a container that shares it is not supported by "
				"checkpoint and restore",
				ns->path);
		if (ns->flag == CLONE_NEWUSER)
			return err_say(
				err, ENOTSUP,
				"a user namespace is not supported by checkpoint and restore");
	}
	return 0;
}

int criu_begin(const char *action, const struct args *args, const struct config *config,
	       struct pool *pool, struct criu *ret, struct err *err)
{
	static const char *const same[] = { "tcp-established", "ext-unix-sk", "shell-job",
					    "file-locks" };
	const char *images = args_text(args, "image-path", "checkpoint");

	*ret = (struct criu){ .pool = pool };
	int r = geteuid() == 0 ? criu_namespaces(config, err)
			       : err_say(err, EPERM, "%s takes root", action);
	if (r == 0)
		r = criu_check(err);
	if (r == 0)
		r = criu_dir(images, ret->images, err);
	if (r == 0)
		r = criu_dir(args_text(args, "work-path", images), ret->work, err);
	if (r < 0)
		return r;
	ret->log = !strcmp(action, "restore") ? "restore.log" : "dump.log";
	criu_add(ret, "criu");
	criu_add(ret, action);
	criu_add(ret, "--images-dir");
	criu_add(ret, ret->images);
	criu_add(ret, "--work-dir");
	criu_add(ret, ret->work);
	criu_add(ret, "--log-file");
	criu_add(ret, ret->log);
	criu_add(ret, "-v4");
	/* Groups are ours to make; who is restored is born into them. */
	criu_add(ret, "--manage-cgroups=ignore");
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		if (args_on(args, same[i]))
			criu_addf(ret, "--%s", same[i]);
	}
	return 0;
}

static void criu_mount(struct criu *criu, const char *inside, const char *key, size_t i,
		       const char *outside, bool restore)
{
	criu_add(criu, "--external");
	if (restore)
		criu_addf(criu, "mnt[%s%zu]:%s", key, i, outside);
	else
		criu_addf(criu, "mnt[%s]:%s%zu", inside, key, i);
}

/* A masked file is covered by the null device, a directory by a file system of its own, which criu makes again. */
static bool criu_is_masked_file(pid_t pid, const char *path)
{
	char full[PATH_MAX];
	struct stat st;

	int n = snprintf(full, sizeof(full), "/proc/%d/root%s", (int)pid, path);
	return n > 0 && (size_t)n < sizeof(full) && lstat(full, &st) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(1, 3);
}

void criu_mounts(struct criu *criu, const struct bundle *bundle, pid_t pid)
{
	const bool restore = pid == 0;

	for (size_t i = 0; i < bundle->n_mounts; i++) {
		const struct bundle_mount *mount = &bundle->mounts[i];
		if (!mount->type)
			criu_mount(criu, mount->target, "bind", i, mount->source, restore);
	}
	for (size_t i = 0; i < bundle->n_masked; i++) {
		if (restore || criu_is_masked_file(pid, bundle->masked[i]))
			criu_mount(criu, bundle->masked[i], "masked", i, "/dev/null", restore);
	}
}

int criu_check(struct err *err)
{
	static const char *const args[] = { "criu", "check", NULL };
	pid_t pid = fork();

	if (pid < 0)
		return err_set(err, errno, "start criu");
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		(void)execvp(args[0], (char *const *)(uintptr_t)args); /* returns on error */
		_exit(127);
	}
	int status = wait_child(pid);
	if (status == 127)
		return err_say(err, ENOENT,
			       "checkpoint and restore take the program criu: it is not installed");
	return status ? err_say(err, ENOTSUP,
				"criu does not work on this kernel ('criu check' says why; Linux 6.13 "
				"and later take criu 4.1 or later)")
		      : 0;
}

void criu_error(const char *log, char ret[256])
{
	ret[0] = '\0';
	for (const char *line = log; *line;) {
		const char *end = line + strcspn(line, "\n");
		const char *at = strstr(line, "Error (");
		const char *noise = strstr(line, "rlimit:"); /* it goes on without more fds */
		if (at && at < end && !(noise && noise < end)) {
			(void)snprintf(ret, 256, "%.*s", (int)(end - at > 255 ? 255 : end - at),
				       at); /* cut is fine */
			return;
		}
		line = end + (*end == '\n');
	}
}

static int criu_failed(const struct criu *criu, int status, struct err *err)
{
	AUTO(buf_fini) struct buf log = { 0 };
	char path[PATH_MAX + 16], first[256] = "";

	(void)snprintf(path, sizeof(path), "%s/%s", criu->work, criu->log); /* fits */
	if (file_read(AT_FDCWD, path, CRIU_LOG_MAX, &log) == 0)
		criu_error(buf_str(&log), first);
	return err_say(err, EIO, "criu failed with status %d%s%s; see %s", status,
		       first[0] ? ": " : "", first, path);
}

int criu_run(const struct criu *criu, int (*before)(void *arg, struct err *err), void *arg,
	     struct err *err)
{
	if (criu->failed)
		return err_say(err, E2BIG, "criu: more words than a command may have");
	pid_t pid = fork();
	if (pid < 0)
		return err_set(err, errno, "start criu");
	if (pid == 0) {
		struct err own = { 0 };
		sigset_t none;
		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail: valid arguments */
		if (before && before(arg, &own) < 0) {
			(void)dprintf(2, "error: %s\n", own.text); /* nowhere else to say it */
			_exit(125);
		}
		(void)execvp(criu->args[0],
			     (char *const *)(uintptr_t)criu->args); /* returns on error */
		_exit(127);
	}
	int status = wait_child(pid);
	return status == 0 ? 0 : criu_failed(criu, status, err);
}
