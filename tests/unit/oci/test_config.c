/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "oci/config.h"

#define PROCESS "\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\"}"
#define LINUX	"\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"ipc\"}]}"
#define HEAD	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},"

static int parse(const char *text, struct config *ret, struct err *err)
{
	*err = (struct err){ 0 };
	return config_parse(text, strlen(text), "/bundle", "box", ret, err);
}

static void parse_ok(const char *text, struct config *ret)
{
	struct err err;
	int r = parse(text, ret, &err);

	if (r < 0)
		fail_msg("%s", err.text);
}

static void parse_fails(const char *text, int code, const char *says)
{
	struct config config;
	struct err err;

	assert_int_equal(parse(text, &config, &err), -code);
	if (!strstr(err.text, says) || strchr(err.text, '\n'))
		fail_msg("'%s' does not say '%s'", err.text, says);
	config_fini(&config);
}

static void least_there_is(void **state)
{
	struct config config;

	(void)state;
	parse_ok(HEAD PROCESS "," LINUX "}", &config);
	assert_string_equal(config.bundle.root, "/bundle/rootfs");
	assert_string_equal(config.bundle.cgroup, "strata-oci-box");
	assert_int_equal(config.bundle.process.umask, 0022);
	assert_false(config.bundle.process.set_oom_score);
	assert_null(config.bundle.hostname);
	assert_int_equal(config.bundle.n_rules, DEVICES_DEFAULT);
	assert_false(config.bundle.all_devices);
	assert_non_null(bundle_namespace_of(&config.bundle, CLONE_NEWIPC));
	assert_null(bundle_namespace_of(&config.bundle, CLONE_NEWNET));
	config_fini(&config);
}

static void options_of_mounts(void **state)
{
	struct config config;

	(void)state;
	parse_ok(
		HEAD PROCESS
		"," LINUX
		",\"mounts\":[{\"destination\":\"/a/../b//c/.\",\"type\":\"tmpfs\",\"source\":\"t\","
		"\"options\":[\"ro\",\"rw\",\"nosuid\",\"noatime\",\"size=1k\",\"rslave\"]},"
		"{\"destination\":\"d\",\"source\":\"e\",\"options\":[\"rbind\",\"rro\",\"relatime\"]}]}",
		&config);
	const struct bundle_mount *mount = config.bundle.mounts;
	assert_string_equal(mount[0].target, "/b/c");
	assert_true(mount[0].set == (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME));
	assert_true(mount[0].clear == (MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME));
	assert_true(mount[0].propagation == MS_SLAVE && mount[0].all_propagation);
	assert_string_equal(mount[0].options[0].key, "size");
	assert_string_equal(mount[0].options[0].value, "1k");
	assert_string_equal(mount[0].options[1].key, "source");
	assert_null(mount[0].options[2].key);
	assert_string_equal(mount[1].target, "/d");
	assert_string_equal(mount[1].source, "/bundle/e");
	assert_null(mount[1].type);
	assert_true(mount[1].recursive);
	assert_true(mount[1].all_set == MOUNT_ATTR_RDONLY && mount[1].set == 0);
	assert_true(mount[1].clear == MOUNT_ATTR__ATIME);
	config_fini(&config);
}

#define RULES(text)                                                                                   \
	HEAD PROCESS                                                                                  \
		",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"resources\":{\"devices\":[" text \
		"]}}}"

static void rules_of_devices(void **state)
{
	struct config config;

	(void)state;
	parse_ok(
		RULES("{\"allow\":false},{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":200,\"access\":\"rw\"},"
		      "{\"allow\":false,\"type\":\"c\",\"major\":10,\"minor\":200,\"access\":\"w\"}"),
		&config);
	assert_int_equal(config.bundle.n_rules, 1 + DEVICES_DEFAULT);
	assert_int_equal(config.bundle.rules[0].access, BPF_DEVCG_ACC_READ);
	assert_int_equal(config.bundle.rules[0].minor, 200);
	config_fini(&config);
	parse_ok(RULES("{\"allow\":true,\"access\":\"rwm\"}"), &config);
	assert_true(config.bundle.all_devices);
	config_fini(&config);
	/* Rules before "none at all" are void. */
	parse_ok(
		RULES("{\"allow\":true,\"type\":\"b\",\"major\":8,\"access\":\"rwm\"},{\"allow\":false,\"access\":\"rwm\"}"),
		&config);
	assert_int_equal(config.bundle.n_rules, DEVICES_DEFAULT);
	config_fini(&config);
	/* All but one: everything is a rule then, of either kind. */
	parse_ok(RULES("{\"allow\":true},{\"allow\":false,\"type\":\"b\",\"major\":8,\"minor\":0}"),
		 &config);
	assert_false(config.bundle.all_devices);
	assert_int_equal(config.bundle.n_rules, 3 + DEVICES_DEFAULT);
	assert_true(config.bundle.rules[2].deny && config.bundle.rules[2].type == 'b');
	config_fini(&config);
	/* A part of what is allowed stays denied; what nothing allows need not be. */
	parse_ok(
		RULES("{\"allow\":true,\"type\":\"b\",\"major\":8},{\"allow\":false,\"type\":\"b\",\"major\":8,\"minor\":0},"
		      "{\"allow\":false,\"type\":\"c\",\"major\":8,\"minor\":0},{\"allow\":false,\"minor\":3,\"access\":\"w\"}"),
		&config);
	assert_int_equal(config.bundle.n_rules, 3 + DEVICES_DEFAULT);
	assert_true(config.bundle.rules[1].deny && config.bundle.rules[1].minor == 0);
	assert_true(config.bundle.rules[2].deny && config.bundle.rules[2].type == 'b');
	assert_int_equal(config.bundle.rules[2].access, BPF_DEVCG_ACC_WRITE);
	config_fini(&config);
}

static void numbers_of_rlimits(void **state)
{
	struct config config;

	(void)state;
	parse_ok(
		HEAD
		"\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"rlimits\":[{\"type\":\"RLIMIT_CORE\","
		"\"soft\":1,\"hard\":18446744073709551615}]}," LINUX "}",
		&config);
	assert_int_equal(config.bundle.process.ulimits[0].resource, RLIMIT_CORE);
	assert_true(config.bundle.process.ulimits[0].soft == 1);
	assert_true(config.bundle.process.ulimits[0].hard == UINT64_MAX);
	config_fini(&config);
}

/* What a writer spells out but leaves alone is nothing; what it asks is refused by name. */
static void asked_or_not(void **state)
{
	struct config config;

	(void)state;
	parse_ok(
		HEAD PROCESS
		",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"mountLabel\":\"\",\"resources\":"
		"{\"network\":{\"classID\":0},\"hugepageLimits\":[],\"memory\":{\"limit\":0},"
		"\"pids\":{\"limit\":-1},\"blockIO\":{\"weight\":0}}}}",
		&config);
	assert_int_equal(config.bundle.n_settings, 0);
	assert_int_equal(config.bundle.limits.pids, -1); /* lifted, where there is one */
	config_fini(&config);
	parse_fails(
		HEAD PROCESS
		",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"intelRdt\":{\"closID\":\"x\"}}}",
		ENOTSUP, "linux.intelRdt is not supported");
}

static void quoted_text_stays_on_one_line(void **state)
{
	(void)state;
	parse_fails(HEAD PROCESS
		    ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"a\\nb\"}]}}",
		    EINVAL, "'a?b' is not known");
	parse_fails("[]", EBADMSG, "not a JSON object");
}

static void other_process(void **state)
{
	struct config config;
	struct err err = { 0 };

	(void)state;
	parse_ok(HEAD PROCESS "," LINUX "}", &config);
	json_t *json = json_pack("{s:[s,s], s:s, s:{s:i}}", "args", "id", "-u", "cwd", "/tmp",
				 "user", "uid", 7);
	assert_int_equal(config_process(&config, json, &err), 0);
	json_decref(json);
	assert_string_equal(config.bundle.process.args[1], "-u");
	assert_int_equal(config.bundle.process.uid, 7);
	json = json_pack("{s:{s:i}}", "memory", "limit", -2);
	assert_int_equal(config_update(&config, json, &err), -EINVAL);
	assert_non_null(strstr(err.text, "resources: memory.limit"));
	json_decref(json);
	config_fini(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(least_there_is),   cmocka_unit_test(options_of_mounts),
		cmocka_unit_test(rules_of_devices), cmocka_unit_test(numbers_of_rlimits),
		cmocka_unit_test(asked_or_not),	    cmocka_unit_test(quoted_text_stays_on_one_line),
		cmocka_unit_test(other_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
