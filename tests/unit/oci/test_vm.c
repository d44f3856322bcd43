/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/os/json.h"
#include "engines/spec.h"
#include "engines/vmm/sync.h"
#include "oci/vm.h"

#define HEAD	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"hostname\":\"box\","
#define PROCESS "\"process\":{\"args\":[\"sh\",\"-c\"],\"cwd\":\"/srv\",\"env\":[\"A=b\"],"
#define SPACES                                                                                     \
	"\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\"},{\"type\":\"uts\"}]"

static const struct bundle_host no_host = { .seccomp = -EBADF };
static const struct vm_sharing no_sharing = { false, false }, all_shared = { true, true };

static void parse(const char *text, struct config *ret)
{
	struct err err = { 0 };

	if (config_parse(text, strlen(text), "/bundle", "box", ret, &err) < 0)
		fail_msg("%s", err.text);
}

/* A configuration with these members beside the ones it needs. */
static void with(const char *members, struct config *ret)
{
	char text[2048];

	(void)snprintf(text, sizeof(text), HEAD "%s%s" PROCESS "\"x\":0}," SPACES "}}", members,
		       *members ? "," : "");
	parse(text, ret);
}

static void refused(const char *text, const char *says)
{
	struct config config;
	struct err err = { 0 };

	parse(text, &config);
	assert_int_equal(vm_check(&config, &no_host, &no_sharing, &err), -ENOTSUP);
	if (!strstr(err.text, says) || strchr(err.text, '\n'))
		fail_msg("'%s' does not say '%s'", err.text, says);
	config_fini(&config);
}

static void the_name_says_which(void **state)
{
	(void)state;
	assert_null(vm_called("strata-oci"));
	assert_null(vm_called("/usr/bin/strata-oci"));
	assert_string_equal(vm_called("/usr/bin/strata-oci-hosted"), "hosted");
	assert_string_equal(vm_called("strata-oci-hybrid"), "hybrid");
	assert_null(vm_called("/strata-oci-hosted/crun"));
}

static void the_annotation_says_which(void **state)
{
	static const struct {
		const char *annotation, *virt;
	} table[] = {
		{ "hosted", "hosted" },
		{ "os-level", NULL },
		{ "auto", NULL },
	};
	struct config config;
	struct err err = { 0 };
	char members[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *virt = "?";
		(void)snprintf(members, sizeof(members),
			       "\"annotations\":{\"io.strata.virt\":\"%s\"}", table[i].annotation);
		with(members, &config);
		assert_int_equal(vm_choose(NULL, &config, &virt, &err), 0);
		if (table[i].virt)
			assert_string_equal(virt, table[i].virt);
		else
			assert_null(virt);
		config_fini(&config);
	}
}

static void nobody_asks_and_it_is_a_container(void **state)
{
	struct config config;
	const char *virt = "?";

	(void)state;
	with("", &config);
	assert_int_equal(vm_choose(NULL, &config, &virt, NULL), 0);
	assert_null(virt);
	assert_int_equal(vm_choose("hosted", &config, &virt, NULL), 0);
	assert_string_equal(virt, "hosted");
	config_fini(&config);
}

static void an_unknown_architecture_is_told_what_there_is(void **state)
{
	struct config config;
	struct err err = { 0 };
	const char *virt = NULL;

	(void)state;
	with("\"annotations\":{\"io.strata.virt\":\"magic\"}", &config);
	assert_int_equal(vm_choose(NULL, &config, &virt, &err), -EINVAL);
	assert_non_null(strstr(err.text, "'magic' is not known"));
	config_fini(&config);
	with("\"annotations\":{\"io.strata.virt\":\"bare-metal\"}", &config);
	assert_int_equal(vm_choose(NULL, &config, &virt, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "hosted"));
	config_fini(&config);
}

/* An administrator who made the runtime's name the default meant the wall between guests. */
static void an_annotation_cannot_leave_the_runtime_s_architecture(void **state)
{
	struct config config;
	struct err err = { 0 };
	const char *virt = NULL;

	(void)state;
	with("\"annotations\":{\"io.strata.virt\":\"os-level\"}", &config);
	assert_int_equal(vm_choose("hosted", &config, &virt, &err), -EINVAL);
	assert_non_null(strstr(err.text, "strata-oci-hosted"));
	config_fini(&config);
	with("\"annotations\":{\"io.strata.virt\":\"auto\"}", &config);
	assert_int_equal(vm_choose("hosted", &config, &virt, &err), 0);
	assert_string_equal(virt, "hosted");
	config_fini(&config);
}

static void what_a_machine_cannot_have_is_refused(void **state)
{
#define NET "{\"type\":\"mount\"},{\"type\":\"network\"},{\"type\":\"uts\"}"
	(void)state;
	refused(HEAD PROCESS
		"\"x\":0},\"linux\":{\"namespaces\":[{\"type\":\"uts\"},{\"type\":\"mount\"}]}}",
		"the host's network");
	refused(HEAD PROCESS "\"x\":0},\"linux\":{\"namespaces\":[" NET ",{\"type\":\"pid\","
			     "\"path\":\"/proc/1/ns/pid\"}]}}",
		"a shared pid namespace");
	refused(HEAD PROCESS "\"user\":{\"uid\":0,\"gid\":0,\"umask\":63}}," SPACES "}}",
		"process.user.umask");
	refused(HEAD PROCESS "\"x\":0}," SPACES
			     ",\"devices\":[{\"path\":\"/dev/fuse\",\"type\":\"c\","
			     "\"major\":10,\"minor\":229}]}}",
		"linux.devices");
	refused(HEAD PROCESS "\"scheduler\":{\"policy\":\"SCHED_OTHER\"}}," SPACES "}}",
		"process.scheduler");
	refused(HEAD PROCESS "\"x\":0}," SPACES ",\"seccomp\":{\"defaultAction\":"
			     "\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"]}}}",
		"linux.seccomp.flags");
	refused(HEAD PROCESS "\"x\":0}," SPACES ",\"personality\":{\"domain\":\"LINUX32\"}}}",
		"linux.personality");
	refused(HEAD "\"hooks\":{\"startContainer\":[{\"path\":\"/bin/true\"}]}," PROCESS
		     "\"x\":0}," SPACES "}}",
		"hooks.startContainer");
	refused(HEAD
		"\"mounts\":[{\"destination\":\"/data\",\"source\":\"/srv\",\"options\":[\"bind\"]}]," PROCESS
		"\"x\":0}," SPACES "}}",
		"mounts[0]: /srv, for /data, is shared by the program virtiofsd");
	refused(HEAD
		"\"mounts\":[{\"destination\":\"/proc/stat\",\"source\":\"/srv\",\"options\":[\"bind\",\"ro\"]}]," PROCESS
		"\"x\":0}," SPACES "}}",
		"mounts[0]: a bind at /proc/stat");
	refused(HEAD "\"mounts\":[{\"destination\":\"/x\",\"type\":\"debugfs\"}]," PROCESS
		     "\"x\":0}," SPACES "}}",
		"mounts[0]: debugfs");
#undef NET
}

static void mounts_come_in_as_they_can(void **state)
{
	static const struct {
		const char *mount;
		enum vm_mount kind, shared; /* without virtiofsd, and with it */
	} table[] = {
		{ "\"destination\":\"/proc\",\"type\":\"proc\"", VM_MOUNT_OWN, VM_MOUNT_OWN },
		{ "\"destination\":\"/dev/shm\",\"source\":\"/x\",\"options\":[\"bind\"]",
		  VM_MOUNT_OWN, VM_MOUNT_OWN },
		{ "\"destination\":\"/etc/hosts\",\"source\":\"/x\",\"options\":[\"bind\"]",
		  VM_MOUNT_FILE, VM_MOUNT_FILE },
		{ "\"destination\":\"/run\",\"type\":\"tmpfs\"", VM_MOUNT_TMPFS, VM_MOUNT_TMPFS },
		{ "\"destination\":\"/a\",\"source\":\"/x\",\"options\":[\"bind\",\"ro\"]",
		  VM_MOUNT_COPY, VM_MOUNT_SHARE },
		{ "\"destination\":\"/a\",\"source\":\"/x\",\"options\":[\"rbind\",\"rw\"]",
		  VM_MOUNT_NONE, VM_MOUNT_SHARE },
		{ "\"destination\":\"/proc\",\"source\":\"/x\",\"options\":[\"bind\"]",
		  VM_MOUNT_NONE, VM_MOUNT_NONE },
	};
	struct config config;
	char members[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		(void)snprintf(members, sizeof(members), "\"mounts\":[{%s}]", table[i].mount);
		with(members, &config);
		assert_int_equal(vm_mount_kind(&config.bundle.mounts[0], &no_sharing),
				 table[i].kind);
		assert_int_equal(vm_mount_kind(&config.bundle.mounts[0], &all_shared),
				 table[i].shared);
		config_fini(&config);
	}
}

static void memory_and_processes_are_the_guest_s_own(void **state)
{
	const struct spec_limits before = { .memory_bytes = 1 << 30, .pids = 10, .cpu_shares = 2 };
	struct spec_limits limits = before;
	struct err err = { 0 };

	(void)state;
	limits.cpu_shares = 512;
	assert_int_equal(vm_update(&before, &limits, &err), 0);
	assert_int_equal(limits.cpu_shares, 512);
	assert_int_equal(limits.memory_bytes, 0);
	assert_int_equal(limits.pids, 0);
	limits = before;
	limits.memory_bytes = 1 << 29;
	assert_int_equal(vm_update(&before, &limits, &err), -ENOTSUP);
	limits = before;
	limits.pids = 11;
	assert_int_equal(vm_update(&before, &limits, &err), -ENOTSUP);
}

/* What the builder says the machine's own reader takes, and understands as it was meant. */
static void a_bundle_becomes_a_spec(void **state)
{
	static const struct takeover net = { .name = "eth0",
					     .mac = "02:00:00:00:00:07",
					     .address = "10.1.2.3",
					     .prefix = 24,
					     .gateway = "10.1.2.1",
					     .mtu = 1400 };
	const struct vm_parts parts = { "hosted", "/vmlinuz", "/initrd",
					&net,	  true,	      { false, false } };
	struct config config;
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	parse(HEAD
	      "\"mounts\":[{\"destination\":\"/run\",\"type\":\"tmpfs\",\"options\":[\"nosuid\","
	      "\"size=1m\"]},{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"options\":[\"size=64k\"]}]," PROCESS
	      "\"user\":{\"uid\":5,\"gid\":6,\"additionalGids\":[7]},\"noNewPrivileges\":true,"
	      "\"capabilities\":{\"bounding\":[\"CAP_CHOWN\"]},"
	      "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,\"hard\":18446744073709551615}]}," SPACES
	      ",\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},\"maskedPaths\":[\"/proc/kcore\"],"
	      "\"resources\":{\"memory\":{\"limit\":268435457},\"pids\":{\"limit\":9},"
	      "\"cpu\":{\"quota\":150000,\"period\":100000}}}}",
	      &config);
	json_t *json = vm_spec(&config, "box", &parts);
	if (spec_load(json, &spec, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(spec.virt, "hosted");
	assert_string_equal(spec.args[1], "-c");
	assert_string_equal(spec.env[0], "A=b");
	assert_string_equal(spec.cwd, "/srv");
	assert_string_equal(spec.user, "5:6");
	assert_string_equal(spec.groups[0], "7");
	assert_string_equal(spec.hostname, "box");
	assert_int_equal(spec.caps, 1);
	assert_true(spec.no_new_privileges && !spec.privileged && !spec.read_only);
	assert_int_equal(spec.ulimits[0].hard, UINT64_MAX);
	assert_int_equal(spec.shm_bytes, 65536);
	assert_int_equal(spec.limits.pids, 9);
	assert_int_equal(spec.n_mounts, 1);
	assert_string_equal(spec.mounts[0].options, "dev,exec,size=1m");
	assert_string_equal(spec.endpoint.gateway, "10.1.2.1");
	assert_int_equal(spec.endpoint.mtu, 1400);
	assert_true(spec.vm.agent && spec.vm.upper);
	assert_string_equal(spec.vm.root_fs, "ext4");
	assert_int_equal(spec.vm.n_disks, 2);
	assert_int_equal(spec.vm.vcpus, 2);
	assert_int_equal(spec.vm.memory_bytes, 268435456);
	assert_string_equal(spec.vm.sysctls[0], "net.ipv4.ip_forward=1");
	char seccomp[32];
	(void)snprintf(seccomp, sizeof(seccomp), "/proc/self/fd/%d", VMM_FDS + VM_SECCOMP_FD);
	assert_string_equal(spec.seccomp, seccomp);
	spec_fini(&spec);
	json_decref(json);
	config_fini(&config);
}

static void a_process_becomes_a_spec(void **state)
{
	struct config config;
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	with("", &config);
	json_t *json = vm_spec_process(&config.bundle, -EBADF);
	if (spec_load(json, &spec, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(spec.args[0], "sh");
	assert_true(spec.stdin_open);
	assert_null(spec.seccomp);
	spec_fini(&spec);
	json_decref(json);
	config_fini(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_name_says_which),
		cmocka_unit_test(the_annotation_says_which),
		cmocka_unit_test(nobody_asks_and_it_is_a_container),
		cmocka_unit_test(an_unknown_architecture_is_told_what_there_is),
		cmocka_unit_test(an_annotation_cannot_leave_the_runtime_s_architecture),
		cmocka_unit_test(what_a_machine_cannot_have_is_refused),
		cmocka_unit_test(mounts_come_in_as_they_can),
		cmocka_unit_test(memory_and_processes_are_the_guest_s_own),
		cmocka_unit_test(a_bundle_becomes_a_spec),
		cmocka_unit_test(a_process_becomes_a_spec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
