/* SPDX-License-Identifier: Apache-2.0 */
/* import-openvz: disks, directories and devices of the host's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/core/buf.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "engines/spec.h"
#include "manager/openvz_job.h"

#define OPENVZ_IO_MIN 4096 /* bytes a second: less is a page in more than one */

/* In KiB; there with the template, here what is written above it. */
bool openvz_diskspace(struct openvz_job *job, const char *value)
{
	int64_t bytes;

	if (!strcasecmp(json_str(job->conf, "DISK_QUOTA", "yes"), "no")) {
		openvz_note(job, "DISK_QUOTA=no: it has no limit");
		return true;
	}
	if (!openvz_number(job, value, 1024, &bytes))
		return false;
	if (bytes < 0)
		return true;
	if (bytes < SPEC_ROOT_MIN) {
		openvz_note(job, "less than the 16 MiB that a root's disk takes");
		return false;
	}
	openvz_note(job, "--root-size %lld, of what it writes itself", (long long)bytes);
	return json_object_set_new(job->config, "root_bytes", json_integer(bytes)) == 0;
}

/* Of the disk that its root is on, both ways: there it was of all disks together. */
static bool openvz_io(struct openvz_job *job, const char *const members[2], int64_t n)
{
	json_t *list = json_object_get(job->limits, "io");
	json_t *one = json_array_get(list, 0);

	if (!list && json_object_set_new(job->limits, "io", list = json_array()))
		return false;
	if (!one) {
		one = json_pack("{s:s}", "device", job->host->disk);
		if (!one || json_array_append_new(list, one))
			return false;
	}
	return !(json_object_set_new(one, members[0], json_integer(n)) |
		 json_object_set_new(one, members[1], json_integer(n)));
}

/* @least: fewer than so many a second are refused; they are bytes.  @members: of what is read, and of what is written */
static bool openvz_disk_rate(struct openvz_job *job, const char *value, int64_t least,
			     const char *flags, const char *const members[2])
{
	int64_t n;

	if (!openvz_number(job, value, 1, &n))
		return false;
	if (n <= 0) {
		openvz_note(job, "unlimited");
		return true;
	}
	if (n < least) {
		openvz_note(job, "less than %lld bytes a second: write 10M for megabytes",
			    (long long)least);
		return false;
	}
	if (!job->host->disk) {
		openvz_note(job, "no disk of this host's is under its root: see %s", flags);
		return false;
	}
	openvz_note(job, "%s %s:%lld, each", flags, job->host->disk, (long long)n);
	return openvz_io(job, members, n);
}

bool openvz_iolimit(struct openvz_job *job, const char *value)
{
	static const char *const members[] = { "read_bps", "write_bps" };

	return openvz_disk_rate(job, value, OPENVZ_IO_MIN, "--device-read-bps, --device-write-bps",
				members);
}

bool openvz_iopslimit(struct openvz_job *job, const char *value)
{
	static const char *const members[] = { "read_iops", "write_iops" };

	return openvz_disk_rate(job, value, 1, "--device-read-iops, --device-write-iops", members);
}

static bool openvz_is_clean(const char *path)
{
	return path[0] == '/' && !strstr(path, "/../") && !strchr(path, '$') &&
	       (strlen(path) < 3 || strcmp(path + strlen(path) - 3, "/..") != 0);
}

/* "SOURCE:TARGET[,OPTION...]" */
static bool openvz_bind(json_t *mounts, const char *word)
{
	char source[256], target[256];
	struct stat st;
	int end = 0;

	if (sscanf(word, "%255[^:]:%255[^,]%n", source, target, &end) != 2 || !end ||
	    !openvz_is_clean(source) || !openvz_is_clean(target) || stat(source, &st) < 0 ||
	    !S_ISDIR(st.st_mode))
		return false;
	/* Ids are the same on both sides there; here by a mapping. */
	json_t *mount =
		json_pack("{s:s,s:s,s:s,s:b,s:b}", "type", "bind", "source", source, "target",
			  target, "idmap", 1, "read_only", strstr(word + end, ",ro") != NULL);
	return mount && !json_array_append_new(mounts, mount);
}

bool openvz_bindmount(struct openvz_job *job, const char *value)
{
	AUTO(json_decref_p) json_t *words = openvz_words(value, " ");
	json_t *mounts = json_array(), *word;
	size_t i;

	openvz_note(job, "--mount type=bind,idmap");
	json_array_foreach(words, i, word)
	{
		if (!openvz_bind(mounts, json_string_value(word)))
			openvz_left(job, json_string_value(word));
	}
	const bool any = json_array_size(mounts) != 0;
	if (!any)
		openvz_note(job, "no SOURCE:TARGET whose source is a directory of this host's");
	return !json_object_set_new(job->config, "mounts", mounts) && any;
}

static bool openvz_device(struct openvz_job *job, const char *path)
{
	json_t *devices = json_object_get(job->config, "devices");
	struct stat st;

	if (strstr(path, "..") || stat(path, &st) < 0 || !S_ISCHR(st.st_mode))
		return false;
	if (!devices && json_object_set_new(job->config, "devices", devices = json_array()))
		return false;
	return !json_array_append_new(devices, json_pack("{s:s}", "source", path));
}

/* Those of the words that @one takes, and the others by name. */
static bool openvz_each(struct openvz_job *job, const char *value, const char *note,
			bool (*one)(struct openvz_job *job, const char *word))
{
	AUTO(json_decref_p) json_t *words = openvz_words(value, OPENVZ_BLANKS);
	json_t *word;
	size_t i, taken = 0;

	openvz_note(job, "%s", note);
	json_array_foreach(words, i, word)
	{
		if (one(job, json_string_value(word)))
			taken++;
		else
			openvz_left(job, json_string_value(word));
	}
	return taken || !json_array_size(words);
}

static bool openvz_devnode(struct openvz_job *job, const char *word)
{
	char path[128];
	int n = snprintf(path, sizeof(path), "/dev/%.*s", (int)strcspn(word, ":"), word);

	return n > 5 && (size_t)n < sizeof(path) && openvz_device(job, path);
}

/* "net/tun:rw fuse:rw": what this host has as a device there. */
bool openvz_devnodes(struct openvz_job *job, const char *value)
{
	return openvz_each(job, value, "--device", openvz_devnode);
}

/* "c:10:200:rw": under what name this host has it. */
static bool openvz_number_device(struct openvz_job *job, const char *word)
{
	unsigned major, minor;
	char name[64], path[96];
	AUTO(buf_fini) struct buf text = { 0 };

	if (sscanf(word, "c:%u:%u", &major, &minor) != 2)
		return false;
	(void)snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/uevent", major, minor); /* fits */
	if (file_read(AT_FDCWD, path, 4096, &text) < 0)
		return false;
	const char *at = strstr(buf_str(&text), "DEVNAME=");
	if (!at || sscanf(at, "DEVNAME=%63s", name) != 1)
		return false;
	(void)snprintf(path, sizeof(path), "/dev/%s", name); /* fits */
	return openvz_device(job, path);
}

bool openvz_devices(struct openvz_job *job, const char *value)
{
	return openvz_each(job, value, "--device", openvz_number_device);
}

/*
 * "ppp:on nfs:on": what has a device is given it. Tunnels and bridges are a matter of its own network namespace, which it rules.
 * What is off was given to nobody.
 */
static bool openvz_feature(struct openvz_job *job, const char *word)
{
	static const char *const own[] = { "sit", "ipip", "ipgre", "bridge" };
	char name[16], state[8];

	if (sscanf(word, "%15[^:]:%7s", name, state) != 2)
		return false;
	if (!strcmp(state, "off"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (!strcmp(name, own[i]))
			return true;
	}
	return !strcmp(name, "ppp") && openvz_device(job, "/dev/ppp");
}

bool openvz_features(struct openvz_job *job, const char *value)
{
	return openvz_each(job, value, "tunnels and bridges of its own network, --device /dev/ppp",
			   openvz_feature);
}
