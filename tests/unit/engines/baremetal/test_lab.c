/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/lab.h"

#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool has(char **argv, const char *flag, const char *value)
{
	for (size_t i = 0; argv[i]; i++) {
		if (!strcmp(argv[i], flag) && argv[i + 1] && !strcmp(argv[i + 1], value))
			return true;
	}
	return false;
}

static void a_server_is_these_words(void **state)
{
	const struct lab_file files[] = { { "kernel" }, { "init,rd" } };
	const struct lab_disk disks[] = { { "/a,b", "raw", true, true },
					  { "/c", "qcow2", false, false } };
	const struct lab_server server = { .image = "/hv",
					   .words = "channel=virtio",
					   .memory_bytes = 256 << 20,
					   .cpus = 3,
					   .files = files,
					   .n_files = 2,
					   .disks = disks,
					   .n_disks = 2 };
	char **argv = lab_argv(&server);

	(void)state;
	assert_non_null(argv);
	assert_string_equal(argv[0], LAB_QEMU);
	assert_true(has(argv, "-kernel", "/hv"));
	assert_true(has(argv, "-append", "channel=virtio"));
	assert_true(has(argv, "-m", "352M")); /* its own, too */
	assert_true(has(argv, "-smp", "3"));
	/* A comma of a name is no separator. */
	assert_true(has(argv, "-initrd", "kernel,init,,rd"));
	assert_true(has(argv, "-drive",
			"if=none,id=disk0,format=raw,read-only=on,file.locking=off,file=/a,,b"));
	assert_true(has(argv, "-drive",
			"if=none,id=disk1,format=qcow2,read-only=off,file.locking=on,file=/c"));
	assert_true(has(argv, "-device", "virtio-blk-pci,drive=disk1,serial=strata-1"));
	lab_argv_free(argv);
}

static void a_server_without_files_has_no_loader_s(void **state)
{
	const struct lab_server server = { .image = "/hv", .words = "", .cpus = 1 };
	char **argv = lab_argv(&server);

	(void)state;
	for (size_t i = 0; argv[i]; i++)
		assert_string_not_equal(argv[i], "-initrd");
	lab_argv_free(argv);
	lab_argv_free(NULL);
}

static void without_qemu_its_package_is_named(void **state)
{
	struct err err = { 0 };
	char *path = NULL;

	(void)state;
	if (lab_qemu(&path, &err) == 0) {
		assert_non_null(strstr(path, "/" LAB_QEMU));
		free(path);
	} else {
		assert_int_equal(err.code, ENOENT);
		assert_non_null(strstr(err.text, "qemu-system-x86"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_is_these_words),
		cmocka_unit_test(a_server_without_files_has_no_loader_s),
		cmocka_unit_test(without_qemu_its_package_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
