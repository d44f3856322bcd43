/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vm/config.h"

#define MINIMAL "guest a\nmemory 2M\nkernel k\n"

static struct config config;
static struct err err;

static int parse(const char *text)
{
	err = (struct err){ 0 };
	return config_parse(text, strlen(text), &config, &err);
}

static void every_key_is_taken(void **state)
{
	(void)state;
	assert_int_equal(
		parse("# guests\n\nguest web1 # the first\n\tmemory 512M\r\nvcpus 2\nkernel  vmlinuz\n"
		      "initrd i.gz\nappend console=ttyS0  quiet \nweight 300\ntsc-khz 2100000\nrestart 7\ncap 50\nconsole raw\n"
		      "disk a.img\ndisk b.img read-only\nnet 02:53:00:0A:0b:0c\n"
		      "port strata.control\nvsock\nballoon\nport strata.stdin\n"
		      "guest two\nmemory 1G at-once\nkernel k\nnet"),
		0);
	const struct config_guest *g = &config.guests[0];
	assert_int_equal(config.n, 2);
	assert_string_equal(g->name, "web1");
	assert_int_equal(g->memory_bytes, 512 << 20);
	assert_false(g->at_once);
	assert_int_equal(g->vcpus, 2);
	assert_string_equal(g->kernel, "vmlinuz");
	assert_string_equal(g->initrd, "i.gz");
	assert_string_equal(g->append, "console=ttyS0  quiet");
	assert_int_equal(g->weight, 300);
	assert_int_equal(g->cap_percent, 50);
	assert_int_equal(g->restarts, 7);
	assert_int_equal(g->tsc_khz, 2100000);
	assert_int_equal(g->console, CONFIG_CONSOLE_RAW);
	assert_int_equal(g->n_disks, 2);
	assert_string_equal(g->disks[0].file, "a.img");
	assert_true(!g->disks[0].read_only && g->disks[1].read_only);
	assert_memory_equal(g->mac, "\x02\x53\x00\x0a\x0b\x0c", 6);
	assert_int_equal(g->n_ports, 2);
	assert_string_equal(g->ports[0], "strata.control");
	assert_string_equal(g->ports[1], "strata.stdin");
	assert_true(g->has_vsock && g->has_balloon && !g->overcommits);
	g = &config.guests[1];
	assert_true(!g->n_ports && !g->has_vsock && !g->has_balloon);
	assert_int_equal(g->memory_bytes, 1 << 30);
	assert_true(g->at_once);
	assert_int_equal(g->vcpus, 1);
	assert_int_equal(g->console, CONFIG_CONSOLE_LINES);
	assert_true(g->has_net && g->mac[0] == 0 && !g->n_disks);
}

static void refused(const char *text, const char *why)
{
	assert_int_equal(parse(text) < 0, 1);
	if (!strstr(err.text, why))
		fail_msg("said \"%s\", not \"%s\"", err.text, why);
	assert_int_equal(config.n, 0);
}

static void what_makes_no_sense_is_named_with_its_line(void **state)
{
	(void)state;
	refused("", "no guest");
	refused("memory 2M\n", "line 1: before the first");
	refused(MINIMAL "port a\nport a\n", "line 5: two ports have this name");
	refused(MINIMAL "port a b\n", "line 4: more than one word");
	assert_int_equal(parse(MINIMAL "balloon overcommit\n"), 0);
	assert_true(config.guests[0].has_balloon && config.guests[0].overcommits);
	refused(MINIMAL "balloon 3\n", "line 4: balloon is followed by overcommit, or nothing");
	refused(MINIMAL "vsock 3\n", "line 4: vsock takes no value");
	refused(MINIMAL "port 1\nport 2\nport 3\nport 4\nport 5\nport 6\nport 7\nport 8\nport 9\n",
		"line 12: more ports");
	refused(MINIMAL "colour red\n", "line 4: unknown key: \"colour\"");
	refused("guest a\nkernel k\n", "guest a: no memory");
	refused("guest a\nmemory 2M\n", "guest a: no kernel");
	refused("guest a\nmemory 3M\n", "no multiple of 2M");
	refused("guest a\ntest-devices yes\n", "no value: \"yes\"");
	refused("guest a\nmemory 2M soon\n", "only be at-once, not: \"soon\"");
	refused("guest a\nmemory M\n", "not a number");
	refused("guest a\nmemory 0M\n", "is not from");
	refused("guest a\nmemory 99999999999999999999\n", "not a number");
	refused("guest a\nmemory 2048G\n", "is not from");
	refused(MINIMAL "vcpus 0\n", "is not from 1 to 64");
	refused(MINIMAL "vcpus 65\n", "is not from 1 to 64");
	refused(MINIMAL "vcpus two\n", "not a number");
	refused(MINIMAL "kernel a b\n", "more than one word");
	refused(MINIMAL "kernel\n", "needs a value");
	refused(MINIMAL "append a\x1b[2Jb\n", "control character");
	refused(MINIMAL "console tty\n", "lines, raw or none");
	refused(MINIMAL "disk a rw\n", "FILE read-only");
	refused(MINIMAL "disk a\ndisk b\ndisk c\ndisk d\ndisk e\ndisk f\ndisk g\ndisk h\ndisk i\n",
		"line 12: more disks");
	refused(MINIMAL "net 01:00:00:00:00:00\n", "not the address");
	refused(MINIMAL "net 02:00:00:00:00\n", "not the address");
	refused(MINIMAL "net 02:00:00:00:00:0g\n", "not the address");
	refused(MINIMAL MINIMAL, "two guests have this name");
	refused("guest 0123456789012345678901234567890123\n", "too long");
}

static void more_guests_than_there_is_room_for_are_refused(void **state)
{
	char text[64 * (CONFIG_GUESTS + 1)];
	int n = 0;

	(void)state;
	for (unsigned i = 0; i <= CONFIG_GUESTS; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      "guest g%u\nmemory 2M\nkernel k\n", i);
	refused(text, "more guests");
}

static void no_byte_behind_the_end_is_looked_at(void **state)
{
	const char *text = MINIMAL "vcpus 1";

	(void)state;
	err = (struct err){ 0 };
	assert_int_equal(config_parse(text, strlen(MINIMAL), &config, &err), 0);
	assert_int_equal(config.guests[0].vcpus, 1);
	assert_int_equal(config_parse("guest a\nmemory 2Mx", 17, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no kernel")); /* not: 2Mx */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(what_makes_no_sense_is_named_with_its_line),
		cmocka_unit_test(more_guests_than_there_is_room_for_are_refused),
		cmocka_unit_test(no_byte_behind_the_end_is_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
