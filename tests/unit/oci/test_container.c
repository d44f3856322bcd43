/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a container, between commands that know nothing of each other. */
#include "scratch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/os/file.h"
#include "oci/container.h"

static void make(const char *root, struct container *ret)
{
	struct err err = { 0 };

	if (container_make(root, "box", ret, &err) < 0)
		fail_msg("%s", err.text);
}

static void deletion_that_was_overtaken_locks_nothing(void **state)
{
	const struct scratch *scratch = *state;
	struct container first, late, second;
	struct err err = { 0 };

	make(scratch->path, &first);
	assert_int_equal(container_open(scratch->path, "box", &late, &err), 0);
	assert_int_equal(container_forget(scratch->path, &first, &err), 0);
	container_close(&first);
	make(scratch->path, &second); /* the name is another's now */
	assert_int_equal(container_lock(&late, &err), -ENOENT);
	assert_non_null(strstr(err.text, "was deleted"));
	container_close(&late);
	assert_int_equal(container_status_of(&second, NULL), CONTAINER_STOPPED);
	container_close(&second);
}

static void whoever_makes_one_is_alone_with_it(void **state)
{
	const struct scratch *scratch = *state;
	struct container maker, other;
	struct err err = { 0 };

	make(scratch->path, &maker);
	assert_int_equal(container_open_locked(scratch->path, "box", true, &other, &err), -EBUSY);
	assert_int_equal(container_open(scratch->path, "box", &other, &err), 0);
	assert_int_equal(container_status_of(&other, NULL), CONTAINER_CREATING);
	container_close(&other);
	container_unlock(&maker);
	assert_int_equal(container_open_locked(scratch->path, "box", true, &other, &err), 0);
	/* Its own look at the lock does not give that up. */
	assert_int_equal(container_status_of(&other, NULL), CONTAINER_STOPPED);
	struct container third;
	assert_int_equal(container_open_locked(scratch->path, "box", true, &third, &err), -EBUSY);
	container_close(&other);
	container_close(&maker);
}

/* Read under the lock: what a maker wrote while a deletion waited for it is not missed. */
static void cgroup_is_its_own_once_it_says_so(void **state)
{
	const struct scratch *scratch = *state;
	struct container maker, other;
	struct err err = { 0 };

	make(scratch->path, &maker);
	assert_int_equal(container_open(scratch->path, "box", &other, &err), 0);
	assert_false(other.has_cgroup);
	container_close(&other);
	assert_int_equal(container_own_cgroup(&maker, &err), 0);
	assert_int_equal(container_save(&maker, &err), 0);
	/* Nothing in the directory is needed to know it. */
	assert_int_equal(unlinkat(maker.dir, "state.json", 0), 0);
	container_close(&maker);
	assert_int_equal(container_open_locked(scratch->path, "box", false, &other, &err), 0);
	assert_true(other.has_cgroup);
	container_close(&other);
}

static void damaged_state_is_told_unless_it_is_to_go(void **state)
{
	const struct scratch *scratch = *state;
	struct container container;
	struct err err = { 0 };

	make(scratch->path, &container);
	assert_int_equal(file_replace(container.dir, "state.json", 0600, "{", 1, false), 0);
	container_close(&container);
	assert_true(container_open_locked(scratch->path, "box", false, &container, &err) < 0);
	assert_non_null(strstr(err.text, "box"));
	assert_int_equal(container_open_locked(scratch->path, "box", true, &container, &err), 0);
	assert_int_equal(container.pid, 0);
	container_close(&container);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(deletion_that_was_overtaken_locks_nothing),
		SCRATCH_TEST(whoever_makes_one_is_alone_with_it),
		SCRATCH_TEST(cgroup_is_its_own_once_it_says_so),
		SCRATCH_TEST(damaged_state_is_told_unless_it_is_to_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
