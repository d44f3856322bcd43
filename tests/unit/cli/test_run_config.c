/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run_config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/flags.h"

#define WORDS 32

/* the flags are words between blanks, then the operands; as the command does it */
static int config(const char *line, json_t **ret, struct err *err)
{
	AUTO(flag_text_p) char *copy = strdup(line);
	AUTO(args_fini) struct args args = { 0 };
	char *argv[WORDS + 1] = { 0 };
	int argc = 0;

	for (char *rest = copy; rest && argc < WORDS;)
		argv[argc++] = strsep(&rest, " ");
	int r = args_parse(run_opts, true, argc, argv, &args, err);
	return r < 0 ? r : run_config(&args, ret, err);
}

static void gives(const char *line, const char *want)
{
	AUTO(json_decref_p) json_t *got = NULL;
	AUTO(json_decref_p) json_t *expected = NULL;
	struct err err = { 0 };

	assert_int_equal(json_parse(want, strlen(want), "expected", &expected, &err), 0);
	if (config(line, &got, &err) < 0)
		fail_msg("'%s': %s", line, err.text);
	if (!json_equal(got, expected)) {
		AUTO(flag_text_p) char *text = json_text(got, 0);
		fail_msg("'%s' gives %s, not %s", line, text, want);
	}
}

static void refused(const char *line, int code, const char *part)
{
	AUTO(json_decref_p) json_t *got = NULL;
	struct err err = { 0 };

	int r = config(line, &got, &err);
	if (r != -code || !strstr(err.text, part))
		fail_msg("'%s': %d '%s', not %d with '%s'", line, r, err.text, -code, part);
	assert_null(got);
}

static void only_what_was_given_is_there(void **state)
{
	(void)state;
	gives("demo", "{\"image\":\"demo\"}");
	gives("demo ls -l", "{\"image\":\"demo\",\"args\":[\"ls\",\"-l\"]}");
	gives("-it --rm=false --name web1 -u 1:2 -w /srv -h box --read-only --init --privileged demo",
	      "{\"image\":\"demo\",\"stdin_open\":true,\"tty\":true,\"remove\":false,"
	      "\"name\":\"web1\",\"user\":\"1:2\",\"cwd\":\"/srv\",\"hostname\":\"box\","
	      "\"read_only\":true,\"init\":true,\"privileged\":true}");
	gives("--entrypoint /bin/sh --shm-size 1m demo",
	      "{\"image\":\"demo\",\"entrypoint\":[\"/bin/sh\"],\"shm_bytes\":1048576}");
	gives("--entrypoint= demo", "{\"image\":\"demo\",\"entrypoint\":[]}");
	refused("-w srv demo", EINVAL, "--workdir: 'srv' is not absolute");
	refused("--name \xff demo", EINVAL, "not valid UTF-8");
	refused("demo \xed\xa0\x80", EINVAL, "not valid UTF-8");
}

static void virtual_machines(void **state)
{
	(void)state;
	gives("--kernel /dev/null", "{\"vm\":{\"kernel\":\"/dev/null\"}}");
	gives("--kernel /dev/null --initrd /dev/zero --vcpus 2 -m 128m --irqchip machine",
	      "{\"limits\":{\"memory_bytes\":134217728},\"vm\":{\"kernel\":\"/dev/null\","
	      "\"initrd\":\"/dev/zero\",\"vcpus\":2,\"irqchip\":\"machine\"}}");
	gives("--kernel 6.1 demo", "{\"image\":\"demo\",\"vm\":{\"kernel_name\":\"6.1\"}}");
	gives("-m 128m demo", "{\"image\":\"demo\",\"limits\":{\"memory_bytes\":134217728}}");
	refused("--kernel /dev/null --vcpus 4 --code-cache 2m", EINVAL,
		"--code-cache 2m: at least 1m for each of 4 vcpus");
	refused("--kernel /nonexistent", ENOENT, "--kernel /nonexistent");
	refused("--kernel /dev/null --initrd /nonexistent", ENOENT, "--initrd");
	refused("--initrd /dev/null demo", EINVAL, "--initrd");
	refused("--vcpus 0 demo", EINVAL, "--vcpus");
	refused("--irqchip x demo", EINVAL, "--irqchip");
	refused("--vcpus 2", EINVAL, "IMAGE is missing");
}

/* Regression: --privileged, --security-opt and --hostname were taken, and did nothing. */
static void a_kernel_alone_takes_no_flag_in_vain(void **state)
{
	static const char *const vain[] = {
		"-e A=b",
		"--env-file /dev/null",
		"-u 1",
		"--group-add 1",
		"-w /",
		"--entrypoint x",
		"--cap-add ALL",
		"--cap-drop ALL",
		"--ulimit nofile=1",
		"--pids-limit 5",
		"--shm-size 1m",
		"--privileged",
		"--security-opt no-new-privileges",
		"-h box",
	};
	char line[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vain); i++) {
		(void)snprintf(line, sizeof(line), "%s --kernel /dev/null", vain[i]);
		refused(line, EINVAL, "is for what an image runs");
	}
	refused("-h box --kernel /dev/null", EINVAL, "--network-alias");
	refused("--stop-signal USR1 --kernel /dev/null", EINVAL, "power button");
	gives("--stop-signal INT --kernel /dev/null",
	      "{\"stop_signal\":2,\"vm\":{\"kernel\":\"/dev/null\"}}");
	gives("--privileged=false --kernel /dev/null",
	      "{\"privileged\":false,\"vm\":{\"kernel\":\"/dev/null\"}}");
	gives("--stop-signal USR1 -h box --kernel 6.1 demo",
	      "{\"image\":\"demo\",\"hostname\":\"box\",\"stop_signal\":10,"
	      "\"vm\":{\"kernel_name\":\"6.1\"}}");
}

/* Regression: the volume was mounted below what the command sees as /, and seen nowhere. */
static void nothing_is_mounted_over_the_root(void **state)
{
	static const char *const flags[] = {
		"-v data:/",
		"-v data://",
		"-v data:/./..",
		"-v /tmp:/.",
		"-v /",
		"--tmpfs /",
		"--mount type=tmpfs,target=/",
	};
	char line[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		(void)snprintf(line, sizeof(line), "%s x", flags[i]);
		refused(line, EINVAL, "/ is the image's");
	}
	gives("--tmpfs /... x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/...\"}]}");
}

static void limits(void **state)
{
	(void)state;
	gives("-m 64m --memory-swap -1 --cpus 1.5 --cpu-shares 512 --cpuset-cpus 0-1 --pids-limit 9 x",
	      "{\"image\":\"x\",\"limits\":{\"memory_bytes\":67108864,\"memory_swap_bytes\":-1,"
	      "\"cpu_quota_us\":150000,\"cpu_period_us\":100000,\"cpu_shares\":512,"
	      "\"cpuset\":\"0-1\",\"pids\":9}}");
	gives("--cgroup-parent a/b x", "{\"image\":\"x\",\"cgroup_parent\":\"a/b\"}");
	gives("--memory-reservation 1k --pids-limit -1 x",
	      "{\"image\":\"x\",\"limits\":{\"memory_reservation_bytes\":1024,\"pids\":0}}");
	gives("--ulimit nofile=10:20 --ulimit core=unlimited x",
	      "{\"image\":\"x\",\"ulimits\":[{\"name\":\"nofile\",\"soft\":10,\"hard\":20},"
	      "{\"name\":\"core\",\"soft\":-1,\"hard\":-1}]}");
	refused("-m 1k x", EINVAL, "--memory must be at least 6m, not 1k");
	refused("-m lots x", EINVAL, "--memory: 'lots' is not a size");
	refused("-m 2m --memory-swap 1m x", EINVAL, "cannot be less");
	refused("--memory-swap 1m x", EINVAL, "needs --memory");
	refused("-m 8m --memory-reservation 9m x", EINVAL, "--memory-reservation is a part");
	refused("--cpu-shares 1 x", EINVAL, "--cpu-shares");
	refused("--cpuset-cpus all x", EINVAL, "not a list of CPUs");
	refused("--ulimit nofile=20:10 x", EINVAL, "above the hard one");
	refused("--ulimit nofile x", EINVAL, "is not a limit");
	refused("--ulimit files=1 x", EINVAL, "is not a limit");
	refused("--ulimit NOFILE=1 x", EINVAL, "is not a limit");
	refused("--ulimit =5 x", EINVAL, "is not a limit");
	refused("--ulimit nofile= x", EINVAL, "whole number");
	refused("--ulimit nofile=1: x", EINVAL, "whole number");
	refused("--ulimit nofile=:1 x", EINVAL, "whole number");
	refused("--ulimit nofile=1k x", EINVAL, "whole number");
	refused("--ulimit nofile=-2 x", EINVAL, "not between");
	refused("--ulimit nofile=9223372036854775808 x", EINVAL, "");
	refused("--ulimit nofile=1:2:3 x", EINVAL, "whole number");
	refused("--ulimit nofile=unlimited:3 x", EINVAL, "above the hard one");
}

static void volumes(void **state)
{
	(void)state;
	gives("-v data:/d x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"volume\",\"source\":\"data\","
	      "\"target\":\"/d\",\"copy_up\":true}]}");
	gives("-v data:/d:ro,nocopy x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"volume\",\"source\":\"data\","
	      "\"target\":\"/d\",\"copy_up\":false,\"read_only\":true}]}");
	gives("-v /d x", "{\"image\":\"x\",\"mounts\":[{\"type\":\"volume\",\"target\":\"/d\","
			 "\"copy_up\":true}]}");
	gives("-v /nosuch:/d:rslave,z x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"bind\",\"source\":\"/nosuch\","
	      "\"target\":\"/d\",\"create_source\":true,\"recursive\":true,"
	      "\"propagation\":\"rslave\"}]}");
	refused("-v data: x", EINVAL, "no path inside");
	refused("-v data:d x", EINVAL, "'d', is not absolute");
	refused("-v :/d x", EINVAL, "the source is empty");
	refused("-v a/b:/d x", EINVAL, "not a volume's name");
	refused("-v /a:/d:rx x", EINVAL, "option 'rx' is not known");
	refused("-v /a:/d: x", EINVAL, "option '' is not known");
	refused("-v /a:/d:nocopy x", EINVAL, "only a volume has nocopy");
	refused("-v a:/d:rslave x", EINVAL, "only a bind has a propagation");
	refused("-v d x", EINVAL, "not absolute");
}

static void relative_sources_start_here(void **state)
{
	(void)state;
	assert_int_equal(chdir("/tmp"), 0);
	gives("-v ./x:/d x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"bind\",\"source\":\"/tmp/x\","
	      "\"target\":\"/d\",\"create_source\":true,\"recursive\":true}]}");
	gives("-v .:/d x", "{\"image\":\"x\",\"mounts\":[{\"type\":\"bind\",\"source\":\"/tmp\","
			   "\"target\":\"/d\",\"create_source\":true,\"recursive\":true}]}");
}

static void mounts(void **state)
{
	(void)state;
	gives("--mount type=bind,src=/tmp,dst=/d,ro,bind-propagation=rshared x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"bind\",\"source\":\"/tmp\",\"target\":\"/d\","
	      "\"read_only\":true,\"recursive\":true,\"propagation\":\"rshared\"}]}");
	gives("--mount type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777,readonly=false x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/t\","
	      "\"options\":\"size=67108864,mode=1777\"}]}");
	gives("--mount source=data,destination=/d,volume-nocopy x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"volume\",\"source\":\"data\","
	      "\"target\":\"/d\",\"copy_up\":false}]}");
	gives("--mount source=data,\"dst=/a,\"\"b\" x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"volume\",\"source\":\"data\","
	      "\"target\":\"/a,\\\"b\",\"copy_up\":true}]}");
	gives("--tmpfs /t:size=1m,ro,mode=700 x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/t\","
	      "\"options\":\"size=1m,mode=700\",\"read_only\":true}]}");
	gives("--tmpfs /t x",
	      "{\"image\":\"x\",\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/t\"}]}");
	refused("--mount type=bind,src=/nosuch,dst=/d x", ENOENT, "the source /nosuch");
	refused("--mount type=bind,dst=/d x", EINVAL, "a bind needs a source");
	refused("--mount type=tmpfs,src=/a,dst=/d x", EINVAL, "a tmpfs has no source");
	refused("--mount type=npipe,dst=/d x", EINVAL, "type 'npipe' is not known");
	refused("--mount src=a x", EINVAL, "no path inside");
	refused("--mount dst x", EINVAL, "'dst' needs a value");
	refused("--mount dst=/d,frob=1 x", EINVAL, "key 'frob' is not known");
	refused("--mount dst=/d,\"src=a\"b x", EINVAL, "after a closing quote");
	refused("--mount dst=/d,ro=perhaps x", EINVAL, "neither true nor false");
	refused("--mount type=tmpfs,dst=/d,tmpfs-mode=9 x", EINVAL, "tmpfs-mode '9'");
	refused("--mount dst=/d,tmpfs-size=1m x", EINVAL, "need type=tmpfs");
	refused("--mount= x", EINVAL, "key '' is not known");
}

static void ports(void **state)
{
	(void)state;
	gives("-p 8080:80 x",
	      "{\"image\":\"x\",\"ports\":[{\"host\":8080,\"guest\":80,\"protocol\":\"tcp\"}]}");
	gives("-p 127.0.0.1::53/udp x",
	      "{\"image\":\"x\",\"ports\":[{\"host_ip\":\"127.0.0.1\",\"host\":0,\"guest\":53,"
	      "\"protocol\":\"udp\"}]}");
	gives("-p 80-81:90-91 -p 7 x",
	      "{\"image\":\"x\",\"ports\":[{\"host\":80,\"guest\":90,\"protocol\":\"tcp\"},"
	      "{\"host\":81,\"guest\":91,\"protocol\":\"tcp\"},"
	      "{\"host\":0,\"guest\":7,\"protocol\":\"tcp\"}]}");
	refused("-p 80-82:90-91 x", EINVAL, "differ in length");
	refused("-p 0:80 x", EINVAL, "host's port");
	refused("-p 80:65536 x", EINVAL, "guest's port");
	refused("-p 82-80:82-80 x", EINVAL, "guest's port");
	refused("-p 80: x", EINVAL, "guest's port");
	refused("-p 80:80/sctp x", EINVAL, "neither tcp nor udp");
	refused("-p 1.2.3:80:80 x", EINVAL, "not an IPv4 address");
	refused("-p a:1.2.3.4:80:80 x", EINVAL, "not an IPv4 address");
	refused("-p [::1]:80:80 x", ENOTSUP, "IPv6");
}

static void networks(void **state)
{
	(void)state;
	gives("--network none x", "{\"image\":\"x\",\"network\":{\"mode\":\"none\"}}");
	gives("--network host x", "{\"image\":\"x\",\"network\":{\"mode\":\"host\"}}");
	gives("--network lan --network-alias db --ip 10.0.0.9 x",
	      "{\"image\":\"x\",\"network\":{\"mode\":\"bridge\",\"network\":\"lan\","
	      "\"ip\":\"10.0.0.9\",\"aliases\":[\"db\"]}}");
	refused("--network none --ip 10.0.0.9 x", EINVAL, "--network none");
	refused("--ip ten x", EINVAL, "not an IPv4 address");
}

static void rights(void **state)
{
	(void)state;
	gives("--cap-add NET_ADMIN --cap-drop ALL --group-add 7 x",
	      "{\"image\":\"x\",\"cap_add\":[\"NET_ADMIN\"],\"cap_drop\":[\"ALL\"],"
	      "\"groups\":[\"7\"]}");
	gives("--security-opt no-new-privileges --security-opt seccomp=unconfined x",
	      "{\"image\":\"x\",\"no_new_privileges\":true,\"seccomp\":\"unconfined\"}");
	gives("--security-opt no-new-privileges:false --security-opt label=disable x",
	      "{\"image\":\"x\",\"no_new_privileges\":false}");
	gives("--gidmap 0:5:10 x",
	      "{\"image\":\"x\",\"gid_map\":[{\"inside\":0,\"outside\":5,\"size\":10}],"
	      "\"uid_map\":[{\"inside\":0,\"outside\":5,\"size\":10}]}");
	gives("--uidmap 0:100000:65536 --gidmap 0:1 x",
	      "{\"image\":\"x\",\"uid_map\":[{\"inside\":0,\"outside\":100000,\"size\":65536}],"
	      "\"gid_map\":[{\"inside\":0,\"outside\":1,\"size\":1}]}");
	gives("--device /dev/null:/dev/n:r --device /dev/zero:rw x",
	      "{\"image\":\"x\",\"devices\":[{\"source\":\"/dev/null\",\"target\":\"/dev/n\","
	      "\"permissions\":\"r\"},{\"source\":\"/dev/zero\",\"target\":\"/dev/zero\","
	      "\"permissions\":\"rw\"}]}");
	gives("--userns auto x", "{\"image\":\"x\",\"userns\":\"auto\"}");
	refused("--security-opt seccomp=/nosuch x", ENOENT, "/nosuch");
	refused("--security-opt apparmor=strict x", ENOTSUP, "not supported");
	refused("--security-opt frob x", EINVAL, "'frob' is not known");
	refused("--uidmap 0:1:0 x", EINVAL, "not a mapping");
	refused("--uidmap 0:4294967294:2 x", EINVAL, "not a mapping");
	refused("--uidmap 0:1:2:3 x", EINVAL, "not a mapping");
	refused("--userns auto --uidmap 0:1:1 x", EINVAL, "exclude each other");
	refused("--device dev x", EINVAL, "not a device");
	refused("--device /dev/null:/dev/n:rr x", EINVAL, "not a device");
	refused("--cap-add= x", EINVAL, "--cap-add: the value is empty");
}

static void life(void **state)
{
	(void)state;
	gives("--restart on-failure:3 --stop-signal INT --stop-timeout 2 --virt auto x",
	      "{\"image\":\"x\",\"restart\":{\"policy\":\"on-failure\",\"max\":3},"
	      "\"stop_signal\":2,\"stop_timeout_ms\":2000,\"virt\":\"auto\"}");
	gives("--log-opt max-size=10k --log-opt max-file=2 -l a=b -l c x",
	      "{\"image\":\"x\",\"log\":{\"max_bytes\":10240,\"files\":2},"
	      "\"labels\":{\"a\":\"b\",\"c\":\"\"}}");
	refused("--restart sometimes x", EINVAL, "not a policy");
	refused("--restart always:3 x", EINVAL, "only on-failure");
	refused("--restart on-failure:-1 x", EINVAL, "not between");
	refused("--rm --restart always x", EINVAL, "exclude each other");
	gives("--virt hosted x", "{\"image\":\"x\",\"virt\":\"hosted\"}");
	refused("--virt quantum x", EINVAL, "not an architecture");
	refused("--log-opt size=1 x", EINVAL, "not known");
	refused("-l =b x", EINVAL, "no name");
}

static void variables(void **state)
{
	(void)state;
	assert_int_equal(setenv("STRATA_TEST", "here", 1), 0);
	assert_int_equal(unsetenv("STRATA_ABSENT"), 0);
	gives("-e A=b -e STRATA_TEST -e STRATA_ABSENT -e C= x",
	      "{\"image\":\"x\",\"env\":[\"A=b\",\"STRATA_TEST=here\",\"C=\"]}");
	refused("-e =b x", EINVAL, "no name");
	refused("--env-file /nosuch x", ENOENT, "/nosuch");
}

static void files_of_variables(void **state)
{
	static const char text[] = "\xef\xbb\xbf# notes\r\n\n A=1 2 \nSTRATA_ABSENT\nB==x";
	AUTO(json_decref_p) json_t *env = json_array();
	struct err err = { 0 };

	(void)state;
	assert_int_equal(flag_lines(text, sizeof(text) - 1, "f", flag_env, "--env-file", env, &err),
			 0);
	assert_int_equal(json_array_size(env), 2);
	assert_string_equal(json_string_value(json_array_get(env, 0)), "A=1 2 ");
	assert_string_equal(json_string_value(json_array_get(env, 1)), "B==x");

	assert_int_equal(flag_lines("A=1\nA B=2", 9, "f", flag_env, "-e", env, &err), -EINVAL);
	assert_string_equal(err.text,
			    "f line 2: the name in 'A B=2' holds a blank; write NAME=VALUE");
	assert_int_equal(flag_lines("A=\xff", 3, "f", flag_env, "-e", env, &err), -EINVAL);
	assert_int_equal(flag_lines("A=\0b", 4, "f", flag_env, "-e", env, &err), -EINVAL);
	assert_string_equal(err.text, "f: holds a NUL byte: not a text file");
}

static void block_io(void **state)
{
	(void)state;
	gives("--blkio-weight 50 --device-read-bps /dev/a:1m --device-write-iops /dev/a:7 "
	      "--device-read-iops /dev/b:9 img",
	      "{\"image\":\"img\",\"limits\":{\"io_weight\":50,\"io\":["
	      "{\"device\":\"/dev/a\",\"read_bps\":1048576,\"write_iops\":7},"
	      "{\"device\":\"/dev/b\",\"read_iops\":9}]}}");
	refused("--device-read-bps /dev/a img", EINVAL, "--device-read-bps: '/dev/a'");
	refused("--device-read-iops a:5 img", EINVAL, "--device-read-iops: 'a:5'");
	refused("--device-write-bps /dev/a:x img", EINVAL, "--device-write-bps");
	refused("--blkio-weight 1001 img", EINVAL, "--blkio-weight");
	gives("--root-size 1g img", "{\"image\":\"img\",\"root_bytes\":1073741824}");
	refused("--root-size 1m img", EINVAL, "--root-size");
	refused("-m -1 img", EINVAL, "--memory");
}

/* Bits, by thousands: as tc(8), LXD and CNI have them, unlike every other size. */
static void network_rates(void **state)
{
	(void)state;
	gives("--ingress-rate 10m --egress-rate 1.5Gbit img",
	      "{\"image\":\"img\",\"limits\":{\"ingress_bits\":10000000,\"egress_bits\":1500000000}}");
	gives("--egress-rate 8000bit img", "{\"image\":\"img\",\"limits\":{\"egress_bits\":8000}}");
	gives("--ingress-rate 0 img", "{\"image\":\"img\"}");
	refused("--ingress-rate 7999 img", ERANGE, "--ingress-rate: 7999");
	refused("--egress-rate 1001g img", ERANGE, "--egress-rate: 1001g");
	refused("--egress-rate 10mb img", EINVAL, "--egress-rate: '10mb'");
	refused("--egress-rate 10bits img", EINVAL, "--egress-rate");
	refused("--ingress-rate -1 img", EINVAL, "--ingress-rate");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_io),
		cmocka_unit_test(network_rates),
		cmocka_unit_test(only_what_was_given_is_there),
		cmocka_unit_test(virtual_machines),
		cmocka_unit_test(a_kernel_alone_takes_no_flag_in_vain),
		cmocka_unit_test(nothing_is_mounted_over_the_root),
		cmocka_unit_test(limits),
		cmocka_unit_test(volumes),
		cmocka_unit_test(relative_sources_start_here),
		cmocka_unit_test(mounts),
		cmocka_unit_test(ports),
		cmocka_unit_test(networks),
		cmocka_unit_test(rights),
		cmocka_unit_test(life),
		cmocka_unit_test(variables),
		cmocka_unit_test(files_of_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
