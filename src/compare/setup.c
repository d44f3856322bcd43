/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/setup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "compare/group.h"
#include "manager/manager.h"

/* What os-level and the VMs give a workload before the image's own variables. */
#define SETUP_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define SETUP_HOME "HOME=/root"
#define SETUP_TAG  20 /* characters of "compare-a1b2c3d4e5f6" (storage/staging.h) */

static const unsigned setup_density[] = {
	[COMPARE_QUICK] = 4, [COMPARE_STANDARD] = 16, [COMPARE_FULL] = 64
};

static const json_t *setup_config(const struct setup *setup)
{
	return json_object_get(setup->image.config, "config");
}

static size_t setup_append(const char **list, size_t n, const json_t *array)
{
	const json_t *one;
	size_t i;

	json_array_foreach(array, i, one)
	{
		if (json_is_string(one))
			list[n++] = json_string_value(one);
	}
	return n;
}

/* As `strata run IMAGE COMMAND` has it (manager/create.c): a command takes CMD's place, ENTRYPOINT stays. */
static int setup_argv(const struct compare_request *request, struct setup *setup, struct err *err)
{
	const json_t *entry = json_object_get(setup_config(setup), "Entrypoint");
	const json_t *command = json_object_get(setup_config(setup), "Cmd");
	size_t asked = 0, n = 0;

	while (request->argv && request->argv[asked])
		asked++;
	setup->argv = calloc(json_array_size(entry) + json_array_size(command) + asked + 1,
			     sizeof(*setup->argv));
	if (!setup->argv)
		return err_set(err, ENOMEM, "compare");
	n = setup_append(setup->argv, 0, entry);
	if (!asked)
		n = setup_append(setup->argv, n, command);
	for (size_t i = 0; i < asked; i++)
		setup->argv[n++] = request->argv[i];
	if (!n && !request->suite)
		return err_say(err, EINVAL,
			       "image %s names no command: say one after the image's name",
			       request->image);
	return 0;
}

static int setup_env(struct setup *setup, struct err *err)
{
	const json_t *env = json_object_get(setup_config(setup), "Env");
	size_t n = 0;

	setup->env = calloc(json_array_size(env) + 3, sizeof(*setup->env));
	if (!setup->env)
		return err_set(err, ENOMEM, "compare");
	n = setup_append(setup->env, 0, env); /* getenv(3) takes the first of a name */
	setup->env[n++] = SETUP_PATH;
	setup->env[n] = SETUP_HOME;
	return 0;
}

static int setup_layers(struct setup *setup, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	size_t n = 0;

	while (setup->image.layers[n])
		n++;
	for (size_t i = n; i > 0; i--)
		(void)buf_printf(&text, "%s%s", text.len ? ":" : "",
				 setup->image.layers[i - 1]); /* sticky */
	setup->layers = buf_steal(&text);
	return setup->layers ? 0 : err_set(err, ENOMEM, "compare");
}

static int setup_self(struct setup *setup, struct err *err)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return err_set(err, errno, "find this program");
	path[n] = '\0';
	setup->self = strdup(path);
	return setup->self ? 0 : err_set(err, ENOMEM, "compare");
}

/* Everything is inherited from here: the columns' programs, monitors, VMMs and their threads. */
static int setup_pin(unsigned cpus, struct err *err)
{
	cpu_set_t all, some;
	unsigned n = 0;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return err_set(err, errno, "which CPUs there are");
	CPU_ZERO(&some);
	for (unsigned i = 0; i < CPU_SETSIZE && n < cpus; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		CPU_SET(i, &some);
		n++;
	}
	if (n < cpus)
		return err_say(err, ERANGE, "--cpus %u: this program may use %u", cpus, n);
	if (sched_setaffinity(0, sizeof(some), &some) < 0)
		return err_set(err, errno, "keep to %u CPUs", cpus);
	return 0;
}

/* nohup(1) */
static bool setup_ignores_hangup(void)
{
	struct sigaction action;

	return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static int setup_signals(struct setup *setup, struct err *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	if (!setup_ignores_hangup())
		(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, &setup->mask); /* a valid set: cannot fail */
	setup->stop = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return setup->stop < 0 ? err_set(err, errno, "hear signals") : 0;
}

/* Return: whether none is left. */
static bool setup_sweep_instances(struct manager *manager, const char *tag)
{
	struct instance *list = NULL;
	size_t n = 0;
	bool all = true;

	if (manager_list(manager, true, LIST_SHOWN, &list, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct instance whole = { 0 };
		if (strncmp(list[i].name, tag, SETUP_TAG) != 0 || list[i].name[SETUP_TAG] != '-')
			continue;
		if (manager_find(manager, list[i].id, &whole, NULL) == 0)
			all &= manager_remove(manager, &whole, true, true, NULL) == 0;
		instance_fini(&whole);
	}
	instances_free(list, n);
	return all;
}

/* The lock of a dead comparison's directory, or -EBADF. A new one looks dead until it has its own: storage/staging.c */
static int setup_dead(struct store *store, int tmp, const char *name)
{
	AUTO(fd_close_p) int lock = storage_lock(store, NULL);
	AUTO(fd_close_p) int fd = openat(tmp, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return lock < 0 || fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? -EBADF : fd_take(&fd);
}

/*
 * A comparison that was killed leaves its directory, which nobody locks any more: what else it left has the same name. The directory goes
 * last, so that a sweep that is killed itself is made up for.
 */
static void setup_sweep(struct manager *manager)
{
	AUTO(fd_close_p)
	int tmp = openat(manager->store.root_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir_close_p) DIR *dir = tmp < 0 ? NULL : fdopendir(tmp);
	const struct dirent *entry;

	if (dir)
		(void)fd_take(&tmp); /* the DIR's now */
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, STAGING_COMPARE "-", sizeof(STAGING_COMPARE)) != 0 ||
		    strlen(entry->d_name) != SETUP_TAG)
			continue;
		AUTO(fd_close_p)
		int fd = setup_dead(&manager->store, dirfd(dir), entry->d_name);
		if (fd < 0)
			continue; /* it lives */
		bool instances = setup_sweep_instances(manager, entry->d_name);
		bool groups = group_sweep(entry->d_name);
		if (instances && groups)
			(void)dir_remove(dirfd(dir), entry->d_name); /* else the next one tries */
	}
}

static int setup_places(const struct compare_request *request, struct setup *setup, struct err *err)
{
	struct store *store = &request->manager->store;

	setup_sweep(request->manager);
	int r = staging_open(store, STAGING_COMPARE, &setup->staging, err);

	if (r < 0)
		return r;
	if (asprintf(&setup->scratch, "%s/%s", store->root, setup->staging.path) < 0) {
		setup->scratch = NULL;
		return err_set(err, ENOMEM, "compare");
	}
	return 0;
}

static void setup_view(const struct compare_request *request, struct setup *setup)
{
	const json_t *config = setup_config(setup);
	const char *cwd = json_str(config, "WorkingDir", "");

	setup->view = (struct column_setup){
		.manager = request->manager,
		.self = setup->self,
		.root = request->manager->store.root,
		.run_root = request->manager->store.run_root,
		.image = request->image,
		.layers = setup->layers,
		.env = setup->env,
		.cwd = cwd[0] ? cwd : "/",
		.user = json_str(config, "User", ""),
		.memory = request->memory,
		.cpus = request->cpus,
		.tag = setup->scratch ? strrchr(setup->scratch, '/') + 1 : NULL,
		.scratch = setup->scratch,
		.density_max = setup_density[request->level],
		.stop = setup->stop,
	};
}

int setup_make(const struct compare_request *request, struct setup *ret, struct err *err)
{
	*ret = (struct setup){ .staging = STAGING_NONE, .stop = -EBADF };
	int r = image_find(&request->manager->store, request->image, &ret->image, err);

	if (r == 0)
		r = setup_argv(request, ret, err);
	if (r == 0)
		r = setup_env(ret, err);
	if (r == 0)
		r = setup_layers(ret, err);
	if (r == 0)
		r = setup_self(ret, err);
	if (r == 0)
		r = setup_pin(request->cpus, err);
	if (r == 0)
		r = setup_places(request, ret, err);
	if (r == 0)
		r = setup_signals(ret, err);
	setup_view(request, ret);
	return r;
}

/* What comes later (a pipe that nobody reads) can be ended as anything else; what was heard was obeyed. */
static void setup_unhear(struct setup *setup)
{
	struct signalfd_siginfo info;

	if (setup->stop < 0)
		return;
	while (read(setup->stop, &info, sizeof(info)) == sizeof(info))
		;
	(void)sigprocmask(SIG_SETMASK, &setup->mask, NULL); /* a valid set: cannot fail */
}

/* What a column could not remove (it was killed while another process made it) goes now, or is the next comparison's to sweep. */
static void setup_leave(struct setup *setup)
{
	const char *tag = setup->view.tag;

	if (!tag)
		return;
	bool instances = setup_sweep_instances(setup->view.manager, tag);
	bool groups = group_sweep(tag);
	if (!instances || !groups)
		setup->staging.path[0] = '\0'; /* stays, unlocked */
}

void setup_fini(struct setup *setup)
{
	setup_leave(setup);
	staging_close(&setup->staging);
	setup_unhear(setup);
	image_fini(&setup->image);
	fd_close(setup->stop);
	free(setup->argv);
	free(setup->env);
	free(setup->layers);
	free(setup->self);
	free(setup->scratch);
}
