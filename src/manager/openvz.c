/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/openvz_job.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/os/json.h"
#include "engines/caps.h"

#define OPENVZ_PAGE	  4096
#define OPENVZ_MEMORY_MIN (INT64_C(6) << 20) /* docs/spec.md, memory_bytes */
#define OPENVZ_UNITS	  1000		     /* vzctl(8), --cpuunits: what one has by itself */
#define OPENVZ_SHARES	  1024
#define OPENVZ_PERIOD_US  100000
#define OPENVZ_PIDS_MAX	  4194304
#define OPENVZ_STOP_MAX	  86400 /* seconds */

void openvz_note(struct openvz_job *job, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(job->note, sizeof(job->note), fmt, args); /* a cut note is still a note */
	va_end(args);
}

void openvz_left(struct openvz_job *job, const char *word)
{
	const size_t len = strlen(job->note);
	const char *before = strstr(job->note, "; not ") ? ", " : "; not ";

	(void)snprintf(job->note + len, sizeof(job->note) - len, "%s%s", before,
		       word); /* likewise */
}

bool openvz_number(struct openvz_job *job, const char *value, int64_t unit, int64_t *ret)
{
	if (openvz_limit(value, unit, ret) < 0) {
		openvz_note(job, "not a number");
		return false;
	}
	if (*ret < 0)
		openvz_note(job, "unlimited");
	return true;
}

bool openvz_set(struct openvz_job *job, const char *member, int64_t value)
{
	return json_object_set_new(job->limits, member, json_integer(value)) == 0;
}

json_t *openvz_words(const char *value, const char *between)
{
	json_t *list = json_array();
	char *copy = strdup(value), *save = NULL;

	for (char *w = copy ? strtok_r(copy, between, &save) : NULL; w;
	     w = strtok_r(NULL, between, &save))
		(void)json_array_append_new(list,
					    json_string(w)); /* a word less is seen in the report */
	free(copy);
	return list;
}

static bool openvz_memory(struct openvz_job *job, const char *value)
{
	int64_t bytes;

	if (!openvz_number(job, value, OPENVZ_PAGE, &bytes))
		return false;
	if (bytes < 0)
		return true;
	if (bytes < OPENVZ_MEMORY_MIN) {
		openvz_note(job, "less than the 6 MiB that an instance needs");
		return false;
	}
	openvz_note(job, "--memory %lld", (long long)bytes);
	return openvz_set(job, "memory_bytes", bytes);
}

static bool openvz_swap(struct openvz_job *job, const char *value)
{
	int64_t swap, memory;
	const char *pages = json_str(job->conf, "PHYSPAGES", "unlimited");

	if (!openvz_number(job, value, OPENVZ_PAGE, &swap))
		return false;
	if (openvz_limit(pages, OPENVZ_PAGE, &memory) < 0 || memory < OPENVZ_MEMORY_MIN) {
		openvz_note(job, "means nothing without a limit of memory (PHYSPAGES)");
		return false;
	}
	const int64_t total = swap < 0 || swap > INT64_MAX - memory ? -1 : memory + swap;
	openvz_note(job, "--memory-swap %lld", (long long)total);
	return openvz_set(job, "memory_swap_bytes", total);
}

/* CPUS and CPULIMIT both bound the same: the smaller counts. */
static bool openvz_quota(struct openvz_job *job, double cpus)
{
	const int64_t old = json_int(job->limits, "cpu_quota_us", 0);
	const int64_t quota = (int64_t)(cpus * OPENVZ_PERIOD_US);

	if (cpus > job->host->cpus) {
		openvz_note(job, "this host has %u CPUs: no limit is needed", job->host->cpus);
		return false;
	}
	if (quota < 1000 || (old && old <= quota)) {
		openvz_note(job, "%s",
			    quota < 1000 ? "unlimited" : "the other of CPUS and CPULIMIT is less");
		return true;
	}
	openvz_note(job, "--cpus %.2f", cpus);
	return openvz_set(job, "cpu_quota_us", quota) &&
	       openvz_set(job, "cpu_period_us", OPENVZ_PERIOD_US);
}

static bool openvz_cpus(struct openvz_job *job, const char *value)
{
	char *end;
	double n = strtod(value, &end);

	if (end == value || *end || !(n >= 0 && n <= 65536)) { /* nor "nan" */
		openvz_note(job, "not a number of CPUs");
		return false;
	}
	return openvz_quota(job, n);
}

static bool openvz_cpulimit(struct openvz_job *job, const char *value)
{
	char *end;
	double n = strtod(value, &end);
	const bool mhz = tolower((unsigned char)*end) == 'm';

	end += *end == '%';
	if (end == value || *end || !(n >= 0 && n <= 6553600)) {
		openvz_note(job, mhz ? "megahertz have no counterpart: say percents"
				     : "not a percentage");
		return false;
	}
	return openvz_quota(job, n / 100);
}

static bool openvz_cpuunits(struct openvz_job *job, const char *value)
{
	int64_t n;

	if (!openvz_number(job, value, 1, &n))
		return false;
	int64_t shares = n < 0			? OPENVZ_SHARES
			 : n > INT64_C(1) << 32 ? 262144
						: n * OPENVZ_SHARES / OPENVZ_UNITS;
	shares = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
	openvz_note(job, "--cpu-shares %lld", (long long)shares);
	return openvz_set(job, "cpu_shares", shares);
}

static bool openvz_cpumask(struct openvz_job *job, const char *value)
{
	if (!strcmp(value, "all") || !strcmp(value, "auto")) {
		openvz_note(job, "all CPUs");
		return true;
	}
	if (!*value || strspn(value, "0123456789,-") != strlen(value)) {
		openvz_note(job, "not a list of CPUs");
		return false;
	}
	openvz_note(job, "--cpuset-cpus %s", value);
	return json_object_set_new(job->limits, "cpuset", json_string(value)) == 0;
}

static bool openvz_numproc(struct openvz_job *job, const char *value)
{
	int64_t n;

	if (!openvz_number(job, value, 1, &n))
		return false;
	if (n < 0 || n > OPENVZ_PIDS_MAX) {
		openvz_note(job, "unlimited");
		return true;
	}
	if (!n) {
		openvz_note(job, "0 processes cannot run anything");
		return false;
	}
	openvz_note(job, "--pids-limit %lld", (long long)n);
	return openvz_set(job, "pids", n);
}

static bool openvz_name(struct openvz_job *job, const char *value)
{
	if (!*value || !isalnum((unsigned char)value[0])) {
		openvz_note(job, "not a name that an instance can have");
		return false;
	}
	openvz_note(job, "--name %s", value);
	return json_object_set_new(job->config, "name", json_string(value)) == 0;
}

static bool openvz_onboot(struct openvz_job *job, const char *value)
{
	if (strcasecmp(value, "yes") != 0) {
		openvz_note(job, "--restart no");
		return true;
	}
	if (!strcasecmp(json_str(job->conf, "DISABLED", "no"), "yes")) {
		openvz_note(job, "it is DISABLED: --restart no");
		return true;
	}
	openvz_note(job, "--restart unless-stopped");
	return json_object_set_new(job->config, "restart",
				   json_pack("{s:s}", "policy", "unless-stopped")) == 0;
}

/* It is made and not started, as every one here; only that somebody starts it is not refused. */
static bool openvz_disabled(struct openvz_job *job, const char *value)
{
	const bool yes = !strcasecmp(value, "yes");

	openvz_note(job, yes ? "it is not started, but 'strata start' may" : "'strata start' may");
	return !yes;
}

static bool openvz_stop_timeout(struct openvz_job *job, const char *value)
{
	int64_t n;

	if (!openvz_number(job, value, 1, &n))
		return false;
	if (n < 0 || n > OPENVZ_STOP_MAX) {
		openvz_note(job, "not seconds, up to a day");
		return false;
	}
	if (!n) {
		openvz_note(job, "none was said: a minute");
		return true;
	}
	openvz_note(job, "--stop-timeout %lld", (long long)n);
	return json_object_set_new(job->config, "stop_timeout_ms", json_integer(n * 1000)) == 0;
}

static bool openvz_description(struct openvz_job *job, const char *value)
{
	openvz_note(job, "--label description=...");
	return json_object_set_new(job->config, "labels",
				   json_pack("{s:s}", "description", value)) == 0;
}

/* "NET_ADMIN:on SYS_TIME:off": those that a system container has by itself, or that it may lose. */
static bool openvz_capability(struct openvz_job *job, const char *value)
{
	AUTO(json_decref_p) json_t *words = openvz_words(value, OPENVZ_BLANKS);
	json_t *add = json_array(), *drop = json_array(), *word;
	size_t i;

	openvz_note(job, "--cap-add, --cap-drop (in its user namespace)");
	json_array_foreach(words, i, word)
	{
		uint64_t caps;
		char name[64], state[8];
		const char *text = json_string_value(word);
		const bool read = sscanf(text, "%63[A-Za-z_]:%7s", name, state) == 2;
		const bool off = read && !strcmp(state, "off");
		for (char *c = name; read && *c; c++)
			*c = (char)toupper((unsigned char)*c);
		if (!read || (!off && strcmp(state, "on") != 0) ||
		    caps_from_name(name, &caps, NULL) < 0)
			openvz_left(job, text);
		else
			(void)json_array_append_new(off ? drop : add, json_string(name));
	}
	const bool any = json_array_size(add) || json_array_size(drop);
	return !(json_object_set_new(job->config, "cap_add", add) |
		 json_object_set_new(job->config, "cap_drop", drop)) &&
	       any;
}

static bool openvz_template(struct openvz_job *job, const char *value)
{
	openvz_note(job, "the image, where no template is given: %s", value);
	return json_object_get(job->config, "image") != NULL ||
	       json_object_set_new(job->config, "image", json_string(value)) == 0;
}

#define OPENVZ_UBC "one of the beancounters: memory is limited as a whole (PHYSPAGES, SWAPPAGES)"
#define OPENVZ_NET "its network namespace is its own: all of it is there"

static const struct {
	const char *name;
	openvz_fn take;	 /* NULL: it has no counterpart */
	const char *why; /* then */
} openvz_rows[] = {
	{ "PHYSPAGES", openvz_memory, NULL },
	{ "SWAPPAGES", openvz_swap, NULL },
	{ "CPUS", openvz_cpus, NULL },
	{ "CPULIMIT", openvz_cpulimit, NULL },
	{ "CPUUNITS", openvz_cpuunits, NULL },
	{ "CPUMASK", openvz_cpumask, NULL },
	{ "NUMPROC", openvz_numproc, NULL },
	{ "HOSTNAME", openvz_hostname, NULL },
	{ "NAME", openvz_name, NULL },
	{ "IP_ADDRESS", openvz_address, NULL },
	{ "ONBOOT", openvz_onboot, NULL },
	{ "DESCRIPTION", openvz_description, NULL },
	{ "CAPABILITY", openvz_capability, NULL },
	{ "DEVNODES", openvz_devnodes, NULL },
	{ "OSTEMPLATE", openvz_template, NULL },
	{ "NAMESERVER", openvz_nameserver, NULL },
	{ "SEARCHDOMAIN", openvz_search, NULL },
	{ "DISKSPACE", openvz_diskspace, NULL },
	{ "IOLIMIT", openvz_iolimit, NULL },
	{ "IOPSLIMIT", openvz_iopslimit, NULL },
	{ "BINDMOUNT", openvz_bindmount, NULL },
	{ "DEVICES", openvz_devices, NULL },
	{ "FEATURES", openvz_features, NULL },
	{ "NETIF", openvz_netif, NULL },
	{ "RATE", openvz_rate, NULL },
	{ "RATEBOUND", openvz_ratebound, NULL },
	{ "STOP_TIMEOUT", openvz_stop_timeout, NULL },
	{ "DISABLED", openvz_disabled, NULL },
	{ "DISKINODES", NULL, "its disk has as many as ext4 makes for its size" },
	{ "DISK_QUOTA", NULL, "whether DISKSPACE holds" },
	{ "QUOTATIME", NULL, "its disk is full when it is" },
	{ "QUOTAUGIDLIMIT", NULL, "quotas of users inside have no counterpart" },
	{ "IOPRIO", NULL, "see --blkio-weight" },
	{ "NETDEV", NULL,
	  "a card of the host's stays the host's: an instance has eth0 of its network" },
	{ "PCI", NULL, "a card of the host's stays the host's" },
	{ "TOTALRATE", NULL, "it is of the host's links, not of one container" },
	{ "MOUNT_OPTS", NULL, "its root's disk is made and mounted by Strata" },
	{ "NODEMASK", NULL, "say which CPUs: --cpuset-cpus" },
	{ "UUID", NULL, "an instance has an id of its own" },
	{ "VEID", NULL, "an instance has an id of its own" },
	{ "CTID", NULL, "an instance has an id of its own" },
	{ "DISTRIBUTION", NULL, "how the system inside is set up is not touched" },
	{ "CONFIG_CUSTOMIZED", NULL, "of vzctl's own" },
	{ "IPTABLES", NULL, OPENVZ_NET },
	{ "NETFILTER", NULL, OPENVZ_NET },
	{ "NUMNETIF", NULL, "an instance has one interface, of its network" },
	{ "VE_ROOT", NULL, "roots are kept by Strata" },
	{ "VE_PRIVATE", NULL, "roots are kept by Strata: give its directory as the template" },
	{ "VE_LAYOUT", NULL, "roots are kept by Strata" },
	{ "ORIGIN_SAMPLE", NULL, "a template of settings, which are all here" },
	{ "BOOTORDER", NULL, "instances are started in no order" },
	{ "KMEMSIZE", NULL, OPENVZ_UBC },
	{ "LOCKEDPAGES", NULL, OPENVZ_UBC },
	{ "PRIVVMPAGES", NULL, OPENVZ_UBC },
	{ "SHMPAGES", NULL, OPENVZ_UBC },
	{ "VMGUARPAGES", NULL, OPENVZ_UBC },
	{ "OOMGUARPAGES", NULL, OPENVZ_UBC },
	{ "NUMTCPSOCK", NULL, OPENVZ_UBC },
	{ "NUMFLOCK", NULL, OPENVZ_UBC },
	{ "NUMPTY", NULL, OPENVZ_UBC },
	{ "NUMSIGINFO", NULL, OPENVZ_UBC },
	{ "TCPSNDBUF", NULL, OPENVZ_UBC },
	{ "TCPRCVBUF", NULL, OPENVZ_UBC },
	{ "OTHERSOCKBUF", NULL, OPENVZ_UBC },
	{ "DGRAMRCVBUF", NULL, OPENVZ_UBC },
	{ "NUMOTHERSOCK", NULL, OPENVZ_UBC },
	{ "DCACHESIZE", NULL, OPENVZ_UBC },
	{ "NUMFILE", NULL, OPENVZ_UBC },
	{ "AVNUMPROC", NULL, OPENVZ_UBC },
	{ "NUMIPTENT", NULL, OPENVZ_UBC },
	{ "VM_OVERCOMMIT", NULL, OPENVZ_UBC },
};

static bool openvz_take(struct openvz_job *job, const char *name, const char *value)
{
	job->note[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(openvz_rows); i++) {
		if (strcmp(name, openvz_rows[i].name) != 0)
			continue;
		if (openvz_rows[i].take)
			return openvz_rows[i].take(job, value);
		openvz_note(job, "%s", openvz_rows[i].why);
		return false;
	}
	openvz_note(job, "not known");
	return false;
}

int openvz_config(const json_t *conf, const struct openvz_host *host, json_t **ret_config,
		  json_t **ret_report, struct err *err)
{
	AUTO(json_decref_p) json_t *config = json_pack("{s:b}", "system", 1);
	AUTO(json_decref_p) json_t *limits = json_object();
	AUTO(json_decref_p) json_t *report = json_array();
	struct openvz_job job = { .conf = conf, .host = host, .config = config, .limits = limits };
	const char *name;
	json_t *value;
	int r = config && limits && report ? 0 : -1;

	json_object_foreach((json_t *)(uintptr_t)conf, name, value)
	{
		const char *text = json_string_value(value);
		bool taken = r == 0 && openvz_take(&job, name, text);
		r |= json_array_append_new(report,
					   json_pack("{s:s,s:s,s:b,s:s}", "name", name, "value",
						     text, "taken", taken, "note", job.note));
	}
	if (r == 0 && host->network && !json_object_get(config, "network"))
		r = json_object_set_new(
			config, "network",
			json_pack("{s:s,s:s}", "mode", "bridge", "network", host->network));
	if (r == 0 && json_object_size(limits))
		r = json_object_set(config, "limits", limits);
	if (r)
		return err_set(err, ENOMEM, "read the configuration");
	*ret_config = TAKE(config);
	*ret_report = TAKE(report);
	return 0;
}
