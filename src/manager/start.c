/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/idspace.h"
#include "base/os/json.h"
#include "base/os/wait.h"
#include "engines/caps.h"
#include "engines/seccomp/seccomp.h"
#include "manager/machine.h"
#include "manager/monitor_args.h"
#include "manager/private.h"
#include "manager/system.h"
#include "manager/terminal.h"
#include "manager/wire.h"
#include "network/network.h"
#include "network/passt.h"
#include "storage/own_layers.h"
#include "storage/volume.h"

static int start_layers(struct manager *manager, const struct instance *instance, json_t *spec,
			struct err *err)
{
	const struct engine_ops *engine = engine_find(json_str(instance->spec, "virt", ""), false);
	const bool user = geteuid() != 0 && engine && !engine->machines;
	AUTO(json_decref_p) json_t *layers = json_array();
	char path[4096];
	size_t i;
	json_t *layer;

	json_array_foreach(json_object_get(instance->spec, "layers"), i, layer)
	{
		int n = snprintf(path, sizeof(path),
				 user ? "%s/" OWN_LAYERS "/%s/fs" : "%s/layers/%s",
				 manager->store.root, json_string_value(layer));
		int r = user ? own_layer_make(&manager->store, json_string_value(layer), err) : 0;
		if (r < 0)
			return r;
		if (n < 0 || (size_t)n >= sizeof(path) ||
		    json_array_append_new(layers, json_string(path)))
			return err_set(err, ENOMEM, "start %s", instance->name);
	}
	return json_object_set(spec, "layers", layers) ? err_set(err, ENOMEM, "start") : 0;
}

static int start_volumes(struct manager *manager, const struct instance *instance, json_t *spec,
			 struct err *err)
{
	json_t *mounts = json_deep_copy(json_object_get(instance->spec, "mounts"));
	size_t i;
	json_t *mount;

	if (json_object_set_new(spec, "mounts", mounts))
		return err_set(err, ENOMEM, "start %s", instance->name);
	json_array_foreach(mounts, i, mount)
	{
		struct volume volume;
		if (strcmp(json_str(mount, "type", ""), "volume") != 0)
			continue;
		int r = volume_find(&manager->store, json_str(mount, "source", ""), &volume, err);
		if (r < 0)
			return r;
		r = json_object_set_new(mount, "source", json_string(volume.path));
		volume_fini(&volume);
		if (r)
			return err_set(err, ENOMEM, "start %s", instance->name);
	}
	return 0;
}

static uint64_t start_caps(const json_t *spec)
{
	uint64_t caps = 0;
	size_t i;
	json_t *name;

	json_array_foreach(json_object_get(spec, "caps"), i, name)
	{
		uint64_t one = 0;
		if (caps_from_name(json_string_value(name), &one, NULL) == 0)
			caps |= one;
	}
	return caps;
}

int instance_seccomp(struct manager *manager, json_t *spec, struct err *err)
{
	const char *profile = json_str(spec, "seccomp_profile", "default");
	const struct engine_ops *engine = engine_find(json_str(spec, "virt", ""), false);
	char *path = NULL;

	if (!strcmp(profile, "unconfined") || !engine || !engine->filters)
		return 0;
	int r = seccomp_filter(&manager->store, profile, start_caps(spec), &path, err);
	if (r < 0)
		return r;
	r = json_object_set_new(spec, "seccomp", json_string(path));
	free(path);
	return r ? err_set(err, ENOMEM, "seccomp filter") : 0;
}

/* The stored spec with everything that only this host and this start know. */
static int start_json(struct manager *manager, const struct instance *instance, json_t **ret,
		      struct err *err)
{
	AUTO(json_decref_p) json_t *spec = json_copy(instance->spec);
	int r = spec ? start_layers(manager, instance, spec, err) : err_set(err, ENOMEM, "start");

	if (r == 0)
		r = start_volumes(manager, instance, spec, err);
	if (r == 0)
		r = instance_seccomp(manager, spec, err);
	if (r == 0)
		r = machine_fill(manager, instance, spec, err);
	if (r < 0)
		return r;
	*ret = TAKE(spec);
	return 0;
}

int instance_spec(struct manager *manager, const struct instance *instance, struct spec *ret,
		  struct err *err)
{
	AUTO(json_decref_p) json_t *json = NULL;
	int r = start_json(manager, instance, &json, err);

	return r < 0 ? r : spec_load(json, ret, err);
}

/* ports of the spec to the plan; the array is the caller's to free. */
static int start_ports(const json_t *spec, struct network_plan *plan, struct err *err)
{
	const json_t *ports = json_object_get(spec, "ports");
	size_t i;
	json_t *port;

	if (!json_array_size(ports))
		return 0;
	plan->ports = calloc(json_array_size(ports), sizeof(*plan->ports));
	if (!plan->ports)
		return err_set(err, ENOMEM, "published ports");
	json_array_foreach(ports, i, port)
	{
		struct network_port *p = &plan->ports[plan->n_ports++];
		(void)snprintf(p->host_ip, sizeof(p->host_ip), "%s",
			       json_str(port, "host_ip", "")); /* checked */
		p->host = (uint16_t)json_int(port, "host", 0);
		p->guest = (uint16_t)json_int(port, "guest", 0);
		p->udp = !strcmp(json_str(port, "protocol", "tcp"), "udp");
	}
	return 0;
}

/* What the plan decided goes into the running spec; chosen host ports too. */
static int start_take_plan(json_t *spec, const struct network_plan *plan, struct err *err)
{
	json_t *endpoint =
		json_pack("{s:s,s:s*,s:s,s:i,s:s*,s:s,s:s*}", "network", plan->network, "bridge",
			  plan->bridge[0] ? plan->bridge : NULL, "address", plan->ip, "prefix",
			  (int)plan->prefix, "gateway", plan->internal ? NULL : plan->gateway,
			  "mac", plan->mac, "host_if", plan->host_if[0] ? plan->host_if : NULL);
	json_t *network = json_copy(json_object_get(spec, "network"));
	json_t *ports = json_deep_copy(json_object_get(spec, "ports"));

	for (unsigned i = 0; i < plan->n_ports; i++)
		(void)json_object_set_new(json_array_get(ports, i), "host",
					  json_integer(plan->ports[i].host));
	if (!endpoint || !network || json_object_set_new(network, "endpoint", endpoint) ||
	    json_object_set_new(spec, "network", network))
		return err_set(err, ENOMEM, "network");
	if (ports)
		(void)json_object_set_new(spec, "ports", ports);
	return 0;
}

static int start_network(struct manager *manager, const struct instance *instance, json_t *spec,
			 struct err *err)
{
	const json_t *network = json_object_get(spec, "network");
	struct network_plan plan = {
		.network = json_str(network, "network", NETWORK_DEFAULT),
		.instance = instance->id,
		.name = instance->name,
		.hostname = json_str(spec, "hostname", ""),
		.address = json_str(network, "ip", NULL),
	};

	/* Another server's guests are on its own switch: there is nothing to be made here. */
	bool elsewhere = json_str(json_object_get(spec, "vm"), "host", NULL) != NULL;
	bool passt = !strcmp(json_str(network, "mode", "bridge"), "passt");
	if (!passt && strcmp(json_str(network, "mode", "bridge"), "bridge") != 0)
		return 0;
	int alone = passt || elsewhere ? -EBADF : network_lock_host();
	const char **aliases = json_strings(json_object_get(network, "aliases"));
	plan.aliases = aliases;
	int r = aliases ? start_ports(spec, &plan, err) : err_set(err, ENOMEM, "network");
	if (r == 0)
		r = passt ? network_plan_passt(&manager->store, &plan, err)
			  : network_plan(&manager->store, &plan, err);
	if (elsewhere)
		plan.bridge[0] = plan.host_if[0] = '\0';
	if (r == 0)
		r = start_take_plan(spec, &plan, err);
	if (r == 0 && !passt && !elsewhere)
		r = network_publish(&manager->store, instance->id, err);
	fd_close(alone);
	free(plan.ports);
	free(aliases);
	return r;
}

static int start_file(int dir, const char *name, const char *text, size_t len, struct err *err)
{
	AUTO(fd_close_p) int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : fd_write_all(fd, text, len);

	if (r == 0 && fchmod(fd, 0644) < 0) /* whatever the umask */
		r = -errno;
	return r < 0 ? err_set(err, -r, "write %s", name) : 0;
}

/* What was asked for, in place of the host's or the network's servers. */
static int start_resolv(const json_t *spec, const char *mode, struct buf *text, struct err *err)
{
	const json_t *servers = json_object_get(spec, "dns");
	const json_t *search = json_object_get(spec, "dns_search");
	const json_t *one;
	size_t i;
	int r = 0;

	json_array_foreach(search, i, one)
	{
		r |= buf_printf(text, "%s%s", i ? " " : "search ", json_string_value(one));
	}
	if (json_array_size(search))
		r |= buf_adds(text, "\n");
	json_array_foreach(servers, i, one)
	{
		r |= buf_printf(text, "nameserver %s\n", json_string_value(one));
	}
	if (r < 0)
		return err_set(err, ENOMEM, "resolv.conf");
	if (json_array_size(servers))
		return 0;
	return !strcmp(mode, "passt") ? buf_adds(text, "nameserver " PASST_DNS "\n")
				      : network_resolv(!strcmp(mode, "host"), text, err);
}

/* hosts, hostname and resolv.conf of the guest. */
static int start_files(struct manager *manager, const struct instance *instance, const json_t *spec,
		       int run_fd, struct err *err)
{
	static const char local[] = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n";
	const char *mode = json_str(json_object_get(spec, "network"), "mode", "bridge");
	const char *hostname = json_str(spec, "hostname", "");
	AUTO(buf_fini) struct buf text = { 0 };

	int r = buf_printf(&text, "%s\n", hostname);
	if (r == 0)
		r = start_file(run_fd, "hostname", text.data, text.len, err);
	buf_fini(&text);
	if (r == 0 &&
	    (strcmp(mode, "host") != 0 || file_read(AT_FDCWD, "/etc/hosts", 1 << 20, &text) < 0))
		r = buf_adds(&text, local);
	if (r == 0 && !strcmp(mode, "passt"))
		r = buf_printf(&text, "%s\t%s %s\n", PASST_ADDRESS, instance->name, hostname);
	if (r == 0)
		r = start_file(run_fd, "hosts", buf_str(&text), text.len, err);
	if (r < 0 || !strcmp(mode, "none"))
		return r;
	buf_fini(&text);
	r = start_resolv(spec, mode, &text, err);
	if (r == 0)
		r = start_file(run_fd, "resolv.conf", buf_str(&text), text.len, err);
	if (r == 0 && !strcmp(mode, "bridge"))
		r = network_hosts_write(&manager->store, instance->id, err);
	return r;
}

struct start_place {
	char state_dir[4096], run_dir[4096];
	int lock; /* the instance's; borrowed */
};

/* A monitor that knows nothing yet: it waits for WIRE_BEGIN, and leaves when we do. */
static int start_spawn(struct manager *manager, int socket, struct err *err)
{
	struct manager_spare *spare = &manager->spare;
	char strata[4096];
	ssize_t n = readlink("/proc/self/exe", strata, sizeof(strata) - 1);

	if (n < 0)
		return err_set(err, errno, "find this program");
	strata[n] = '\0';
	char *argv[MONITOR_ARGS + 1] = {
		[MONITOR_ARG_NAME] = (char *)(uintptr_t) "strata-monitor",
		[MONITOR_ARG_MODE] = (char *)(uintptr_t) "run",
		[MONITOR_ARG_STRATA] = strata,
		[MONITOR_ARG_ROOT] = manager->store.root,
		[MONITOR_ARG_RUN_ROOT] = manager->store.run_root,
	};
	struct spawn_fds fds = { { -EBADF, -EBADF, -EBADF, spare->spec, socket, -EBADF } };
	return spawn_monitor(argv, &fds, &spare->pid, err);
}

int manager_prepare(struct manager *manager, struct err *err)
{
	struct manager_spare *spare = &manager->spare;
	int pair[2];

	if (spare->pid)
		return 0;
	spare->spec = memfd_create("strata-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (spare->spec < 0)
		return err_set(err, errno, "memfd for a spec");
	int r = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		r = err_set(err, errno, "socket pair");
	} else {
		spare->socket = pair[0];
		r = start_spawn(manager, pair[1], err);
		fd_close(pair[1]);
		if (r < 0)
			fd_close(spare->socket);
	}
	if (r < 0) {
		fd_close(spare->spec);
		*spare = (struct manager_spare){ 0 };
	}
	return r;
}

void manager_dismiss(struct manager *manager)
{
	struct manager_spare *spare = &manager->spare;

	if (!spare->pid)
		return;
	fd_close(spare->spec);
	fd_close(spare->socket); /* which it takes for its end */
	(void)wait_child(spare->pid);
	*spare = (struct manager_spare){ 0 };
}

/* The monitor's first words. */
static int start_wait(struct instance *instance, int socket, int *ret_status, struct err *err)
{
	static struct wire_message
		message; /* 32 KiB: not for the stack of a command that has one thread */
	ssize_t n = wire_receive(socket, &message);
	int32_t pid;

	if (n == -EPIPE)
		return err_say(err, ECHILD, "start %s: its monitor died at once", instance->name);
	if (n < 0)
		return err_set(err, (int)-n, "start %s", instance->name);
	if (message.tag == WIRE_STARTED && n == sizeof(pid)) {
		memcpy(&pid, message.data, sizeof(pid));
		instance->pid = pid;
		return 0;
	}
	struct wire_failure failure = { .status = 125, .code = EPROTO };
	if (message.tag == WIRE_FAILED && n == sizeof(failure))
		memcpy(&failure, message.data, sizeof(failure));
	failure.text[sizeof(failure.text) - 1] = '\0';
	*ret_status = failure.status;
	return err_say(err, failure.code, "start %s: %s", instance->name,
		       failure.text[0] ? failure.text : "its monitor talks nonsense");
}

/* What the waiting monitor has to know; what is asked next waits in the socket until it runs the guest. */
static int start_begin(const struct manager_spare *spare, const struct instance *instance,
		       const json_t *spec, int lock, bool attach)
{
	struct wire_begin begin = { .attach = attach };
	char *text = json_text(spec, 0);

	memcpy(begin.id, instance->id, sizeof(begin.id));
	int r = text ? fd_write_all(spare->spec, text, strlen(text)) : -ENOMEM;

	free(text);
	if (r == 0)
		r = wire_send_fd(spare->socket, WIRE_BEGIN, &begin, sizeof(begin), lock);
	/* It may have failed and gone between our words: its own are still to be read. */
	return r == -EPIPE ? 0 : r;
}

static int start_launch(struct manager *manager, struct instance *instance, json_t *spec, int lock,
			bool attach, int *ret_socket, int *ret_status, struct err *err)
{
	int r = manager_prepare(manager, err);
	if (r < 0)
		return r;

	struct manager_spare spare = manager->spare;
	manager->spare = (struct manager_spare){ 0 };
	AUTO(fd_close_p) int socket = spare.socket;
	instance->monitor = spare.pid;
	r = start_begin(&spare, instance, spec, lock, attach);
	fd_close(spare.spec);
	r = r < 0 ? err_set(err, -r, "start %s: talk to its monitor", instance->name)
		  : start_wait(instance, socket, ret_status, err);
	if (r < 0) {
		fd_close(socket);
		socket = -EBADF;
		(void)wait_child(instance->monitor);
		return r;
	}
	*ret_socket = fd_take(&socket);
	return 0;
}

/* What a start that failed had already done. */
static void start_undo(struct manager *manager, struct instance *instance,
		       enum instance_state before, const char *run_dir)
{
	(void)network_release(&manager->store, instance->id,
			      NULL); /* repeated when it is removed */
	/* A monitor that was killed has left its cgroups, and nobody else will look for them. */
	(void)instance_sweep_engine(instance, 0, NULL);
	(void)dir_remove(AT_FDCWD, run_dir);
	(void)instance_set_state(manager, instance->id, before, NULL);
	instance->state = before;
	instance->pid = instance->monitor = 0;
}

static int start_check(const struct instance *instance, struct err *err)
{
	switch (instance->state) {
	case INSTANCE_RUNNING:
	case INSTANCE_PAUSED:
	case INSTANCE_RESTARTING:
		return err_say(err, EALREADY, "%s runs already", instance->name);
	default:
		return 0;
	}
}

/* An ordinary user's cgroups are where he is: who acts on the instance later, from elsewhere, has to know. */
static int start_parent(struct manager *manager, struct instance *instance, json_t *spec,
			struct err *err)
{
	const struct engine_ops *engine = engine_find(json_str(spec, "virt", ""), false);
	char own[256] = "";

	if (ids_here() == IDS_HOST || !engine || !engine->parent ||
	    (json_str(spec, "cgroup_parent", "")[0] && !json_bool(spec, "cgroup_own", false)))
		return 0;
	(void)engine->parent(own); /* none to be seen is none */
	if (!strcmp(json_str(spec, "cgroup_parent", ""), own))
		return 0;
	for (int i = 0; i < 2; i++) {
		json_t *to = i ? instance->spec : spec;
		if (json_object_set_new(to, "cgroup_parent", json_string(own)) < 0 ||
		    json_object_set_new(to, "cgroup_own", json_true()) < 0)
			return err_set(err, ENOMEM, "start %s", instance->name);
	}
	return instance_record(manager, instance, err);
}

/* Only from the state we know: whoever started or removed it meanwhile has changed the row. */
static int start_claim(struct manager *manager, const struct instance *instance, struct err *err)
{
	struct db *db = &manager->store.db;
	int r = db_run(db, err,
		       "UPDATE instance SET state = ?, stopped = 0 WHERE id = ? AND state = ?",
		       "isi", (int64_t)INSTANCE_RUNNING, instance->id, (int64_t)instance->state);

	if (r == 0 && db_changes(db) == 0)
		return err_say(err, EBUSY, "%s was started or removed by another command just now",
			       instance->name);
	return r;
}

static int start_locked(struct manager *manager, struct instance *instance, int lock, bool attach,
			int *ret_socket, int *ret_status, struct err *err)
{
	AUTO(json_decref_p) json_t *spec = NULL;
	enum instance_state before = instance->state;
	struct start_place place = { .lock = lock };

	if (instance_dir(manager, instance->id, false, place.state_dir) < 0 ||
	    instance_dir(manager, instance->id, true, place.run_dir) < 0)
		return err_set(err, ENAMETOOLONG, "start %s", instance->name);
	int r = start_json(manager, instance, &spec, err);
	if (r == 0)
		r = start_parent(manager, instance, spec, err);
	if (r < 0)
		return r;
	/* From here on a killed command leaves "running" without a monitor: reconcile.c cleans that up. */
	r = start_claim(manager, instance, err);
	if (r < 0)
		return r;
	r = dir_remove(AT_FDCWD, place.run_dir);
	if (r == 0)
		r = dir_make(AT_FDCWD, place.run_dir, 0700);
	AUTO(fd_close_p) int run_fd = open(place.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r < 0 || run_fd < 0)
		r = err_set(err, r < 0 ? -r : errno, "make %s", place.run_dir);
	if (r == 0)
		r = system_root(spec, place.state_dir, err);
	if (r == 0)
		r = start_fill(spec, place.state_dir, err);
	if (r == 0)
		r = start_network(manager, instance, spec, err);
	if (r == 0)
		r = start_files(manager, instance, spec, run_fd, err);
	/* With the spec: what is said later may come after the workload has asked. */
	if (r == 0 && attach && terminal_size_put(spec) < 0)
		r = err_set(err, ENOMEM, "start %s", instance->name);
	if (r == 0)
		r = start_launch(manager, instance, spec, place.lock, attach, ret_socket,
				 ret_status, err);
	if (r < 0) {
		start_undo(manager, instance, before, place.run_dir);
		return r;
	}
	instance->state = INSTANCE_RUNNING;
	return 0;
}

int manager_start(struct manager *manager, struct instance *instance, int *ret_attach,
		  int *ret_status, struct err *err)
{
	AUTO(fd_close_p) int socket = -EBADF;

	*ret_status = 125;
	AUTO(fd_close_p) int lock = instance_lock(manager, instance->id, true, err);
	if (lock < 0)
		return lock;
	/* A row that nobody has started yet is checked by start_claim(). */
	int r = instance->started_ns || instance->state != INSTANCE_CREATED
			? instance_settle(manager, instance, err)
			: 0;
	if (r == 0)
		r = start_check(instance, err);
	if (r == 0)
		r = start_locked(manager, instance, lock, ret_attach != NULL, &socket, ret_status,
				 err);
	if (r < 0)
		return r;
	event_add(manager, "start", instance, NULL, 0);
	if (ret_attach)
		*ret_attach = fd_take(&socket);
	return 0;
}
