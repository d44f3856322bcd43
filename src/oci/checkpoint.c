/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/file.h"
#include "base/os/json.h"
#include "oci/criu.h"
#include "oci/oci.h"

static const struct opt checkpoint_opts[] = {
	CRIU_OPTS,
	{ 0, OPT_SWITCH, "leave-running", NULL, "it goes on; else it is deleted" },
	{ 0, OPT_SWITCH, "pre-dump", NULL,
	  "its memory alone, while it runs: what follows has to write what changed since" },
	{ 0, OPT_TEXT, "parent-path", "DIR", "what a --pre-dump wrote; from --image-path on" },
	{ 0, OPT_SWITCH, "auto-dedup", NULL, "drop from there what is written again" },
	{ 0 },
};

/* Where its streams lead: a restore puts its own in the place of pipes. */
static int checkpoint_streams(const struct criu *criu, pid_t pid, struct err *err)
{
	AUTO(json_decref_p) json_t *list = json_array();
	char path[PATH_MAX + 32], to[PATH_MAX];

	for (int i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, i); /* fits */
		ssize_t n = readlink(path, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = '\0';
		(void)json_array_append_new(list, json_string(to)); /* not UTF-8: no pipe */
	}
	char *text = json_dumps(list, JSON_COMPACT);
	if (!text)
		return err_set(err, ENOMEM, "checkpoint");
	(void)snprintf(path, sizeof(path), "%s/descriptors.json", criu->images); /* fits */
	int r = file_replace(AT_FDCWD, path, 0600, text, strlen(text), false);
	free(text);
	return r < 0 ? err_set(err, -r, "write %s", path) : 0;
}

/* A chain of images is found by paths from one to the one before, wherever all of them are. */
static int checkpoint_parent(const struct args *args, struct criu *criu, struct err *err)
{
	const char *parent = args_text(args, "parent-path", NULL);
	char path[2 * PATH_MAX];

	if (parent || args_on(args, "pre-dump"))
		criu_add(criu, "--track-mem");
	if (args_on(args, "auto-dedup"))
		criu_add(criu, "--auto-dedup");
	if (!parent)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/%s", criu->images, parent); /* cut: not there */
	if (parent[0] == '/' || access(path, F_OK) < 0)
		return err_say(err, EINVAL,
			       "--parent-path %.100s: must be a directory, by its path from "
			       "--image-path on",
			       parent);
	criu_add(criu, "--prev-images-dir");
	criu_add(criu, parent);
	return 0;
}

static int checkpoint_do(const struct args *args, struct subject *subject, struct err *err)
{
	struct config *config = &subject->config;
	struct criu criu;
	char ns[48];
	struct stat st;
	const bool pre_dump = args_on(args, "pre-dump");
	int r = criu_begin(pre_dump ? "pre-dump" : "dump", args, config, &config->pool, &criu, err);

	if (r == 0)
		r = checkpoint_parent(args, &criu, err);
	if (r == 0 && !pre_dump)
		r = checkpoint_streams(&criu, subject->container.pid, err);
	if (r < 0)
		return r;
	criu_add(&criu, "--tree");
	criu_addf(&criu, "%d", (int)subject->container.pid);
	criu_add(&criu, "--root");
	criu_add(&criu, config->bundle.root);
	criu_mounts(&criu, &config->bundle, subject->container.pid);
	const struct bundle_namespace *net = bundle_namespace_of(&config->bundle, CLONE_NEWNET);
	(void)snprintf(ns, sizeof(ns), "/proc/%d/ns/net", (int)subject->container.pid); /* fits */
	if (net && net->path) {
		if (stat(ns, &st) < 0)
			return err_set(err, errno, "%s", ns);
		criu_add(&criu, "--external");
		criu_addf(&criu, "net[%llu]:extRootNetNS", (unsigned long long)st.st_ino);
	}
	if (args_on(args, "leave-running") && !pre_dump)
		criu_add(&criu, "--leave-running");
	return criu_run(&criu, NULL, NULL, err);
}

static int checkpoint(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	int r = oci_open(oci, args->argv[0], &subject, err);

	if (r < 0)
		return r;
	if (subject.container.virt[0])
		return err_say(err, ENOTSUP, "checkpoint: container '%s' is a virtual machine",
			       subject.container.id);
	if (subject.status != CONTAINER_RUNNING)
		return err_say(err, EINVAL, "container '%s' cannot be checkpointed: it is %s",
			       subject.container.id, container_status_names[subject.status]);
	r = checkpoint_do(args, &subject, err);
	if (r < 0 || args_on(args, "leave-running") || args_on(args, "pre-dump"))
		return r;
	return oci_destroy_later(oci, &subject, err);
}

const struct verb oci_verb_checkpoint = {
	.name = "checkpoint",
	.operands = "ID",
	.summary = "write a container that runs to disk, by criu",
	.opts = checkpoint_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = checkpoint,
};
