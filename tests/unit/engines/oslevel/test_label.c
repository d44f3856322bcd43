/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/os/fd.h"
#include "engines/oslevel/label.h"

static void none_is_always_there(void **state)
{
	struct label label;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(label_check(NULL, "", &err), 0);
	assert_int_equal(label_open(-EBADF, NULL, "", &label, &err), 0);
	assert_true(label.apparmor < 0 && label.selinux < 0);
	assert_int_equal(label_set(&label, NULL, NULL, &err), 0);
	label_close(&label);
}

static void what_the_kernel_lacks_is_named(void **state)
{
	struct err err = { 0 };

	(void)state;
	if (!label_has_apparmor()) {
		assert_int_equal(label_check("docker-default", NULL, &err), -ENOTSUP);
		assert_string_equal(err.text, "process.apparmorProfile docker-default: this kernel "
					      "does not run AppArmor");
	}
	if (label_has_selinux())
		return;
	err = (struct err){ 0 };
	assert_int_equal(label_check(NULL, "a:b:c:d", &err), -ENOTSUP);
	assert_string_equal(err.text,
			    "process.selinuxLabel a:b:c:d: this kernel does not run SELinux");
}

/* What the kernel would read, in a pipe's stead. */
static void both_are_written_as_the_kernel_reads_them(void **state)
{
	struct err err = { 0 };
	int a[2], s[2];
	char text[64];

	(void)state;
	assert_true(pipe(a) == 0 && pipe(s) == 0);
	struct label label = { .apparmor = a[1], .selinux = s[1] };
	assert_int_equal(label_set(&label, "docker-default", "u:r:t:s0", &err), 0);
	label_close(&label);
	assert_true(label.apparmor < 0 && label.selinux < 0);
	assert_int_equal(fd_read_text(a[0], text, sizeof(text)), 19);
	assert_string_equal(text, "exec docker-default");
	assert_int_equal(fd_read_text(s[0], text, sizeof(text)), 8);
	assert_string_equal(text, "u:r:t:s0");
	fd_close(a[0]);
	fd_close(s[0]);
}

/* In a mount namespace of others' it was written to whatever they had there. */
static void what_is_mounted_over_proc_is_not_told(void **state)
{
	struct err err = { 0 };
	struct label label;
	struct statfs fs;
	AUTO(fd_close_p) int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(proc >= 0);
	if (faccessat(proc, "thread-self/attr/exec", W_OK, 0) < 0 || geteuid() != 0 ||
	    unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		skip();
	assert_true(mkdir("/proc/thread-self", 0755) == 0 &&
		    mkdir("/proc/thread-self/attr", 0755) == 0 &&
		    mknod("/proc/thread-self/attr/exec", S_IFREG | 0666, 0) == 0);
	assert_int_equal(label_open(proc, NULL, "u:r:t:s0", &label, &err), 0);
	assert_int_equal(fstatfs(label.selinux, &fs), 0);
	assert_int_equal(fs.f_type, PROC_SUPER_MAGIC);
	label_close(&label);
	assert_int_equal(umount("/proc"), 0);
}

static void a_name_without_end_is_refused(void **state)
{
	char name[600], text[512];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(label_text(name, text), -ENAMETOOLONG);
	assert_int_equal(label_text("ok", text), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_always_there),
		cmocka_unit_test(what_the_kernel_lacks_is_named),
		cmocka_unit_test(both_are_written_as_the_kernel_reads_them),
		cmocka_unit_test(what_is_mounted_over_proc_is_not_told),
		cmocka_unit_test(a_name_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
