/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "manager/openvz.h"

static void shell_syntax_is_read(void **state)
{
	static const char text[] =
		"# comment\n\nA=\"1:2\" # more\nB='x $y `z`'\nC=a\\ b;D=\"q\\\"$E\"\n"
		"E=\nA=3\nF=\"two\nlines\"";
	json_t *conf = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(openvz_parse(text, strlen(text), &conf, &err), 0);
	assert_string_equal(json_str(conf, "A", ""), "3");
	assert_string_equal(json_str(conf, "B", ""), "x $y `z`");
	assert_string_equal(json_str(conf, "C", ""), "a b");
	assert_string_equal(json_str(conf, "D", ""), "q\"$E");
	assert_string_equal(json_str(conf, "E", "?"), "");
	assert_string_equal(json_str(conf, "F", ""), "two lines");
	json_decref(conf);
}

static void nothing_is_executed(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "A=1\nrm -rf /\n", "line 2: not an assignment" },
		{ "A=`id`", "line 1: a command" },
		{ "A=\"$(id)\"", "line 1: a command" },
		{ "A=1|sh", "line 1: a command" },
		{ "A=\"x", "line 1: a quote is not closed" },
		{ "\n\nA='x\n", "a quote is not closed" },
		{ "=x", "line 1: not an assignment" },
		{ "1A=x", "line 1: not an assignment" },
		{ ". /etc/vz/vz.conf", "line 1: not an assignment" },
		{ "A=\x1b[31m", "line 1: a control character" },
		{ "A=\\\x1b[31m", "line 1: a control character" },
		{ "\nA=\"\\\x7f\"", "line 2: a control character" },
		{ "A=\xff", "line 1: the value is not UTF-8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *conf = NULL;
		struct err err = { 0 };
		assert_int_equal(openvz_parse(cases[i].text, strlen(cases[i].text), &conf, &err),
				 -EINVAL);
		if (!strstr(err.text, cases[i].says))
			fail_msg("'%s': '%s'", cases[i].text, err.text);
		assert_null(conf);
	}
}

static void too_much_is_refused(void **state)
{
	char *text = calloc(1, OPENVZ_CONF_MAX + 2);
	json_t *conf = NULL;
	struct err err = { 0 };

	(void)state;
	assert_non_null(text);
	memset(text, 'A', OPENVZ_CONF_MAX + 1);
	assert_int_equal(openvz_parse(text, OPENVZ_CONF_MAX + 1, &conf, &err), -EFBIG);
	assert_int_equal(openvz_parse(text, 100, &conf, &err), -EINVAL);
	text[1] = '=';
	assert_int_equal(openvz_parse(text, OPENVZ_CONF_MAX, &conf, &err), -EINVAL);
	for (size_t i = 0; i < OPENVZ_CONF_MAX - 8; i += 8)
		(void)snprintf(text + i, 9, "A%05zu=\n", i / 8);
	assert_int_equal(openvz_parse(text, OPENVZ_CONF_MAX - 8, &conf, &err), -E2BIG);
	free(text);
}

static void limits(void **state)
{
	static const struct {
		const char *text;
		int64_t unit, want;
	} cases[] = {
		{ "0:131072", 4096, 131072 * 4096LL },
		{ "256M", 4096, 256 << 20 },
		{ "0:1G", 4096, 1 << 30 },
		{ "0:512mb", 4096, 512 << 20 },
		{ "10P", 1, 40960 },
		{ "7", 1, 7 },
		{ "unlimited", 1, -1 },
		{ "5:unlimited", 1, -1 },
		{ "9223372036854775807", 4096, -1 },
		{ "2147483647", 4096, -1 },
		{ "99999999999999999999", 1, -1 },
	};
	static const char *const bad[] = { "", ":", "x", "1:", "5X", "-1", "1 2", "5MM" };
	int64_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(openvz_limit(cases[i].text, cases[i].unit, &n), 0);
		assert_true(n == cases[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(openvz_limit(bad[i], 1, &n), -EINVAL);
}

static json_t *taken(const char *text, const struct openvz_host *host, size_t *ret_left)
{
	AUTO(json_decref_p) json_t *conf = NULL;
	AUTO(json_decref_p) json_t *report = NULL;
	json_t *config = NULL, *one;
	struct err err = { 0 };
	size_t i;

	assert_int_equal(openvz_parse(text, strlen(text), &conf, &err), 0);
	assert_int_equal(openvz_config(conf, host, &config, &report, &err), 0);
	assert_int_equal(json_array_size(report), json_object_size(conf));
	*ret_left = 0;
	json_array_foreach(report, i, one)
	{
		*ret_left += !json_bool(one, "taken", false);
		assert_true(json_str(one, "note", "")[0]);
	}
	return config;
}

static void what_corresponds_is_taken_over(void **state)
{
	static const struct openvz_host host = { .cpus = 4, .network = "lan" };
	size_t left;
	AUTO(json_decref_p)
	json_t *c = taken(
		"PHYSPAGES=0:65536\nSWAPPAGES=0:16M\nCPULIMIT=150%\nCPUS=2\nCPUUNITS=500\n"
		"NUMPROC=100:120\nHOSTNAME=a.b\nNAME=web\nIP_ADDRESS='10.0.0.9/24 ::1'\n"
		"NAMESERVER='1.1.1.1 ::1'\nSEARCHDOMAIN=x.org\nONBOOT=yes\nCPUMASK=0-1\nDISKSPACE=9:1048576\n",
		&host, &left);
	AUTO(json_decref_p)
	json_t *want = json_loads(
		"{\"system\":true,\"root_bytes\":1073741824,\"limits\":{\"memory_bytes\":268435456,\"memory_swap_bytes\":285212672,"
		"\"cpu_quota_us\":150000,\"cpu_period_us\":100000,\"cpu_shares\":512,\"pids\":120,"
		"\"cpuset\":\"0-1\"},\"hostname\":\"a.b\",\"name\":\"web\",\"network\":{\"mode\":\"bridge\","
		"\"network\":\"lan\",\"ip\":\"10.0.0.9\"},\"dns\":[\"1.1.1.1\",\"::1\"],"
		"\"dns_search\":[\"x.org\"],\"restart\":{\"policy\":\"unless-stopped\"}}",
		0, NULL);

	(void)state;
	assert_int_equal(left, 0);
	if (!json_equal(c, want))
		fail_msg("%s", json_dumps(c, JSON_COMPACT));
}

static void what_does_not_is_listed_with_its_reason(void **state)
{
	static const struct openvz_host host = { .cpus = 1 };
	size_t left;
	AUTO(json_decref_p)
	json_t *c =
		taken("CPUS=8\nPHYSPAGES=x\nSWAPPAGES=5\nHOSTNAME=';rm'\nIP_ADDRESS=10.0.0.1\n"
		      "NAMESERVER='1.1.1.1 nonsense'\nSEARCHDOMAIN='a b;c'\nKMEMSIZE=1:2\nNEW=1\n"
		      "NUMPROC=0\nCPULIMIT=500MHz\nDEVNODES='../../etc/passwd:rw'\n",
		      &host, &left);

	(void)state;
	assert_int_equal(left, 12);
	assert_null(json_object_get(c, "limits"));
	assert_null(json_object_get(c, "dns"));
	assert_null(json_object_get(c, "network"));
}

static const char *note_of(const char *text, const struct openvz_host *host, const char *name,
			   bool *ret_taken, json_t **ret_config)
{
	static char note[512];
	AUTO(json_decref_p) json_t *conf = NULL;
	AUTO(json_decref_p) json_t *report = NULL;
	json_t *one;
	struct err err = { 0 };
	size_t i;

	assert_int_equal(openvz_parse(text, strlen(text), &conf, &err), 0);
	assert_int_equal(openvz_config(conf, host, ret_config, &report, &err), 0);
	note[0] = '\0';
	json_array_foreach(report, i, one)
	{
		if (strcmp(json_str(one, "name", ""), name) != 0)
			continue;
		(void)snprintf(note, sizeof(note), "%s", json_str(one, "note", ""));
		*ret_taken = json_bool(one, "taken", false);
	}
	return note;
}

/* What each parameter becomes on a host that has everything; its name is the text's first. */
static void each_says_what_it_became(void **state)
{
	static const struct openvz_host host = { .cpus = 4, .network = "lan", .disk = "/dev/x" };
	static const struct openvz_host bare = { .cpus = 1 };
	static const struct {
		const struct openvz_host *host;
		const char *text;
		bool taken;
		const char *says, *config; /* a member, or NULL */
	} cases[] = {
		{ &host, "RATE=eth0:1:2048\nRATEBOUND=yes", true, "--egress-rate 2048k",
		  "\"egress_bits\":2048000" },
		{ &host, "RATE='eth0:1:64 eth0:2:9'\nRATEBOUND=yes", true, "the first", "64000" },
		{ &host, "RATE=eth0:1:2048\nRATEBOUND=no", false, "promised", NULL },
		{ &host, "RATE=eth0:1:2048", false, "promised", NULL },
		{ &bare, "RATE=eth0:1:2048\nRATEBOUND=yes", false, "--network", NULL },
		{ &host, "RATE=x\nRATEBOUND=yes", false, "not DEVICE", NULL },
		{ &host, "RATE=a:1:-5\nRATEBOUND=yes", false, "not DEVICE", NULL },
		{ &host, "RATE=a:1:99999999999999999999\nRATEBOUND=yes", false, "not DEVICE",
		  NULL },
		{ &host, "RATEBOUND=yes", false, "RATE", NULL },
		/* These once left what an integer holds. */
		{ &host, "CPUS=nan", false, "not a number of CPUs", NULL },
		{ &host, "CPULIMIT=nan", false, "not a percentage", NULL },
		{ &host, "CPUUNITS=8000000T", true, "262144", "\"cpu_shares\":262144" },
		{ &host, "SWAPPAGES=8000000T\nPHYSPAGES=8000000T", true, "--memory-swap -1",
		  "\"memory_swap_bytes\":-1" },
		{ &host, "RATEBOUND=no", true, "no bound", NULL },
		{ &host, "IOLIMIT=10485760", true, "/dev/x:10485760, each",
		  "\"io\":[{\"device\":\"/dev/x\",\"read_bps\":10485760,\"write_bps\":10485760}]" },
		{ &host, "IOLIMIT=10M\nIOPSLIMIT=500", true, "10485760", "\"read_iops\":500," },
		{ &host, "IOLIMIT=0", true, "unlimited", NULL },
		{ &host, "IOLIMIT=10", false, "10M", NULL },
		{ &bare, "IOLIMIT=10M", false, "--device-read-bps", NULL },
		{ &bare, "IOPSLIMIT=9", false, "--device-read-iops", NULL },
		{ &host, "NETIF='ifname=eth0,mac=00:18:51:00:00:01,bridge=br0'", true, "eth0 on",
		  NULL },
		{ &host, "NETIF='ifname=eth0;ifname=eth1'", false, "2 interfaces", NULL },
		{ &bare, "NETIF=ifname=eth0", false, "--network", NULL },
		{ &host, "FEATURES='bridge:on nfsd:off'", true, "network", NULL },
		{ &host, "FEATURES='sit:on nfs:on'", true, "; not nfs:on", NULL },
		{ &host, "FEATURES='nfs:on x'", false, "; not nfs:on, x", NULL },
		{ &host, "BINDMOUNT='/tmp:/mnt/t,ro /nowhere/at/all:/x /tmp:/a/../b /tmp'", true,
		  "; not /nowhere/at/all:/x, /tmp:/a/../b, /tmp", "\"target\":\"/mnt/t\"" },
		{ &host, "BINDMOUNT=/tmp", false, "no SOURCE:TARGET", NULL },
		{ &host, "BINDMOUNT='/etc/passwd:/x'", false, "no SOURCE:TARGET", NULL },
		{ &host, "DEVNODES='null:rw nosuch:rw'", true, "; not nosuch:rw",
		  "\"devices\":[{\"source\":\"/dev/null\"}]" },
		{ &host, "DEVICES='c:1:3:rw b:8:all:r c:1:99999:r'", true,
		  "; not b:8:all:r, c:1:99999:r", "\"/dev/null\"" },
		{ &host, "DEVICES=x", false, "; not x", NULL },
		{ &host, "CAPABILITY='net_admin:on SYS_TIME:off VE_ADMIN:on CHOWN:maybe'", true,
		  "; not VE_ADMIN:on, CHOWN:maybe",
		  "\"cap_add\":[\"NET_ADMIN\"],\"cap_drop\":[\"SYS_TIME\"]" },
		{ &host, "CAPABILITY=VE_ADMIN:on", false, "; not VE_ADMIN:on", NULL },
		{ &host, "ONBOOT=yes\nDISABLED=yes", true, "DISABLED", NULL },
		{ &host, "DISABLED=yes\nONBOOT=yes", false, "not started", NULL },
		{ &host, "DISABLED=no", true, "may", NULL },
		{ &host, "STOP_TIMEOUT=30", true, "--stop-timeout 30",
		  "\"stop_timeout_ms\":30000" },
		{ &host, "STOP_TIMEOUT=86401", false, "up to a day", NULL },
		{ &host, "DISKSPACE=9:1048576\nDISK_QUOTA=no", true, "no limit", NULL },
		{ &host, "DISKINODES=1:2", false, "ext4", NULL },
		{ &host, "NETDEV=eth7", false, "the host's", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(json_decref_p) json_t *config = NULL;
		char name[32];
		bool is = false;
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(cases[i].text, "="),
			       cases[i].text);
		const char *note = note_of(cases[i].text, cases[i].host, name, &is, &config);
		char *text = json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);
		if (is != cases[i].taken || !strstr(note, cases[i].says))
			fail_msg("%s: %d, '%s'", cases[i].text, is, note);
		if (cases[i].config && !strstr(text, cases[i].config))
			fail_msg("%s: %s", cases[i].text, text);
		assert_true(!strstr(text, "restart") && !strstr(text, "/nowhere"));
		free(text);
	}
}

static void what_a_script_binds_is_read(void **state)
{
	static const char text[] =
		"#!/bin/bash\n. /etc/vz/vz.conf\n"
		"mount -n --bind /home/data ${VE_ROOT}/srv/data\n"
		"  /bin/mount -o bind,ro \"/a b\" $VE_ROOT/x\n"
		"/bin/mount -o bind,ro '/srv' \"$VE_ROOT/x\" || exit 1\n"
		"mount --bind /srv /vz/root/101/deep/er\n"
		"mount --bind $SRC $VE_ROOT/x\n"
		"mount --bind /srv $VE_ROOT/`id`\n"
		"mount -t tmpfs none $VE_ROOT/x\n"
		"umount --bind /srv $VE_ROOT/x\n"
		"mount --bind\nmount --bind /srv\nmount --bind /srv /other/place\nmount --bind /srv /vz/root/7";
	AUTO(json_decref_p) json_t *list = NULL;
	static const char *const want[] = { "/home/data:/srv/data", "/srv:/x", "/srv:/deep/er" };

	(void)state;
	assert_int_equal(openvz_binds(text, strlen(text), &list, NULL), 0);
	assert_int_equal(json_array_size(list), ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_string_equal(json_string_value(json_array_get(list, i)), want[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(shell_syntax_is_read),
		cmocka_unit_test(nothing_is_executed),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(limits),
		cmocka_unit_test(what_corresponds_is_taken_over),
		cmocka_unit_test(what_does_not_is_listed_with_its_reason),
		cmocka_unit_test(each_says_what_it_became),
		cmocka_unit_test(what_a_script_binds_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
