/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"
#include "oci/unit.h"

static void paths_are_slices_in_slices(void **state)
{
	static const struct {
		const char *path, *name, *group;
	} cases[] = {
		{ "", "strata-oci-box.scope", "system.slice/strata-oci-box.scope" },
		{ "machine.slice:libpod:box", "libpod-box.scope",
		  "machine.slice/libpod-box.scope" },
		{ "a-b-c.slice:p:n", "p-n.scope", "a.slice/a-b.slice/a-b-c.slice/p-n.scope" },
		{ "-.slice:p:n", "p-n.scope", "p-n.scope" },
		{ ":p:n", "p-n.scope", "system.slice/p-n.scope" },
		{ "a.slice::n", "n.scope", "a.slice/n.scope" },
		{ "a.slice:p:n+1", "p-n\\x2b1.scope", "a.slice/p-n\\x2b1.scope" },
	};
	struct unit unit;
	struct err err = { 0 };
	char group[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(unit_parse(cases[i].path, "box", false, &unit, &err), 0);
		assert_string_equal(unit.name, cases[i].name);
		assert_int_equal(unit_group(&unit, group, sizeof(group)), 0);
		assert_string_equal(group, cases[i].group);
	}
	assert_int_equal(unit_parse("", "box", true, &unit, &err), 0);
	assert_string_equal(unit.slice, "user.slice");
	assert_int_equal(unit_group(&unit, group, 12), -ENAMETOOLONG);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
	static const char *const bad[] = {
		"/a/b",		 "a.slice:b",	     "a.slice:b:c:d",	  "../a.slice:b:c",
		"a/b.slice:b:c", "a--b.slice:b:c",   "-a.slice:b:c",	  "a-.slice:b:c",
		"a.scope:b:c",	 "a.slice:b:c/../d", "a.slice:b:c\nd",	  "a.slice:b:",
		"a.slice:/:x",	 ".slice:b:c",	     "a.slice:b:c.slice",
	};
	struct unit unit;
	struct err err = { 0 };
	char path[700];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(unit_parse(bad[i], "box", false, &unit, &err), -EINVAL);
	memset(path, 'a', sizeof(path));
	memcpy(path, "a.slice:", 8);
	memcpy(path + 680, ":x", 3);
	assert_int_equal(unit_parse(path, "box", false, &unit, &err), -EINVAL);
	memset(path, 'a', 600);
	memcpy(path + 600, ".slice:p:n", 11);
	assert_int_equal(unit_parse(path, "box", false, &unit, &err), -EINVAL);
}

static void annotation(const char *name, const char *value, const char *is)
{
	struct err err = { 0 };
	AUTO(json_decref_p) json_t *json = unit_annotation(name, value, &err);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;

	if (is)
		assert_string_equal(text, is);
	else
		assert_null(text);
	assert_int_equal(err.code, is ? 0 : EINVAL);
	free(text);
}

static void annotations_are_values_with_types(void **state)
{
	(void)state;
	annotation("Boolean", "true", "[\"Boolean\",\"b\",true]");
	annotation("Text", " 'it\\'s' ", "[\"Text\",\"s\",\"it's\"]");
	annotation("Text", "\"a b\"", "[\"Text\",\"s\",\"a b\"]");
	annotation("Number", "-5", "[\"Number\",\"i\",-5]");
	annotation("Number", "uint64 18446744073709551615", "[\"Number\",\"t\",-1]");
	annotation("Number", "@t 7", "[\"Number\",\"t\",7]");
	annotation("Number", "byte 255", "[\"Number\",\"y\",255]");
	annotation("Number", "1.5", "[\"Number\",\"d\",1.5]");
	annotation("List", "['a', \"b\"]", "[\"List\",\"as\",[\"a\",\"b\"]]");
	annotation("List", "[uint32 1, uint32 2]", "[\"List\",\"au\",[1,2]]");
	annotation("List", "@as []", "[\"List\",\"as\",[]]");
	annotation("TimeoutStopSec", "2.5", "[\"TimeoutStopUSec\",\"t\",2500000]");
	annotation("TimeoutStopUSec", "uint64 1", "[\"TimeoutStopUSec\",\"t\",1]");
	annotation("SSec", "1", "[\"SSec\",\"i\",1]");
}

static void other_values_are_refused(void **state)
{
	static const char *const bad[] = {
		"",	      "t",	   "'open",
		"[1, 'a']",   "[]",	   "[1",
		"[1 2]",      "(1,2)",	   "byte 256",
		"uint64 -1",  "int32 x",   "5 5",
		"@as [1]",    "@as 'a'",   "[[1]]",
		"2147483648", "uint64",	   "@as",
		"'a\\",	      "truefalse", "uint64 99999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		annotation("Number", bad[i], NULL);
	annotation("Number", NULL, NULL);
	annotation("no", "1", NULL);
	annotation("PIDs", "[uint32 1]", NULL);
	annotation("Slice", "'x.slice'", NULL);
	annotation("Slice=x", "1", NULL);
	annotation("TimeoutStopSec", "'x'", NULL);
	annotation("TimeoutStopSec", "-1", NULL);
}

/* config.json's text to the properties of its scope. */
static json_t *properties_of(const char *resources, struct config *config)
{
	static const char head[] = "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},"
				   "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\"},\"linux\":"
				   "{\"namespaces\":[{\"type\":\"mount\"}],\"resources\":";
	struct err err = { 0 };
	char text[2048];

	(void)snprintf(text, sizeof(text), "%s%s}}", head, resources); /* fits */
	assert_int_equal(config_parse(text, strlen(text), "/b", "x", config, &err), 0);
	config->unit_slice = "a.slice";
	return unit_start_properties("x", 5, config, &err);
}

static bool has(const json_t *list, const char *name, const char *is)
{
	const json_t *property;
	size_t i;

	json_array_foreach(list, i, property)
	{
		char *text =
			json_dumps(json_array_get(property, 2), JSON_COMPACT | JSON_ENCODE_ANY);
		const bool found = !strcmp(json_string_value(json_array_get(property, 0)), name) &&
				   (!is || !strcmp(text, is));
		free(text);
		if (found)
			return true;
	}
	return false;
}

static void limits_are_properties(void **state)
{
	AUTO(config_fini) struct config config;
	AUTO(json_decref_p)
	json_t *list = properties_of(
		"{\"memory\":{\"limit\":-1,\"swap\":-1},\"cpu\":{\"quota\":-1,\"cpus\":\"0-1,9\","
		"\"mems\":\"0\"},\"pids\":{\"limit\":-1},\"unified\":{\"memory.high\":\"max\","
		"\"memory.min\":\"4096\",\"cpu.weight\":\"77\",\"pids.max\":\"x\"},\"devices\":["
		"{\"allow\":false,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":10,"
		"\"minor\":200,\"access\":\"rw\"},{\"allow\":true,\"type\":\"b\",\"major\":8}]}",
		&config);

	(void)state;
	assert_true(has(list, "MemoryMax", "-1"));
	assert_true(has(list, "MemorySwapMax", "-1"));
	assert_true(has(list, "CPUQuotaPerSecUSec", "-1"));
	assert_true(has(list, "AllowedCPUs", "[3,2]"));
	assert_true(has(list, "AllowedMemoryNodes", "[1]"));
	assert_true(has(list, "MemoryHigh", "-1"));
	assert_true(has(list, "MemoryMin", "4096"));
	assert_true(has(list, "CPUWeight", "77"));
	assert_true(has(list, "TasksMax", "-1")); /* pids.limit; "x" is the kernel's to refuse */
	assert_true(has(list, "DevicePolicy", "\"strict\""));
	assert_true(has(list, "PIDs", "[5]"));
	AUTO(json_decref_p) json_t *limits = unit_limits(&config.bundle, NULL);
	assert_true(has(limits, "MemoryMax", "-1"));
	assert_false(has(limits, "DevicePolicy", NULL));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_slices_in_slices),
		cmocka_unit_test(names_that_lead_elsewhere_are_refused),
		cmocka_unit_test(annotations_are_values_with_types),
		cmocka_unit_test(other_values_are_refused),
		cmocka_unit_test(limits_are_properties),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
