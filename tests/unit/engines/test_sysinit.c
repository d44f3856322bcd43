/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/sysinit.h"

static void program(int root, const char *dir, const char *name, mode_t mode)
{
	AUTO(fd_close_p) int at = fd_mkdir_in(root, dir, 0755);
	AUTO(fd_close_p) int fd = openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, mode);

	assert_true(at >= 0 && fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void kinds_by_what_is_executed(void **state)
{
	static const struct {
		const char *target;
		enum sysinit_kind kind;
		int sig;
	} cases[] = {
		{ "/usr/lib/systemd/systemd", SYSINIT_SYSTEMD, 37 },
		{ "/sbin/init", SYSINIT_SYSV, SIGINT },
		{ "/bin/busybox", SYSINIT_BUSYBOX, SIGUSR2 },
		{ "/sbin/openrc-init", SYSINIT_OPENRC, SIGTERM },
		{ "/sbin/runit-init", SYSINIT_RUNIT, SIGCONT },
		{ "/bin/bash", SYSINIT_OTHER, SIGTERM },
		{ "systemd", SYSINIT_SYSTEMD, 37 },
		{ "", SYSINIT_OTHER, SIGTERM },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(sysinit_kind_of(cases[i].target), cases[i].kind);
		assert_int_equal(sysinit_stop_signal(cases[i].kind), cases[i].sig);
		assert_non_null(sysinit_name(cases[i].kind));
	}
	assert_true(sysinit_named("/sbin/init"));
	assert_true(sysinit_named("/lib/systemd/systemd"));
	assert_false(sysinit_named("/bin/busybox"));
	assert_false(sysinit_named("sh"));
}

static void versions(void **state)
{
	(void)state;
	assert_int_equal(sysinit_version("libsystemd-shared-252.so"), 252);
	assert_int_equal(sysinit_version("libsystemd-shared-257.1-2.so"), 257);
	assert_int_equal(sysinit_version("libsystemd-shared-.so"), 0);
	assert_int_equal(sysinit_version("libsystemd-shared-99999999999999999999.so"), 0);
	assert_int_equal(sysinit_version("libsystemd-core-252.so"), 0);
}

static void links_lead_to_the_kind_but_not_out(void **state)
{
	const struct scratch *s = *state;
	struct sysinit init;
	struct err err = { 0 };

	program(s->fd, "/usr/lib/systemd", "systemd", 0755);
	program(s->fd, "/usr/lib/systemd", "libsystemd-shared-252.so", 0644);
	AUTO(fd_close_p) int sbin = fd_mkdir_in(s->fd, "/sbin", 0755);
	assert_int_equal(symlinkat("/usr/lib/systemd/systemd", sbin, "init"), 0);
	assert_int_equal(sysinit_find(s->fd, NULL, &init, &err), 0);
	assert_string_equal(init.path, "/sbin/init");
	assert_int_equal(init.kind, SYSINIT_SYSTEMD);
	assert_int_equal(init.version, 252);

	/* The host has /bin/sh; this root has not. */
	assert_int_equal(unlinkat(sbin, "init", 0), 0);
	assert_int_equal(symlinkat("../../../../../../bin/sh", sbin, "init"), 0);
	assert_int_equal(sysinit_find(s->fd, NULL, &init, &err), 0);
	assert_string_equal(init.path, "/usr/lib/systemd/systemd");
	assert_true(sysinit_find(s->fd, "/sbin/init", &init, &err) < 0);
	assert_non_null(strstr(err.text, "/sbin/init"));
}

static void what_cannot_run_is_no_init(void **state)
{
	const struct scratch *s = *state;
	struct sysinit init;
	struct err err = { 0 };

	assert_int_equal(sysinit_find(s->fd, NULL, &init, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no init to boot"));
	AUTO(fd_close_p) int dir = fd_mkdir_in(s->fd, "/sbin/init", 0755);
	assert_true(dir >= 0);
	assert_int_equal(sysinit_find(s->fd, NULL, &init, &err), -ENOENT);
	program(s->fd, "/usr/sbin", "init", 0644);
	assert_int_equal(sysinit_find(s->fd, NULL, &init, &err), -ENOENT);
	program(s->fd, "/sbin", "openrc-init", 0755);
	assert_int_equal(sysinit_find(s->fd, "openrc-init", &init, &err), 0);
	assert_int_equal(init.kind, SYSINIT_OPENRC);
	assert_int_equal(sysinit_find(s->fd, "nothing", &init, &err), -ENOENT);
}

static mode_t mode_of(int root, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static void told(int at, const char *dir, const char *name, mode_t mode, bool link_out)
{
	AUTO(fd_close_p) int root = fd_mkdir_in(at, link_out ? "linked" : name, 0755);
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", dir + 1, name);
	program(root, dir, name, 0000);
	program(root, "/etc/runit", "other", 0644);
	if (link_out) {
		assert_int_equal(unlinkat(root, path, 0), 0);
		assert_int_equal(symlinkat("/etc/runit/other", root, path), 0);
	}
	sysinit_tell(SYSINIT_SYSTEMD, root, geteuid());
	sysinit_tell(SYSINIT_RUNIT, root, geteuid() + 1); /* it is not theirs */
	assert_int_equal(mode_of(root, link_out ? "etc/runit/other" : path), link_out ? 0644 : 0);
	sysinit_tell(SYSINIT_RUNIT, root, geteuid());
	assert_int_equal(mode_of(root, link_out ? "etc/runit/other" : path), mode);
	assert_int_equal(mode_of(root, "etc/runit/other"), link_out ? mode : 0644);
}

/* runit(8): SIGCONT means a shutdown only beside these modes. */
static void runit_is_told_by_files_too(void **state)
{
	const struct scratch *s = *state;

	told(s->fd, "/etc/runit", "stopit", 0100, false);
	told(s->fd, "/run", "runit.stopit", 0100, false);
	told(s->fd, "/run", "runit.stopit", 0100, true); /* Void has links */
	told(s->fd, "/run", "runit.reboot", 0000, false);
}

static void a_fifo_in_its_place_holds_nobody_up(void **state)
{
	const struct scratch *s = *state;
	const int root = s->fd;

	program(root, "/etc/runit", "other", 0644);
	assert_int_equal(mkfifoat(root, "etc/runit/stopit", 0600), 0);
	sysinit_tell(SYSINIT_RUNIT, root, geteuid());
	assert_int_equal(mode_of(root, "etc/runit/stopit"), 0600);
}

static void logins_are_on_tty1_but_for_systemd(void **state)
{
	(void)state;
	assert_true(sysinit_wants_tty1(SYSINIT_SYSV) && sysinit_wants_tty1(SYSINIT_BUSYBOX) &&
		    sysinit_wants_tty1(SYSINIT_OPENRC) && sysinit_wants_tty1(SYSINIT_RUNIT));
	assert_false(sysinit_wants_tty1(SYSINIT_SYSTEMD) || sysinit_wants_tty1(SYSINIT_OTHER));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_by_what_is_executed),
		cmocka_unit_test(versions),
		SCRATCH_TEST(links_lead_to_the_kind_but_not_out),
		SCRATCH_TEST(what_cannot_run_is_no_init),
		SCRATCH_TEST(runit_is_told_by_files_too),
		SCRATCH_TEST(a_fifo_in_its_place_holds_nobody_up),
		cmocka_unit_test(logins_are_on_tty1_but_for_systemd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
