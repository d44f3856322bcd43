/* SPDX-License-Identifier: Apache-2.0 */
/* The members that few containers have: config_tune.c and config_seldom.c. */
#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <cmocka.h>

#include "oci/config.h"

static char text[4096];

/* A configuration with these members of process, linux and linux.resources. */
static const char *with(const char *process, const char *linux_part, const char *resources)
{
	(void)snprintf(
		text, sizeof(text),
		"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"x\"],"
		"\"cwd\":\"/\"%s%s},\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"time\"}]%s%s,"
		"\"resources\":{%s}}}",
		*process ? "," : "", process, *linux_part ? "," : "", linux_part, resources);
	return text;
}

static void ok(const char *json, struct config *ret)
{
	struct err err = { 0 };

	if (config_parse(json, strlen(json), "/b", "box", ret, &err) < 0)
		fail_msg("%s", err.text);
}

static void fails(const char *json, int code, const char *says)
{
	struct config config;
	struct err err = { 0 };

	assert_int_equal(config_parse(json, strlen(json), "/b", "box", &config, &err), -code);
	if (!strstr(err.text, says))
		fail_msg("'%s' does not say '%s'", err.text, says);
	config_fini(&config);
}

static void turns_at_cpu_and_disk(void **state)
{
	struct config config;
	const struct tune *tune = &config.bundle.process.tune;

	(void)state;
	ok(with("\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"nice\":5,\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\"]},"
		"\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":6},"
		"\"execCPUAffinity\":{\"initial\":\"0\",\"final\":\"0-2,5\"}",
		"\"personality\":{\"domain\":\"LINUX32\"}", ""),
	   &config);
	assert_true(tune->scheduler.set);
	assert_int_equal(tune->scheduler.policy, SCHED_BATCH);
	assert_int_equal(tune->scheduler.nice, 5);
	assert_int_equal(tune->scheduler.flags, 1);
	assert_int_equal(tune->io_class, IOPRIO_CLASS_BE);
	assert_int_equal(tune->io_priority, 6);
	assert_true(tune->set_initial && tune->set_final);
	assert_int_equal(CPU_COUNT(&tune->final), 4);
	assert_true(CPU_ISSET(5, &tune->final));
	assert_true(config.bundle.set_personality);
	assert_int_equal(config.bundle.personality, PER_LINUX32);
	config_fini(&config);
	ok(with("", "", ""), &config);
	assert_false(tune->scheduler.set || tune->set_io || tune->set_initial || tune->set_final);
	assert_false(config.bundle.set_personality);
	config_fini(&config);
}

static void turns_that_are_none(void **state)
{
	(void)state;
	fails(with("\"scheduler\":{}", "", ""), EINVAL, "process.scheduler.policy is missing");
	fails(with("\"scheduler\":{\"policy\":\"SCHED_X\"}", "", ""), EINVAL, "is not known");
	fails(with("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":1}", "", ""), EINVAL,
	      "is for SCHED_FIFO");
	fails(with("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":20}", "", ""), EINVAL,
	      "from -20 to 19");
	fails(with("\"scheduler\":{\"policy\":\"SCHED_IDLE\",\"runtime\":1}", "", ""), EINVAL,
	      "for SCHED_DEADLINE");
	fails(with("\"scheduler\":{\"policy\":\"SCHED_RR\",\"flags\":[\"X\"]}", "", ""), EINVAL,
	      "flags 'X' is not known");
	fails(with("\"ioPriority\":{\"priority\":1}", "", ""), EINVAL,
	      "ioPriority.class is missing");
	fails(with("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_RT\",\"priority\":8}", "", ""), EINVAL,
	      "from 0 to 7");
	fails(with("\"execCPUAffinity\":{\"final\":\"a\"}", "", ""), EINVAL, "is no list of CPUs");
	fails(with("", "\"personality\":{\"domain\":\"BSD\"}", ""), EINVAL, "is not known");
	fails(with("", "\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"X\"]}", ""), ENOTSUP,
	      "the specification has none");
}

static void lists_of_cpus(void **state)
{
	static const struct {
		const char *text;
		int code, count;
	} rows[] = {
		{ "0", 0, 1 },
		{ "0-3", 0, 4 },
		{ "1,3", 0, 2 },
		{ "0-1,1-2", 0, 3 },
		{ "", -EINVAL, 0 },
		{ ",", -EINVAL, 0 },
		{ "1-", -EINVAL, 0 },
		{ "3-1", -EINVAL, 0 },
		{ "1,", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1024", -ERANGE, 0 },
		{ "0-99999999999999999999", -ERANGE, 0 },
		{ "1023", 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cpu_set_t cpus;
		int r = tune_cpus_parse(rows[i].text, &cpus);
		if (r != rows[i].code || (r == 0 && CPU_COUNT(&cpus) != rows[i].count))
			fail_msg("'%s': %d", rows[i].text, r);
	}
}

static void labels(void **state)
{
	struct config config;

	(void)state;
	ok(with("\"apparmorProfile\":\"docker-default\",\"selinuxLabel\":\"a:b:c:d\"",
		"\"mountLabel\":\"m:n:o:p\"", ""),
	   &config);
	assert_string_equal(config.bundle.process.apparmor, "docker-default");
	assert_string_equal(config.bundle.process.selinux, "a:b:c:d");
	assert_string_equal(config.bundle.mount_label, "m:n:o:p");
	config_fini(&config);
	ok(with("\"apparmorProfile\":\"unconfined\",\"selinuxLabel\":\"\"", "\"mountLabel\":\"\"",
		""),
	   &config);
	assert_null(config.bundle.process.apparmor);
	assert_null(config.bundle.mount_label);
	config_fini(&config);
}

/* proc and sysfs have no context of a mount; what has one gets it behind its own options. */
static void new_file_systems_get_the_label(void **state)
{
	static const char json[] =
		"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"x\"],\"cwd\":\"/\"},"
		"\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\"},"
		"{\"destination\":\"/t\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"size=4k\"]},"
		"{\"destination\":\"/b\",\"type\":\"bind\",\"source\":\"/b\"}],"
		"\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"mountLabel\":\"a:b:c:d\"}}";
	struct config config;

	(void)state;
	ok(json, &config);
	const struct bundle_mount *mounts = config.bundle.mounts;
	assert_null(mounts[0].options[0].key);
	assert_string_equal(mounts[1].options[0].key, "size");
	assert_string_equal(mounts[1].options[1].key, "source");
	assert_string_equal(mounts[1].options[2].key, "context");
	assert_string_equal(mounts[1].options[2].value, "a:b:c:d");
	assert_null(mounts[1].options[3].key);
	assert_null(mounts[2].options[0].key);
	config_unlabel(&config.bundle);
	assert_null(config.bundle.mount_label);
	assert_string_equal(mounts[1].options[1].key, "source");
	assert_null(mounts[1].options[2].key);
	config_fini(&config);
}

static const struct cgroup_setting *setting_of(const struct config *config, const char *v1)
{
	for (size_t i = 0; i < config->bundle.n_settings; i++) {
		if (config->bundle.settings[i].v1 && !strcmp(config->bundle.settings[i].v1, v1))
			return &config->bundle.settings[i];
	}
	fail_msg("no setting of %s", v1);
	return NULL;
}

static void limits_that_few_ask_for(void **state)
{
	struct config config;

	(void)state;
	ok(with("", "",
		"\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}],\"network\":{\"classID\":1048577,"
		"\"priorities\":[{\"name\":\"eth0\",\"priority\":5}]},\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3}},"
		"\"blockIO\":{\"weight\":500,\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":10}]},"
		"\"memory\":{\"checkBeforeUpdate\":true},\"unified\":{\"hugetlb.1GB.max\":\"0\"}"),
	   &config);
	assert_string_equal(setting_of(&config, "hugetlb.2MB.limit_in_bytes")->v2,
			    "hugetlb.2MB.max");
	assert_string_equal(setting_of(&config, "hugetlb.2MB.rsvd.limit_in_bytes")->v1_value,
			    "4194304");
	assert_string_equal(setting_of(&config, "net_cls.classid")->v1_value, "1048577");
	assert_null(setting_of(&config, "net_cls.classid")->v2);
	assert_string_equal(setting_of(&config, "net_prio.ifpriomap")->v1_value, "eth0 5");
	assert_string_equal(setting_of(&config, "rdma.max")->v1_value, "mlx5_1 hca_handle=3");
	assert_string_equal(setting_of(&config, "blkio.bfq.weight")->v2_else_value, "4950");
	assert_string_equal(setting_of(&config, "blkio.bfq.weight_device")->v1_value, "8:1 10");
	assert_string_equal(setting_of(&config, "blkio.bfq.weight_device")->v2_else_value, "8:1 1");
	assert_true(config.bundle.check_memory);
	const uint32_t need =
		cgroup_settings_need(config.bundle.settings, config.bundle.n_settings);
	assert_int_equal(need, 1U << CGROUP_HUGETLB | 1U << CGROUP_NET_CLS | 1U << CGROUP_NET_PRIO |
				       1U << CGROUP_RDMA | 1U << CGROUP_BLKIO);
	config_fini(&config);
	/* No limit, as its writers say it. */
	ok(with("", "",
		"\"hugepageLimits\":[{\"pageSize\":\"1GB\",\"limit\":18446744073709551615}]"),
	   &config);
	assert_string_equal(setting_of(&config, "hugetlb.1GB.limit_in_bytes")->v1_value, "-1");
	assert_string_equal(setting_of(&config, "hugetlb.1GB.limit_in_bytes")->v2_value, "max");
	config_fini(&config);
}

static void limits_that_are_none(void **state)
{
	(void)state;
	fails(with("", "", "\"hugepageLimits\":[{\"pageSize\":\"../x\",\"limit\":1}]"), EINVAL,
	      "is no size");
	fails(with("", "", "\"hugepageLimits\":[{\"pageSize\":\"2MB\"}]"), EINVAL,
	      "limit is missing");
	fails(with("", "", "\"network\":{\"priorities\":[{\"name\":\"a b\",\"priority\":1}]}"),
	      EINVAL, "is no interface");
	fails(with("", "", "\"rdma\":{\"mlx\":{}}"), EINVAL, "must have hcaHandles");
	fails(with("", "", "\"rdma\":{\"a b\":{\"hcaHandles\":1}}"), EINVAL, "is no device");
	fails(with("", "", "\"blockIO\":{\"weight\":5}"), EINVAL, "from 10 to 1000");
	fails(with("", "", "\"blockIO\":{\"leafWeight\":5}"), ENOTSUP, "no kernel since 5.0");
	fails(with("", "", "\"unified\":{\"x.y\":\"1\"}"), ENOTSUP, "is not supported");
}

static void clocks_to_the_nanosecond(void **state)
{
	struct config config;

	(void)state;
	ok(with("", "\"timeOffsets\":{\"boottime\":{\"secs\":7,\"nanosecs\":999999999}}", ""),
	   &config);
	assert_int_equal(config.bundle.time_offsets.boottime_s, 7);
	assert_int_equal(config.bundle.time_offsets.boottime_ns, 999999999);
	assert_int_equal(config.bundle.time_offsets.monotonic_ns, 0);
	config_fini(&config);
	fails(with("", "\"timeOffsets\":{\"boottime\":{\"nanosecs\":1000000000}}", ""), EINVAL,
	      "from 0 to 999999999");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_at_cpu_and_disk),
		cmocka_unit_test(turns_that_are_none),
		cmocka_unit_test(lists_of_cpus),
		cmocka_unit_test(labels),
		cmocka_unit_test(new_file_systems_get_the_label),
		cmocka_unit_test(limits_that_few_ask_for),
		cmocka_unit_test(limits_that_are_none),
		cmocka_unit_test(clocks_to_the_nanosecond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
