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
#include "storage/kernel.h"

#define VERSION "6.1.0-9-cloud-amd64"

static void add(struct scene *scene, const char *name, struct kernel *ret)
{
	if (kernel_add(&scene->store, scene_path(scene, name), ret, &scene->err) < 0)
		fail_msg("%s", scene->err.text);
	assert_int_equal(scene_count(scene, "tmp"), 0);
}

static void refuse(struct scene *scene, const char *name, int code, const char *words)
{
	struct kernel kernel = { 0 };
	int r = kernel_add(&scene->store, scene_path(scene, name), &kernel, &scene->err);

	if (r == 0)
		fail_msg("%s was taken", name);
	if (r != code || !strstr(scene->err.text, words) || !strstr(scene->err.text, name))
		fail_msg("%d, not %d: \"%s\" should say \"%s\"", r, code, scene->err.text, words);
	assert_int_equal(scene_count(scene, "tmp"), 0);
	assert_int_equal(scene_count(scene, "kernels"), 0);
}

static int position(const struct kernel *kernel, const char *module)
{
	for (size_t i = 0; i < json_array_size(kernel->modules); i++) {
		if (!strcmp(json_string_value(json_array_get(kernel->modules, i)), module))
			return (int)i;
	}
	return -1;
}

static void a_package_becomes_a_kernel(void **state)
{
	struct scene *scene = *state;
	struct kernel kernel = { 0 };
	struct stat st;

	deb_kernel(scene, "k.deb", VERSION, 'a');
	add(scene, "k.deb", &kernel);
	assert_string_equal(kernel.version, VERSION);
	assert_string_equal(kernel.package, "k.deb");
	assert_true(kernel.is_default && digest_is_hex(kernel.digest));
	assert_int_equal(stat(kernel.path, &st), 0);
	assert_int_equal(st.st_size, 4096);
	assert_int_equal(scene_count(scene, "kernels/" VERSION), 3);
	assert_int_equal(scene_count(scene, "kernels/" VERSION "/modules"),
			 json_array_size(kernel.modules));
	kernel_fini(&kernel);
}

static void modules_come_in_load_order(void **state)
{
	struct scene *scene = *state;
	struct kernel k = { 0 };

	deb_kernel(scene, "k.deb", VERSION, 'a');
	add(scene, "k.deb", &k);
	assert_int_equal(json_array_size(k.modules), 15);
	assert_true(position(&k, "virtio") < position(&k, "virtio_pci"));
	assert_true(position(&k, "virtio_ring") < position(&k, "virtio_pci"));
	assert_true(position(&k, "vsock") < position(&k, "vmw_vsock_virtio_transport"));
	assert_true(position(&k, "extra") < position(&k, "erofs")); /* a soft dependency */
	assert_true(position(&k, "libcrc32c") < position(&k, "erofs"));
	assert_true(position(&k, "virtio_rng") > 0); /* virtio-rng.ko */
	assert_true(position(&k, "fuse") < position(&k, "virtiofs"));
	assert_int_equal(position(&k, "loud"), -1);
	assert_int_equal(position(&k, "late"), -1);
	assert_int_equal(position(&k, "overlay"), -1); /* built in */
	kernel_fini(&k);
}

static void packed_modules_are_unpacked(void **state)
{
	struct scene *scene = *state;
	struct kernel k = { 0 };
	struct buf plain = { 0 }, there = { 0 };
	static const char info[] = "depends=virtio_ring,virtio";

	deb_kernel(scene, "k.deb", VERSION, 'a');
	add(scene, "k.deb", &k);
	deb_module(&plain, info, sizeof(info));
	assert_int_equal(file_read(scene->store.root_fd,
				   "kernels/" VERSION "/modules/virtio_blk.ko", 1 << 20, &there),
			 0);
	assert_int_equal(there.len, plain.len);
	assert_memory_equal(there.data, plain.data, plain.len);
	buf_fini(&plain);
	buf_fini(&there);
	kernel_fini(&k);
}

static void the_same_again_changes_nothing_and_another_replaces(void **state)
{
	struct scene *scene = *state;
	struct kernel first = { 0 }, second = { 0 }, third = { 0 };

	deb_kernel(scene, "k.deb", VERSION, 'a');
	add(scene, "k.deb", &first);
	add(scene, "k.deb", &second);
	assert_string_equal(first.digest, second.digest);
	assert_int_equal(first.created_ns, second.created_ns);
	deb_kernel(scene, "k.deb", VERSION, 'b');
	add(scene, "k.deb", &third);
	assert_string_not_equal(first.digest, third.digest);
	assert_int_equal(scene_count(scene, "kernels"), 2); /* and the link */
	kernel_fini(&first);
	kernel_fini(&second);
	kernel_fini(&third);
}

static void the_last_one_is_the_default_until_it_goes(void **state)
{
	struct scene *scene = *state;
	struct kernel a = { 0 }, b = { 0 }, found = { 0 };
	struct kernel *list = NULL;
	size_t n = 0;

	assert_int_equal(kernel_find(&scene->store, NULL, &found, &scene->err), -ENOENT);
	assert_non_null(strstr(scene->err.text, "strata image kernel fetch"));
	deb_kernel(scene, "a.deb", "6.10.1", 'a');
	deb_kernel(scene, "b.deb", "6.9.1", 'b');
	add(scene, "a.deb", &a);
	add(scene, "b.deb", &b);
	assert_int_equal(kernel_list(&scene->store, &list, &n, &scene->err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].version, "6.9.1"); /* 9 < 10 */
	assert_true(list[0].is_default && !list[1].is_default);
	kernels_fini(list, n);
	assert_int_equal(kernel_remove(&scene->store, "6.9.1", &scene->err), 0);
	assert_int_equal(kernel_find(&scene->store, NULL, &found, &scene->err), 0);
	assert_string_equal(found.version, "6.10.1");
	kernel_fini(&found);
	assert_int_equal(kernel_remove(&scene->store, NULL, &scene->err), 0);
	assert_int_equal(scene_count(scene, "kernels"), 0);
	assert_int_equal(scene_count(scene, "tmp"), 0);
	kernel_fini(&a);
	kernel_fini(&b);
}

static void kernels_are_found_by_version_and_digest(void **state)
{
	struct scene *scene = *state;
	struct kernel a = { 0 }, found = { 0 };
	char prefix[8];

	deb_kernel(scene, "a.deb", "6.10.1", 'a');
	add(scene, "a.deb", &a);
	assert_int_equal(kernel_find(&scene->store, "6.10.1", &found, &scene->err), 0);
	kernel_fini(&found);
	assert_int_equal(kernel_find(&scene->store, a.digest, &found, &scene->err), 0);
	kernel_fini(&found);
	(void)snprintf(prefix, sizeof(prefix), "%.6s", a.digest);
	assert_int_equal(kernel_find(&scene->store, prefix, &found, &scene->err), 0);
	kernel_fini(&found);
	prefix[5] = '\0';
	assert_int_equal(kernel_find(&scene->store, prefix, &found, &scene->err), -ENOENT);
	assert_int_equal(kernel_find(&scene->store, "", &found, &scene->err), -ENOENT);
	assert_int_equal(kernel_find(&scene->store, "default", &found, &scene->err), -ENOENT);
	assert_int_equal(kernel_remove(&scene->store, "6.1", &scene->err), -ENOENT);
	kernel_fini(&a);
}

static void what_is_no_kernel_package_says_so(void **state)
{
	struct scene *scene = *state;
	struct tar tar;
	char vmlinuz[4096] = { 0 };

	scene_write(scene, "text", "no archive", 10);
	refuse(scene, "text", -EBADMSG, "not a Debian package");
	scene_write(scene, "empty", "", 0);
	refuse(scene, "empty", -EBADMSG, "not a Debian package");
	refuse(scene, "nowhere", -ENOENT, "No such file");

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "./usr/share/doc/x", "text");
	deb_pack(scene, "doc.deb", "data.tar", &tar);
	refuse(scene, "doc.deb", -EBADMSG, "not a Debian kernel package");

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "x", "text");
	deb_pack(scene, "nodata.deb", "other.tar", &tar);
	refuse(scene, "nodata.deb", -EBADMSG, "no data.tar in it");

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_add(&tar, tar_entry("boot/vmlinuz-1", AE_IFREG, 0644), vmlinuz, sizeof(vmlinuz));
	deb_pack(scene, "few.deb", "data.tar", &tar);
	refuse(scene, "few.deb", -ENOENT, "the kernel has no module virtio_pci");
}

static void hostile_versions_and_modules_are_refused(void **state)
{
	static const char *const versions[] = { ".hidden", "a b", "", "two/../..", "x\ny" };
	struct scene *scene = *state;
	char vmlinuz[4096], path[64];
	struct tar tar;

	deb_vmlinuz(vmlinuz, 'v');
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		tar_open(&tar, ARCHIVE_FILTER_NONE);
		(void)snprintf(path, sizeof(path), "boot/vmlinuz-%s", versions[i]);
		tar_add(&tar, tar_entry(path, AE_IFREG, 0644), vmlinuz, sizeof(vmlinuz));
		deb_pack(scene, "bad.deb", "data.tar", &tar);
		refuse(scene, "bad.deb", -EBADMSG, "not a package of one kernel");
	}
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "lib/modules/1/kernel/virtio.ko", "not an ELF object at all");
	deb_pack(scene, "bad.deb", "data.tar", &tar);
	refuse(scene, "bad.deb", -EBADMSG, "module virtio");
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "lib/modules/1/kernel/virtio.ko.xz", "not xz at all");
	deb_pack(scene, "bad.deb", "data.tar", &tar);
	refuse(scene, "bad.deb", -EBADMSG, "module virtio");
}

static void a_vmlinuz_of_another_kind_is_refused(void **state)
{
	struct scene *scene = *state;

	deb_kernel(scene, "other.deb", VERSION, DEB_NO_KERNEL);
	refuse(scene, "other.deb", -EBADMSG, "not a Linux kernel for x86");
}

static void a_cut_package_is_refused(void **state)
{
	struct scene *scene = *state;
	struct buf deb = { 0 };

	deb_kernel(scene, "k.deb", VERSION, 'a');
	assert_int_equal(file_read(AT_FDCWD, scene_path(scene, "k.deb"), 1 << 20, &deb), 0);
	for (size_t len = 8; len < deb.len - 1; len += deb.len / 13) {
		scene_write(scene, "cut.deb", deb.data, len);
		refuse(scene, "cut.deb", -EBADMSG, "not a Debian package");
	}
	buf_fini(&deb);
}

static void a_damaged_kernel_says_so_and_is_replaced(void **state)
{
	struct scene *scene = *state;
	struct kernel k = { 0 };

	deb_kernel(scene, "k.deb", VERSION, 'a');
	add(scene, "k.deb", &k);
	kernel_fini(&k);
	scene_write(scene, "root/kernels/" VERSION "/kernel.json", "{}", 2);
	assert_int_equal(kernel_find(&scene->store, NULL, &k, &scene->err), -EBADMSG);
	assert_non_null(strstr(scene->err.text, "damaged"));
	add(scene, "k.deb", &k);
	assert_int_equal(json_array_size(k.modules), 15);
	kernel_fini(&k);
}

static void names_of_packages_are_checked(void **state)
{
	static const char *const bad[] = { "-o", "", "x", "a b", "A", "linux;id", "../x", "a_b" };
	struct scene *scene = *state;
	struct kernel k = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(kernel_fetch(&scene->store, bad[i], &k, &scene->err), -EINVAL);
		assert_non_null(strstr(scene->err.text, "not the name of a Debian package"));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, scene_init, scene_fini)
		T(a_package_becomes_a_kernel),
		T(modules_come_in_load_order),
		T(packed_modules_are_unpacked),
		T(the_same_again_changes_nothing_and_another_replaces),
		T(the_last_one_is_the_default_until_it_goes),
		T(kernels_are_found_by_version_and_digest),
		T(what_is_no_kernel_package_says_so),
		T(hostile_versions_and_modules_are_refused),
		T(a_vmlinuz_of_another_kind_is_refused),
		T(a_cut_package_is_refused),
		T(a_damaged_kernel_says_so_and_is_replaced),
		T(names_of_packages_are_checked),
	};

	return cmocka_run_group_tests(tests, scene_group, NULL);
}
