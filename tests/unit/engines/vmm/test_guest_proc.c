/* SPDX-License-Identifier: Apache-2.0 */
/* A machine without a cgroup: children of ours stand in for strata-vmm. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/os/fd.h"
#include "engines/cgroup/cgroup.h"
#include "engines/vmm/guest.h"

#define ID "feedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedface"

static const struct spec spec = {
	.id = ID, .name = "x", .cgroup_parent = "", .vm = { .memory_bytes = 64 << 20 }
};

/* A process of that name, with a child where asked, that waits for its end. */
static pid_t stand_in(const char *name, bool child)
{
	int pipes[2];
	char byte;

	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_NAME, name);
		pid_t own = child ? fork() : 1;
		if (own == 0)
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The last to be there says so: one that is not yet tied to its parent would outlive it. */
		if ((own == 0 || !child) && write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	return pid;
}

static void end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static char state_of(pid_t pid)
{
	char path[64], text[256];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *in = fopen(path, "re");
	assert_non_null(in);
	assert_non_null(fgets(text, sizeof(text), in));
	(void)fclose(in);
	return strrchr(text, ')')[2];
}

static void it_stops_and_goes_on(void **state)
{
	pid_t pid = stand_in("strata-vmm", false);
	int status;

	(void)state;
	assert_int_equal(vmm_guest_freeze(&spec, pid, true, NULL), 0);
	assert_int_equal(state_of(pid), 'T');
	assert_int_equal(vmm_guest_freeze(&spec, pid, true, NULL), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_int_equal(vmm_guest_freeze(&spec, pid, false, NULL), 0);
	assert_int_equal(waitpid(pid, &status, WCONTINUED), pid);
	assert_true(WIFCONTINUED(status));
	end(pid);
}

static void a_number_that_is_another_process_by_now_is_left_alone(void **state)
{
	pid_t pid = stand_in("something) else", false);
	struct stats_session session = { .of = NULL };
	struct guest_stats stats;
	struct err err = { 0 };
	pid_t *pids = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(vmm_guest_freeze(&spec, pid, true, &err), -ESRCH);
	assert_int_not_equal(state_of(pid), 'T');
	assert_int_equal(vmm_guest_stats(&spec, "/nonexistent", pid, true, &session, &stats, &err),
			 -ESRCH);
	assert_int_equal(vmm_guest_processes(&spec, pid, &pids, &n, &err), -ESRCH);
	assert_int_equal(vmm_guest_freeze(&spec, 0, true, &err), -ESRCH);
	assert_int_equal(vmm_guest_freeze(&spec, -1, true, &err), -ESRCH);
	end(pid);
	assert_int_equal(vmm_guest_freeze(&spec, pid, true, &err), -ESRCH);
}

static void its_use_is_told(void **state)
{
	pid_t pid = stand_in("strata-vmm", false);
	struct stats_session session = { .of = NULL };
	struct guest_stats stats = { 0 };

	(void)state;
	assert_int_equal(vmm_guest_stats(&spec, "/nonexistent", pid, true, &session, &stats, NULL),
			 0);
	assert_true(stats.memory_bytes > 4096 && stats.memory_bytes < 1 << 30);
	assert_int_equal(stats.memory_limit_bytes, 64 << 20);
	assert_int_equal(stats.pids, 1);
	end(pid);
}

static void its_holder_is_listed_with_it(void **state)
{
	pid_t pid = stand_in("strata-vmm", true);
	pid_t *pids = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(vmm_guest_processes(&spec, pid, &pids, &n, NULL), 0);
	assert_true(n == 2 || access("/proc/self/task/self/children", F_OK) < 0);
	assert_int_equal(pids[0], pid);
	free(pids);
	end(pid);
}

static void a_dead_monitors_machine_is_waited_for(void **state)
{
	pid_t pid = stand_in("strata-vmm", false);
	pid_t killer = fork();

	(void)state;
	assert_true(killer >= 0);
	if (killer == 0)
		_exit(kill(pid, SIGKILL) < 0);
	assert_int_equal(vmm_guest_sweep(ID, "", pid, NULL), 0);
	assert_int_equal(state_of(pid), 'Z');
	assert_int_equal(waitpid(killer, NULL, 0), killer);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(vmm_guest_sweep(ID, "", pid, NULL), 0);
	assert_int_equal(vmm_guest_sweep(ID, "", 0, NULL), 0);
}

static void a_living_monitors_machine_is_not_waited_for(void **state)
{
	pid_t pid = stand_in("strata-vmm", false);
	char name[16];

	(void)state;
	(void)prctl(PR_GET_NAME, name);
	(void)prctl(PR_SET_NAME, "strata-monitor");
	assert_int_equal(vmm_guest_sweep(ID, "", pid, NULL), 0);
	assert_int_not_equal(state_of(pid), 'Z');
	(void)prctl(PR_SET_NAME, name);
	end(pid);
}

/* ---- limits ---- */

static struct cgroup_layout layout_of(const char *dir)
{
	struct cgroup_layout layout = { .n = 1, .v2 = -1 };

	layout.hierarchies[0].controllers = UINT32_C(1) << CGROUP_CPU | UINT32_C(1)
										<< CGROUP_CPUSET;
	(void)snprintf(layout.hierarchies[0].mount, sizeof(layout.hierarchies[0].mount), "%s", dir);
	return layout;
}

/* By an ordinary user: 0, or what he hears. */
static int limits_of_user(const struct spec *s, const struct cgroup_layout *layout,
			  const char *words)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct spec_limits limits;
		struct err err = { 0 };
		if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
			_exit(9);
		int r = vmm_guest_limits(s, layout, &limits, &err);
		if (r == 0 && limits.cpu_quota_us)
			_exit(2); /* that would be the cgroup's */
		_exit(r == 0 ? 0 : strstr(err.text, words) ? 1 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void without_a_cgroup_whole_cpus_are_vcpus_and_all_else_is_refused(void **state)
{
	char dir[] = "/tmp/strata-limits-XXXXXX";
	struct spec s = spec;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0555), 0);
	const struct cgroup_layout layout = layout_of(dir);
	s.limits = (struct spec_limits){ .memory_bytes = 1 << 26, .pids = 5 };
	assert_int_equal(limits_of_user(&s, &layout, ""), 0); /* the guest's own affair */
	s.limits = (struct spec_limits){ .cpu_quota_us = 200000, .cpu_period_us = 100000 };
	s.vm.vcpus = 2;
	assert_int_equal(limits_of_user(&s, &layout, ""), 0);
	s.vm.vcpus = 3;
	assert_int_equal(limits_of_user(&s, &layout, "part of a CPU"), 1);
	s.vm.vcpus = 2;
	s.limits.cpu_quota_us = 150000;
	assert_int_equal(limits_of_user(&s, &layout, "give whole CPUs"), 1);
	s.limits = (struct spec_limits){ .cpuset = "0" };
	assert_int_equal(limits_of_user(&s, &layout, "--cpuset-cpus needs a cgroup"), 1);
	s.limits = (struct spec_limits){ .cpu_shares = 5 };
	assert_int_equal(limits_of_user(&s, &layout, dir), 1);
	s.cgroup_parent = "a/b"; /* neither is there: they would be made in the top */
	assert_int_equal(limits_of_user(&s, &layout, dir), 1);
	assert_int_equal(rmdir(dir), 0);
}

static void a_cgroup_of_his_own_takes_them(void **state)
{
	char dir[] = "/tmp/strata-limits-XXXXXX", sub[64];
	struct spec s = spec;
	struct spec_limits limits;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0555), 0);
	(void)snprintf(sub, sizeof(sub), "%s/mine", dir);
	assert_int_equal(mkdir(sub, 0777), 0);
	assert_int_equal(chmod(sub, 0777), 0);
	const struct cgroup_layout layout = layout_of(dir);
	s.cgroup_parent = "mine/deeper";
	s.limits = (struct spec_limits){ .cpu_quota_us = 50000, .cpu_period_us = 100000 };
	assert_int_equal(limits_of_user(&s, &layout, ""), 2);
	assert_int_equal(vmm_guest_limits(&s, &layout, &limits, NULL), 0);
	assert_int_equal(limits.cpu_quota_us, 50000);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_stops_and_goes_on),
		cmocka_unit_test(a_number_that_is_another_process_by_now_is_left_alone),
		cmocka_unit_test(its_use_is_told),
		cmocka_unit_test(its_holder_is_listed_with_it),
		cmocka_unit_test(a_dead_monitors_machine_is_waited_for),
		cmocka_unit_test(a_living_monitors_machine_is_not_waited_for),
		cmocka_unit_test(without_a_cgroup_whole_cpus_are_vcpus_and_all_else_is_refused),
		cmocka_unit_test(a_cgroup_of_his_own_takes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
