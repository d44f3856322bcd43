/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "scratch.h"

#include "base/os/fd.h"
#include "base/os/file.h"

#define MIB (UINT64_C(1) << 20)

static struct spec spec = { .name = (char *)(uintptr_t) "box" };

static void booted(const struct scratch *s, const char *text)
{
	assert_int_equal(file_replace(s->fd, TARGET_FILE, 0600, text, strlen(text), false), 0);
}

static int limits(const struct spec_limits *change, uint64_t *ret, struct err *err)
{
	*err = (struct err){ 0 };
	return vmm_target_limits(&spec, change, ret, err);
}

static void of_limits_memory_is_the_one_that_a_running_machine_follows(void **state)
{
	uint64_t bytes = 1;
	struct err err;

	(void)state;
	assert_int_equal(limits(&(struct spec_limits){ .cpu_shares = 3 }, &bytes, &err), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(limits(&(struct spec_limits){ .memory_bytes = 7 }, &bytes, &err), 0);
	assert_int_equal(bytes, 7);
	assert_int_equal(limits(&(struct spec_limits){ .memory_bytes = -1 }, &bytes, &err),
			 -ENOTSUP);
	assert_non_null(strstr(err.text, "name one"));
	assert_int_equal(limits(&(struct spec_limits){ .memory_bytes = 7, .memory_swap_bytes = 9 },
				&bytes, &err),
			 -ENOTSUP);
	assert_int_equal(
		limits(&(struct spec_limits){ .memory_reservation_bytes = 7 }, &bytes, &err),
		-ENOTSUP);
	assert_int_equal(limits(&(struct spec_limits){ .pids = 7 }, &bytes, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "--pids-limit"));
}

static void no_more_than_it_booted_with(void **state)
{
	const struct scratch *s = *state;
	struct err err = { 0 };

	booted(s, "268435456\n");
	assert_int_equal(vmm_target_check(&spec, s->path, 256 * MIB, &err), 0);
	assert_int_equal(vmm_target_check(&spec, s->path, 256 * MIB + 1, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "box booted with 256 MiB, and gets no more"));
}

static void without_a_balloon_it_says_so(void **state)
{
	const struct scratch *s = *state;
	struct err err = { 0 };

	assert_int_equal(vmm_target_check(&spec, s->path, MIB, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "box has no balloon"));
}

static void what_the_file_says_that_is_no_number_is_nothing(void **state)
{
	const struct scratch *s = *state;

	booted(s, "lots\n");
	assert_int_equal(vmm_target_check(&spec, s->path, MIB, NULL), -ENOTSUP);
	booted(s, "11111111111111111111111111111111111111111111111111111");
	assert_int_equal(vmm_target_check(&spec, s->path, MIB, NULL), -EFBIG);
}

static void it_is_told_through_the_fifo(void **state)
{
	const struct scratch *s = *state;
	uint64_t told = 0;

	assert_int_equal(vmm_target_set(&spec, s->path, 5 * MIB, NULL), -ENOENT);
	assert_int_equal(mkfifoat(s->fd, TARGET_FIFO, 0600), 0);
	assert_int_equal(vmm_target_set(&spec, s->path, 5 * MIB, NULL), -ESRCH);
	AUTO(fd_close_p) int fifo = openat(s->fd, TARGET_FIFO, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(vmm_target_set(&spec, s->path, 5 * MIB, NULL), 0);
	assert_int_equal(read(fifo, &told, sizeof(told)), sizeof(told));
	assert_int_equal(told, 5 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_limits_memory_is_the_one_that_a_running_machine_follows),
		SCRATCH_TEST(no_more_than_it_booted_with),
		SCRATCH_TEST(without_a_balloon_it_says_so),
		SCRATCH_TEST(what_the_file_says_that_is_no_number_is_nothing),
		SCRATCH_TEST(it_is_told_through_the_fifo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
