/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "base/core/macros.h"
#include "base/os/json.h"
#include "manager/private.h"
#include "manager/update.h"

static void merged(const char *limits, const char *changes, const char *want)
{
	AUTO(json_decref_p) json_t *a = json_loads(limits, 0, NULL);
	AUTO(json_decref_p) json_t *b = json_loads(changes, 0, NULL);
	AUTO(json_decref_p) json_t *w = json_loads(want, 0, NULL);
	AUTO(json_decref_p) json_t *m = update_merge(a, b);

	assert_true(a && b && w && m);
	if (!json_equal(m, w))
		fail_msg("%s", json_dumps(m, JSON_COMPACT));
}

static void members_replace_and_null_lifts(void **state)
{
	(void)state;
	merged("{}", "{\"pids\":3}", "{\"pids\":3}");
	merged("{\"pids\":3,\"cpu_shares\":5}", "{\"pids\":null}", "{\"cpu_shares\":5}");
	merged("{\"pids\":3}", "{\"memory_bytes\":null}", "{\"pids\":3}");
}

static void disks_merge_by_their_path(void **state)
{
	(void)state;
	merged("{\"io\":[{\"device\":\"/a\",\"read_bps\":1,\"write_bps\":2}]}",
	       "{\"io\":[{\"device\":\"/a\",\"read_bps\":0},{\"device\":\"/b\",\"read_iops\":7}]}",
	       "{\"io\":[{\"device\":\"/a\",\"write_bps\":2},{\"device\":\"/b\",\"read_iops\":7}]}");
	merged("{\"io\":[{\"device\":\"/a\",\"read_bps\":1}]}",
	       "{\"io\":[{\"device\":\"/a\",\"read_bps\":0}]}", "{\"io\":[]}");
}

static void more_cpus_than_there_are(void **state)
{
	AUTO(json_decref_p) json_t *many = json_loads("{\"cpu_quota_us\":999999999999}", 0, NULL);
	AUTO(json_decref_p) json_t *few = json_loads("{\"cpu_quota_us\":1000}", 0, NULL);

	(void)state;
	assert_true(manager_check_cpus(many, NULL) < 0);
	assert_int_equal(manager_check_cpus(few, NULL), 0);
	assert_int_equal(manager_check_cpus(NULL, NULL), 0);
}

static void a_machine_is_as_large_as_its_limit_from_its_next_start_on(void **state)
{
	AUTO(json_decref_p)
	json_t *spec = json_loads("{\"vm\":{\"memory_bytes\":8192,\"vcpus\":2}}", 0, NULL);
	AUTO(json_decref_p)
	json_t *want = json_loads("{\"vm\":{\"memory_bytes\":4096,\"vcpus\":2}}", 0, NULL);
	AUTO(json_decref_p) json_t *none = json_loads("{}", 0, NULL);
	json_t *was = json_incref(json_object_get(spec, "vm"));

	(void)state;
	assert_int_equal(update_memory(spec, 4097, NULL), 0);
	assert_true(json_equal(spec, want));
	assert_int_equal(json_int(was, "memory_bytes", 0), 8192); /* others may have it */
	assert_int_equal(update_memory(spec, 0, NULL), 0);
	assert_true(json_equal(spec, want));
	assert_int_equal(update_memory(none, 4096, NULL), 0);
	assert_int_equal(json_object_size(none), 0);
	json_decref(was);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_replace_and_null_lifts),
		cmocka_unit_test(disks_merge_by_their_path),
		cmocka_unit_test(more_cpus_than_there_are),
		cmocka_unit_test(a_machine_is_as_large_as_its_limit_from_its_next_start_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
