/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "storage/rootdisk.h"
#include "scratch.h"

#define ID  "1111111111111111111111111111111111111111111111111111111111111111"
#define LOW "2222222222222222222222222222222222222222222222222222222222222222"
#define TOP "3333333333333333333333333333333333333333333333333333333333333333"

static const struct db_schema *const schemas[] = { &storage_schema, NULL };

static const char *layer(struct scene *scene, const char *hex, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "root/layers/%s/%s", hex, name);
	return scene_path(scene, path);
}

static void file(const char *path, const char *text, uid_t owner, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchown(fd, owner, owner), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	fd_close(fd);
}

/* An image of two layers, straight into the store. */
static void image(struct scene *scene, struct image *ret)
{
	static char low[] = LOW, top[] = TOP;
	static char *layers[] = { low, top, NULL };

	(void)mkdir(scene_path(scene, "root/layers"), 0700);
	assert_int_equal(mkdir(layer(scene, LOW, ""), 0755), 0);
	assert_int_equal(mkdir(layer(scene, TOP, ""), 0750), 0);
	file(layer(scene, LOW, "gone"), "gone", 0, 0644);
	file(layer(scene, LOW, "covered"), "old", 0, 0644);
	file(layer(scene, LOW, "setuid"), "s", 1000, 04755);
	assert_int_equal(mkdir(layer(scene, LOW, "secret"), 0700), 0);
	file(layer(scene, LOW, "secret/f"), "f", 70000, 0);
	assert_int_equal(mknod(layer(scene, LOW, "null"), S_IFCHR | 0666, makedev(1, 3)), 0);
	assert_int_equal(symlink("/etc/passwd", layer(scene, LOW, "link")), 0);
	assert_int_equal(mknod(layer(scene, TOP, "gone"), S_IFCHR, makedev(0, 0)), 0);
	file(layer(scene, TOP, "covered"), "new", 5, 0640);
	assert_int_equal(setxattr(layer(scene, TOP, "covered"), "trusted.overlay.x", "no", 2, 0),
			 0);
	/* A tmpfs before 6.6 has no "user." attributes. */
	if (setxattr(layer(scene, TOP, "covered"), "user.note", "text", 4, 0) < 0)
		assert_int_equal(errno, EOPNOTSUPP);
	*ret = (struct image){ .layers = layers };
	(void)snprintf(ret->id, sizeof(ret->id), "%s", ID);
	assert_int_equal(db_run(&scene->store.db, &scene->err,
				"INSERT INTO images VALUES (?1, ?1, '{}', ?2, 0, 0)", "ss", ID,
				LOW " " TOP),
			 0);
	for (int i = 0; layers[i]; i++)
		assert_int_equal(db_run(&scene->store.db, &scene->err,
					"INSERT INTO image_layers VALUES (?, ?, ?, '', '')", "sis",
					ID, (int64_t)i, layers[i]),
				 0);
}

static bool erofs_missing(void)
{
	return access("/usr/bin/mkfs.erofs", X_OK) < 0 || access("/usr/bin/fsck.erofs", X_OK) < 0;
}

#define NEEDS_EROFS()                                                                              \
	do {                                                                                       \
		if (erofs_missing())                                                               \
			SKIP("erofs-utils is not installed");                                      \
	} while (0)

/* In place of mkfs.erofs, a shell script of ours. */
static void fake(struct scene *scene, const char *script)
{
	char text[1024], path[600];

	(void)mkdir(scene_path(scene, "bin"), 0755);
	int n = snprintf(text, sizeof(text), "#!/bin/sh\nD=%s\n%s\n", scene->dir, script);
	scene_write(scene, "bin/mkfs.erofs", text, (size_t)n);
	assert_int_equal(chmod(scene_path(scene, "bin/mkfs.erofs"), 0755), 0);
	(void)snprintf(path, sizeof(path), "%s:/usr/bin:/bin", scene_path(scene, "bin"));
	assert_int_equal(setenv("PATH", path, 1), 0);
}

static int back(void **state)
{
	(void)setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	return scene_fini(state);
}

static void refuse(struct scene *scene, const struct image *img, int code, const char *words)
{
	char *path = NULL;
	int r = rootdisk_path(&scene->store, img, &path, &scene->err);

	if (r != code || !strstr(scene->err.text, words))
		fail_msg("%d, not %d: \"%s\" should say \"%s\"", r, code, scene->err.text, words);
	assert_null(path);
	assert_int_equal(scene_count(scene, "disks"), 0);
	assert_int_equal(scene_count(scene, "tmp"), 0);
}

static char *make(struct scene *scene, const struct image *img)
{
	char *path = NULL;

	if (rootdisk_path(&scene->store, img, &path, &scene->err) < 0)
		fail_msg("%s", scene->err.text);
	assert_int_equal(scene_count(scene, "tmp"), 0);
	return path;
}

static void check(struct scene *scene, const char *name, mode_t mode, uid_t owner)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "out/%s", name);
	assert_int_equal(lstat(scene_path(scene, path), &st), 0);
	assert_int_equal(st.st_mode, mode);
	assert_int_equal(st.st_uid, owner);
	assert_int_equal(st.st_gid, owner);
}

/* The disk's files below "out": mounted by a kernel that takes a plain file (6.12), else unpacked; true: mounted. */
static bool look_into(struct scene *scene, const char *disk)
{
	char command[1200];

	assert_int_equal(mkdir(scene_path(scene, "out"), 0755), 0);
	if (mount(disk, scene_path(scene, "out"), "erofs", MS_RDONLY, NULL) == 0)
		return true;
	(void)snprintf(command, sizeof(command),
		       "fsck.erofs --extract=%s --overwrite %s >/dev/null 2>&1",
		       scene_path(scene, "out"), disk);
	assert_int_equal(system(command), 0);
	return false;
}

static void check_note(struct scene *scene)
{
	char names[256];
	ssize_t n = llistxattr(scene_path(scene, "out/covered"), names, sizeof(names));
	ssize_t want = llistxattr(layer(scene, TOP, "covered"), names, sizeof(names));

	/* All but overlay's own. */
	assert_int_equal(n, want - (ssize_t)sizeof("trusted.overlay.x"));
}

static void layers_are_merged_with_owners_modes_and_devices(void **state)
{
	struct scene *scene = *state;
	struct buf text = { 0 };
	struct image img;
	struct stat st;

	NEEDS_EROFS();
	image(scene, &img);
	char *path = make(scene, &img);
	bool mounted = look_into(scene, path);
	assert_int_not_equal(access(scene_path(scene, "out/gone"), F_OK), 0);
	assert_int_equal(file_read(AT_FDCWD, scene_path(scene, "out/covered"), 99, &text), 0);
	assert_string_equal(text.data, "new");
	check(scene, "covered", S_IFREG | 0640, 5);
	/* fsck.erofs drops what it cannot set in one go. */
	check(scene, "setuid", S_IFREG | 0755 | (mounted ? S_ISUID : 0), 1000);
	if (mounted)
		check_note(scene);
	check(scene, "secret/f", S_IFREG, 70000);
	check(scene, "link", S_IFLNK | 0777, 0);
	check(scene, "", S_IFDIR | 0750, 0);
	assert_int_equal(lstat(scene_path(scene, "out/null"), &st), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	if (mounted)
		assert_int_equal(umount(scene_path(scene, "out")), 0);
	buf_fini(&text);
	free(path);
}

static void it_is_made_once_and_read_only(void **state)
{
	struct scene *scene = *state;
	struct stat first, second;
	struct image img;

	NEEDS_EROFS();
	image(scene, &img);
	char *a = make(scene, &img);
	assert_int_equal(stat(a, &first), 0);
	assert_int_equal(first.st_mode & 0777, 0444);
	assert_int_equal(first.st_size % 512, 0);
	fake(scene, "exit 1");
	char *b = make(scene, &img);
	assert_int_equal(stat(b, &second), 0);
	assert_int_equal(first.st_ino, second.st_ino);
	free(a);
	free(b);
}

static void two_that_want_it_at_once_make_one(void **state)
{
	struct scene *scene = *state;
	struct buf runs = { 0 };
	struct image img;
	pid_t pids[4];

	image(scene, &img);
	fake(scene, "echo run >>$D/runs; printf disk >\"$1\"");
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			char *path = NULL;
			struct store own; /* a database is not used across a fork */
			if (store_open(scene->store.root, scene->store.run_root, schemas, &own,
				       &scene->err) < 0)
				_exit(2);
			_exit(rootdisk_path(&own, &img, &path, &scene->err) < 0);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		int status = 1;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(file_read(AT_FDCWD, scene_path(scene, "runs"), 999, &runs), 0);
	assert_string_equal(runs.data, "run\n");
	assert_int_equal(scene_count(scene, "disks"), 1);
	assert_int_equal(scene_count(scene, "tmp"), 0);
	buf_fini(&runs);
}

static void it_goes_with_the_image(void **state)
{
	struct scene *scene = *state;
	struct image img;
	int64_t bytes = 0;

	image(scene, &img);
	fake(scene, "printf disk >\"$1\"");
	free(make(scene, &img));
	assert_int_equal(image_prune(&scene->store, false, NULL, &bytes, &scene->err), 0);
	assert_int_equal(scene_count(scene, "disks"), 1);
	assert_int_equal(image_remove(&scene->store, ID, false, NULL, &scene->err), 0);
	assert_int_equal(scene_count(scene, "disks"), 0);
	assert_int_equal(scene_count(scene, "tmp"), 0);
}

static void a_disk_of_an_image_that_is_gone_is_not_kept(void **state)
{
	struct scene *scene = *state;
	struct image img;

	image(scene, &img);
	fake(scene, "printf disk >\"$1\"");
	assert_int_equal(db_run(&scene->store.db, &scene->err, "DELETE FROM images", ""), 0);
	refuse(scene, &img, -ESTALE, "the image was removed");
}

static void what_fails_says_why_and_leaves_nothing(void **state)
{
	struct scene *scene = *state;
	struct image img;

	image(scene, &img);
	fake(scene, "echo one >&2; printf part >\"$1\"; echo 'no space left' >&2; exit 3");
	refuse(scene, &img, -EIO, "make the image's disk: no space left");
	fake(scene, "kill -9 $$");
	refuse(scene, &img, -EIO, "failed without a word");
	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	refuse(scene, &img, -ENOENT, "apt-get install erofs-utils");
	assert_int_equal(dir_remove(scene->store.root_fd, "layers/" LOW), 0);
	refuse(scene, &img, -EIO, "mount the image's layers: No such file");
	img.id[0] = '/';
	refuse(scene, &img, -EINVAL, "no image");
}

static void the_program_may_read_and_no_more(void **state)
{
	struct scene *scene = *state;
	struct image img;

	image(scene, &img);
	fake(scene, "grep -h -e CapPrm /proc/self/status >&2; exit 1");
	refuse(scene, &img, -EIO, "0000000000200004");
	fake(scene, "grep -h -e NoNewPrivs /proc/self/status >&2; exit 1");
	refuse(scene, &img, -EIO, "NoNewPrivs:?1"); /* a tab, made printable */
	fake(scene, "touch merged/x 2>&1 | cat >&2; exit 1");
	refuse(scene, &img, -EIO, "Read-only file system");
	fake(scene, "O=none; for f in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$f ] && O=$f; done\n"
		    "echo open: $O >&2; exit 1");
	refuse(scene, &img, -EIO, "open: none");
}

static void killed_while_it_is_made_it_leaves_nothing(void **state)
{
	struct scene *scene = *state;
	struct image img;
	char digits[32] = "";
	int status;

	image(scene, &img);
	assert_int_equal(mkfifo(scene_path(scene, "began"), 0600), 0);
	assert_int_equal(mkfifo(scene_path(scene, "never"), 0600), 0);
	fake(scene, "printf part >\"$1\"; echo $$ >$D/began; exec cat $D/never");
	pid_t maker = fork();
	assert_true(maker >= 0);
	if (maker == 0) {
		char *path = NULL;
		_exit(rootdisk_path(&scene->store, &img, &path, &scene->err) < 0);
	}
	int fd = open(scene_path(scene, "began"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, digits, sizeof(digits) - 1) > 0);
	fd_close(fd);
	int program = pidfd_of((pid_t)strtol(digits, NULL, 10));
	assert_true(program >= 0);
	assert_int_equal(kill(maker, SIGKILL), 0);
	assert_int_equal(waitpid(maker, &status, 0), maker);
	struct pollfd ended = { .fd = program, .events = POLLIN };
	assert_int_equal(poll(&ended, 1, 30000), 1);
	fd_close(program);
	assert_int_equal(scene_count(scene, "disks"), 0);
	fake(scene, "printf disk >\"$1\"");
	free(make(scene, &img)); /* and the debris is gone */
	assert_int_equal(scene_count(scene, "disks"), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, scene_init, back)
		T(layers_are_merged_with_owners_modes_and_devices),
		T(it_is_made_once_and_read_only),
		T(two_that_want_it_at_once_make_one),
		T(it_goes_with_the_image),
		T(a_disk_of_an_image_that_is_gone_is_not_kept),
		T(what_fails_says_why_and_leaves_nothing),
		T(the_program_may_read_and_no_more),
		T(killed_while_it_is_made_it_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, scene_group, NULL);
}
