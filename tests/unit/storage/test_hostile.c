/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void refuse_one(struct scene *scene, struct archive_entry *entry, const char *data, int code,
		       const char *words)
{
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_dir(&tar, "bin");
	tar_add(&tar, entry, data, strlen(data));
	tar_save(&tar, scene, "x.tar");
	scene_refuse(scene, "x.tar", code, words);
}

static void paths_that_climb_out_are_refused(void **state)
{
	struct scene *scene = *state;

	refuse_one(scene, tar_entry("../evil", AE_IFREG, 0644), "x", -EBADMSG, "climbs out");
	refuse_one(scene, tar_entry("bin/../../evil", AE_IFREG, 0644), "x", -EBADMSG, "bin/../../");
	refuse_one(scene, tar_entry("bin/..", AE_IFDIR, 0755), "", -EBADMSG, "climbs out");
	refuse_one(scene, tar_entry("bin/.wh...", AE_IFREG, 0644), "", -EBADMSG, "whiteout");
	refuse_one(scene, tar_entry("bin/.wh..", AE_IFREG, 0644), "", -EBADMSG, "whiteout");
	refuse_one(scene, tar_entry("bin/.wh.", AE_IFREG, 0644), "", -EBADMSG, "whiteout");
	assert_int_equal(access(scene_path(scene, "evil"), F_OK), -1);
}

static void attributes_of_overlayfs_are_refused(void **state)
{
	struct archive_entry *entry = tar_entry("bin/d", AE_IFDIR, 0755);

	archive_entry_xattr_add_entry(entry, "trusted.overlay.redirect", "/etc", 4);
	refuse_one(*state, entry, "", -EPERM, "trusted.overlay.redirect");
}

static void links_never_lead_out(void **state)
{
	struct scene *scene = *state;
	struct image image = { 0 };
	struct tar tar;

	scene_write(scene, "victim", "safe", 4);
	assert_int_equal(mkdir(scene_path(scene, "out"), 0755), 0);
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_dir(&tar, "bin");
	tar_symlink(&tar, "abs", scene_path(scene, "out"));
	tar_file(&tar, "abs/planted", "x");
	tar_symlink(&tar, "up", "../../../../../../../../tmp");
	tar_file(&tar, "up/planted", "x");
	tar_symlink(&tar, "over", scene_path(scene, "victim"));
	tar_file(&tar, "over", "overwritten");
	tar_save(&tar, scene, "l.tar");
	/* An absolute link is resolved inside, where its target does not exist. */
	struct err err = { 0 };
	int r = image_import(&scene->store, scene_path(scene, "l.tar"), NULL, &image, &err);
	if (r == 0)
		image_fini(&image);
	assert_int_equal(access(scene_path(scene, "out/planted"), F_OK), -1);
	assert_int_equal(access("/tmp/planted", F_OK), -1);
	struct stat st;
	assert_int_equal(stat(scene_path(scene, "victim"), &st), 0);
	assert_int_equal(st.st_size, 4);
}

static void hard_links_never_lead_out(void **state)
{
	struct scene *scene = *state;
	struct tar tar;

	scene_write(scene, "victim", "safe", 4);
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_dir(&tar, "bin");
	tar_hardlink(&tar, "bin/h", scene_path(scene, "victim"));
	tar_save(&tar, scene, "h.tar");
	scene_refuse(scene, "h.tar", -ENOENT, "hard link");

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_dir(&tar, "bin");
	tar_hardlink(&tar, "bin/h", "../victim");
	tar_save(&tar, scene, "h.tar");
	scene_refuse(scene, "h.tar", -EXDEV, "hard link");
}

static void damage_is_found(void **state)
{
	struct scene *scene = *state;
	struct parts parts;

	parts_make(&parts, "amd64", ARCHIVE_FILTER_GZIP);
	parts.layer.data[parts.layer.len / 2] ^= 1;
	parts_save_oci(&parts, scene, "o.tar");
	scene_refuse(scene, "o.tar", -EBADMSG, "tampered");
	parts_fini(&parts);

	/* The blob is what its digest says, and its tar is not what the config says. */
	parts_make(&parts, "amd64", ARCHIVE_FILTER_NONE);
	parts.diff_hex[0] = parts.diff_hex[0] == 'a' ? 'b' : 'a';
	parts_documents(&parts);
	parts_save_oci(&parts, scene, "o.tar");
	scene_refuse(scene, "o.tar", -EBADMSG, "diff id");
	parts_save_docker(&parts, scene, "d.tar");
	scene_refuse(scene, "d.tar", -EBADMSG, "diff id");
	parts_fini(&parts);
}

static void truncation_at_any_point_is_found(void **state)
{
	struct scene *scene = *state;
	struct tar tar;
	struct buf out;

	char noise[9000];
	unsigned seed = 1;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)(seed = seed * 1103515245 + 12345);
	tar_open(&tar, ARCHIVE_FILTER_GZIP);
	tar_dir(&tar, "bin");
	tar_add(&tar, tar_entry("bin/x", AE_IFREG, 0755), noise, sizeof(noise));
	out = tar_end(&tar);
	for (size_t len = 0; len < out.len; len += 1 + out.len / 12) {
		scene_write(scene, "t.tgz", out.data, len);
		scene_refuse(scene, "t.tgz", -EBADMSG, "t.tgz");
	}
	buf_fini(&out);
	scene_write(scene, "text", "this is no archive at all\n", 26);
	scene_refuse(scene, "text", -EBADMSG, "text");
	scene_refuse(scene, "missing", -ENOENT, "missing");
}

static void image_for_another_cpu_is_named(void **state)
{
	struct scene *scene = *state;
	struct parts parts;

	parts_make(&parts, "s390x", ARCHIVE_FILTER_NONE);
	parts_save_oci(&parts, scene, "o.tar");
	scene_refuse(scene, "o.tar", -ENOEXEC, "linux/s390x");
	parts_save_docker(&parts, scene, "d.tar");
	scene_refuse(scene, "d.tar", -ENOEXEC, "linux/s390x");
	parts_fini(&parts);
}

static void documents_that_lie_are_refused(void **state)
{
	struct scene *scene = *state;
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "manifest.json", "[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]");
	tar_save(&tar, scene, "d.tar");
	scene_refuse(scene, "d.tar", -EBADMSG, "missing");

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_symlink(&tar, "manifest.json", "../../../etc/passwd");
	tar_save(&tar, scene, "d.tar");
	scene_refuse(scene, "d.tar", -EBADMSG, "outside the archive");

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	tar_file(&tar, "index.json",
		 "{\"manifests\":[{\"digest\":\"sha256:../../../etc/passwd\"}]}");
	tar_save(&tar, scene, "o.tar");
	scene_refuse(scene, "o.tar", -EBADMSG, "digest");
}

static void deep_trees_go_away_again(void **state)
{
	struct scene *scene = *state;
	struct tar tar;
	char name[3000] = "";
	char link[16];

	/* Each link leads to the bottom of what is there: deeper than a path can be long. */
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	for (int round = 0; round < 3; round++) {
		name[0] = '\0';
		if (round)
			(void)snprintf(name, sizeof(name), "l%d/", round - 1);
		size_t start = strlen(name);
		for (int i = 0; i < 1000; i++)
			(void)memcpy(name + start + 2 * i, "d/", 3);
		tar_dir(&tar, name);
		(void)snprintf(link, sizeof(link), "l%d", round);
		name[strlen(name) - 1] = '\0';
		tar_symlink(&tar, link, name);
	}
	tar_file(&tar, "../end", "x");
	tar_save(&tar, scene, "deep.tar");
	scene_refuse(scene, "deep.tar", -EBADMSG, "climbs out");
}

static void full_disk_is_one_line(void **state)
{
	struct scene *scene = *state;
	struct tar tar;
	char *data = calloc(1, 3 << 20);

	assert_int_equal(mkdir(scene_path(scene, "root/tmp"), 0700), 0);
	assert_int_equal(mount("tmpfs", scene_path(scene, "root/tmp"), "tmpfs", 0, "size=4m"), 0);
	tar_open(&tar, ARCHIVE_FILTER_GZIP);
	tar_add(&tar, tar_entry("bin/a", AE_IFREG, 0644), data, 3 << 20);
	tar_add(&tar, tar_entry("bin/b", AE_IFREG, 0644), data, 3 << 20);
	tar_save(&tar, scene, "big.tgz");
	free(data);
	scene_refuse(scene, "big.tgz", -ENOSPC, "No space left on device");
	assert_int_equal(umount(scene_path(scene, "root/tmp")), 0);
}

/* Runs one import in a process of its own and kills that after so many microseconds. */
static void import_and_kill(struct scene *scene, long us)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct import_opts opts = { .tag = "k" };
		struct image image = { 0 };
		struct store store = { 0 };
		static const struct db_schema *const schemas[] = { &storage_schema, NULL };
		/* SQLite's handles do not survive a fork. */
		if (store_open(scene->store.root, scene->store.run_root, schemas, &store, NULL) < 0)
			_exit(1);
		_exit(image_import(&store, scene_path(scene, "k.tar"), &opts, &image, NULL) < 0);
	}
	(void)nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static void killed_imports_leave_nothing_that_prune_misses(void **state)
{
	struct scene *scene = *state;
	struct tar tar;
	char name[32];
	unsigned whole = 0;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "bin/f%d", i);
		tar_file(&tar, name, "text");
	}
	tar_save(&tar, scene, "k.tar");
	for (int i = 0; i < 40; i++) {
		struct image image = { 0 };
		int64_t bytes = 0;
		import_and_kill(scene, 500 + i * 700);
		int r = image_find(&scene->store, "k", &image, &scene->err);
		if (r == 0) {
			whole++;
			assert_int_equal(access(scene_unpacked(scene, &image, "bin/f299"), F_OK),
					 0);
			image_fini(&image);
			assert_int_equal(image_remove(&scene->store, "k", false, NULL, &scene->err),
					 0);
		}
		/* The helper dies with its parent, but not in the same instant. */
		for (int tries = 0; tries < 6000 && scene_count(scene, "tmp"); tries++) {
			assert_int_equal(
				image_prune(&scene->store, true, NULL, &bytes, &scene->err), 0);
			if (scene_count(scene, "tmp"))
				(void)nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
		}
		assert_int_equal(image_prune(&scene->store, true, NULL, &bytes, &scene->err), 0);
		scene_assert_empty(scene);
	}
	print_message("%u of 40 imports were whole before the kill\n", whole);
}

static void twins_at_once_both_work(void **state)
{
	struct scene *scene = *state;
	struct tar tar;
	pid_t pids[4];

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "bin/x", "text");
	tar_save(&tar, scene, "k.tar");
	for (size_t i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		static const struct db_schema *const schemas[] = { &storage_schema, NULL };
		const struct import_opts opts = { .tag = "twin" };
		struct store store = { 0 };
		struct image image = { 0 };
		struct err err = { 0 };
		if (store_open(scene->store.root, scene->store.run_root, schemas, &store, &err) <
			    0 ||
		    image_import(&store, scene_path(scene, "k.tar"), &opts, &image, &err) < 0) {
			(void)fprintf(stderr, "%s\n", err.text);
			_exit(1);
		}
		_exit(0);
	}
	for (size_t i = 0; i < 4; i++) {
		int status = -1;
		(void)waitpid(pids[i], &status, 0);
		assert_int_equal(status, 0);
	}
	struct image image = { 0 };
	assert_int_equal(image_find(&scene->store, "twin", &image, &scene->err), 0);
	image_fini(&image);
	assert_int_equal(scene_count(scene, "layers"), 1);
	assert_int_equal(scene_count(scene, "tmp"), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, scene_init, scene_fini)
		T(paths_that_climb_out_are_refused),
		T(attributes_of_overlayfs_are_refused),
		T(links_never_lead_out),
		T(hard_links_never_lead_out),
		T(damage_is_found),
		T(truncation_at_any_point_is_found),
		T(image_for_another_cpu_is_named),
		T(documents_that_lie_are_refused),
		T(deep_trees_go_away_again),
		T(full_disk_is_one_line),
		T(killed_imports_leave_nothing_that_prune_misses),
		T(twins_at_once_both_work),
	};

	return cmocka_run_group_tests(tests, scene_group, NULL);
}
