/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "oci/criu.h"
#include "oci/oci.h"
#include "oci/scope.h"

static const struct opt restore_opts[] = {
	{ 'b', OPT_TEXT, "bundle", "DIR", "the bundle (.)" },
	{ 'd', OPT_SWITCH, "detach", NULL, "do not stay with it" },
	{ 0, OPT_TEXT, "pid-file", "PATH", "where to write the process's number" },
	CRIU_OPTS,
	{ 0 },
};

struct restoring {
	struct subject subject;
	struct cgroup cgroup;
	struct criu criu;
	struct scope scope;
	char root[PATH_MAX + 16]; /* where its root is mounted, for criu alone */
	bool is_made, has_cgroup;
};

static void restoring_fini(struct restoring *restoring)
{
	if (restoring->has_cgroup)
		cgroup_close(&restoring->cgroup);
	oci_close(&restoring->subject);
}

/* The child that becomes criu, and whose children are the container: in its groups, and with its root as a mount. */
static int restore_before(void *arg, struct err *err)
{
	const struct restoring *restoring = arg;
	const struct bundle *bundle = &restoring->subject.config.bundle;
	int r = cgroup_attach(&restoring->cgroup, 0, false, err);

	if (r < 0)
		return r;
	if (bundle_namespace_of(bundle, CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return err_set(err, errno, "cgroup namespace");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(bundle->root, restoring->root, NULL, MS_BIND | MS_REC, NULL) < 0)
		return err_set(err, errno, "mount the root file system %s", bundle->root);
	return 0;
}

/* What was a pipe is ours now. */
static void restore_streams(struct criu *criu)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *list = NULL;
	char path[PATH_MAX + 24];

	(void)snprintf(path, sizeof(path), "%s/descriptors.json", criu->images); /* fits */
	if (file_read(AT_FDCWD, path, 65536, &text) < 0)
		return;
	list = json_loads(buf_str(&text), 0, NULL);
	for (size_t i = 0; i < 3; i++) {
		const char *to = json_string_value(json_array_get(list, i));
		if (!to || strncmp(to, "pipe:[", 6) != 0)
			continue;
		criu_add(criu, "--inherit-fd");
		criu_addf(criu, "fd[%zu]:%.60s", i, to);
	}
}

static int restore_network(struct criu *criu, const struct bundle *bundle, struct err *err)
{
	const struct bundle_namespace *net = bundle_namespace_of(bundle, CLONE_NEWNET);

	if (!net || !net->path)
		return 0;
	int fd = open(net->path, O_RDONLY); /* criu's too */
	if (fd < 0)
		return err_set(err, errno, "namespace %s", net->path);
	criu_add(criu, "--inherit-fd");
	criu_addf(criu, "fd[%d]:extRootNetNS", fd);
	return 0;
}

static int restore_command(const struct args *args, struct restoring *restoring, struct err *err)
{
	struct subject *subject = &restoring->subject;
	struct criu *criu = &restoring->criu;
	int r = criu_begin("restore", args, &subject->config, &subject->config.pool, criu, err);

	if (r < 0)
		return r;
	criu_add(criu, "--root");
	criu_add(criu, restoring->root);
	criu_add(criu, "--restore-detached");
	criu_add(criu, "--restore-sibling");
	criu_add(criu, "--pidfile");
	criu_addf(criu, "%s/restored.pid", criu->work);
	criu_mounts(criu, &subject->config.bundle, 0);
	restore_streams(criu);
	return restore_network(criu, &subject->config.bundle, err);
}

/* The bundle, a directory of its own, and groups without limits as yet. */
static int restore_begin(const struct oci *oci, const struct args *args,
			 struct restoring *restoring, struct err *err)
{
	struct subject *subject = &restoring->subject;
	struct container *container = &subject->container;
	const char *dir = args_text(args, "bundle", "."), *id = args->argv[0];
	AUTO(buf_fini) struct buf text = { 0 };
	char path[PATH_MAX + 16], bundle[PATH_MAX];

	if (!realpath(dir, bundle))
		return err_set(err, errno, "--bundle %s", dir);
	(void)snprintf(path, sizeof(path), "%s/config.json", bundle); /* fits */
	int r = file_read(AT_FDCWD, path, CONFIG_BYTES_MAX, &text);
	if (r < 0)
		return err_set(err, -r, "read %s", path);
	r = config_parse(buf_str(&text), text.len, bundle, id, &subject->config, err);
	if (r == 0)
		r = scope_choose(oci, id, &subject->config, err);
	if (r == 0)
		r = container_make(oci->root, id, container, err);
	if (r < 0)
		return r;
	restoring->is_made = true;
	(void)snprintf(container->bundle, sizeof(container->bundle), "%s", bundle); /* fits */
	(void)snprintf(container->version, sizeof(container->version), "%.20s",
		       subject->config.version); /* fits */
	r = container_keep_config(container, buf_str(&text), text.len, err);
	(void)snprintf(restoring->root, sizeof(restoring->root), "%s/%s/root", oci->root,
		       container->id); /* cut: mkdir fails */
	if (r == 0 && mkdir(restoring->root, 0700) < 0)
		r = err_set(err, errno, "make %s", restoring->root);
	if (r == 0)
		r = oci_layout(subject, err);
	if (r == 0)
		r = scope_start(container, &subject->config, &restoring->scope, err);
	if (r < 0)
		return r;
	scope_adopt(&subject->config, &subject->layout);
	subject->layout.also = cgroup_settings_need(subject->config.bundle.settings,
						    subject->config.bundle.n_settings);
	r = cgroup_prepare(&subject->layout, subject->config.bundle.cgroup,
			   &subject->config.bundle.limits, false, &restoring->cgroup, err);
	restoring->has_cgroup = r == 0;
	if (r == 0 && !cgroup_is_none(&restoring->cgroup))
		r = container_own_cgroup(container, err);
	return r;
}

static int restore_pid(const struct criu *criu, pid_t *ret, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	char path[PATH_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/restored.pid", criu->work); /* fits */
	int r = file_read(AT_FDCWD, path, 64, &text);
	*ret = r < 0 ? 0 : (pid_t)strtol(buf_str(&text), NULL, 10);
	(void)unlink(path); /* of this restore alone */
	return *ret > 0 ? 0 : err_say(err, EPROTO, "criu did not say what it restored");
}

static int restore_do(const struct args *args, struct restoring *restoring, struct err *err)
{
	struct subject *subject = &restoring->subject;
	const struct bundle *bundle = &subject->config.bundle;
	int r = restore_command(args, restoring, err);

	if (r == 0)
		r = criu_run(&restoring->criu, restore_before, restoring, err);
	if (r == 0)
		r = restore_pid(&restoring->criu, &subject->container.pid, err);
	/* Before it was there these would have been criu's. */
	if (r == 0)
		r = cgroup_restrict_rules(&restoring->cgroup, &bundle->limits, bundle->rules,
					  bundle->n_rules, bundle->all_devices, err);
	if (r == 0)
		r = cgroup_settings_set(&restoring->cgroup, bundle->settings, bundle->n_settings,
					err);
	if (r == 0)
		r = container_save(&subject->container, err);
	return r < 0 ? r : oci_pid_file(args, subject->container.pid, err);
}

static int restore(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(restoring_fini)
	struct restoring restoring = { .subject = { .container.dir = -EBADF } };
	const bool detach = args_on(args, "detach");

	if (!detach)
		foreground_begin();
	int r = restore_begin(oci, args, &restoring, err);
	if (r == 0)
		r = restore_do(args, &restoring, err);
	scope_settle(&restoring.scope);
	oci_spare_cgroup(&restoring.subject, r);
	if (r < 0 && restoring.is_made)
		(void)oci_destroy(oci, &restoring.subject, NULL); /* the first error counts */
	if (r < 0 || detach)
		return r;
	container_unlock(&restoring.subject.container);
	r = foreground_wait(restoring.subject.container.pid, -EBADF, err);
	int gone = oci_destroy_later(oci, &restoring.subject, r < 0 ? NULL : err);
	return r < 0 || gone == 0 ? r : gone;
}

const struct verb oci_verb_restore = {
	.name = "restore",
	.operands = "ID",
	.summary = "make a container from what checkpoint wrote, by criu",
	.opts = restore_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = restore,
};
