/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/os/fd.h"
#include "engines/oslevel/label.h"

static void none_is_always_there(void **state)
{
	struct label label;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(label_check(NULL, "", NULL, &err), 0);
	assert_int_equal(label_open(NULL, "", &label, &err), 0);
	assert_true(label.apparmor < 0 && label.selinux < 0);
	assert_int_equal(label_set(&label, NULL, NULL, &err), 0);
	label_close(&label);
}

static void what_the_kernel_lacks_is_named(void **state)
{
	struct err err = { 0 };

	(void)state;
	if (!label_has_apparmor()) {
		assert_int_equal(label_check("docker-default", NULL, NULL, &err), -ENOTSUP);
		assert_string_equal(err.text, "process.apparmorProfile docker-default: this kernel "
					      "does not run AppArmor");
	}
	if (label_has_selinux())
		return;
	err = (struct err){ 0 };
	assert_int_equal(label_check(NULL, "a:b:c:d", NULL, &err), -ENOTSUP);
	assert_string_equal(err.text,
			    "process.selinuxLabel a:b:c:d: this kernel does not run SELinux");
	err = (struct err){ 0 };
	assert_int_equal(label_check(NULL, NULL, "m", &err), -ENOTSUP);
	assert_string_equal(err.text, "linux.mountLabel m: this kernel does not run SELinux");
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
		cmocka_unit_test(a_name_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
