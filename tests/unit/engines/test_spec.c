/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "base/os/json.h"
#include "engines/caps.h"
#include "engines/spec.h"

/* Stands in only where caps.c is not linked. */
__attribute__((weak)) int caps_from_name(const char *name, uint64_t *ret, struct err *err)
{
	if (strcmp(name, "CAP_CHOWN"))
		return err_say(err, EINVAL, "capability '%s' is unknown", name);
	*ret = 1;
	return 0;
}

#define ID	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MINIMUM "\"id\":\"" ID "\",\"name\":\"web1\",\"args\":[\"/bin/true\"]"

static int load(const char *text, struct spec *ret, struct err *err)
{
	AUTO(json_decref_p) json_t *json = NULL;

	assert_int_equal(json_parse(text, strlen(text), "test", &json, err), 0);
	return spec_load(json, ret, err);
}

static void defaults(void **state)
{
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(load("{" MINIMUM ",\"unknown\":{\"x\":1}}", &spec, &err), 0);
	assert_string_equal(spec.id, ID);
	assert_int_equal(spec.n_args, 1);
	assert_null(spec.args[1]);
	assert_non_null(spec.env);
	assert_null(spec.env[0]);
	assert_null(spec.groups[0]);
	assert_string_equal(spec.cwd, "/");
	assert_string_equal(spec.user, "");
	assert_string_equal(spec.virt, "os-level");
	assert_string_equal(spec.cgroup_parent, "");
	assert_int_equal(spec.caps, 0);
	assert_null(spec.seccomp);
	assert_int_equal(spec.network, SPEC_NETWORK_NONE);
	assert_int_equal(spec.restart, SPEC_RESTART_NO);
	assert_int_equal(spec.stop_signal, 15);
	assert_int_equal(spec.stop_timeout_ms, 10000);
	assert_int_equal(spec.shm_bytes, 64 << 20);
	assert_int_equal(spec.log_files, 3);
	spec_fini(&spec);
	spec_fini(&spec);
}

static void everything(void **state)
{
	static const char text[] =
		"{" MINIMUM
		",\"env\":[\"A=1\",\"B=\"],\"cwd\":\"/srv\",\"user\":\"1000:1000\",\"groups\":[\"tty\"]"
		",\"caps\":[\"CAP_CHOWN\"],\"seccomp\":\"/var/lib/x\",\"hostname\":\"web-1\",\"tty\":true"
		",\"layers\":[\"/a\",\"/b\"]"
		",\"mounts\":[{\"type\":\"bind\",\"source\":\"/src\",\"target\":\"/dst\",\"read_only\":true,"
		"\"propagation\":\"rslave\"},{\"type\":\"tmpfs\",\"target\":\"/t\",\"options\":\"size=1m\"},"
		"{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/d\"}]"
		",\"devices\":[{\"source\":\"/dev/fuse\"}]"
		",\"ulimits\":[{\"name\":\"nofile\",\"soft\":1024,\"hard\":-1}]"
		",\"limits\":{\"memory_bytes\":67108864,\"cpu_quota_us\":50000,\"cpuset\":\"0-1,3\",\"pids\":64}"
		",\"uid_map\":[{\"inside\":0,\"outside\":100000,\"size\":65536}]"
		",\"network\":{\"mode\":\"bridge\",\"network\":\"front\",\"aliases\":[\"db\"],\"ip\":\"10.0.0.9\","
		"\"endpoint\":{\"bridge\":\"st-0\",\"address\":\"10.201.0.2\",\"prefix\":24,\"gateway\":"
		"\"10.201.0.1\",\"mac\":\"02:00:0a:c9:00:02\",\"host_if\":\"sv0\"}}"
		",\"ports\":[{\"host\":8080,\"guest\":80},{\"host_ip\":\"::1\",\"guest\":53,\"protocol\":\"udp\"}]"
		",\"restart\":{\"policy\":\"on-failure\",\"max\":5},\"log\":{\"max_bytes\":4096,\"files\":2}}";
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(load(text, &spec, &err), 0);
	assert_string_equal(spec.env[1], "B=");
	assert_int_equal(spec.caps, 1);
	assert_int_equal(spec.n_mounts, 3);
	assert_string_equal(spec.mounts[0].propagation, "rslave");
	assert_true(spec.mounts[0].read_only);
	assert_true(spec.mounts[0].recursive);
	assert_false(spec.mounts[0].copy_up);
	assert_null(spec.mounts[1].source);
	assert_true(spec.mounts[2].copy_up);
	assert_string_equal(spec.devices[0].target, "/dev/fuse");
	assert_string_equal(spec.devices[0].permissions, "rwm");
	assert_int_equal(spec.ulimits[0].resource, RLIMIT_NOFILE);
	assert_true(spec.ulimits[0].hard == UINT64_MAX);
	assert_int_equal(spec.limits.pids, 64);
	assert_string_equal(spec.limits.cpuset, "0-1,3");
	assert_int_equal(spec.uid_map[0].outside, 100000);
	assert_string_equal(spec.endpoint.network, "front");
	assert_int_equal(spec.endpoint.prefix, 24);
	assert_int_equal(spec.ports[0].host, 8080);
	assert_string_equal(spec.ports[0].protocol, "tcp");
	assert_string_equal(spec.ports[1].host_ip, "::1");
	assert_int_equal(spec.restart, SPEC_RESTART_ON_FAILURE);
	assert_int_equal(spec.restart_max, 5);
	assert_int_equal(spec.log_max_bytes, 4096);
	spec_fini(&spec);
}

/* The view must outlive the reference that it was made from. */
static void view_keeps_the_json(void **state)
{
	json_t *json = json_loads("{" MINIMUM "}", 0, NULL);
	struct spec spec;

	(void)state;
	assert_non_null(json);
	assert_int_equal(spec_load(json, &spec, NULL), 0);
	json_decref(json);
	assert_string_equal(spec.name, "web1");
	spec_fini(&spec);
}

static void a_virtual_machine(void **state)
{
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(load("{" MINIMUM "}", &spec, &err), 0);
	assert_null(spec.vm.kernel);
	assert_int_equal(spec.vm.n_disks, 0);
	spec_fini(&spec);
	assert_int_equal(
		load("{" MINIMUM ",\"vm\":{\"kernel\":\"/k\",\"append\":\"quiet\",\"vcpus\":2,"
		     "\"memory_bytes\":8388608,\"irqchip\":\"machine\",\"rng\":false,\"disks\":["
		     "{\"path\":\"/a\"},{\"path\":\"/b\",\"format\":\"qcow2\",\"read_only\":true}]}}",
		     &spec, &err),
		0);
	assert_string_equal(spec.vm.kernel, "/k");
	assert_null(spec.vm.initrd);
	assert_string_equal(spec.vm.append, "quiet");
	assert_int_equal(spec.vm.vcpus, 2);
	assert_int_equal(spec.vm.memory_bytes, 8388608);
	assert_true(spec.vm.machine_irqchip && spec.vm.balloon && !spec.vm.rng && !spec.vm.agent);
	assert_int_equal(spec.vm.n_disks, 2);
	assert_int_equal(spec.vm.disks[0].format, SPEC_DISK_AUTO);
	assert_int_equal(spec.vm.disks[1].format, SPEC_DISK_QCOW2);
	assert_true(spec.vm.disks[1].read_only);
	spec_fini(&spec);
}

static void what_a_machine_shares(void **state)
{
	static const char text[] =
		"{" MINIMUM ",\"mounts\":["
		"{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/t\"},"
		"{\"type\":\"volume\",\"source\":\"/d\",\"target\":\"/t\",\"shared\":true},"
		"{\"type\":\"volume\",\"source\":\"/e\",\"target\":\"/t\"},"
		"{\"type\":\"tmpfs\",\"target\":\"/t\",\"shared\":true}],"
		"\"vm\":{\"kernel\":\"/k\",\"disks\":[{\"path\":\"/x\"},{\"path\":\"/e\"}%s";
	char full[1024];
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	(void)snprintf(full, sizeof(full), text, "]}}");
	assert_int_equal(load(full, &spec, &err), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(spec_is_share(&spec.mounts[i]), i < 2);
	assert_int_equal(spec_disk_of(&spec, "/e"), 1);
	assert_int_equal(spec_disk_of(&spec, "/d"), -1);
	assert_true(spec_has_shares(&spec));
	assert_false(spec_root_is_shared(&spec));
	spec_fini(&spec);
	assert_int_equal(load("{" MINIMUM ",\"vm\":{\"root_fs\":\"virtiofs\"}}", &spec, &err), 0);
	assert_true(spec_has_shares(&spec) && spec_root_is_shared(&spec));
	spec_fini(&spec);
	assert_int_equal(load("{" MINIMUM "}", &spec, &err), 0);
	assert_false(spec_has_shares(&spec));
	spec_fini(&spec);
}

static void bad_members_are_named(void **state)
{
	static const struct {
		const char *members, *says;
	} cases[] = {
		{ "\"cwd\":\"x\"", "cwd: must be an absolute path" },
		{ "\"cwd\":7", "cwd: must be a string" },
		{ "\"tty\":1", "tty: must be true or false" },
		{ "\"env\":[\"A=1\",\"B\"]", "env[1]: must be NAME=VALUE" },
		{ "\"env\":[\"=1\"]", "env[0]: must be NAME=VALUE" },
		{ "\"env\":[7]", "env[0]: must be a string" },
		{ "\"env\":{}", "env: must be an array" },
		{ "\"layers\":[\"a\"]", "layers[0]: must be an absolute path" },
		{ "\"caps\":[\"CAP_NONSENSE\"]", "caps: " },
		{ "\"virt\":\"magic\"", "virt: must be one of os-level, hosted" },
		{ "\"hostname\":\"a b\"", "hostname: " },
		{ "\"cgroup_parent\":\"../x\"", "cgroup_parent: " },
		{ "\"cgroup_parent\":\"/x\"", "cgroup_parent: " },
		{ "\"stop_signal\":65", "stop_signal: must be between 1 and 64" },
		{ "\"stop_signal\":1.5", "stop_signal: must be a whole number" },
		{ "\"mounts\":[7]", "mounts[0]: must be an object" },
		{ "\"mounts\":[{\"target\":\"/x\"}]", "mounts[0].type: is missing" },
		{ "\"mounts\":[{\"type\":\"bind\",\"target\":\"/x\"}]",
		  "mounts[0].source: is missing" },
		{ "\"mounts\":[{\"type\":\"bind\",\"source\":\"x\",\"target\":\"/x\"}]",
		  "mounts[0].source: must be an absolute path" },
		{ "\"mounts\":[{\"type\":\"tmpfs\"}]", "mounts[0].target: is missing" },
		{ "\"devices\":[{\"source\":\"/dev/x\",\"permissions\":\"rx\"}]",
		  "devices[0].permissions" },
		{ "\"ulimits\":[{\"name\":\"nofile\",\"soft\":2,\"hard\":1}]",
		  "ulimits[0].soft: must not be above hard" },
		{ "\"ulimits\":[{\"name\":\"x\"}]", "ulimits[0].name: must be one of as, core" },
		{ "\"vm\":{\"kernel\":\"x\"}", "vm.kernel: must be an absolute path" },
		{ "\"vm\":{\"initrd\":\"/i\"}", "vm.kernel: is needed" },
		{ "\"vm\":{\"disks\":[{\"path\":\"/d\"}]}", "vm.kernel: is needed" },
		{ "\"vm\":{\"kernel\":\"/k\",\"vcpus\":65}", "vm.vcpus: must be between 1 and 64" },
		{ "\"vm\":{\"kernel\":\"/k\",\"memory_bytes\":4096}", "vm.memory_bytes: must be" },
		{ "\"vm\":{\"kernel\":\"/k\",\"memory_bytes\":2097153}",
		  "vm.memory_bytes: must be a multiple" },
		{ "\"vm\":{\"kernel\":\"/k\",\"irqchip\":\"x\"}", "vm.irqchip: must be one of" },
		{ "\"vm\":{\"kernel\":\"/k\",\"disks\":[{}]}", "vm.disks[0].path: is missing" },
		{ "\"vm\":{\"kernel\":\"/k\",\"disks\":[{\"path\":\"/d\",\"format\":\"vmdk\"}]}",
		  "vm.disks[0].format: must be one of" },
		{ "\"limits\":[]", "limits: must be an object" },
		{ "\"limits\":{\"memory_bytes\":4096}",
		  "limits.memory_bytes: must be at least 6 MiB" },
		{ "\"limits\":{\"memory_swap_bytes\":99999999}",
		  "limits.memory_swap_bytes: needs" },
		{ "\"limits\":{\"io\":[{}]}", "limits.io[0].device: is missing" },
		{ "\"limits\":{\"io\":[{\"device\":\"x\"}]}", "limits.io[0].device: " },
		{ "\"limits\":{\"io\":[{\"device\":\"/x\",\"read_bps\":-1}]}",
		  "limits.io[0].read_bps: " },
		{ "\"limits\":{\"io_weight\":1001}", "limits.io_weight: " },
		{ "\"limits\":{\"ingress_bits\":7999}", "limits.ingress_bits: " },
		{ "\"limits\":{\"egress_bits\":1000000000001}", "limits.egress_bits: " },
		{ "\"root_bytes\":5", "root_bytes: must be at least 16 MiB" },
		{ "\"stop_signal\":0", "stop_signal: must be between 1" },
		{ "\"limits\":{\"cpu_shares\":1}", "limits.cpu_shares: " },
		{ "\"limits\":{\"cpuset\":\"2-1\"}", "limits.cpuset: " },
		{ "\"limits\":{\"cpuset\":\"0,\"}", "limits.cpuset: " },
		{ "\"limits\":{\"pids\":-1}", "limits.pids: must be between 0" },
		{ "\"uid_map\":[{\"inside\":0,\"outside\":4294967000,\"size\":65536}]",
		  "uid_map[0].size: goes past" },
		{ "\"network\":{\"mode\":\"wifi\"}", "network.mode: must be one of none, host" },
		{ "\"network\":{\"ip\":\"300.1.1.1\"}", "network.ip: must be an IP address" },
		{ "\"network\":{\"endpoint\":{\"mac\":\"x\"}}", "network.endpoint.mac: " },
		{ "\"network\":{\"endpoint\":{\"bridge\":\"a/b\"}}", "network.endpoint.bridge: " },
		{ "\"ports\":[{\"host\":80}]", "ports[0].guest: is missing" },
		{ "\"ports\":[{\"guest\":65536}]", "ports[0].guest: must be between 1 and 65535" },
		{ "\"restart\":{\"policy\":\"always\",\"max\":3}", "restart.max: only goes with" },
		{ "\"log\":{\"files\":0}", "log.files: must be between 1 and 1000" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[512];
		struct spec spec;
		struct err err = { 0 };

		(void)snprintf(text, sizeof(text), "{" MINIMUM ",%s}", cases[i].members); /* fits */
		int r = load(text, &spec, &err);
		if (r != -EINVAL || strncmp(err.text, "spec: ", 6) ||
		    strncmp(err.text + 6, cases[i].says, strlen(cases[i].says)))
			fail_msg("%s: %d '%s'", cases[i].members, r, err.text);
	}
}

static void what_is_missing_is_named(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "{}", "spec: id: is missing" },
		{ "{\"id\":\"abc\",\"name\":\"x\"}", "spec: id: must be 64" },
		{ "{\"id\":\"" ID "\"}", "spec: name: is missing" },
		{ "{\"id\":\"" ID "\",\"name\":\"-x\"}", "spec: name: must begin" },
		{ "{\"id\":\"" ID "\",\"name\":\"x\"}", "spec: args: must have" },
		{ "{\"id\":\"" ID "\",\"name\":\"x\",\"args\":[]}", "spec: args: must have" },
		{ "{\"id\":\"" ID "\",\"name\":null}", "spec: name: is missing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct spec spec;
		struct err err = { 0 };

		assert_int_equal(load(cases[i].text, &spec, &err), -EINVAL);
		assert_memory_equal(err.text, cases[i].says, strlen(cases[i].says));
	}
	AUTO(json_decref_p) json_t *array = json_array();
	struct spec spec;
	assert_int_equal(spec_load(array, &spec, NULL), -EINVAL);
}

static void nul_is_refused(void **state)
{
	json_t *json = json_loads("{" MINIMUM "}", 0, NULL);
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(json_object_set_new(json, "cwd", json_stringn("/a\0b", 4)), 0);
	assert_int_equal(spec_load(json, &spec, &err), -EINVAL);
	assert_string_equal(err.text, "spec: cwd: must not hold a NUL character");
	json_decref(json);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(everything),
		cmocka_unit_test(view_keeps_the_json),
		cmocka_unit_test(a_virtual_machine),
		cmocka_unit_test(what_a_machine_shares),
		cmocka_unit_test(bad_members_are_named),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(nul_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
