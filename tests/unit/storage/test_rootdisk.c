/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "erofs_read.h"
#include "storage/archive/unpack.h"
#include "storage/rootdisk.h"
#include "scratch.h"

#define ID "1111111111111111111111111111111111111111111111111111111111111111"

static const struct db_schema *const schemas[] = { &storage_schema, NULL };

struct made {
	struct image image;
	char hex[2][DIGEST_HEX + 1];
	char *layers[3];
};

static struct archive_entry *owned(const char *name, mode_t type, mode_t perm, int64_t owner)
{
	struct archive_entry *entry = tar_entry(name, type, perm);

	archive_entry_set_uid(entry, owner);
	archive_entry_set_gid(entry, owner);
	return entry;
}

static void node(struct tar *tar, const char *name, mode_t type, unsigned major, unsigned minor)
{
	struct archive_entry *entry = owned(name, type, 0666, 6);

	archive_entry_set_rdevmajor(entry, major);
	archive_entry_set_rdevminor(entry, minor);
	tar_add(tar, entry, "", 0);
}

static void low(struct tar *tar)
{
	char name[64];

	tar_add(tar, owned("./", AE_IFDIR, 0755, 0), "", 0);
	tar_file(tar, "gone", "gone");
	tar_file(tar, "covered", "old");
	tar_add(tar, owned("setuid", AE_IFREG, 04755, 1000), "s", 1);
	tar_hardlink(tar, "setuid-too", "setuid");
	tar_add(tar, owned("secret", AE_IFDIR, 0700, 5), "", 0);
	tar_add(tar, owned("secret/f", AE_IFREG, 0, 70000), "f", 1);
	node(tar, "null", AE_IFCHR, 1, 3);
	node(tar, "block", AE_IFBLK, 8, 300);
	node(tar, "fifo", AE_IFIFO, 0, 0);
	tar_symlink(tar, "link", "/etc/passwd");
	tar_add(tar, owned("shared", AE_IFDIR, 01777, 0), "", 0);
	tar_file(tar, "shared/old", "1");
	tar_dir(tar, "opaque");
	tar_file(tar, "opaque/old", "2");
	tar_dir(tar, "many");
	for (unsigned i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "many/some-name-or-other-%u", i);
		tar_file(tar, name, name);
	}
}

static void top(struct tar *tar)
{
	tar_add(tar, owned("./", AE_IFDIR, 0750, 0), "", 0);
	tar_file(tar, ".wh.gone", "");
	struct archive_entry *entry = owned("covered", AE_IFREG, 0640, 5);
	archive_entry_xattr_add_entry(entry, "security.capability",
				      "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	tar_add(tar, entry, "new", 3);
	tar_add(tar, owned("shared", AE_IFDIR, 01777, 7), "", 0);
	tar_file(tar, "shared/new", "3");
	tar_dir(tar, "opaque");
	tar_file(tar, "opaque/.wh..wh..opq", "");
	tar_file(tar, "opaque/new", "4");
	tar_dir(tar, "many");
	tar_file(tar, "many/.wh.some-name-or-other-44", "");
}

/* A layer, straight into the store: its archive, and what it unpacks to. */
static void add_layer(struct scene *scene, struct made *made, unsigned i,
		      void (*fill)(struct tar *))
{
	const struct unpack_opts opts = { .prefix = "", .overlay = true };
	AUTO(reader_free_p) struct reader *reader = NULL;
	struct unpack_report report = { 0 };
	char path[128];
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	fill(&tar);
	struct buf bytes = tar_end(&tar);
	digest_of(bytes.data, bytes.len, made->hex[i]);
	(void)snprintf(path, sizeof(path), "root/blobs/%s", made->hex[i]);
	scene_write(scene, path, bytes.data, bytes.len);
	buf_fini(&bytes);
	AUTO(fd_close_p) int fd = open(scene_path(scene, path), O_RDONLY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "root/layers/%s", made->hex[i]);
	assert_int_equal(mkdir(scene_path(scene, path), 0755), 0);
	AUTO(fd_close_p)
	int dir = open(scene_path(scene, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mode_t mask = umask(0);
	if (reader_open(fd, "layer", &reader, &scene->err) < 0 ||
	    unpack(dir, reader, &opts, &report, &scene->err) < 0)
		fail_msg("%s", scene->err.text);
	(void)umask(mask);
	assert_int_equal(db_run(&scene->store.db, &scene->err,
				"INSERT INTO image_layers VALUES (?1, ?2, ?3, ?3, '')", "sis", ID,
				(int64_t)i, made->hex[i]),
			 0);
	made->layers[i] = made->hex[i];
}

static void image(struct scene *scene, struct made *made)
{
	*made = (struct made){ 0 };
	(void)mkdir(scene_path(scene, "root/layers"), 0700);
	(void)mkdir(scene_path(scene, "root/blobs"), 0700);
	assert_int_equal(db_run(&scene->store.db, &scene->err,
				"INSERT INTO images VALUES (?1, ?1, '{}', '', 0, 0)", "s", ID),
			 0);
	add_layer(scene, made, 0, low);
	add_layer(scene, made, 1, top);
	made->image.layers = made->layers;
	(void)snprintf(made->image.id, sizeof(made->image.id), "%s", ID);
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

/* ---- is it what overlayfs makes of the layers? ---- */

static void same_xattrs(const char *a, const char *b)
{
	char names[512], value[512], other[512];
	ssize_t len = llistxattr(a, names, sizeof(names));

	for (char *name = names; len > 0 && name < names + len; name += strlen(name) + 1) {
		if (!strncmp(name, "trusted.", 8) || !strncmp(name, "system.", 7))
			continue; /* overlay's own, or one that the file system makes up */
		ssize_t n = lgetxattr(a, name, value, sizeof(value));
		assert_true(n >= 0);
		if (lgetxattr(b, name, other, sizeof(other)) != n ||
		    memcmp(value, other, (size_t)n))
			fail_msg("%s: attribute %s differs", a, name);
	}
}

static void same_contents(const char *a, const char *b)
{
	struct buf x = { 0 }, y = { 0 };

	assert_int_equal(file_read(AT_FDCWD, a, 1 << 20, &x), 0);
	assert_int_equal(file_read(AT_FDCWD, b, 1 << 20, &y), 0);
	assert_int_equal(x.len, y.len);
	if (x.len)
		assert_memory_equal(x.data, y.data, x.len);
	buf_fini(&x);
	buf_fini(&y);
}

static void same_target(const char *a, const char *b)
{
	char x[256], y[256];
	ssize_t n = readlink(a, x, sizeof(x));

	assert_true(n > 0 && readlink(b, y, sizeof(y)) == n);
	assert_memory_equal(x, y, (size_t)n);
}

/* Everything in a is in b, the same; the number of files. */
static unsigned same_tree(const char *a, const char *b)
{
	DIR *dir = opendir(a);
	unsigned n = 0;

	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		char x[600], y[600];
		struct stat sx, sy;
		if (!strcmp(e->d_name, "..") || (!strcmp(e->d_name, ".") && n++ == UINT32_MAX))
			continue;
		(void)snprintf(x, sizeof(x), "%s/%.250s", a, e->d_name);
		(void)snprintf(y, sizeof(y), "%s/%.250s", b, e->d_name);
		assert_int_equal(lstat(x, &sx), 0);
		if (lstat(y, &sy) < 0 || sx.st_mode != sy.st_mode || sx.st_uid != sy.st_uid ||
		    sx.st_gid != sy.st_gid || sx.st_rdev != sy.st_rdev ||
		    sx.st_mtim.tv_sec != sy.st_mtim.tv_sec ||
		    sx.st_mtim.tv_nsec != sy.st_mtim.tv_nsec)
			fail_msg("%s is not as %s", x, y);
		same_xattrs(x, y);
		if (!strcmp(e->d_name, "."))
			continue;
		if (S_ISREG(sx.st_mode))
			same_contents(x, y);
		else if (S_ISLNK(sx.st_mode))
			same_target(x, y);
		n += S_ISDIR(sx.st_mode) ? same_tree(x, y) : 1;
	}
	(void)closedir(dir);
	return n;
}

static void it_is_what_overlayfs_makes_of_the_layers(void **state)
{
	struct scene *scene = *state;
	struct made made;
	char options[1024], merged[256], disk[256];

	image(scene, &made);
	char *path = make(scene, &made.image);
	(void)snprintf(merged, sizeof(merged), "%s", scene_path(scene, "merged"));
	(void)snprintf(disk, sizeof(disk), "%s", scene_path(scene, "disk"));
	assert_int_equal(mkdir(merged, 0755), 0);
	assert_int_equal(mkdir(disk, 0755), 0);
	int n = snprintf(options, sizeof(options), "lowerdir=%s/layers/%s", scene->store.root,
			 made.hex[1]);
	(void)snprintf(options + n, sizeof(options) - (size_t)n, ":%s/layers/%s", scene->store.root,
		       made.hex[0]);
	assert_int_equal(mount("overlay", merged, "overlay", MS_RDONLY, options), 0);
	(void)snprintf(options, sizeof(options), "mount -t erofs -o loop,ro %s %s 2>&1", path,
		       disk);
	if (system(options) != 0) {
		(void)umount(merged);
		free(path);
		SKIP("this kernel mounts no erofs");
	}
	unsigned files = same_tree(merged, disk);
	assert_int_equal(same_tree(disk, merged), files);
	assert_true(files > 500);
	assert_int_equal(umount(disk), 0);
	assert_int_equal(umount(merged), 0);
	free(path);
}

/* ---- who makes it ---- */

static void give_away(const char *path)
{
	char command[600];

	(void)snprintf(command, sizeof(command), "chown -R 65534:65534 %s", path);
	assert_int_equal(system(command), 0);
}

static void an_ordinary_user_makes_the_same_bytes_as_root(void **state)
{
	struct scene *scene = *state;
	struct buf mine = { 0 }, his = { 0 };
	struct made made;
	int status;

	image(scene, &made);
	char *path = make(scene, &made.image);
	assert_int_equal(file_read(AT_FDCWD, path, 1 << 24, &mine), 0);
	assert_int_equal(unlink(path), 0);
	store_close(&scene->store); /* a database is not used across a fork */
	give_away(scene->dir);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *again = NULL, root[128], run[128];
		struct store own;
		(void)snprintf(root, sizeof(root), "%s/root", scene->dir);
		(void)snprintf(run, sizeof(run), "%s/run", scene->dir);
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0 ||
		    store_open(root, run, schemas, &own, &scene->err) < 0 ||
		    rootdisk_path(&own, &made.image, &again, &scene->err) < 0) {
			(void)fprintf(stderr, "%s\n", scene->err.text);
			_exit(1);
		}
		_exit(strcmp(again, path) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(file_read(AT_FDCWD, path, 1 << 24, &his), 0);
	assert_int_equal(mine.len, his.len);
	assert_memory_equal(mine.data, his.data, mine.len);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(seen_at(fd, "secret/f").uid, 70000);
	assert_int_equal(seen_at(fd, "setuid").mode, S_IFREG | 04755);
	assert_int_equal(seen_at(fd, "null").mode, S_IFCHR | 0666);
	fd_close(fd);
	buf_fini(&mine);
	buf_fini(&his);
	free(path);
	(void)chown(scene->dir, 0, 0);
	(void)chown(scene_path(scene, "root"), 0, 0);
	(void)chown(scene_path(scene, "run"), 0, 0);
	assert_int_equal(
		store_open(scene_path(scene, "root"), NULL, schemas, &scene->store, &scene->err),
		0);
}

static void it_is_made_once_and_read_only(void **state)
{
	struct scene *scene = *state;
	struct stat first, second;
	struct made made;

	image(scene, &made);
	char *a = make(scene, &made.image);
	assert_int_equal(stat(a, &first), 0);
	assert_int_equal(first.st_mode & 0777, 0444);
	assert_int_equal(first.st_size % 4096, 0);
	char *b = make(scene, &made.image);
	assert_int_equal(stat(b, &second), 0);
	assert_int_equal(first.st_ino, second.st_ino);
	free(a);
	free(b);
}

static void two_that_want_it_at_once_make_one(void **state)
{
	struct scene *scene = *state;
	struct made made;
	pid_t pids[4];

	image(scene, &made);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			char *path = NULL;
			struct store own; /* a database is not used across a fork */
			if (store_open(scene->store.root, scene->store.run_root, schemas, &own,
				       &scene->err) < 0)
				_exit(2);
			_exit(rootdisk_path(&own, &made.image, &path, &scene->err) < 0);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		int status = 1;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(scene_count(scene, "disks"), 1);
	assert_int_equal(scene_count(scene, "tmp"), 0);
}

static void it_goes_with_the_image(void **state)
{
	struct scene *scene = *state;
	struct made made;
	int64_t bytes = 0;

	image(scene, &made);
	free(make(scene, &made.image));
	assert_int_equal(image_prune(&scene->store, false, NULL, &bytes, &scene->err), 0);
	assert_int_equal(scene_count(scene, "disks"), 1);
	assert_int_equal(image_remove(&scene->store, ID, false, NULL, &scene->err), 0);
	assert_int_equal(scene_count(scene, "disks"), 0);
	assert_int_equal(scene_count(scene, "tmp"), 0);
}

static void a_disk_of_an_image_that_is_gone_is_not_kept(void **state)
{
	struct scene *scene = *state;
	struct made made;

	image(scene, &made);
	assert_int_equal(db_run(&scene->store.db, &scene->err, "DELETE FROM images", ""), 0);
	refuse(scene, &made.image, -ESTALE, "the image was removed");
}

static const char *blob(struct scene *scene, const struct made *made, unsigned i)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "root/blobs/%s", made->hex[i]);
	return scene_path(scene, path);
}

static void what_fails_says_why_and_leaves_nothing(void **state)
{
	struct scene *scene = *state;
	struct made made;

	image(scene, &made);
	int fd = open(blob(scene, &made, 1), O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "X", 1, 700), 1);
	fd_close(fd);
	refuse(scene, &made.image, -EBADMSG, "make the image's disk: layer ");
	assert_int_equal(truncate(blob(scene, &made, 1), 100), 0);
	refuse(scene, &made.image, -EBADMSG, "make the image's disk: layer ");
	assert_int_equal(unlink(blob(scene, &made, 0)), 0);
	refuse(scene, &made.image, -ENOENT, "No such file");
	made.image.id[0] = '/';
	refuse(scene, &made.image, -EINVAL, "no image");
}

/* Its layer is a pipe that says nothing: so it is in the middle for as long as that. */
static void killed_while_it_is_made_it_leaves_nothing(void **state)
{
	struct scene *scene = *state;
	struct made made;
	int status;

	image(scene, &made);
	char *kept = strdup(scene_path(scene, "kept"));
	assert_int_equal(rename(blob(scene, &made, 1), kept), 0);
	assert_int_equal(mkfifo(blob(scene, &made, 1), 0600), 0);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	pid_t maker = fork();
	assert_true(maker >= 0);
	if (maker == 0) {
		char *path = NULL;
		_exit(rootdisk_path(&scene->store, &made.image, &path, &scene->err) < 0);
	}
	int fd;
	do { /* until it reads */
		assert_int_equal(waitpid(maker, &status, WNOHANG), 0);
		fd = open(blob(scene, &made, 1), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	} while (fd < 0 && errno == ENXIO);
	assert_true(fd >= 0);
	assert_int_equal(kill(maker, SIGKILL), 0);
	assert_int_equal(waitpid(maker, &status, 0), maker);
	/* Its helper dies with it, and is ours now: while it lives, its debris is somebody's. */
	while (waitpid(-1, &status, 0) > 0)
		;
	assert_int_equal(errno, ECHILD);
	fd_close(fd);
	assert_int_equal(scene_count(scene, "disks"), 0);
	assert_int_equal(rename(kept, blob(scene, &made, 1)), 0);
	free(make(scene, &made.image)); /* and the debris is gone */
	assert_int_equal(scene_count(scene, "disks"), 1);
	free(kept);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, scene_init, scene_fini)
		T(it_is_what_overlayfs_makes_of_the_layers),
		T(an_ordinary_user_makes_the_same_bytes_as_root),
		T(it_is_made_once_and_read_only),
		T(two_that_want_it_at_once_make_one),
		T(it_goes_with_the_image),
		T(a_disk_of_an_image_that_is_gone_is_not_kept),
		T(what_fails_says_why_and_leaves_nothing),
		T(killed_while_it_is_made_it_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, scene_group, NULL);
}
