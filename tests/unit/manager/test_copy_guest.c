/* SPDX-License-Identifier: Apache-2.0 */
/* The guest here is a directory, whose agent may lie. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "manager/copy_guest.h"

/* run_dir is the guest's root; spec->name, where there is one, a shell command whose output is the tar instead. */
static int fake_stat(const struct spec *spec, const char *run_dir, const char *path, bool follow,
		     mode_t *ret_mode, struct err *err)
{
	AUTO(fd_close_p) int root = open(run_dir, O_PATH | O_CLOEXEC);
	AUTO(fd_close_p) int fd = fd_open_in(root, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);
	struct stat st;

	if (spec->image) { /* what it claims */
		*ret_mode = !strcmp(spec->image, "file") ? S_IFREG : S_IFDIR;
		return 0;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, fd < 0 ? -fd : errno, "%s", path);
	*ret_mode = st.st_mode;
	return 0;
}

static int fake_get(const struct spec *spec, const char *run_dir, const char *path, bool follow,
		    const char *as, int out_fd, struct err *err)
{
	AUTO(fd_close_p) int root = open(run_dir, O_PATH | O_CLOEXEC);
	const struct copy_root from = { .dir = root, .users = -EBADF };
	char command[1024];

	if (!spec->name)
		return copy_tar_out(&from, path, follow, as, out_fd, err);
	(void)snprintf(command, sizeof(command), "cd %s && { %s; } >/proc/%d/fd/%d", run_dir,
		       spec->name, (int)getpid(), out_fd);
	return system(command) == 0 ? 0 : err_say(err, EIO, "it broke");
}

static int fake_put(const struct spec *spec, const char *run_dir, const char *path, int in_fd,
		    struct err *err)
{
	AUTO(fd_close_p) int root = open(run_dir, O_PATH | O_CLOEXEC);
	const struct copy_root to = { .dir = root, .users = -EBADF };

	(void)spec;
	return copy_tar_in(&to, path, in_fd, err);
}

static const struct guest_files fake_files = { fake_stat, fake_get, fake_put };

struct scene {
	char guest[400], host[400];
	struct copy_guest g;
	struct spec spec;
	struct copy_root root;
	struct copy_target target;
	struct err err;
};

static void scene_init(struct scene *scene, const struct scratch *s)
{
	char command[512];

	*scene = (struct scene){ .spec = { .name = NULL } };
	(void)snprintf(scene->guest, sizeof(scene->guest), "%s/guest", s->path);
	(void)snprintf(scene->host, sizeof(scene->host), "%s/host", s->path);
	(void)snprintf(command, sizeof(command),
		       "cd %s && mkdir -p guest/d/sub host/in && echo one >guest/d/f && "
		       "echo two >guest/d/sub/deep && ln -s d/f guest/l && ln -s d guest/ld && "
		       "echo mine >host/precious",
		       s->path);
	assert_int_equal(system(command), 0);
	scene->root =
		(struct copy_root){ .dir = open(scene->host, O_PATH | O_CLOEXEC), .users = -EBADF };
	scene->g = (struct copy_guest){ &fake_files, &scene->spec, scene->guest };
	memcpy(scene->target.dir, "/in", 4);
}

static int scene_out(struct scene *scene, const char *path, bool follow, const char *name)
{
	scene->target.name = name;
	return copy_guest_out(&scene->g, path, follow, &scene->root, &scene->target, &scene->err);
}

static void assert_says(struct scene *scene, const char *command)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "cd %s && %s", scene->host, command);
	if (system(text) != 0)
		fail_msg("not so: %s (%s)", command, scene->err.text);
}

static void what_comes_out_has_its_place(void **state)
{
	struct scene scene;

	scene_init(&scene, *state);
	assert_int_equal(scene_out(&scene, "/d", false, NULL), 0);
	assert_says(&scene, "diff -r in/d ../guest/d");
	assert_int_equal(scene_out(&scene, "d/", false, "new"), 0);
	assert_says(&scene, "diff -r in/new ../guest/d");
	assert_int_equal(scene_out(&scene, "/d/.", false, "dot"), 0);
	assert_says(&scene, "diff -r in/dot ../guest/d");
	assert_int_equal(scene_out(&scene, "/d/.", false, NULL), 0);
	assert_says(&scene, "grep -q one in/f && grep -q two in/sub/deep");
	assert_int_equal(scene_out(&scene, "/l", false, NULL), 0);
	assert_says(&scene, "test $(readlink in/l) = d/f");
	assert_int_equal(scene_out(&scene, "/l", true, "followed"), 0);
	assert_says(&scene, "test ! -L in/followed && grep -q one in/followed");
	assert_int_equal(scene_out(&scene, "/ld", true, NULL), 0);
	assert_says(&scene, "test ! -L in/ld && grep -q two in/ld/sub/deep");
	assert_int_equal(scene_out(&scene, "/none", false, NULL), -ENOENT);
	assert_int_equal(scene_out(&scene, "/d", false, "followed"), -ENOTDIR);
	fd_close(scene.root.dir);
}

static void what_goes_in_has_its_place(void **state)
{
	struct scene scene;

	scene_init(&scene, *state);
	const struct copy_guest *g = &scene.g;
	assert_int_equal(copy_guest_in(g, &scene.root, "/precious", "/d", &scene.err), 0);
	assert_says(&scene, "grep -q mine ../guest/d/precious");
	assert_int_equal(copy_guest_in(g, &scene.root, "/precious", "/d/other", &scene.err), 0);
	assert_says(&scene, "grep -q mine ../guest/d/other");
	assert_says(&scene, "mkdir in/x && cp precious in/x");
	assert_int_equal(copy_guest_in(g, &scene.root, "/in", "/new", &scene.err), 0);
	assert_says(&scene, "diff -r in ../guest/new");
	assert_int_equal(copy_guest_in(g, &scene.root, "/in/.", "/d", &scene.err), 0);
	assert_says(&scene, "diff -r in/x ../guest/d/x");
	assert_int_equal(copy_guest_in(g, &scene.root, "/in", "/no/where", &scene.err), -ENOENT);
	assert_int_equal(copy_guest_in(g, &scene.root, "/in", "/none/", &scene.err), -ENOENT);
	assert_int_equal(copy_guest_in(g, &scene.root, "/gone", "/d", &scene.err), -ENOENT);
	assert_int_equal(copy_guest_tar_in(g, "/d/f", 0, &scene.err), -ENOTDIR);
	fd_close(scene.root.dir);
}

/* Each would have changed "precious", or put something beside what was asked for. */
static void a_guest_s_tar_stays_where_it_was_asked_for(void **state)
{
	static const struct {
		const char *claim, *tar;
	} table[] = {
		{ "file", "mkdir x; echo evil >x/precious; tar c -C x precious" },
		{ "file", "echo evil >f; tar cP --transform s,f,../precious, f" },
		{ "file",
		  "ln -s .. f; mkdir x; echo evil >x/p; tar c --transform s,^x/p,f/precious, f x/p" },
		{ "file", "mkdir f; echo evil >f/precious; tar c f" },
		{ "dir", "echo evil >f; tar cP --transform s,f,../precious, f" },
		{ "dir", "echo evil >f; tar cP --transform s,f,../../precious, f" },
		{ "dir",
		  "ln -s ../.. up; mkdir x; echo evil >x/p; tar c --transform s,^x/p,up/precious, up x/p" },
		{ "dir", "echo evil >a; ln a b; tar cP --transform s,^a$,../../precious,RSh a b" },
	};
	struct scene scene;

	scene_init(&scene, *state);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char empty[512];
		(void)snprintf(empty, sizeof(empty), "rm -rf %s/* && rm -rf in && mkdir in",
			       scene.guest);
		assert_says(&scene, empty);
		scene.spec.image = table[i].claim;
		scene.spec.name = table[i].tar;
		(void)scene_out(&scene, "/f", false, NULL); /* refused, or harmless */
		assert_says(&scene, "test \"$(ls)\" = \"$(printf 'in\\nprecious')\" && "
				    "grep -qx mine precious");
		assert_says(&scene, "test -z \"$(ls in | grep -v '^f$')\"");
	}
	fd_close(scene.root.dir);
}

static void a_tar_of_one_name_holds_no_other(void **state)
{
	struct scene scene;

	scene_init(&scene, *state);
	scene.spec.image = "file";
	scene.spec.name = "echo 1 >f; echo 2 >g; tar c f g";
	assert_int_equal(scene_out(&scene, "/f", false, NULL), -EBADMSG);
	assert_says(&scene, "grep -q 1 in/f && test ! -e in/g");
	scene.spec.name = "echo 1 >f; tar c f; exit 1";
	assert_int_equal(scene_out(&scene, "/f", false, NULL), -EIO);
	assert_string_equal(scene.err.text, "it broke");
	fd_close(scene.root.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(what_comes_out_has_its_place),
		SCRATCH_TEST(what_goes_in_has_its_place),
		SCRATCH_TEST(a_guest_s_tar_stays_where_it_was_asked_for),
		SCRATCH_TEST(a_tar_of_one_name_holds_no_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
