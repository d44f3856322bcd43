/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/os/file.h"
#include "base/os/json.h"

static void save_rootfs(struct scene *scene, const char *name, int filter)
{
	struct tar tar;

	tar_open(&tar, filter);
	tar_dir(&tar, "bin");
	tar_file(&tar, "bin/sh", "#!");
	tar_symlink(&tar, "bin/ash", "sh");
	tar_save(&tar, scene, name);
}

static void tars_of_every_compression_are_one_image(void **state)
{
	struct scene *scene = *state;
	struct image plain = { 0 }, gzip = { 0 }, zstd = { 0 };

	save_rootfs(scene, "a.tar", ARCHIVE_FILTER_NONE);
	save_rootfs(scene, "a.tgz", ARCHIVE_FILTER_GZIP);
	save_rootfs(scene, "a.tzst", ARCHIVE_FILTER_ZSTD);
	scene_import(scene, "a.tar", "demo", &plain);
	scene_import(scene, "a.tgz", "demo:gz", &gzip);
	scene_import(scene, "a.tzst", "demo:zst", &zstd);
	assert_string_equal(plain.id, gzip.id);
	assert_string_equal(plain.id, zstd.id);
	assert_string_equal(zstd.tags[0], "demo:gz");
	assert_string_equal(zstd.tags[1], "demo:latest");
	assert_string_equal(zstd.tags[2], "demo:zst");
	assert_int_equal(scene_count(scene, "layers"), 1);
	assert_int_equal(access(scene_unpacked(scene, &plain, "bin/sh"), F_OK), 0);
	image_fini(&plain);
	image_fini(&gzip);
	image_fini(&zstd);
}

static void directory_keeps_what_it_holds(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	struct stat st, twin;

	assert_int_equal(dir_make(AT_FDCWD, scene_path(scene, "tree/etc"), 0755), 0);
	scene_write(scene, "tree/etc/a", "text", 4);
	assert_int_equal(link(scene_path(scene, "tree/etc/a"), scene_path(scene, "tree/b")), 0);
	assert_int_equal(chown(scene_path(scene, "tree/b"), 12, 34), 0);
	assert_int_equal(chmod(scene_path(scene, "tree/b"), 04751), 0);
	assert_int_equal(symlink("/etc/a", scene_path(scene, "tree/l")), 0);
	assert_int_equal(mkfifo(scene_path(scene, "tree/p"), 0600), 0);
	scene_import(scene, "tree", "tree", &image);
	assert_int_equal(stat(scene_unpacked(scene, &image, "b"), &st), 0);
	assert_int_equal(stat(scene_unpacked(scene, &image, "etc/a"), &twin), 0);
	assert_int_equal(st.st_ino, twin.st_ino);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, 34);
	assert_int_equal(st.st_mode & 07777, 04751);
	assert_int_equal(lstat(scene_unpacked(scene, &image, "p"), &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	image_fini(&image);
}

static void changes_make_the_config(void **state)
{
	struct scene *scene = *state;
	const char *const changes[] = { "CMD [\"/bin/sh\"]", "ENV A=b",	  "ENV A=c",
					"WORKDIR /x",	     "LABEL l=1", NULL };
	const struct import_opts opts = { .tag = "c", .changes = changes };
	struct image image = { 0 };

	save_rootfs(scene, "a.tar", ARCHIVE_FILTER_NONE);
	assert_int_equal(
		image_import(&scene->store, scene_path(scene, "a.tar"), &opts, &image, &scene->err),
		0);
	const json_t *config = json_object_get(image.config, "config");
	assert_string_equal(json_str(config, "WorkingDir", ""), "/x");
	assert_int_equal(json_array_size(json_object_get(config, "Env")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(config, "Cmd"), 0)),
			    "/bin/sh");
	image_fini(&image);

	const char *const bad[] = { "RUN make", NULL };
	const struct import_opts bad_opts = { .changes = bad };
	assert_int_equal(image_import(&scene->store, scene_path(scene, "a.tar"), &bad_opts, &image,
				      &scene->err),
			 -EINVAL);
}

static void image_archives_of_every_kind(void **state)
{
	struct scene *scene = *state;
	struct parts parts;
	struct image docker = { 0 }, oci = { 0 }, dir = { 0 };

	parts_make(&parts, "amd64", ARCHIVE_FILTER_NONE);
	parts_save_docker(&parts, scene, "d.tar");
	scene_import(scene, "d.tar", NULL, &docker);
	assert_string_equal(docker.id, parts.config_hex);
	assert_string_equal(docker.tags[0], "made:docker");
	parts_fini(&parts);

	parts_make(&parts, "amd64", ARCHIVE_FILTER_GZIP);
	parts_save_oci(&parts, scene, "o.tar");
	scene_import(scene, "o.tar", NULL, &oci);
	assert_string_equal(oci.layers[0], docker.layers[0]);
	parts_save_oci_dir(&parts, scene, "o");
	scene_import(scene, "o", "dir", &dir);
	assert_string_equal(dir.id, oci.id);
	assert_int_equal(access(scene_unpacked(scene, &dir, "hello"), F_OK), 0);
	parts_fini(&parts);
	image_fini(&docker);
	image_fini(&oci);
	image_fini(&dir);
}

static void standard_input_is_a_source(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	struct parts parts;
	int saved = dup(STDIN_FILENO);

	parts_make(&parts, "amd64", ARCHIVE_FILTER_NONE);
	parts_save_docker(&parts, scene, "d.tar");
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)dup2(pipes[1], STDOUT_FILENO);
		(void)close(pipes[0]);
		(void)close(pipes[1]);
		(void)execlp("cat", "cat", scene_path(scene, "d.tar"), (char *)NULL);
		_exit(127);
	}
	(void)dup2(pipes[0], STDIN_FILENO);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	int r = image_import(&scene->store, "-", NULL, &image, &scene->err);
	(void)dup2(saved, STDIN_FILENO);
	(void)close(saved);
	(void)waitpid(pid, NULL, 0);
	if (r < 0)
		fail_msg("%s", scene->err.text);
	assert_string_equal(image.id, parts.config_hex);
	image_fini(&image);
	parts_fini(&parts);
}

static void whiteouts_become_devices_and_opaque(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	struct tar tar;
	struct stat st;
	char value[4] = "";

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_dir(&tar, "a");
	tar_file(&tar, "a/.wh.gone", "");
	tar_file(&tar, "b/.wh..wh..opq", "");
	tar_file(&tar, "b/new", "x");
	tar_file(&tar, ".wh.c", "");
	tar_dir(&tar, "c");
	tar_save(&tar, scene, "w.tar");
	scene_import(scene, "w.tar", "w", &image);
	assert_int_equal(lstat(scene_unpacked(scene, &image, "a/gone"), &st), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0));
	assert_int_equal(getxattr(scene_unpacked(scene, &image, "b"), "trusted.overlay.opaque",
				  value, sizeof(value)),
			 1);
	assert_int_equal(value[0], 'y');
	assert_int_equal(getxattr(scene_unpacked(scene, &image, "c"), "trusted.overlay.opaque",
				  value, sizeof(value)),
			 1);
	image_fini(&image);
}

static void metadata_survives(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	struct tar tar;
	struct stat st;
	char value[8] = "";

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	struct archive_entry *entry = tar_entry("d", AE_IFDIR, 01700);
	archive_entry_set_mtime(entry, 1234, 567);
	tar_add(&tar, entry, "", 0);
	entry = tar_entry("d/x", AE_IFREG, 06755);
	archive_entry_set_uid(entry, 100);
	archive_entry_set_gid(entry, 200);
	archive_entry_set_mtime(entry, 1111, 222);
	archive_entry_xattr_add_entry(entry, "user.k", "v", 1);
	tar_add(&tar, entry, "abc", 3);
	entry = tar_entry("d/null", AE_IFCHR, 0666);
	archive_entry_set_rdev(entry, makedev(1, 3));
	tar_add(&tar, entry, "", 0);
	tar_hardlink(&tar, "d/y", "d/x");
	tar_save(&tar, scene, "m.tar");
	scene_import(scene, "m.tar", "m", &image);

	assert_int_equal(stat(scene_unpacked(scene, &image, "d"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 01700);
	assert_int_equal(st.st_mtim.tv_sec, 1234);
	assert_int_equal(stat(scene_unpacked(scene, &image, "d/y"), &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mode & 07777, 06755);
	assert_int_equal(st.st_uid, 100);
	assert_int_equal(st.st_gid, 200);
	assert_int_equal(st.st_mtim.tv_sec, 1111);
	assert_int_equal(
		getxattr(scene_unpacked(scene, &image, "d/x"), "user.k", value, sizeof(value)), 1);
	assert_int_equal(stat(scene_unpacked(scene, &image, "d/null"), &st), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	image_fini(&image);
}

static void holes_stay_holes(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	struct stat st;

	assert_int_equal(mkdir(scene_path(scene, "tree"), 0755), 0);
	scene_write(scene, "tree/s", "start", 5);
	assert_int_equal(truncate(scene_path(scene, "tree/s"), 64 << 20), 0);
	scene_import(scene, "tree", "s", &image);
	assert_int_equal(stat(scene_unpacked(scene, &image, "s"), &st), 0);
	assert_int_equal(st.st_size, 64 << 20);
	assert_true(st.st_blocks * 512 < 1 << 20);
	image_fini(&image);
}

static void later_entries_replace_earlier_ones(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	struct tar tar;
	struct stat st;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "a/b/c", "deep");
	tar_file(&tar, "a", "now a file");
	tar_symlink(&tar, "l", "a");
	tar_file(&tar, "l", "not through the link");
	tar_symlink(&tar, "d", "/etc");
	tar_dir(&tar, "d");
	tar_file(&tar, "d/passwd", "inside");
	tar_save(&tar, scene, "r.tar");
	scene_import(scene, "r.tar", "r", &image);
	assert_int_equal(lstat(scene_unpacked(scene, &image, "a"), &st), 0);
	assert_int_equal(st.st_size, 10);
	assert_int_equal(lstat(scene_unpacked(scene, &image, "l"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(lstat(scene_unpacked(scene, &image, "d/passwd"), &st), 0);
	assert_int_equal(st.st_size, 6);
	image_fini(&image);
}

static void hundred_thousand_entries(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	struct tar tar;
	char name[40];

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	for (int i = 0; i < 100000; i++) {
		(void)snprintf(name, sizeof(name), "d%d/f%d", i / 1000, i);
		tar_add(&tar, tar_entry(name, AE_IFREG, 0644), "", 0);
	}
	tar_save(&tar, scene, "many.tar");
	scene_import(scene, "many.tar", "many", &image);
	assert_int_equal(access(scene_unpacked(scene, &image, "d99/f99999"), F_OK), 0);
	image_fini(&image);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, scene_init, scene_fini)
		T(tars_of_every_compression_are_one_image),
		T(directory_keeps_what_it_holds),
		T(changes_make_the_config),
		T(image_archives_of_every_kind),
		T(standard_input_is_a_source),
		T(whiteouts_become_devices_and_opaque),
		T(metadata_survives),
		T(holes_stay_holes),
		T(later_entries_replace_earlier_ones),
		T(hundred_thousand_entries),
	};

	return cmocka_run_group_tests(tests, scene_group, NULL);
}
