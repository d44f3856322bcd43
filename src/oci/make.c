/* SPDX-License-Identifier: Apache-2.0 */
/* Making a container: create, and the first half of run. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/wait.h"
#include "engines/oslevel/label.h"
#include "oci/oci.h"
#include "oci/rootless.h"
#include "oci/scope.h"
#include "oci/vm.h"

static int make_grouped(void *arg, struct err *err)
{
	return container_own_cgroup(&((struct making *)arg)->subject.container, err);
}

static int make_known(struct making *making, pid_t pid, struct err *err)
{
	making->subject.container.pid = pid;
	int r = container_save(&making->subject.container, err);
	if (r == 0)
		r = oci_pid_file(making->args, pid, err);
	return r < 0 ? r : oci_pidfd(making->args, pid, err);
}

/* Known before it runs: whoever looks meanwhile finds it, and that it still has the host's root. */
static int make_born(void *arg, pid_t pid, struct err *err)
{
	struct making *making = arg;
	int r = container_finish(&making->subject.container, false, err);

	return r < 0 ? r : make_known(making, pid, err);
}

static int make_before(void *arg, pid_t pid, struct err *err)
{
	const struct hooks *hooks = &((struct making *)arg)->hooks;
	/* To a hook of the old kind it has been created: config.md, "Prestart", which were called by start once. */
	int r = hooks_run(hooks, HOOK_PRESTART, CONTAINER_CREATED, pid, err);

	return r < 0 ? r : hooks_run(hooks, HOOK_CREATE_RUNTIME, CONTAINER_CREATING, pid, err);
}

static int make_entering(void *arg, pid_t pid, struct err *err)
{
	return hooks_run(&((struct making *)arg)->hooks, HOOK_CREATE_CONTAINER, CONTAINER_CREATING,
			 pid, err);
}

static int make_starting(void *arg, pid_t pid, struct err *err)
{
	return hooks_run(&((struct making *)arg)->hooks, HOOK_START_CONTAINER, CONTAINER_CREATED,
			 pid, err);
}

/* The configuration as text, for it is kept as it is; the bundle's directory, absolute. */
static int make_read(const struct args *args, struct container *container, struct buf *text,
		     struct err *err)
{
	const char *dir = args_text(args, "bundle", ".");
	const char *path = args_text(args, "config", NULL);
	char own[PATH_MAX + 16];

	if (!realpath(dir, container->bundle))
		return err_set(err, errno, "--bundle %s", dir);
	(void)snprintf(own, sizeof(own), "%s/config.json", container->bundle); /* fits */
	const bool is_given = path != NULL;
	path = path ? path : own;
	int r = file_read(AT_FDCWD, path, CONFIG_BYTES_MAX, text);
	if (r == -ENOENT && !is_given)
		return err_say(err, ENOENT,
			       "read %s: No such file or directory (is that a bundle? 'strata-oci "
			       "spec' writes a config.json)",
			       path);
	return r < 0 ? err_set(err, -r, "read %s", path) : 0;
}

/*
 * Of what is left out, one line each. A mount's label says what a policy lets others do with its files: no SELinux, no policy, and
 * nothing that would be less confined. A process's label is not left out: label_check().
 */
static void make_leave_out(const struct oci *oci, struct config *config)
{
	char text[160];

	if (config->warnings) {
		(void)snprintf(text, sizeof(text), "%u capabilities are not known and left out",
			       config->warnings); /* fits */
		oci_say(oci, "warning", text);
	}
	if (config->bundle.mount_label && !label_has_selinux()) {
		(void)snprintf(
			text, sizeof(text),
			"linux.mountLabel %.60s is left out: this kernel does not run SELinux",
			config->bundle.mount_label); /* fits */
		oci_say(oci, "warning", text);
		config_unlabel(&config->bundle);
	}
}

/* Of a terminal that nobody else takes the master side comes to us. */
static int make_console(const struct args *args, enum make_for how, struct making *making,
			struct err *err)
{
	struct bundle_process *process = &making->subject.config.bundle.process;
	const bool tty = process->tty;
	int pair[2];
	int r = oci_console(args, &making->host.console, err);

	if (r < 0)
		return r;
	if (!tty && making->host.console >= 0)
		return err_say(err, EINVAL, "--console-socket: process.terminal is false");
	if (!tty || making->host.console >= 0)
		return 0;
	if (how != MAKE_FOR_STAYING)
		return err_say(err, EINVAL, "process.terminal: it takes a --console-socket");
	r = foreground_console(pair, &process->tty_size, err);
	if (r < 0)
		return r;
	making->console = pair[0];
	making->host.console = pair[1];
	return 0;
}

static int make_host(const struct oci *oci, const struct args *args, enum make_for how,
		     struct making *making, struct err *err)
{
	struct bundle_host *host = &making->host;
	const struct config *config = &making->subject.config;
	int r = oci_preserve_fds(args, host, err);

	if (r == 0)
		r = make_console(args, how, making, err);
	if (r < 0)
		return r;
	host->confined = oci->confined;
	oci_notify(&making->subject, &making->notify, host);
	host->no_pivot = args_on(args, "no-pivot");
	host->keep_keyring = args_on(args, "no-new-keyring");
	if (oci->no_cgroups) {
		/* As on a host that has none: a limit is an error, and devices are nobody's to rule. */
		making->subject.layout = (struct cgroup_layout){ .v2 = -1 };
		making->subject.has_layout = true;
		making->subject.config.bundle.all_devices = true;
	}
	r = oci_layout(&making->subject, err);
	host->layout = &making->subject.layout;
	if (r == 0)
		r = oci_seccomp(oci, config, &host->seccomp, err);
	if (r == 0)
		r = hooks_open(&making->subject.container, config, host, &making->hooks, err);
	host->arg = making;
	host->grouped = make_grouped;
	if (how != MAKE_FOR_OTHERS)
		host->born = make_born;
	if (config->hooks[HOOK_PRESTART].n || config->hooks[HOOK_CREATE_RUNTIME].n)
		host->made = make_before;
	if (config->hooks[HOOK_CREATE_CONTAINER].n)
		host->entering = make_entering;
	if (config->hooks[HOOK_START_CONTAINER].n)
		host->starting = make_starting;
	return r;
}

/* A container, unless somebody asks for a virtual machine: vm.h. */
static int make_virt(const struct oci *oci, struct making *making, struct err *err)
{
	struct container *container = &making->subject.container;
	const char *virt;
	int r = vm_choose(oci->called, &making->subject.config, &virt, err);

	if (r < 0 || !virt)
		return r;
	if (oci->confined)
		return err_say(
			err, EPERM,
			"%s: it takes root through this runtime; an ordinary user has 'strata run "
			"--virt %s'",
			virt, virt);
	(void)snprintf(container->virt, sizeof(container->virt), "%s", virt); /* fits */
	r = vm_sharing(&making->subject.config, &making->sharing, err);
	return r < 0 ? r : vm_check(&making->subject.config, &making->host, &making->sharing, err);
}

/* Its directory first: two makers of one name, and one is told. */
static int make_begin(const struct oci *oci, const struct args *args, enum make_for how,
		      struct making *making, struct err *err)
{
	struct subject *subject = &making->subject;
	struct container *container = &subject->container;
	const char *id = args->argv[0];
	AUTO(buf_fini) struct buf text = { 0 };
	struct container place;

	int r = make_read(args, container, &text, err);
	if (r == 0)
		r = config_parse(buf_str(&text), text.len, container->bundle, id, &subject->config,
				 err);
	if (r == 0 && !subject->config.has_process && how != MAKE_FOR_OTHERS)
		r = err_say(err, EINVAL, "config.json: process is missing: what is it to run?");
	if (r == 0 && oci->entered)
		r = rootless_translate(&subject->config, err);
	if (r == 0)
		r = scope_choose(oci, id, &subject->config, err);
	if (r == 0)
		r = make_host(oci, args, how, making, err);
	if (r == 0)
		r = make_virt(oci, making, err);
	if (r < 0)
		return r;
	make_leave_out(oci, &subject->config);
	r = container_make(oci->root, id, &place, err);
	if (r < 0) {
		container_close(&place);
		return r;
	}
	making->is_made = true;
	container->dir = making->host.lock = place.dir;
	memcpy(container->id, place.id, sizeof(container->id));
	(void)snprintf(container->version, sizeof(container->version), "%.20s",
		       subject->config.version); /* fits */
	r = container_keep_config(container, buf_str(&text), text.len, err);
	if (r == 0 && !bundle_namespace_is_new(&subject->config.bundle, CLONE_NEWNS)) {
		r = container_place(container, oci->root, making->place, err);
		making->host.place = making->place;
	}
	if (r == 0 && how == MAKE_FOR_OTHERS)
		r = making->host.listener = container_listen(container, err);
	if (r >= 0)
		r = scope_start(container, &subject->config, &making->scope, err);
	scope_adopt(&subject->config, &subject->layout);
	return r < 0 ? r : 0;
}

/* What failed half-way goes; its poststop hooks run as its others may have. */
static void make_undo(const struct oci *oci, struct making *making)
{
	if (making->pid > 0) {
		(void)kill(making->pid, SIGKILL); /* ours: there until waited for */
		(void)wait_child(making->pid);
	}
	if (making->is_made)
		(void)oci_destroy(oci, &making->subject,
				  NULL); /* the first error is the one to tell */
}

int oci_make(const struct oci *oci, const struct args *args, enum make_for how, struct making *ret,
	     struct err *err)
{
	*ret = (struct making){
		.subject = { .container.dir = -EBADF },
		.hooks = { .null = -EBADF },
		.host = { .seccomp = -EBADF,
			  .console = -EBADF,
			  .listener = -EBADF,
			  .lock = -EBADF },
		.console = -EBADF,
		.args = args,
	};
	int r = make_begin(oci, args, how, ret, err);

	if (r == 0 && ret->subject.container.virt[0])
		r = vm_create(&ret->subject.container, &ret->subject.config, &ret->sharing,
			      oci->store, &ret->host, &ret->pid, err);
	else if (r == 0)
		r = bundle_create(&ret->subject.config.bundle, &ret->host, &ret->pid, err);
	scope_settle(&ret->scope);
	/* One that waits is known once it is made: till then it is being created. */
	if (r == 0 && how == MAKE_FOR_OTHERS)
		r = make_known(ret, ret->pid, err);
	else if (r == 0)
		r = container_finish(&ret->subject.container, true, err);
	oci_spare_cgroup(&ret->subject, r);
	if (r < 0)
		make_undo(oci, ret);
	return r;
}

void oci_make_done(struct making *making)
{
	fd_close(making->host.seccomp);
	fd_close(making->host.console);
	fd_close(making->host.listener);
	fd_close(making->console);
	hooks_close(&making->hooks);
	oci_close(&making->subject);
}

void oci_poststart(const struct oci *oci, const struct hooks *hooks, pid_t pid)
{
	struct err err = { 0 };

	if (hooks_run(hooks, HOOK_POSTSTART, CONTAINER_RUNNING, pid, &err) < 0)
		oci_say(oci, "warning", err.text);
}
