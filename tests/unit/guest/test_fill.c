/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "scratch.h"

#include "base/os/fd.h"
#include "fill.h"

/* <scratch>/image/data with a file and a link, an empty <scratch>/volume but for what ext4 makes. */
static void scene(const struct scratch *scratch, int *ret_image, int *ret_volume)
{
	char command[512];

	(void)snprintf(
		command, sizeof(command),
		"cd %s && mkdir -p image/data/sub volume/lost+found && echo x >image/data/sub/f && "
		"ln -s sub/f image/data/l && chmod 1777 image/data && chown 5:6 image/data",
		scratch->path);
	assert_int_equal(system(command), 0);
	*ret_image = openat(scratch->fd, "image", O_PATH | O_DIRECTORY | O_CLOEXEC);
	*ret_volume = openat(scratch->fd, "volume", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool there(const struct scratch *scratch, const char *name)
{
	return faccessat(scratch->fd, name, F_OK, 0) == 0;
}

static void an_empty_volume_gets_what_the_image_has(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };
	struct stat st;
	int image, volume;

	if (geteuid() != 0)
		SKIP("needs root");
	scene(scratch, &image, &volume);
	if (fill_volume(image, "/data", volume, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(there(scratch, "volume/l")); /* through the link */
	assert_true(there(scratch, "volume/lost+found"));
	assert_false(there(scratch, "volume/" FILL_MARK));
	assert_int_equal(fstatat(volume, "", &st, AT_EMPTY_PATH), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(st.st_uid, 5);
	assert_int_equal(st.st_gid, 6);
	fd_close(image);
	fd_close(volume);
}

static void one_in_use_is_left_alone(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };
	int image, volume;

	if (geteuid() != 0)
		SKIP("needs root");
	scene(scratch, &image, &volume);
	assert_int_equal(mkdirat(scratch->fd, "volume/mine", 0755), 0);
	assert_int_equal(fill_volume(image, "/data", volume, &err), 0);
	assert_false(there(scratch, "volume/sub"));
	assert_int_equal(fill_volume(image, "/nowhere", volume, &err), 0);
	fd_close(image);
	fd_close(volume);
}

static void a_copy_cut_short_is_made_again(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };
	int image, volume;

	if (geteuid() != 0)
		SKIP("needs root");
	scene(scratch, &image, &volume);
	assert_int_equal(mkdirat(scratch->fd, "volume/sub", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "volume/" FILL_MARK, 0755), 0);
	assert_true(fill_volume(image, "/data", volume, &err) < 0); /* a mark of another kind */
	assert_non_null(strstr(err.text, "/data"));
	assert_int_equal(unlinkat(scratch->fd, "volume/" FILL_MARK, AT_REMOVEDIR), 0);
	int mark = openat(scratch->fd, "volume/" FILL_MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	fd_close(mark);
	assert_int_equal(fill_volume(image, "/data", volume, &err), 0);
	assert_true(there(scratch, "volume/sub/f"));
	assert_false(there(scratch, "volume/" FILL_MARK));
	fd_close(image);
	fd_close(volume);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(an_empty_volume_gets_what_the_image_has),
		SCRATCH_TEST(one_in_use_is_left_alone),
		SCRATCH_TEST(a_copy_cut_short_is_made_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
