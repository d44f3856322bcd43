/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "storage/volume.h"

static void volumes_are_made_once(void **state)
{
	struct scene *scene = *state;
	struct volume volume = { 0 }, again = { 0 };
	struct stat st;
	AUTO(json_decref_p) json_t *labels = json_pack("{ss}", "k", "v");

	assert_int_equal(volume_create(&scene->store, "data", labels, &volume, &scene->err), 0);
	assert_int_equal(stat(volume.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_false(volume.anonymous);
	assert_int_equal(volume_create(&scene->store, "data", NULL, &again, &scene->err), -EEXIST);
	assert_int_equal(volume_find(&scene->store, "data", &again, &scene->err), 0);
	assert_string_equal(json_str(again.labels, "k", ""), "v");
	volume_fini(&again);
	volume_fini(&volume);
}

static void bad_names_are_refused(void **state)
{
	struct scene *scene = *state;
	static const char *const bad[] = { "", ".", "..", "a/b", "-a", "a b", "../x", "_x" };
	struct volume volume = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(volume_create(&scene->store, bad[i], NULL, &volume, &scene->err),
				 -EINVAL);
	assert_int_equal(volume_find(&scene->store, "../x", &volume, &scene->err), -ENOENT);
	assert_int_equal(scene_count(scene, "volumes"), 0);
}

static void used_volumes_stay(void **state)
{
	struct scene *scene = *state;
	struct volume volume = { 0 };

	assert_int_equal(volume_create(&scene->store, "v", NULL, &volume, &scene->err), 0);
	volume_fini(&volume);
	assert_int_equal(volume_use(&scene->store, "none", "user1", &scene->err), -ENOENT);
	assert_int_equal(volume_use(&scene->store, "v", "user1", &scene->err), 0);
	assert_int_equal(volume_use(&scene->store, "v", "user1", &scene->err), 0);
	assert_int_equal(volume_remove(&scene->store, "v", &scene->err), -EBUSY);
	assert_non_null(strstr(scene->err.text, "user1"));
	assert_int_equal(volume_unuse(&scene->store, "user1", &scene->err), 0);
	assert_int_equal(volume_unuse(&scene->store, "user1", &scene->err), 0);
	assert_int_equal(volume_remove(&scene->store, "v", &scene->err), 0);
	assert_int_equal(volume_remove(&scene->store, "v", &scene->err), -ENOENT);
	assert_int_equal(scene_count(scene, "volumes"), 0);
	assert_int_equal(scene_count(scene, "tmp"), 0);
}

static void prune_takes_anonymous_ones_or_all(void **state)
{
	struct scene *scene = *state;
	struct volume named = { 0 }, held = { 0 }, loose = { 0 };
	json_t *names = NULL;
	struct volume *list = NULL;
	size_t n = 0;

	assert_int_equal(volume_create(&scene->store, "named", NULL, &named, &scene->err), 0);
	assert_int_equal(volume_create(&scene->store, NULL, NULL, &held, &scene->err), 0);
	assert_int_equal(volume_create(&scene->store, NULL, NULL, &loose, &scene->err), 0);
	assert_true(held.anonymous);
	assert_int_equal(volume_use(&scene->store, held.name, "u", &scene->err), 0);
	assert_int_equal(volume_prune(&scene->store, false, &names, &scene->err), 0);
	assert_int_equal(json_array_size(names), 1);
	assert_string_equal(json_string_value(json_array_get(names, 0)), loose.name);
	json_decref(names);
	assert_int_equal(volume_prune(&scene->store, true, &names, &scene->err), 0);
	assert_int_equal(json_array_size(names), 1);
	json_decref(names);
	assert_int_equal(volume_list(&scene->store, &list, &n, &scene->err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(list[0].name, held.name);
	volume_fini(&list[0]);
	free(list);
	volume_fini(&named);
	volume_fini(&held);
	volume_fini(&loose);
}

/* As a remove leaves it that was killed before its commit. */
static void half_removed_volumes_heal_at_use(void **state)
{
	struct scene *scene = *state;
	struct volume volume = { 0 };

	assert_int_equal(volume_create(&scene->store, "v", NULL, &volume, &scene->err), 0);
	assert_int_equal(rmdir(volume.path), 0);
	assert_int_equal(volume_use(&scene->store, "v", "u", &scene->err), 0);
	assert_int_equal(access(volume.path, F_OK), 0);
	volume_fini(&volume);
}

static void disks_are_images_of_their_size(void **state)
{
	static const struct {
		const char *name, *end;
		enum volume_kind kind;
	} cases[] = { { "r", "/r/disk.img", VOLUME_RAW }, { "q", "/q/disk.qcow2", VOLUME_QCOW2 } };
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct volume volume = { 0 }, again = { 0 };
		const char *name = cases[i].name;
		assert_int_equal(volume_create_disk(&scene->store, name, NULL, cases[i].kind,
						    1048576, &volume, &scene->err),
				 0);
		assert_int_equal(volume.kind, cases[i].kind);
		assert_int_equal(volume_size(&volume), 1048576);
		assert_non_null(strstr(volume.path, cases[i].end));
		assert_int_equal(access(volume.path, R_OK), 0);
		assert_int_equal(volume_create(&scene->store, name, NULL, &again, &scene->err),
				 -EEXIST);
		assert_int_equal(volume_resize(&scene->store, name, 4096, &scene->err), -EINVAL);
		assert_int_equal(volume_resize(&scene->store, name, 4194304, &scene->err), 0);
		assert_int_equal(volume_find(&scene->store, name, &again, &scene->err), 0);
		assert_int_equal(volume_size(&again), 4194304);
		volume_fini(&again);
		/* As a machine holds it that runs. */
		AUTO(fd_close_p) int fd = open(volume.path, O_RDWR | O_CLOEXEC);
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
		assert_int_equal(volume_resize(&scene->store, name, 8388608, &scene->err), -EBUSY);
		assert_non_null(strstr(scene->err.text, "is in use"));
		volume_fini(&volume);
		assert_int_equal(volume_remove(&scene->store, name, &scene->err), 0);
	}
	assert_int_equal(scene_count(scene, "volumes"), 0);
}

/* Regression: each look for a qcow2 volume read its header. */
static void to_be_found_a_disk_is_not_opened(void **state)
{
	struct scene *scene = *state;
	struct volume volume = { 0 };
	char events[512];

	assert_int_equal(volume_create_disk(&scene->store, "v", NULL, VOLUME_QCOW2, 1048576,
					    &volume, &scene->err),
			 0);
	AUTO(fd_close_p) int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch < 0 || inotify_add_watch(watch, volume.path, IN_OPEN) < 0)
		fail_msg("inotify: %s", strerror(errno));
	volume_fini(&volume);
	assert_int_equal(volume_find(&scene->store, "v", &volume, &scene->err), 0);
	assert_int_equal(volume.recorded_bytes, 1048576);
	assert_int_equal(read(watch, events, sizeof(events)), -1);
	assert_int_equal(volume_size(&volume), 1048576);
	assert_true(read(watch, events, sizeof(events)) > 0); /* so that would have shown */
	assert_int_equal(unlink(volume.path), 0);
	assert_int_equal(volume_size(&volume), 1048576); /* as recorded, where it cannot be read */
	volume_fini(&volume);
}

static void what_a_killed_create_left_is_replaced(void **state)
{
	struct scene *scene = *state;
	struct volume volume = { 0 };
	json_t *names = NULL;

	assert_int_equal(
		volume_create_disk(&scene->store, "v", NULL, VOLUME_RAW, 512, &volume, &scene->err),
		0);
	volume_fini(&volume);
	/* Its row was never there. */
	assert_int_equal(db_run(&scene->store.db, &scene->err, "DELETE FROM volumes", ""), 0);
	assert_int_equal(volume_create_disk(&scene->store, "v", NULL, VOLUME_RAW, 1024, &volume,
					    &scene->err),
			 0);
	assert_int_equal(volume_size(&volume), 1024);
	volume_fini(&volume);
	assert_int_equal(db_run(&scene->store.db, &scene->err, "DELETE FROM volumes", ""), 0);
	assert_int_equal(volume_prune(&scene->store, false, &names, &scene->err), 0);
	json_decref(names);
	assert_int_equal(scene_count(scene, "volumes"), 0);
}

/* As a remove leaves it that was killed before its commit: the disk is empty, and as large as it was. */
static void half_removed_disks_heal_at_use(void **state)
{
	struct scene *scene = *state;
	struct volume volume = { 0 };

	assert_int_equal(volume_create_disk(&scene->store, "v", NULL, VOLUME_QCOW2, 1048576,
					    &volume, &scene->err),
			 0);
	assert_int_equal(volume_resize(&scene->store, "v", 2097152, &scene->err), 0);
	assert_int_equal(unlink(volume.path), 0);
	volume_fini(&volume);
	assert_int_equal(volume_use(&scene->store, "v", "u", &scene->err), 0);
	assert_int_equal(volume_find(&scene->store, "v", &volume, &scene->err), 0);
	assert_int_equal(access(volume.path, F_OK), 0);
	assert_int_equal(volume_size(&volume), 2097152);
	volume_fini(&volume);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, scene_init, scene_fini)
		T(volumes_are_made_once),
		T(bad_names_are_refused),
		T(used_volumes_stay),
		T(prune_takes_anonymous_ones_or_all),
		T(half_removed_volumes_heal_at_use),
		T(disks_are_images_of_their_size),
		T(to_be_found_a_disk_is_not_opened),
		T(what_a_killed_create_left_is_replaced),
		T(half_removed_disks_heal_at_use),
	};

	return cmocka_run_group_tests(tests, scene_group, NULL);
}
