/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.resources under version 2 alone: which file gets what. The host's controllers may be version 1's, so that the groups are
 * plain files; what the kernel makes of what is written is not tested.
 * Sources: OCI runtime specification 1.2, config-linux.md, "Control groups"; Linux Documentation/admin-guide/cgroup-v2.rst,
 * "Controllers"; crun(1), "CGROUP v2". The weight of CPU shares is ours: in proportion (cgroup.h, cgroup_weight_of()).
 */
#include "cgroup_paper.h"

#include "base/os/json.h"
#include "oci/config.h"

#define HEAD                                                                                       \
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":[\"sh\"]," \
	"\"cwd\":\"/\"},\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"resources\":"

/* As the kernel gives them to a new group. */
static const struct paper_file {
	const char *name, *text;
} paper_files[] = {
	{ "memory.max", "max\n" },
	{ "memory.swap.max", "max\n" },
	{ "memory.low", "0\n" },
	{ "memory.high", "max\n" },
	{ "cpu.max", "max 100000\n" },
	{ "cpu.max.burst", "0\n" },
	{ "cpu.weight", "100\n" },
	{ "cpu.idle", "0\n" },
	{ "cpuset.cpus", "\n" },
	{ "cpuset.mems", "\n" },
	{ "pids.max", "max\n" },
	{ "io.max", "" },
	{ "io.bfq.weight", "default 100\n" },
	{ "io.weight", "default 100\n" },
	{ "hugetlb.2MB.max", "max\n" },
	{ "hugetlb.2MB.rsvd.max", "max\n" },
	{ "rdma.max", "" },
	{ "misc.max", "" },
};

static void paper_make(struct paper *p)
{
	paper_open(p, "cpuset cpu io memory pids hugetlb rdma misc");
	for (size_t i = 0; i < ARRAY_SIZE(paper_files); i++)
		paper_write(p, paper_files[i].name, paper_files[i].text);
}

/* A write does not cut the file: what is written is a beginning of what is there. */
static void paper_says(const struct paper *p, const char *name, const char *text, const char *why)
{
	char now[128];

	assert_true(cgroup_read(p->group.fds[0], name, now, sizeof(now)) >= 0);
	if (strncmp(now, text, strlen(text)) != 0)
		fail_msg("%s: %s has '%s', not '%s'", why, name, now, text);
}

static int apply(const struct paper *p, const struct config *config, struct err *err)
{
	int r = cgroup_limits_set(&p->group, &config->bundle.limits, err);

	return r < 0 ? r
		     : cgroup_settings_set(&p->group, config->bundle.settings,
					   config->bundle.n_settings, err);
}

static void config_of(const char *resources, struct config *ret)
{
	struct err err = { 0 };
	char *text = NULL;

	assert_true(asprintf(&text, "%s%s}}", HEAD, resources) > 0);
	int r = config_parse(text, strlen(text), "/bundle", "box", ret, &err);
	free(text);
	if (r < 0)
		fail_msg("%s: %s", resources, err.text);
}

/* @before: what update() finds, or NULL: it is made */
static int set(const struct paper *p, const char *before, const char *resources, struct err *err)
{
	struct config config;
	int r = 0;

	config_of(before ? before : resources, &config);
	r = apply(p, &config, err);
	if (r == 0 && before) {
		json_t *json = json_loads(resources, 0, NULL);
		assert_non_null(json);
		r = config_update(&config, json, err);
		json_decref(json);
		if (r == 0)
			r = apply(p, &config, err);
	}
	config_fini(&config);
	return r;
}

struct expected {
	const char *resources, *file, *text, *file2, *text2;
};

static const struct expected made[] = {
	{ "{\"memory\":{\"limit\":1000000}}", "memory.max", "1000000", "memory.swap.max", "max\n" },
	{ "{\"memory\":{\"limit\":1000000,\"swap\":1500000}}", "memory.max", "1000000",
	  "memory.swap.max", "500000" },
	{ "{\"memory\":{\"limit\":1000000,\"swap\":1000000}}", "memory.swap.max", "0", NULL, NULL },
	{ "{\"memory\":{\"limit\":1000000,\"swap\":-1}}", "memory.max", "1000000",
	  "memory.swap.max", "max\n" },
	{ "{\"memory\":{\"reservation\":4096}}", "memory.low", "4096", "memory.max", "max\n" },
	{ "{\"memory\":{\"limit\":-1,\"swap\":-1,\"reservation\":-1}}", "memory.max", "max\n",
	  "memory.low", "0\n" },
	{ "{\"cpu\":{\"shares\":1024}}", "cpu.weight", "100\n", NULL, NULL },
	{ "{\"cpu\":{\"shares\":2048}}", "cpu.weight", "200\n", NULL, NULL },
	{ "{\"cpu\":{\"shares\":2}}", "cpu.weight", "100", NULL, NULL }, /* "1" and the rest */
	{ "{\"cpu\":{\"shares\":262144}}", "cpu.weight", "10000", NULL, NULL },
	{ "{\"cpu\":{\"quota\":50000}}", "cpu.max", "50000 100000", NULL, NULL },
	{ "{\"cpu\":{\"quota\":25000,\"period\":50000,\"burst\":5000}}", "cpu.max", "25000 50000",
	  "cpu.max.burst", "5000" },
	{ "{\"cpu\":{\"period\":50000}}", "cpu.max", "max 50000", NULL, NULL },
	{ "{\"cpu\":{\"quota\":-1,\"period\":50000}}", "cpu.max", "max 50000", NULL, NULL },
	{ "{\"cpu\":{\"idle\":1}}", "cpu.idle", "1", NULL, NULL },
	{ "{\"cpu\":{\"cpus\":\"0-1\",\"mems\":\"0\"}}", "cpuset.cpus", "0-1", "cpuset.mems", "0" },
	{ "{\"pids\":{\"limit\":77}}", "pids.max", "77", NULL, NULL },
	{ "{\"pids\":{\"limit\":-1}}", "pids.max", "max\n", NULL, NULL },
	{ "{\"blockIO\":{\"weight\":500}}", "io.bfq.weight", "500", "io.weight", "default 100\n" },
	{ "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":16,\"weight\":10}]}}",
	  "io.bfq.weight", "8:16 10", NULL, NULL },
	{ "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":600}]}}",
	  "io.max", "8:0 rbps=600", NULL, NULL },
	{ "{\"blockIO\":{\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":601}]}}",
	  "io.max", "8:0 wbps=601", NULL, NULL },
	{ "{\"blockIO\":{\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":602}]}}",
	  "io.max", "8:0 riops=602", NULL, NULL },
	{ "{\"blockIO\":{\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":603}]}}",
	  "io.max", "8:0 wiops=603", NULL, NULL },
	{ "{\"blockIO\":{\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":0}]}}",
	  "io.max", "8:0 wiops=max", NULL, NULL },
	{ "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}]}", "hugetlb.2MB.max",
	  "4194304", "hugetlb.2MB.rsvd.max", "4194304" },
	{ "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":18446744073709551615}]}",
	  "hugetlb.2MB.max", "max\n", NULL, NULL },
	{ "{\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":10000}}}", "rdma.max",
	  "mlx5_1 hca_handle=3 hca_object=10000", NULL, NULL },
	{ "{\"unified\":{\"memory.high\":\"900000\",\"misc.max\":\"res_a 2\"}}", "memory.high",
	  "900000", "misc.max", "res_a 2" },
	/* What is spelled out there is the last word: config-linux.md, "Unified". */
	{ "{\"memory\":{\"limit\":1000000},\"unified\":{\"memory.max\":\"2000000\"}}", "memory.max",
	  "2000000", NULL, NULL },
};

static void what_is_made(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		AUTO(paper_fini) struct paper p = { 0 };
		struct err err = { 0 };
		paper_make(&p);
		if (set(&p, NULL, made[i].resources, &err) < 0)
			fail_msg("%s: %s", made[i].resources, err.text);
		paper_says(&p, made[i].file, made[i].text, made[i].resources);
		if (made[i].file2)
			paper_says(&p, made[i].file2, made[i].text2, made[i].resources);
	}
}

static const struct {
	const char *before;
	struct expected then;
} changed[] = {
	{ "{\"memory\":{\"limit\":1000000,\"swap\":1500000}}",
	  { "{\"memory\":{\"limit\":-1}}", "memory.max", "max", "memory.swap.max", "max" } },
	{ "{\"memory\":{\"limit\":1000000}}",
	  { "{\"memory\":{\"swap\":1200000}}", "memory.max", "1000000", "memory.swap.max",
	    "200000" } },
	{ "{\"memory\":{\"reservation\":4096}}",
	  { "{\"memory\":{\"reservation\":-1}}", "memory.low", "0", NULL, NULL } },
	{ "{\"pids\":{\"limit\":77}}",
	  { "{\"pids\":{\"limit\":-1}}", "pids.max", "max", NULL, NULL } },
	{ "{\"pids\":{\"limit\":77}}",
	  { "{\"pids\":{\"limit\":0}}", "pids.max", "77", NULL, NULL } },
	{ "{\"cpu\":{\"quota\":25000,\"period\":50000}}",
	  { "{\"cpu\":{\"quota\":30000}}", "cpu.max", "30000 50000", NULL, NULL } },
	{ "{\"cpu\":{\"quota\":25000,\"period\":50000}}",
	  { "{\"cpu\":{\"quota\":-1}}", "cpu.max", "max 50000", NULL, NULL } },
	{ "{\"cpu\":{\"quota\":25000,\"period\":50000}}",
	  { "{\"cpu\":{\"period\":40000}}", "cpu.max", "25000 40000", NULL, NULL } },
	{ "{\"cpu\":{\"shares\":2048}}",
	  { "{\"memory\":{\"limit\":5}}", "cpu.weight", "200", "memory.max", "5" } },
};

static void what_is_changed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		AUTO(paper_fini) struct paper p = { 0 };
		const struct expected *then = &changed[i].then;
		struct err err = { 0 };
		paper_make(&p);
		if (set(&p, changed[i].before, then->resources, &err) < 0)
			fail_msg("%s: %s", then->resources, err.text);
		paper_says(&p, then->file, then->text, then->resources);
		if (then->file2)
			paper_says(&p, then->file2, then->text2, then->resources);
	}
}

/* Asked in vain is asked: it is refused by name, not dropped. */
static const struct {
	const char *resources;
	int code;
	const char *says;
} refused[] = {
	{ "{\"memory\":{\"swap\":1000000}}", EINVAL, "takes a limit of memory" },
	{ "{\"memory\":{\"swappiness\":60}}", ENOTSUP, "memory.swappiness" },
	{ "{\"memory\":{\"disableOOMKiller\":true}}", ENOTSUP, "memory.disableOOMKiller" },
	{ "{\"cpu\":{\"realtimeRuntime\":1000}}", ENOTSUP, "cpu.realtimeRuntime" },
	{ "{\"network\":{\"classID\":5}}", ENOTSUP, "network.classID" },
	{ "{\"unified\":{\"memory.nosuch\":\"1\"}}", ENOTSUP, "memory.nosuch" },
	{ "{\"hugepageLimits\":[{\"pageSize\":\"1GB\",\"limit\":0}]}", ENOTSUP, "hugetlb.1GB.max" },
};

static void what_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		AUTO(paper_fini) struct paper p = { 0 };
		struct err err = { 0 };
		paper_make(&p);
		assert_int_equal(set(&p, NULL, refused[i].resources, &err), -refused[i].code);
		if (!strstr(err.text, refused[i].says))
			fail_msg("'%s' does not say '%s'", err.text, refused[i].says);
	}
}

static void weight_without_bfq_is_the_cost_models(void **state)
{
	AUTO(paper_fini) struct paper p = { 0 };
	struct err err = { 0 };

	(void)state;
	paper_make(&p);
	assert_int_equal(unlinkat(p.group.fds[0], "io.bfq.weight", 0), 0);
	assert_int_equal(set(&p, NULL, "{\"blockIO\":{\"weight\":1000}}", &err), 0);
	paper_says(&p, "io.weight", "10000", "weight 1000");
}

/* -1 in a new group is what it has: an ordinary user without a delegated cgroup has that, too. */
static void no_limit_needs_no_controller(void **state)
{
	struct config config;

	(void)state;
	config_of("{\"memory\":{\"limit\":-1,\"swap\":-1},\"cpu\":{\"quota\":-1},"
		  "\"pids\":{\"limit\":-1}}",
		  &config);
	assert_int_equal(cgroup_limits_need(&config.bundle.limits), 0);
	assert_int_equal(config.bundle.n_settings, 0);
	config_fini(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_made),
		cmocka_unit_test(what_is_changed),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(weight_without_bfq_is_the_cost_models),
		cmocka_unit_test(no_limit_needs_no_controller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
