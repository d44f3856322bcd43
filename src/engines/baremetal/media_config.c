/* SPDX-License-Identifier: Apache-2.0 */
/* The guests of a medium: from JSON, checked, to the lines that the image reads. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/core/extents.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "engines/baremetal/media.h"
#include "engines/baremetal/private.h"

#define CONFIG_BYTES_MAX (1U << 20)
#define GUESTS_MAX	 16U /* as hypervisor/vm/config.h has them */
#define DISKS_MAX	 8U
#define PORTS_MAX	 8U
#define NAME_MAX_BYTES	 31U
#define APPEND_MAX_BYTES 511U
#define SERVER_MAX_BYTES 56U /* with "server:" as long as a file's name */
#define VCPUS_MAX	 64
#define TSC_KHZ_MIN	 1000
#define TSC_KHZ_MAX	 16000000
#define MEMORY_UNIT	 (INT64_C(2) << 20)
#define MEMORY_DEFAULT	 (INT64_C(512) << 20)

/* One object of the config: its path for messages ("guests[0].disks[1]"), and who writes to which disk. */
struct config {
	struct media *media;
	const char *folder;
	struct {
		char *path;
		const char *guest; /* borrowed from the JSON */
	} written[GUESTS_MAX * DISKS_MAX];
	size_t n_written;
};

static void config_fini(struct config *config)
{
	for (size_t i = 0; i < config->n_written; i++)
		free(config->written[i].path);
}

/* @known: NULL-ended */
static int known_members(json_t *object, const char *at, const char *const *known, struct err *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return err_say(err, EINVAL, "config: %s: must be an object", at);
	json_object_foreach(object, key, value)
	{
		size_t i = 0;
		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			return err_say(err, EINVAL, "config: %s: unknown member '%.60s'", at, key);
	}
	return 0;
}

static int take_text(json_t *object, const char *at, const char *key, size_t most, const char **ret,
		     struct err *err)
{
	json_t *value = json_object_get(object, key);

	*ret = NULL;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return err_say(err, EINVAL, "config: %s.%s: must be a string", at, key);
	const char *text = json_string_value(value);
	if (strlen(text) > most || strlen(text) != json_string_length(value))
		return err_say(err, EINVAL, "config: %s.%s: longer than %zu bytes", at, key, most);
	for (const char *c = text; *c; c++) {
		if (iscntrl((unsigned char)*c) || *c == '#')
			return err_say(err, EINVAL,
				       "config: %s.%s: no control characters and no '#'", at, key);
	}
	*ret = text;
	return 0;
}

static int take_int(json_t *object, const char *at, const char *key, int64_t min, int64_t max,
		    int64_t *value, struct err *err)
{
	json_t *member = json_object_get(object, key);

	if (!member || json_is_null(member))
		return 0;
	if (!json_is_integer(member) || json_integer_value(member) < min ||
	    json_integer_value(member) > max)
		return err_say(err, EINVAL,
			       "config: %s.%s: must be a whole number from %" PRId64 " to %" PRId64,
			       at, key, min, max);
	*value = json_integer_value(member);
	return 0;
}

static int take_file(struct config *config, json_t *object, const char *at, const char *key,
		     const char **ret_name, char **ret_path, struct err *err)
{
	AUTO(media_text_free_p) char *path = NULL;
	const char *text;

	*ret_name = NULL;
	int r = take_text(object, at, key, PATH_MAX - 1, &text, err);
	if (r < 0 || !text)
		return r;
	if (asprintf(&path, "%s%s%s", *text == '/' ? "" : config->folder, *text == '/' ? "" : "/",
		     text) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "config: %s.%s", at, key);
	}
	r = media_add(config->media, path, ret_name, err);
	if (r < 0)
		return err_wrap(err, "config: %s.%s", at, key);
	if (ret_path)
		*ret_path = realpath(path, NULL);
	return 0;
}

static int take_disk(struct config *config, json_t *disk, const char *at, const char *guest,
		     struct err *err)
{
	static const char *const known[] = { "path", "server", "read_only", NULL };
	AUTO(media_text_free_p) char *path = NULL;
	const char *name, *server = NULL;

	int r = known_members(disk, at, known, err);
	r = r < 0 ? r : take_file(config, disk, at, "path", &name, &path, err);
	r = r < 0 ? r : take_text(disk, at, "server", SERVER_MAX_BYTES, &server, err);
	if (r < 0)
		return r;
	if (!name == !server || (server && (!*server || strchr(server, ' '))))
		return err_say(err, EINVAL, "config: %s: needs one of path and server", at);
	if (server && !strncmp(server, "strata:", 7) && !extents_name_ok(server + 7))
		return err_say(err, EINVAL, "config: %s.server: '%s' is no extent's name", at,
			       server + 7);
	if (server && asprintf(&path, "server:%s", server) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "config: %s", at);
	}
	bool read_only = json_bool(disk, "read_only", false);
	for (size_t i = 0; path && !read_only && i < config->n_written; i++) {
		if (strcmp(config->written[i].path, path) == 0)
			return err_say(err, EINVAL,
				       "config: %s: %s writes to %s already; read_only shares it",
				       at, config->written[i].guest, path);
	}
	if (!read_only) {
		config->written[config->n_written].guest = guest;
		config->written[config->n_written++].path = TAKE(path);
	}
	return buf_printf(&config->media->guests, "disk %s%s%s\n", server ? "server:" : "",
			  server ? server : name, read_only ? " read-only" : "");
}

static int take_disks(struct config *config, json_t *guest, const char *at, const char *name,
		      struct err *err)
{
	json_t *disks = json_object_get(guest, "disks"), *disk;
	size_t i;

	if (!disks || json_is_null(disks))
		return 0;
	if (!json_is_array(disks) || json_array_size(disks) > DISKS_MAX)
		return err_say(err, EINVAL, "config: %s.disks: must be an array, of %u at most", at,
			       DISKS_MAX);
	json_array_foreach(disks, i, disk)
	{
		char place[64];
		(void)snprintf(place, sizeof(place), "%s.disks[%zu]", at, i); /* it fits */
		int r = take_disk(config, disk, place, name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* true, or { "mac": "02:53:..." } */
static int take_network(struct config *config, json_t *guest, const char *at, struct err *err)
{
	static const char *const known[] = { "mac", NULL };
	json_t *network = json_object_get(guest, "network");
	const char *mac = NULL;
	char place[64];
	unsigned byte[6];
	int end = 0;

	if (!network || json_is_null(network) || json_is_false(network))
		return 0;
	(void)snprintf(place, sizeof(place), "%s.network", at); /* it fits */
	if (!json_is_true(network)) {
		int r = known_members(network, place, known, err);
		r = r < 0 ? r : take_text(network, place, "mac", 17, &mac, err);
		if (r < 0)
			return r;
	}
	if (mac && (sscanf(mac, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3],
			   &byte[4], &byte[5], &end) != 6 ||
		    mac[end] || strlen(mac) != 17 || byte[0] & 1))
		return err_say(err, EINVAL,
			       "config: %s.mac: must be a station's address, as 02:53:00:00:00:01",
			       place);
	return buf_printf(&config->media->guests, "net%s%s\n", mac ? " " : "", mac ? mac : "");
}

static bool is_port_name(const char *name)
{
	for (const char *c = name; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return false;
	}
	return *name && strlen(name) <= NAME_MAX_BYTES;
}

/* What the management channel reaches of the guest: ports of a virtio-console by their names, a vsock. */
static int take_ports(struct config *config, json_t *guest, const char *at, struct err *err)
{
	json_t *ports = json_object_get(guest, "ports"), *port;
	const json_t *vsock = json_object_get(guest, "vsock");
	size_t i;

	if (vsock && !json_is_boolean(vsock))
		return err_say(err, EINVAL, "config: %s.vsock: must be true or false", at);
	if (ports && (!json_is_array(ports) || json_array_size(ports) > PORTS_MAX))
		return err_say(err, EINVAL, "config: %s.ports: must be an array, of %u at most", at,
			       PORTS_MAX);
	json_array_foreach(ports, i, port)
	{
		const char *name = json_string_value(port);
		if (!name || !is_port_name(name))
			return err_say(err, EINVAL,
				       "config: %s.ports[%zu]: 1 to %u letters, digits, . _ -", at,
				       i, (unsigned)NAME_MAX_BYTES);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(json_string_value(json_array_get(ports, k)), name) == 0)
				return err_say(err, EINVAL,
					       "config: %s.ports[%zu]: %s is there already", at, i,
					       name);
		}
		(void)buf_printf(&config->media->guests, "port %s\n", name);
	}
	if (json_is_true(vsock))
		(void)buf_printf(&config->media->guests, "vsock\n");
	return 0;
}

static int take_balloon(struct config *config, json_t *guest, const char *at, struct err *err)
{
	const json_t *balloon = json_object_get(guest, "balloon");
	const char *word = json_string_value(balloon);

	if (balloon && !json_is_boolean(balloon) && !(word && !strcmp(word, "overcommit")))
		return err_say(err, EINVAL,
			       "config: %s.balloon: must be true, false or \"overcommit\"", at);
	if (json_is_true(balloon) || word)
		(void)buf_printf(&config->media->guests, "balloon%s\n", word ? " overcommit" : "");
	return 0;
}

static int take_console(struct config *config, json_t *guest, const char *at, struct err *err)
{
	const char *console;

	int r = take_text(guest, at, "console", 16, &console, err);
	if (r < 0 || !console)
		return r;
	if (strcmp(console, "lines") != 0 && strcmp(console, "raw") != 0 &&
	    strcmp(console, "none") != 0)
		return err_say(err, EINVAL, "config: %s.console: must be lines, raw or none", at);
	return buf_printf(&config->media->guests, "console %s\n", console);
}

static int take_kernel(struct config *config, json_t *guest, const char *at, struct err *err)
{
	struct buf *out = &config->media->guests;
	const char *kernel, *initrd = NULL, *append = NULL;

	int r = take_file(config, guest, at, "kernel", &kernel, NULL, err);
	if (r == 0 && !kernel)
		r = err_say(err, EINVAL, "config: %s.kernel: is missing", at);
	r = r < 0 ? r : take_file(config, guest, at, "initrd", &initrd, NULL, err);
	r = r < 0 ? r : take_text(guest, at, "append", APPEND_MAX_BYTES, &append, err);
	if (r < 0)
		return r;
	(void)buf_printf(out, "kernel %s\n", kernel); /* buf_failed() at the end */
	if (initrd)
		(void)buf_printf(out, "initrd %s\n", initrd);
	if (append && *append)
		(void)buf_printf(out, "append %s\n", append);
	return 0;
}

static int take_numbers(struct config *config, json_t *guest, const char *at, struct err *err)
{
	int64_t memory = MEMORY_DEFAULT, vcpus = 1, weight = 0, cap = 0, tsc_khz = 0;
	struct buf *out = &config->media->guests;

	int r = take_int(guest, at, "memory_bytes", MEMORY_UNIT, INT64_C(1) << 40, &memory, err);
	if (r == 0 && memory % MEMORY_UNIT)
		r = err_say(err, EINVAL, "config: %s.memory_bytes: must be a multiple of 2 MiB",
			    at);
	r = r < 0 ? r : take_int(guest, at, "vcpus", 1, VCPUS_MAX, &vcpus, err);
	r = r < 0 ? r : take_int(guest, at, "weight", 1, 65535, &weight, err);
	r = r < 0 ? r : take_int(guest, at, "cap_percent", 1, VCPUS_MAX * 100, &cap, err);
	r = r < 0 ? r : take_int(guest, at, "tsc_khz", TSC_KHZ_MIN, TSC_KHZ_MAX, &tsc_khz, err);
	if (r < 0)
		return r;
	const json_t *at_once = json_object_get(guest, "memory_at_once");
	if (at_once && !json_is_boolean(at_once))
		return err_say(err, EINVAL, "config: %s.memory_at_once: must be true or false", at);
	(void)buf_printf(out, "memory %" PRId64 "%s\nvcpus %" PRId64 "\n", memory,
			 json_is_true(at_once) ? " at-once" : "", vcpus);
	if (weight)
		(void)buf_printf(out, "weight %" PRId64 "\n", weight);
	if (cap)
		(void)buf_printf(out, "cap %" PRId64 "\n", cap);
	if (tsc_khz)
		(void)buf_printf(out, "tsc-khz %" PRId64 "\n", tsc_khz);
	return 0;
}

static int take_name(json_t *guests, json_t *guest, size_t index, const char *at, const char **ret,
		     struct err *err)
{
	int r = take_text(guest, at, "name", NAME_MAX_BYTES, ret, err);

	if (r < 0)
		return r;
	if (!*ret || !isalnum((unsigned char)**ret))
		return err_say(err, EINVAL, "config: %s.name: must begin with a letter or digit",
			       at);
	for (const char *c = *ret; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return err_say(err, EINVAL, "config: %s.name: letters, digits, . _ -", at);
	}
	for (size_t i = 0; i < index; i++) {
		if (strcmp(json_str(json_array_get(guests, i), "name", ""), *ret) == 0)
			return err_say(err, EINVAL, "config: %s.name: %s is there already", at,
				       *ret);
	}
	return 0;
}

static int take_guest(struct config *config, json_t *guests, size_t index, struct err *err)
{
	static const char *const known[] = {
		"name",		  "kernel",  "initrd", "append",      "memory_bytes",
		"memory_at_once", "vcpus",   "weight", "cap_percent", "console",
		"disks",	  "network", "ports",  "vsock",	      "balloon",
		"tsc_khz",	  NULL
	};
	json_t *guest = json_array_get(guests, index);
	const char *name;
	char at[32];

	(void)snprintf(at, sizeof(at), "guests[%zu]", index); /* it fits */
	int r = known_members(guest, at, known, err);
	r = r < 0 ? r : take_name(guests, guest, index, at, &name, err);
	if (r < 0)
		return r;
	(void)buf_printf(&config->media->guests, "guest %s\n", name);
	r = take_numbers(config, guest, at, err);
	r = r < 0 ? r : take_kernel(config, guest, at, err);
	r = r < 0 ? r : take_console(config, guest, at, err);
	r = r < 0 ? r : take_disks(config, guest, at, name, err);
	r = r < 0 ? r : take_ports(config, guest, at, err);
	r = r < 0 ? r : take_balloon(config, guest, at, err);
	return r < 0 ? r : take_network(config, guest, at, err);
}

int media_config_text(struct media *media, const char *text, size_t len, const char *folder,
		      struct err *err)
{
	static const char *const known[] = { "guests", NULL };
	AUTO(config_fini) struct config config = { .media = media, .folder = folder };
	AUTO(json_decref_p) json_t *root = NULL;

	int r = json_parse(text, len, "config", &root, err);
	r = r < 0 ? r : known_members(root, "the file", known, err);
	if (r < 0)
		return r;
	json_t *guests = json_object_get(root, "guests");
	if (!json_is_array(guests) || !json_array_size(guests) ||
	    json_array_size(guests) > GUESTS_MAX)
		return err_say(err, EINVAL, "config: guests: must be an array of 1 to %u",
			       GUESTS_MAX);
	for (size_t i = 0; r >= 0 && i < json_array_size(guests); i++)
		r = take_guest(&config, guests, i, err);
	if (r >= 0 && media->guests.failed)
		r = err_set(err, ENOMEM, "config");
	return r < 0 ? r : 0;
}

int media_config(struct media *media, const char *path, struct err *err)
{
	AUTO(media_text_free_p) char *folder = strdup(path);
	AUTO(buf_fini) struct buf text = { 0 };

	if (!folder)
		return err_set(err, ENOMEM, "read %s", path);
	char *slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder ? 1 : 0] = 0;
	int r = file_read(AT_FDCWD, path, CONFIG_BYTES_MAX, &text);
	if (r < 0)
		return err_set(err, -r, "read %s", path);
	return media_config_text(media, buf_str(&text), text.len, slash ? folder : ".", err);
}
