/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "engines/cgroup/private.h"

static struct cgroup_layout parse(const char *text)
{
	struct cgroup_layout layout;
	struct err err = { 0 };

	assert_int_equal(cgroup_layout_parse(text, strlen(text), &layout, &err), 0);
	return layout;
}

static const struct cgroup_hierarchy *holder(const struct cgroup_layout *layout,
					     enum cgroup_controller controller)
{
	int h = cgroup_find(layout, controller);

	return h < 0 ? NULL : &layout->hierarchies[h];
}

static void v1_only(void **state)
{
	(void)state;
	struct cgroup_layout l = parse(
		"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
		"33 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
		"34 31 0:30 / /sys/fs/cgroup/cpuacct rw shared:9 - cgroup cgroup rw,cpuacct\n"
		"35 31 0:31 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
		"36 31 0:32 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
		"37 31 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
		"38 31 0:34 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls\n");

	assert_int_equal(l.v2, -1);
	assert_int_equal(l.n, 5);
	assert_string_equal(holder(&l, CGROUP_MEMORY)->mount, "/sys/fs/cgroup/memory");
	assert_string_equal(holder(&l, CGROUP_MEMORY)->options, "memory");
	assert_true(holder(&l, CGROUP_MEMORY)->used);
	assert_true(holder(&l, CGROUP_CPUACCT)->used);
	assert_true(holder(&l, CGROUP_FREEZER)->used);
	assert_false(holder(&l, CGROUP_PIDS)->used);
	assert_null(holder(&l, CGROUP_CPUSET));
	/* Only where a setting asks: none of ours is in every container's. */
	assert_false(holder(&l, CGROUP_NET_CLS)->used);
}

static void v2_only(void **state)
{
	(void)state;
	struct cgroup_layout l = parse(
		"30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 "
		"cgroup2 rw,nsdelegate,memory_recursiveprot\n");

	assert_int_equal(l.n, 1);
	assert_int_equal(l.v2, 0);
	assert_string_equal(l.hierarchies[0].mount, "/sys/fs/cgroup");
	assert_true(l.hierarchies[0].used);
}

static void both_leave_v1_alone_where_v2_serves(void **state)
{
	(void)state;
	struct cgroup_layout l =
		parse("33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n"
		      "37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
		      "36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n"
		      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");

	assert_int_equal(l.n, 4);
	assert_int_equal(l.v2, 3);
	assert_false(holder(&l, CGROUP_CPUACCT)->used);
	assert_false(holder(&l, CGROUP_FREEZER)->used);
	assert_false(holder(&l, CGROUP_DEVICES)->used);
}

static void co_mounted(void **state)
{
	(void)state;
	struct cgroup_layout l =
		parse("33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		      "34 31 0:31 / /sys/fs/cgroup/net_cls,net_prio rw - cgroup cgroup "
		      "rw,net_cls,net_prio\n");

	assert_int_equal(l.n, 2);
	assert_ptr_equal(holder(&l, CGROUP_NET_CLS), holder(&l, CGROUP_NET_PRIO));
	assert_ptr_equal(holder(&l, CGROUP_CPU), holder(&l, CGROUP_CPUACCT));
	assert_string_equal(l.hierarchies[0].options, "cpu,cpuacct");
}

/* A container without a cgroup namespace, and a bind mount of one group beside the whole tree. */
static void the_mount_that_shows_most_is_taken(void **state)
{
	(void)state;
	struct cgroup_layout l =
		parse("50 31 0:32 /docker/x /cg/memory rw - cgroup cgroup rw,memory\n"
		      "51 31 0:32 / /all/memory rw - cgroup cgroup rw,memory\n"
		      "52 31 0:32 /docker /some/memory rw - cgroup cgroup rw,memory\n"
		      "53 31 0:38 /docker/x /cg/unified rw - cgroup2 cgroup rw\n");

	assert_int_equal(l.n, 2);
	assert_string_equal(holder(&l, CGROUP_MEMORY)->mount, "/all/memory");
	assert_string_equal(l.hierarchies[l.v2].mount, "/cg/unified");
}

static void read_only_is_not_ours(void **state)
{
	(void)state;
	struct cgroup_layout l =
		parse("50 31 0:32 / /cg/memory ro,nosuid - cgroup cgroup rw,memory\n"
		      "51 31 0:33 / /cg/pids ro - cgroup cgroup rw,pids\n"
		      "52 31 0:33 / /rw/pids rw - cgroup cgroup rw,pids\n");
	struct spec_limits limits = { .memory_bytes = 1 << 24 };
	struct err err = { 0 };

	assert_null(holder(&l, CGROUP_MEMORY));
	assert_string_equal(holder(&l, CGROUP_PIDS)->mount, "/rw/pids");
	assert_int_equal(l.read_only, CGROUP_BIT(CGROUP_MEMORY));
	assert_true(cgroup_limits_check(&l, &limits, &err) < 0);
	assert_non_null(strstr(err.text, "read-only"));
}

static void escapes_are_read(void **state)
{
	(void)state;
	struct cgroup_layout l =
		parse("50 31 0:32 / /my\\040cg/a\\134b rw - cgroup cgroup rw,memory\n");

	assert_string_equal(l.hierarchies[0].mount, "/my cg/a\\b");
}

static void nonsense_is_no_mount(void **state)
{
	static const char *const lines[] = {
		"",
		"\n\n\n",
		" ",
		"- - - - - - - - -",
		"50 31 0:32 / /cg rw",
		"50 31 0:32 / /cg rw - ",
		"50 31 0:32 / /cg rw - cgroup",
		"50 31 0:32 / relative rw - cgroup cgroup rw,memory",
		"50 31 0:32 / /cg\\000x rw - cgroup cgroup rw,memory",
		"50 31 0:32 / /cg\\9zz rw - cgroup cgroup rw,memory",
		"50 31 0:32 / /cg rw - cgroup3 cgroup rw,memory",
		"50 31 0:32 / /cg rw - cgroup cgroup rw,memoryx,,,",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(parse(lines[i]).n, 0);
}

static void a_long_mount_point_is_left_out(void **state)
{
	char line[600], name[401];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(line, sizeof(line), "50 31 0:32 / /%s rw - cgroup cgroup rw,memory\n",
		       name); /* fits */
	assert_int_equal(parse(line).n, 0);
}

static void words_of_controllers(void **state)
{
	(void)state;
	assert_int_equal(cgroup_controllers_parse("cpuset cpu io memory perf_event pids\n"),
			 CGROUP_BIT(CGROUP_CPUSET) | CGROUP_BIT(CGROUP_CPU) |
				 CGROUP_BIT(CGROUP_BLKIO) | CGROUP_BIT(CGROUP_MEMORY) |
				 CGROUP_BIT(CGROUP_PIDS));
	assert_int_equal(cgroup_controllers_parse("hugetlb misc"),
			 CGROUP_BIT(CGROUP_HUGETLB) | CGROUP_BIT(CGROUP_MISC));
	assert_int_equal(cgroup_controllers_parse(""), 0);
	assert_int_equal(cgroup_controllers_parse("\n"), 0);
	assert_int_equal(cgroup_controllers_parse("   memory"), CGROUP_BIT(CGROUP_MEMORY));
}

static void fields(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_true(cgroup_field("oom 1\noom_kill 7\n", "oom_kill", &v));
	assert_int_equal(v, 7);
	assert_false(cgroup_field("oom_kill_disable 0\n", "oom_kill", &v));
	assert_false(cgroup_field("oom_kill \n", "oom_kill", &v));
	assert_false(cgroup_field("", "x", &v));
}

static void report_names_what_is_missing(void **state)
{
	char text[256], small[8];

	(void)state;
	struct cgroup_layout l =
		parse("50 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"
		      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
	assert_int_equal(cgroup_report(&l, text, sizeof(text)), 0);
	assert_string_equal(text, "v1 and v2; limits: memory; no limits on: cpu, cpuset, pids");
	assert_true(cgroup_report(&l, small, sizeof(small)) < 0);
	l = parse("");
	assert_int_equal(cgroup_report(&l, text, sizeof(text)), 0);
	assert_string_equal(text, "none mounted; no limits on: memory, cpu, cpuset, pids");
}

static void others_are_used_by_those_who_use_all(void **state)
{
	(void)state;
	struct cgroup_layout l = parse(
		"33 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
		"36 31 0:32 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
		"37 31 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
		"39 31 0:33 / /mnt/again rw - cgroup cgroup rw,xattr,name=systemd\n"
		"40 31 0:35 / /sys/fs/cgroup/hugetlb ro - cgroup cgroup rw,hugetlb\n"
		"38 31 0:34 / /sys/fs/cgroup/net rw - cgroup cgroup rw,net_cls,net_prio\n");

	assert_int_equal(l.n, 3);
	assert_int_equal(l.n_others, 1);
	assert_int_equal(cgroup_layout_find(&l, CGROUP_SYSTEMD), -1);
	cgroup_layout_use_all(&l);
	cgroup_layout_use_all(&l);
	assert_int_equal(l.n, 4);
	int at = cgroup_layout_find(&l, CGROUP_SYSTEMD);
	assert_int_equal(at, 3);
	assert_string_equal(l.hierarchies[at].mount, "/sys/fs/cgroup/systemd");
	assert_int_equal(cgroup_layout_find(&l, "net_cls,net_prio"), 2);
	for (unsigned i = 0; i < l.n; i++)
		assert_true(l.hierarchies[i].used);
}

static void more_others_than_there_is_room_for(void **state)
{
	char text[4096];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "37 31 0:33 / /o/%d rw - cgroup cgroup rw,name=x%d\n", i, i);
	struct cgroup_layout l = parse(text);
	assert_int_equal(l.n_others, CGROUP_OTHERS);
	cgroup_layout_use_all(&l);
	assert_int_equal(l.n, CGROUP_OTHERS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_only),
		cmocka_unit_test(v2_only),
		cmocka_unit_test(both_leave_v1_alone_where_v2_serves),
		cmocka_unit_test(co_mounted),
		cmocka_unit_test(the_mount_that_shows_most_is_taken),
		cmocka_unit_test(read_only_is_not_ours),
		cmocka_unit_test(escapes_are_read),
		cmocka_unit_test(nonsense_is_no_mount),
		cmocka_unit_test(a_long_mount_point_is_left_out),
		cmocka_unit_test(words_of_controllers),
		cmocka_unit_test(fields),
		cmocka_unit_test(others_are_used_by_those_who_use_all),
		cmocka_unit_test(more_others_than_there_is_room_for),
		cmocka_unit_test(report_names_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
