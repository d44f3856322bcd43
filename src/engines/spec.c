/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/rlimit.h"
#include "engines/caps.h"
#include "engines/spec_read.h"
#include "network/rate.h"

#define MIB (INT64_C(1) << 20)

static const char *const mount_types[] = { [SPEC_MOUNT_BIND] = "bind",
					   [SPEC_MOUNT_VOLUME] = "volume",
					   [SPEC_MOUNT_TMPFS] = "tmpfs",
					   NULL };
static const char *const restarts[] = { [SPEC_RESTART_NO] = "no",
					[SPEC_RESTART_ON_FAILURE] = "on-failure",
					[SPEC_RESTART_ALWAYS] = "always",
					[SPEC_RESTART_UNLESS_STOPPED] = "unless-stopped",
					NULL };
static const char *const networks[] = { [SPEC_NETWORK_NONE] = "none",
					[SPEC_NETWORK_HOST] = "host",
					[SPEC_NETWORK_BRIDGE] = "bridge",
					[SPEC_NETWORK_PASST] = "passt",
					NULL };
static const char *const propagations[] = { "rprivate", "private", "rslave", "slave",
					    "rshared",	"shared",  NULL };
static const char *const virts[] = { "os-level", "hosted", "hybrid", "bare-metal", "auto", NULL };
static const char *const protocols[] = { "tcp", "udp", NULL };

static void read_mounts(struct spec_reader *rd, struct spec *spec)
{
	json_t *list = spec_array(rd, "mounts", 4096);

	spec->mounts = spec_alloc(rd, list, sizeof(*spec->mounts));
	spec->n_mounts = spec->mounts ? json_array_size(list) : 0;
	for (size_t i = 0; i < spec->n_mounts; i++) {
		struct spec_mount *m = &spec->mounts[i];
		struct spec_reader in = spec_enter_item(rd, list, "mounts", i);
		m->type = (enum spec_mount_type)spec_word(&in, "type", mount_types, -1);
		m->source = spec_str(&in, "source", NULL);
		m->target = spec_path(&in, "target", NULL);
		m->options = spec_str(&in, "options", NULL);
		m->propagation = propagations[spec_word(&in, "propagation", propagations, 0)];
		m->read_only = spec_bool(&in, "read_only", false);
		m->recursive = spec_bool(&in, "recursive", true);
		m->idmap = spec_bool(&in, "idmap", false);
		m->shared = spec_bool(&in, "shared", false);
		m->copy_up = spec_bool(&in, "copy_up", m->type == SPEC_MOUNT_VOLUME);
		spec_require(&in, "target", m->target);
		if (m->type != SPEC_MOUNT_TMPFS)
			spec_require(&in, "source", m->source);
		if (m->type == SPEC_MOUNT_BIND && m->source && m->source[0] != '/')
			spec_fail(&in, "source", "must be an absolute path for a bind mount");
		spec_leave(rd, &in);
	}
}

static void read_devices(struct spec_reader *rd, struct spec *spec)
{
	json_t *list = spec_array(rd, "devices", 4096);

	spec->devices = spec_alloc(rd, list, sizeof(*spec->devices));
	spec->n_devices = spec->devices ? json_array_size(list) : 0;
	for (size_t i = 0; i < spec->n_devices; i++) {
		struct spec_device *d = &spec->devices[i];
		struct spec_reader in = spec_enter_item(rd, list, "devices", i);
		d->source = spec_path(&in, "source", NULL);
		spec_require(&in, "source", d->source);
		d->target = spec_path(&in, "target", d->source);
		d->permissions = spec_str(&in, "permissions", "rwm");
		if (!*d->permissions || d->permissions[strspn(d->permissions, "rwm")])
			spec_fail(&in, "permissions", "must be made of the letters r, w and m");
		spec_leave(rd, &in);
	}
}

static void read_ulimits(struct spec_reader *rd, struct spec *spec)
{
	json_t *list = spec_array(rd, "ulimits", RLIMIT_NAMES);

	spec->ulimits = spec_alloc(rd, list, sizeof(*spec->ulimits));
	spec->n_ulimits = spec->ulimits ? json_array_size(list) : 0;
	for (size_t i = 0; i < spec->n_ulimits; i++) {
		struct spec_ulimit *u = &spec->ulimits[i];
		struct spec_reader in = spec_enter_item(rd, list, "ulimits", i);
		int at = spec_word(&in, "name", rlimit_names, -1);
		u->resource = rlimit_resources[at];
		u->name = rlimit_names[at];
		int64_t soft = spec_int(&in, "soft", -1, INT64_MAX, -1);
		int64_t hard = spec_int(&in, "hard", -1, INT64_MAX, soft);
		u->soft = (uint64_t)soft; /* -1: UINT64_MAX, as RLIM_INFINITY */
		u->hard = (uint64_t)hard;
		if (u->soft > u->hard)
			spec_fail(&in, "soft", "must not be above hard");
		spec_leave(rd, &in);
	}
}

static void read_ports(struct spec_reader *rd, struct spec *spec)
{
	json_t *list = spec_array(rd, "ports", 65536);

	spec->ports = spec_alloc(rd, list, sizeof(*spec->ports));
	spec->n_ports = spec->ports ? json_array_size(list) : 0;
	for (size_t i = 0; i < spec->n_ports; i++) {
		struct spec_port *p = &spec->ports[i];
		struct spec_reader in = spec_enter_item(rd, list, "ports", i);
		p->host_ip = spec_ip(&in, "host_ip");
		p->host = (uint16_t)spec_int(&in, "host", 0, 65535, 0);
		p->guest = (uint16_t)spec_int(&in, "guest", 1, 65535, SPEC_REQUIRED);
		p->protocol = protocols[spec_word(&in, "protocol", protocols, 0)];
		spec_leave(rd, &in);
	}
}

static size_t read_idmap(struct spec_reader *rd, const char *key, struct ids_map **ret)
{
	json_t *list = spec_array(rd, key, 340); /* the kernel's own bound: user_namespaces(7) */
	struct ids_map *maps = spec_alloc(rd, list, sizeof(*maps));
	size_t n = maps ? json_array_size(list) : 0;

	*ret = maps;
	for (size_t i = 0; i < n; i++) {
		struct spec_reader in = spec_enter_item(rd, list, key, i);
		int64_t inside = spec_int(&in, "inside", 0, UINT32_MAX - 1, SPEC_REQUIRED);
		int64_t outside = spec_int(&in, "outside", 0, UINT32_MAX - 1, SPEC_REQUIRED);
		int64_t size = spec_int(&in, "size", 1, UINT32_MAX, SPEC_REQUIRED);
		if (inside + size > UINT32_MAX || outside + size > UINT32_MAX)
			spec_fail(&in, "size", "goes past the last id");
		maps[i] = (struct ids_map){ (uint32_t)inside, (uint32_t)outside, (uint32_t)size };
		spec_leave(rd, &in);
	}
	return n;
}

static const char *const io_rates[SPEC_IO_RATES] = {
	[SPEC_IO_READ_BPS] = "read_bps",
	[SPEC_IO_WRITE_BPS] = "write_bps",
	[SPEC_IO_READ_IOPS] = "read_iops",
	[SPEC_IO_WRITE_IOPS] = "write_iops",
};

static void read_io(struct spec_reader *rd, struct spec_limits *l)
{
	json_t *list = spec_array(rd, "io", 256);

	l->io_weight = spec_int(rd, "io_weight", 0, 1000, 0);
	l->io = spec_alloc(rd, list, sizeof(*l->io));
	l->n_io = l->io ? json_array_size(list) : 0;
	for (size_t i = 0; i < l->n_io; i++) {
		struct spec_reader in = spec_enter_item(rd, list, "io", i);
		l->io[i].device = spec_path(&in, "device", NULL);
		spec_require(&in, "device", l->io[i].device);
		for (unsigned k = 0; k < SPEC_IO_RATES; k++)
			l->io[i].rates[k] = spec_int(&in, io_rates[k], 0, INT64_MAX, 0);
		spec_leave(rd, &in);
	}
}

static int64_t read_rate(struct spec_reader *rd, const char *member)
{
	const int64_t bits = spec_int(rd, member, 0, RATE_MAX, 0);

	if (bits && bits < RATE_MIN)
		spec_fail(rd, member, "must be at least 8000 bits a second");
	return bits;
}

static void read_limits(struct spec_reader *rd, struct spec_limits *l)
{
	struct spec_reader in = spec_enter(rd, "limits");

	l->memory_bytes = spec_int(&in, "memory_bytes", 0, INT64_MAX, 0);
	l->memory_swap_bytes = spec_int(&in, "memory_swap_bytes", -1, INT64_MAX, 0);
	l->memory_reservation_bytes = spec_int(&in, "memory_reservation_bytes", 0, INT64_MAX, 0);
	l->cpu_quota_us = spec_int(&in, "cpu_quota_us", 0, INT64_MAX / 1000, 0);
	l->cpu_period_us = spec_int(&in, "cpu_period_us", 0, 1000000, 0);
	l->cpu_shares = spec_int(&in, "cpu_shares", 0, 262144, 0);
	l->pids = spec_int(&in, "pids", 0, 4194304, 0);
	l->cpuset = spec_str(&in, "cpuset", NULL);
	read_io(&in, l);
	l->ingress_bits = read_rate(&in, "ingress_bits");
	l->egress_bits = read_rate(&in, "egress_bits");
	if (l->memory_bytes && l->memory_bytes < 6 * MIB)
		spec_fail(&in, "memory_bytes", "must be at least 6 MiB (6291456)");
	if (l->memory_swap_bytes > 0 && !l->memory_bytes)
		spec_fail(&in, "memory_swap_bytes", "needs memory_bytes too");
	if (l->memory_swap_bytes > 0 && l->memory_swap_bytes < l->memory_bytes)
		spec_fail(&in, "memory_swap_bytes",
			  "is memory and swap together, so it must not be below memory_bytes");
	if (l->memory_bytes && l->memory_reservation_bytes > l->memory_bytes)
		spec_fail(&in, "memory_reservation_bytes", "must not be above memory_bytes");
	if (l->cpu_quota_us && l->cpu_quota_us < 1000)
		spec_fail(&in, "cpu_quota_us", "must be at least 1000");
	if (l->cpu_period_us && l->cpu_period_us < 1000)
		spec_fail(&in, "cpu_period_us", "must be between 1000 and 1000000");
	if (l->cpu_shares == 1)
		spec_fail(&in, "cpu_shares", "must be between 2 and 262144");
	if (l->cpuset && !spec_is_cpu_list(l->cpuset))
		spec_fail(&in, "cpuset", "must be a list of CPUs as '0-2,4'");
	spec_leave(rd, &in);
}

static void read_network(struct spec_reader *rd, struct spec *spec)
{
	/* For the manager: only checked here. */
	free(spec_strings(rd, "dns", 8, spec_is_filled, NULL));
	free(spec_strings(rd, "dns_search", 32, spec_is_filled, NULL));
	struct spec_reader in = spec_enter(rd, "network");

	spec->network = (enum spec_network)spec_word(&in, "mode", networks, SPEC_NETWORK_NONE);
	spec_ip(&in, "ip"); /* for the network room: only checked here */
	const char *name = spec_str(&in, "network", NULL);
	free(spec_strings(&in, "aliases", 256, NULL, NULL));

	struct spec_reader end = spec_enter(&in, "endpoint");
	struct spec_endpoint *e = &spec->endpoint;
	e->network = spec_str(&end, "network", name);
	e->bridge = spec_ifname(&end, "bridge");
	e->host_if = spec_ifname(&end, "host_if");
	e->address = spec_ip(&end, "address");
	e->gateway = spec_ip(&end, "gateway");
	e->prefix = (unsigned)spec_int(&end, "prefix", 0, 128, 0);
	e->address6 = spec_ip(&end, "address6");
	e->gateway6 = spec_ip(&end, "gateway6");
	e->prefix6 = (unsigned)spec_int(&end, "prefix6", 1, 128, 64);
	e->mtu = (unsigned)spec_int(&end, "mtu", 68, 65535, 0);
	e->mac = spec_str(&end, "mac", NULL);
	if (e->mac && !spec_is_mac(e->mac))
		spec_fail(&end, "mac", "must be six bytes as '02:00:0a:c9:00:02'");
	if (e->address && !e->prefix)
		spec_fail(&end, "prefix", "is needed with address");
	spec_leave(&in, &end);
	if (spec->network != SPEC_NETWORK_BRIDGE && spec->network != SPEC_NETWORK_PASST)
		*e = (struct spec_endpoint){ 0 };
	spec_leave(rd, &in);
}

/* The bound is the kernel's: proc_timens_set_offset(), some 146 years. */
static void read_time_offsets(struct spec_reader *rd, struct spec *spec)
{
	const int64_t max = INT64_MAX / 1000000000 / 2;
	struct spec_reader in = spec_enter(rd, "time_offsets");

	spec->time_offsets.monotonic_s = spec_int(&in, "monotonic_s", -max, max, 0);
	spec->time_offsets.boottime_s = spec_int(&in, "boottime_s", -max, max, 0);
	spec_leave(rd, &in);
}

static void read_caps(struct spec_reader *rd, struct spec *spec)
{
	size_t n = 0;
	const char **names = spec_strings(rd, "caps", 256, NULL, &n);
	struct err why = { 0 };

	for (size_t i = 0; i < n; i++) {
		uint64_t bits = 0;
		if (caps_from_name(names[i], &bits, &why) < 0)
			spec_fail(rd, "caps", "%s", why.text);
		spec->caps |= bits;
	}
	free(names);
}

static void read_tty_size(struct spec_reader *rd, struct spec *spec)
{
	struct spec_reader in = spec_enter(rd, "tty_size");

	spec->tty_size.ws_row = (unsigned short)spec_int(&in, "rows", 0, UINT16_MAX, 0);
	spec->tty_size.ws_col = (unsigned short)spec_int(&in, "columns", 0, UINT16_MAX, 0);
	spec_leave(rd, &in);
}

static void read_process(struct spec_reader *rd, struct spec *spec)
{
	spec->args = spec_strings(rd, "args", 1u << 20, NULL, &spec->n_args);
	if (!spec->n_args)
		spec_fail(rd, "args", "must have at least one word, the command");
	spec->env = spec_strings(rd, "env", 1u << 20, spec_is_env, &spec->n_env);
	spec->groups = spec_strings(rd, "groups", 65536, spec_is_filled, &spec->n_groups);
	spec->cwd = spec_path(rd, "cwd", "/");
	spec->user = spec_str(rd, "user", "");
	spec->tty = spec_bool(rd, "tty", false);
	read_tty_size(rd, spec);
	spec->stdin_open = spec_bool(rd, "stdin_open", false);
	spec->system = spec_bool(rd, "system", false);
	spec->init = spec_bool(rd, "init", false);
	spec->no_new_privileges = spec_bool(rd, "no_new_privileges", false);
	spec->privileged = spec_bool(rd, "privileged", false);
	spec->seccomp = spec_path(rd, "seccomp", NULL);
	spec->stop_signal =
		(int)spec_int(rd, "stop_signal", spec->system ? 0 : 1, 64, spec->system ? 0 : 15);
	spec->stop_timeout_ms = (unsigned)spec_int(rd, "stop_timeout_ms", 0, INT32_MAX, 10000);
	read_caps(rd, spec);
}

static void read_identity(struct spec_reader *rd, struct spec *spec)
{
	spec->id = spec_str(rd, "id", NULL);
	spec_require(rd, "id", spec->id);
	if (spec->id && !spec_is_id(spec->id))
		spec_fail(rd, "id", "must be 64 lower-case hex digits");
	spec->name = spec_str(rd, "name", NULL);
	spec_require(rd, "name", spec->name);
	if (spec->name && !spec_is_name(spec->name))
		spec_fail(rd, "name",
			  "must begin with a letter or digit, and hold letters, digits, '_', '.' "
			  "and '-' only, at most 128");
	spec->image = spec_str(rd, "image", "");
	spec->virt = virts[spec_word(rd, "virt", virts, 0)];
	spec->hostname = spec_str(rd, "hostname", "");
	if (!spec_is_hostname(spec->hostname))
		spec_fail(rd, "hostname", "must be letters, digits, '-' and '.', at most 64");
	spec->cgroup_parent = spec_str(rd, "cgroup_parent", "");
	if (spec->cgroup_parent[0] && !spec_is_relative(spec->cgroup_parent))
		spec_fail(rd, "cgroup_parent",
			  "must be a relative path without '..', at most 160 characters");
}

static void read_storage(struct spec_reader *rd, struct spec *spec)
{
	spec->layers = spec_strings(rd, "layers", 500, spec_is_absolute, &spec->n_layers);
	spec->read_only = spec_bool(rd, "read_only", false);
	spec->remove = spec_bool(rd, "remove", false);
	spec->root_bytes = spec_int(rd, "root_bytes", 0, INT64_MAX, 0);
	if (spec->root_bytes && spec->root_bytes < SPEC_ROOT_MIN)
		spec_fail(rd, "root_bytes", "must be at least 16 MiB (16777216)");
	spec->shm_bytes = spec_int(rd, "shm_bytes", 0, INT64_MAX, 64 * MIB);
	read_mounts(rd, spec);
	read_devices(rd, spec);
}

static void read_upkeep(struct spec_reader *rd, struct spec *spec)
{
	struct spec_reader restart = spec_enter(rd, "restart");
	spec->restart = (enum spec_restart)spec_word(&restart, "policy", restarts, SPEC_RESTART_NO);
	spec->restart_max = (unsigned)spec_int(&restart, "max", 0, INT32_MAX, 0);
	if (spec->restart_max && spec->restart != SPEC_RESTART_ON_FAILURE)
		spec_fail(&restart, "max", "only goes with the policy 'on-failure'");
	spec_leave(rd, &restart);

	struct spec_reader log = spec_enter(rd, "log");
	spec->log_max_bytes = spec_int(&log, "max_bytes", 4096, INT64_MAX, 10 * MIB);
	spec->log_files = (unsigned)spec_int(&log, "files", 1, 1000, 3);
	spec_leave(rd, &log);
}

static void read_health(struct spec_reader *rd, struct spec_health *h)
{
	struct spec_reader in = spec_enter(rd, "health");

	if (in.obj) {
		h->args = spec_strings(&in, "args", 1u << 16, NULL, &h->n_args);
		if (!h->n_args)
			spec_fail(&in, "args", "must have at least one word, the command");
	}
	h->interval_ms = (unsigned)spec_int(&in, "interval_ms", 1, INT32_MAX, 30000);
	h->timeout_ms = (unsigned)spec_int(&in, "timeout_ms", 1, INT32_MAX, 30000);
	h->start_period_ms = (unsigned)spec_int(&in, "start_period_ms", 0, INT32_MAX, 0);
	h->start_interval_ms = (unsigned)spec_int(&in, "start_interval_ms", 1, INT32_MAX, 5000);
	h->retries = (unsigned)spec_int(&in, "retries", 1, INT32_MAX, 3);
	spec_leave(rd, &in);
}

int spec_load(json_t *json, struct spec *ret, struct err *err)
{
	if (!json_is_object(json))
		return err_say(err, EINVAL, "spec: must be a JSON object");

	AUTO(spec_fini) struct spec spec = { .json = json_incref(json) };
	struct spec_reader rd = { .obj = json, .err = err };
	read_identity(&rd, &spec);
	read_process(&rd, &spec);
	read_storage(&rd, &spec);
	read_ulimits(&rd, &spec);
	read_limits(&rd, &spec.limits);
	spec_read_vm(&rd, &spec.vm);
	spec.n_uid_map = read_idmap(&rd, "uid_map", &spec.uid_map);
	spec.n_gid_map = read_idmap(&rd, "gid_map", &spec.gid_map);
	read_time_offsets(&rd, &spec);
	read_network(&rd, &spec);
	read_ports(&rd, &spec);
	read_upkeep(&rd, &spec);
	read_health(&rd, &spec.health);
	if (rd.failed)
		return rd.failed;
	*ret = spec;
	spec = (struct spec){ 0 }; /* *ret owns it now */
	return 0;
}

void spec_fini(struct spec *spec)
{
	free(spec->layers);
	free(spec->args);
	free(spec->env);
	free(spec->groups);
	free(spec->mounts);
	free(spec->devices);
	free(spec->ulimits);
	free(spec->vm.disks);
	free(spec->vm.directories);
	free(spec->limits.io);
	free(spec->vm.sysctls);
	free(spec->uid_map);
	free(spec->gid_map);
	free(spec->ports);
	free(spec->health.args);
	json_decref(spec->json);
	*spec = (struct spec){ 0 };
}
