/* SPDX-License-Identifier: Apache-2.0 */
#include "deb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/file.h"
#include "storage/cpio.h"
#include "storage/initramfs.h"

/* Programs beside strata-archive are looked for in one place: here, with a strata-init of our own. */
static void libexec(struct scene *scene, const char *init)
{
	char target[512];

	(void)mkdir(scene_path(scene, "libexec"), 0755);
	if (!getenv("STRATA_REAL_LIBEXEC"))
		assert_int_equal(setenv("STRATA_REAL_LIBEXEC", getenv("STRATA_LIBEXEC"), 1), 0);
	(void)snprintf(target, sizeof(target), "%s/strata-archive", getenv("STRATA_REAL_LIBEXEC"));
	(void)symlink(target, scene_path(scene, "libexec/strata-archive"));
	scene_write(scene, "libexec/strata-init", init, strlen(init));
	assert_int_equal(chmod(scene_path(scene, "libexec/strata-init"), 0755), 0);
	assert_int_equal(setenv("STRATA_LIBEXEC", scene_path(scene, "libexec"), 1), 0);
}

static int back(void **state)
{
	const char *real = getenv("STRATA_REAL_LIBEXEC");

	if (real)
		(void)setenv("STRATA_LIBEXEC", real, 1);
	return scene_fini(state);
}

static void kernel(struct scene *scene, char c, struct kernel *ret)
{
	deb_kernel(scene, "k.deb", "6.1.0", c);
	if (kernel_add(&scene->store, scene_path(scene, "k.deb"), ret, &scene->err) < 0)
		fail_msg("%s", scene->err.text);
}

static char *make(struct scene *scene, const struct kernel *k)
{
	char *path = NULL;

	if (initramfs_path(&scene->store, k, &path, &scene->err) < 0)
		fail_msg("%s", scene->err.text);
	return path;
}

/* libarchive reads what we wrote. */
static void it_holds_init_and_modules_in_order(void **state)
{
	struct scene *scene = *state;
	struct kernel k = { 0 };
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	char list[4096] = "";
	unsigned modules = 0, others = 0;

	libexec(scene, "#!init");
	kernel(scene, 'a', &k);
	char *path = make(scene, &k);
	assert_int_equal(archive_read_support_format_cpio(a), ARCHIVE_OK);
	assert_int_equal(archive_read_open_filename(a, path, 4096), ARCHIVE_OK);
	while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
		const char *name = archive_entry_pathname(e);
		char data[4096] = "";
		assert_true(archive_read_data(a, data, sizeof(data) - 1) >= 0);
		assert_int_equal(archive_entry_uid(e), 0);
		if (!strcmp(name, "init")) {
			assert_string_equal(data, "#!init");
			assert_int_equal(archive_entry_mode(e), S_IFREG | 0755);
		} else if (!strcmp(name, "dev/console")) {
			assert_int_equal(archive_entry_mode(e), S_IFCHR | 0600);
			assert_int_equal(archive_entry_rdevmajor(e), 5);
			assert_int_equal(archive_entry_rdevminor(e), 1);
		} else if (!strcmp(name, "strata/modules")) {
			memcpy(list, data, sizeof(list));
		} else if (!strncmp(name, "strata/", 7)) {
			modules++;
			assert_memory_equal(data, "\177ELF", 4);
		} else {
			others++;
			assert_int_equal(archive_entry_mode(e), S_IFDIR | 0755);
		}
	}
	assert_int_equal(others, 6);
	assert_int_equal(modules, json_array_size(k.modules));
	for (size_t i = 0, at = 0; i < modules; i++) {
		const char *name = json_string_value(json_array_get(k.modules, i));
		assert_int_equal(strncmp(list + at, name, strlen(name)), 0);
		at += strlen(name);
		assert_int_equal(strncmp(list + at, ".ko\n", 4), 0);
		at += 4;
	}
	(void)archive_read_free(a);
	free(path);
	kernel_fini(&k);
}

static void it_is_made_once_for_the_same_inputs(void **state)
{
	struct scene *scene = *state;
	struct kernel k = { 0 }, other = { 0 };
	struct stat first, second;

	libexec(scene, "one");
	kernel(scene, 'a', &k);
	char *a = make(scene, &k);
	assert_int_equal(stat(a, &first), 0);
	char *b = make(scene, &k);
	assert_string_equal(a, b);
	assert_int_equal(stat(b, &second), 0);
	assert_int_equal(first.st_ino, second.st_ino);
	libexec(scene, "two");
	char *c = make(scene, &k);
	assert_string_not_equal(a, c);
	kernel(scene, 'b', &other);
	char *d = make(scene, &other);
	assert_string_not_equal(c, d);
	assert_int_equal(scene_count(scene, "initramfs"), 3);
	free(a);
	free(b);
	free(c);
	free(d);
	kernel_fini(&k);
	kernel_fini(&other);
}

static void it_goes_with_its_kernel_or_its_init(void **state)
{
	struct scene *scene = *state;
	struct kernel k = { 0 };
	int64_t bytes = 0;

	libexec(scene, "one");
	kernel(scene, 'a', &k);
	free(make(scene, &k));
	assert_int_equal(image_prune(&scene->store, false, NULL, &bytes, &scene->err), 0);
	assert_int_equal(scene_count(scene, "initramfs"), 1);
	libexec(scene, "two");
	free(make(scene, &k));
	assert_int_equal(image_prune(&scene->store, false, NULL, &bytes, &scene->err), 0);
	assert_int_equal(scene_count(scene, "initramfs"), 1);
	assert_int_equal(kernel_remove(&scene->store, k.version, &scene->err), 0);
	assert_int_equal(scene_count(scene, "initramfs"), 0);
	kernel_fini(&k);
}

static void what_is_missing_is_named(void **state)
{
	struct scene *scene = *state;
	struct kernel k = { 0 };
	char *path = NULL;

	libexec(scene, "one");
	kernel(scene, 'a', &k);
	assert_int_equal(unlink(scene_path(scene, "root/kernels/6.1.0/modules/virtio.ko")), 0);
	assert_int_equal(initramfs_path(&scene->store, &k, &path, &scene->err), -ENOENT);
	assert_non_null(strstr(scene->err.text, "virtio.ko"));
	assert_int_equal(scene_count(scene, "initramfs"), 0);
	kernel_fini(&k);
}

static void entries_are_aligned(void **state)
{
	struct cpio cpio = { .inode = 1 };

	(void)state;
	for (uint32_t len = 0; len < 6; len++) {
		cpio_add(&cpio, &"names"[5 - len], S_IFREG | 0644, "12345", len);
		assert_int_equal(cpio.out.len % 4, 0);
	}
	cpio_end(&cpio);
	assert_false(cpio.out.failed);
	assert_int_equal(cpio.out.len % 4, 0);
	/* The first: 110 bytes of header, "" and its NUL, one of padding. */
	assert_memory_equal(cpio.out.data, "07070100000001000081a4000000000000000000000001", 46);
	assert_memory_equal(cpio.out.data + 112, "070701", 6);
	buf_fini(&cpio.out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, scene_init, back)
		T(it_holds_init_and_modules_in_order),	T(it_is_made_once_for_the_same_inputs),
		T(it_goes_with_its_kernel_or_its_init), T(what_is_missing_is_named),
		cmocka_unit_test(entries_are_aligned),
	};

	return cmocka_run_group_tests(tests, scene_group, NULL);
}
