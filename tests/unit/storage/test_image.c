/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "storage/copy.h"
#include "storage/own_layers.h"

static void import_parts(struct scene *scene, const char *tag, struct image *ret)
{
	struct parts parts;

	parts_make(&parts, "amd64", ARCHIVE_FILTER_GZIP);
	parts_save_oci(&parts, scene, "o.tar");
	scene_import(scene, "o.tar", tag, ret);
	parts_fini(&parts);
}

static int find(struct scene *scene, const char *ref)
{
	struct image image = { 0 };
	int r = image_find(&scene->store, ref, &image, &scene->err);

	if (r == 0)
		image_fini(&image);
	return r;
}

static void images_are_found_by_every_name(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	char prefix[13];

	import_parts(scene, "docker.io/library/demo:1", &image);
	assert_int_equal(find(scene, "docker.io/library/demo:1"), 0);
	assert_int_equal(find(scene, "demo:1"), 0);
	assert_int_equal(find(scene, "demo"), -ENOENT);
	assert_int_equal(find(scene, image.id), 0);
	(void)snprintf(prefix, sizeof(prefix), "%.12s", image.id);
	assert_int_equal(find(scene, prefix), 0);
	assert_int_equal(image_tag(&scene->store, "demo:1", "other", &scene->err), 0);
	assert_int_equal(find(scene, "other:latest"), 0);
	assert_int_equal(find(scene, "docker.io/library/other"), 0);
	assert_int_equal(find(scene, "UPPER"), -EINVAL);
	assert_int_equal(image_tag(&scene->store, "demo:1", "Bad", &scene->err), -EINVAL);
	assert_int_equal(image_tag(&scene->store, "none", "x", &scene->err), -ENOENT);
	image_fini(&image);
}

static void removing_counts_references(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 }, docker = { 0 };
	struct parts parts;

	import_parts(scene, "one", &image);
	const char *const in_use[] = { image.id, NULL };
	/* Another image with the same layer. */
	parts_make(&parts, "", ARCHIVE_FILTER_NONE);
	parts_save_docker(&parts, scene, "d.tar");
	scene_import(scene, "d.tar", "two", &docker);
	assert_string_not_equal(image.id, docker.id);
	assert_string_equal(image.layers[0], docker.layers[0]);
	assert_int_equal(scene_count(scene, "layers"), 1);

	assert_int_equal(image_remove(&scene->store, "one", false, in_use, &scene->err), -EBUSY);
	assert_int_equal(image_tag(&scene->store, "one", "uno", &scene->err), 0);
	assert_int_equal(image_remove(&scene->store, image.id, false, NULL, &scene->err), -EBUSY);
	assert_int_equal(image_remove(&scene->store, "one", false, in_use, &scene->err), 0);
	assert_int_equal(find(scene, "uno"), 0);
	assert_int_equal(image_remove(&scene->store, "uno", false, NULL, &scene->err), 0);
	assert_int_equal(find(scene, image.id), -ENOENT);
	assert_int_equal(scene_count(scene, "layers"), 1);
	assert_int_equal(image_remove(&scene->store, "two", false, NULL, &scene->err), 0);
	scene_assert_empty(scene);
	image_fini(&image);
	image_fini(&docker);
	parts_fini(&parts);
}

static void prune_takes_debris_and_leaves_what_is_held(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	int64_t bytes = 0;

	import_parts(scene, "one", &image);
	assert_int_equal(dir_make(AT_FDCWD, scene_path(scene, "root/tmp/import-dead/x"), 0700), 0);
	assert_int_equal(dir_make(AT_FDCWD, scene_path(scene, "root/tmp/import-live"), 0700), 0);
	int live = open(scene_path(scene, "root/tmp/import-live"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(live, LOCK_EX), 0);
	char layer[100] = "root/layers/";
	memset(layer + 12, 'a', DIGEST_HEX);
	assert_int_equal(mkdir(scene_path(scene, layer), 0755), 0);
	int held = open(scene_path(scene, layer), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_SH), 0);

	assert_int_equal(image_prune(&scene->store, false, NULL, &bytes, &scene->err), 0);
	assert_int_equal(scene_count(scene, "tmp"), 1);
	assert_int_equal(scene_count(scene, "layers"), 2);
	fd_close(live);
	fd_close(held);
	assert_int_equal(image_prune(&scene->store, true, NULL, &bytes, &scene->err), 0);
	assert_int_equal(scene_count(scene, "tmp"), 0);
	assert_int_equal(scene_count(scene, "layers"), 1);
	assert_int_equal(find(scene, "one"), 0);
	image_fini(&image);
}

/* A newer tag takes the name; the older image stays until it is pruned. */
static void untagged_images_go_with_prune_all(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 }, newer = { 0 };
	struct tar tar;
	int64_t bytes = 0;

	import_parts(scene, "one", &image);
	const char *const in_use[] = { image.id, NULL };
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "bin/x", "x");
	tar_save(&tar, scene, "x.tar");
	scene_import(scene, "x.tar", "one", &newer);
	assert_int_equal(find(scene, image.id), 0);
	assert_int_equal(image_prune(&scene->store, true, in_use, &bytes, &scene->err), 0);
	assert_int_equal(find(scene, image.id), 0);
	assert_int_equal(image_prune(&scene->store, true, NULL, &bytes, &scene->err), 0);
	assert_int_equal(find(scene, image.id), -ENOENT);
	assert_int_equal(find(scene, "one"), 0);
	image_fini(&image);
	image_fini(&newer);
}

static void exports_come_back_as_the_same_image(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 }, again = { 0 };
	static const char *const formats[] = { "docker", "oci", "oci-dir" };

	import_parts(scene, "made:oci", &image);
	for (size_t i = 0; i < 3; i++) {
		const char *path = scene_path(scene, formats[i]);
		if (image_export(&scene->store, "made:oci", formats[i], path, &scene->err) < 0)
			fail_msg("%s", scene->err.text);
		assert_int_equal(image_export(&scene->store, "made:oci", "zip", "/x", &scene->err),
				 -EINVAL);
	}
	assert_int_equal(image_remove(&scene->store, "made:oci", false, NULL, &scene->err), 0);
	scene_assert_empty(scene);
	for (size_t i = 0; i < 3; i++) {
		scene_import(scene, formats[i], NULL, &again);
		assert_string_equal(again.id, image.id);
		assert_string_equal(again.tags[0], "made:oci");
		image_fini(&again);
		assert_int_equal(image_remove(&scene->store, "made:oci", false, NULL, &scene->err),
				 0);
	}
	image_fini(&image);
}

static void a_layer_twice_is_stacked_once(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	struct parts parts;
	struct tar tar;
	char text[700];

	parts_make(&parts, "amd64", ARCHIVE_FILTER_NONE);
	buf_fini(&parts.config);
	(void)buf_printf(
		&parts.config,
		"{\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[\"sha256:%s\",\"sha256:%s\"]}}",
		parts.diff_hex, parts.diff_hex);
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_add(&tar, tar_entry("layer.tar", AE_IFREG, 0644), parts.layer.data, parts.layer.len);
	tar_file(&tar, "config.json", parts.config.data);
	(void)snprintf(text, sizeof(text),
		       "[{\"Config\":\"config.json\",\"Layers\":[\"layer.tar\",\"layer.tar\"]}]");
	tar_file(&tar, "manifest.json", text);
	tar_save(&tar, scene, "d.tar");
	scene_import(scene, "d.tar", "twice", &image);
	assert_non_null(image.layers[0]);
	assert_null(image.layers[1]);
	image_fini(&image);
	parts_fini(&parts);
}

static void copies_stay_inside(void **state)
{
	struct scene *scene = *state;
	struct stat st;

	assert_int_equal(dir_make(AT_FDCWD, scene_path(scene, "a/etc"), 0755), 0);
	assert_int_equal(dir_make(AT_FDCWD, scene_path(scene, "b/real"), 0755), 0);
	scene_write(scene, "a/etc/f", "text", 4);
	scene_write(scene, "secret", "secret", 6);
	assert_int_equal(symlink("/etc/f", scene_path(scene, "a/l")), 0);
	assert_int_equal(symlink("../../../../secret", scene_path(scene, "a/evil")), 0);
	assert_int_equal(symlink("/real", scene_path(scene, "b/to")), 0);
	int a = open(scene_path(scene, "a"), O_PATH | O_CLOEXEC);
	int b = open(scene_path(scene, "b"), O_PATH | O_CLOEXEC);
	const struct copy_root from = { .dir = a, .users = -EBADF },
			       to = { .dir = b, .users = -EBADF };

	if (copy_across(&from, "/l", true, &to, "/to", "copy", &scene->err) < 0)
		fail_msg("%s", scene->err.text);
	assert_int_equal(stat(scene_path(scene, "b/real/copy"), &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(copy_across(&from, "etc/.", false, &to, "real", NULL, &scene->err), 0);
	assert_int_equal(access(scene_path(scene, "b/real/f"), F_OK), 0);
	assert_int_equal(copy_across(&from, "l", false, &to, "new/dir", NULL, &scene->err), 0);
	assert_int_equal(lstat(scene_path(scene, "b/new/dir/l"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(copy_across(&from, "evil", true, &to, "real", NULL, &scene->err), -ENOENT);
	assert_int_equal(copy_across(&from, "none", false, &to, "real", NULL, &scene->err),
			 -ENOENT);
	fd_close(a);
	fd_close(b);
}

/* What an ordinary user's containers run from; here by root, for whom the marks of overlayfs must be the same. */
static void a_layer_of_ones_own_has_its_owners_and_goes_with_the_image(void **state)
{
	struct scene *scene = *state;
	struct archive_entry *entry = tar_entry("bin/owned", AE_IFREG, 04755);
	struct image image = { 0 };
	struct stat st;
	struct tar tar;
	char path[300];

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_dir(&tar, "bin");
	archive_entry_set_uid(entry, 1234);
	archive_entry_set_gid(entry, 5678);
	tar_add(&tar, entry, "x", 1);
	tar_save(&tar, scene, "o.tar");
	scene_import(scene, "o.tar", "own", &image);
	const char *diff = image.layers[0];
	assert_int_equal(own_layer_make(&scene->store, diff, &scene->err), 0);
	assert_int_equal(own_layer_make(&scene->store, diff, &scene->err), 0); /* is there */
	(void)snprintf(path, sizeof(path), "%s/" OWN_LAYERS "/%s/fs/bin/owned", scene->store.root,
		       diff);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 5678);
	assert_int_equal(st.st_mode & 07777, 04755);
	assert_int_equal(scene_count(scene, OWN_LAYERS), 1);
	image_fini(&image);
	assert_int_equal(image_remove(&scene->store, "own", false, NULL, &scene->err), 0);
	assert_int_equal(scene_count(scene, OWN_LAYERS), 0);
	assert_int_equal(
		own_layer_make(&scene->store,
			       "0123456789012345678901234567890123456789012345678901234567890123",
			       &scene->err),
		-ESTALE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, scene_init, scene_fini)
		T(images_are_found_by_every_name),
		T(removing_counts_references),
		T(prune_takes_debris_and_leaves_what_is_held),
		T(untagged_images_go_with_prune_all),
		T(exports_come_back_as_the_same_image),
		T(a_layer_twice_is_stacked_once),
		T(copies_stay_inside),
		T(a_layer_of_ones_own_has_its_owners_and_goes_with_the_image),
	};

	return cmocka_run_group_tests(tests, scene_group, NULL);
}
