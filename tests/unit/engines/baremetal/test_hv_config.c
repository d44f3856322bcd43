/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hv_config.h"

#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void spec_of(const char *vm, const char *more, struct spec *ret)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;
	struct err err = { 0 };

	(void)buf_printf(
		&text,
		"{\"id\":\"" ID "\",\"name\":\"n\",\"virt\":\"bare-metal\",\"args\":[\"x\"],"
		"\"vm\":{\"kernel\":\"/k\"%s}%s%s}",
		vm, more, strstr(more, "\"network\"") ? "" : ",\"network\":{\"mode\":\"none\"}");
	assert_int_equal(json_parse(text.data, text.len, "spec", &json, &err), 0);
	if (spec_load(json, ret, &err) < 0)
		fail_msg("%s", err.text);
}

static void gives(const char *vm, const char *more, bool shares, const char *expected)
{
	const struct hv_files files = { .kernel = "K",
					.initrd = "I",
					.disks = { "server:vd0", "f-1" } };
	AUTO(spec_fini) struct spec spec = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };

	spec_of(vm, more, &spec);
	assert_int_equal(hv_guest_text(&spec, &files, shares, &text, NULL), 0);
	assert_string_equal(buf_str(&text), expected);
}

#define HEAD "guest s-0123456789abcdef01234567\n"

static void a_kernel_alone_is_few_lines(void **state)
{
	(void)state;
	gives("", "", false,
	      HEAD "memory 512M\nvcpus 1\nkernel K\ninitrd I\nconsole none\nballoon\n");
}

static void without_a_balloon_there_is_none(void **state)
{
	(void)state;
	gives(",\"balloon\":false", "", false,
	      HEAD "memory 512M\nvcpus 1\nkernel K\ninitrd I\nconsole none\n");
}

static void memory_is_rounded_down_and_disks_are_in_their_order(void **state)
{
	(void)state;
	gives(",\"memory_bytes\":105906176,\"vcpus\":2,\"append\":\"a b\",\"disks\":[{\"path\":\"/a\",\"read_only\":true},{\"path\":\"/b\"}]",
	      "", false,
	      HEAD "memory 100M\nvcpus 2\nkernel K\ninitrd I\nappend a b\nconsole none\n"
		   "disk server:vd0 read-only\ndisk f-1\nballoon\n");
}

static void an_image_has_an_agent_s_ports(void **state)
{
	(void)state;
	gives(",\"agent\":true,\"disks\":[{\"path\":\"/a\"}]", ",\"layers\":[\"/\"]", false,
	      HEAD
	      "memory 512M\nvcpus 1\nkernel K\ninitrd I\nconsole none\ndisk server:vd0\nballoon\n"
	      "port strata.control\nport strata.stdin\nport strata.stdout\n"
	      "port strata.stderr\nvsock\n");
}

static void shares_of_the_cpu_are_the_hypervisor_s_where_it_is_asked(void **state)
{
	static const char limits[] =
		",\"limits\":{\"cpu_quota_us\":150000,\"cpu_period_us\":100000,\"cpu_shares\":512}";

	(void)state;
	gives("", limits, true,
	      HEAD
	      "memory 512M\nvcpus 1\nkernel K\ninitrd I\ncap 150\nweight 128\nconsole none\nballoon\n");
	gives("", limits, false,
	      HEAD "memory 512M\nvcpus 1\nkernel K\ninitrd I\nconsole none\nballoon\n");
}

static void numbers_out_of_range_are_the_nearest(void **state)
{
	(void)state;
	assert_int_equal(hv_guest_cap(0, 100000), 0);
	assert_int_equal(hv_guest_cap(1, 100000), 1);
	assert_int_equal(hv_guest_cap(INT64_MAX, 1), 0);
	assert_int_equal(hv_guest_cap(INT64_MAX / 100, 1), UINT16_MAX);
	assert_int_equal(hv_guest_weight(0), 0);
	assert_int_equal(hv_guest_weight(2), 1);
	assert_int_equal(hv_guest_weight(1024), 256);
	assert_int_equal(hv_guest_weight(262144), 65535);
}

static void what_the_server_has_not_is_refused_by_its_flag(void **state)
{
	static const struct {
		const char *vm, *more, *says;
	} cases[] = {
		{ ",\"gdb\":\"1234\"", "", "--gdb" },
		{ ",\"test_devices\":true", "", "test_devices" },
		{ ",\"irqchip\":\"machine\"", "", "--irqchip" },
		{ ",\"append\":\"a#b\"", "", "'#'" },
		{ ",\"append\":\"a\\nguest b\"", "", "no new line" },
		{ ",\"disks\":[{\"path\":\"/1\"},{\"path\":\"/2\"},{\"path\":\"/3\"},{\"path\":\"/4\"},{\"path\":\"/5\"},{\"path\":\"/6\"},{\"path\":\"/7\"},{\"path\":\"/8\"},{\"path\":\"/9\"}]",
		  "", "9 disks" },
		{ "", ",\"network\":{\"mode\":\"passt\"}", "--network passt" },
		{ "", ",\"network\":{\"mode\":\"bridge\"}", "--network bridge" },
		{ "", ",\"ports\":[{\"host\":80,\"guest\":80}]", "--publish" },
		{ ",\"host\":\"/h\"", ",\"limits\":{\"cpuset\":\"0\"}", "--cpuset-cpus" },
		{ ",\"host\":\"/h\"", ",\"limits\":{\"io_weight\":5}", "block I/O" },
		{ ",\"host\":\"/h\"",
		  ",\"network\":{\"mode\":\"bridge\"},\"limits\":{\"egress_bits\":80000}", "rate" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(spec_fini) struct spec spec = { 0 };
		struct err err = { 0 };
		spec_of(cases[i].vm, cases[i].more, &spec);
		assert_int_equal(hv_guest_check(&spec, &err), -ENOTSUP);
		assert_non_null(strstr(err.text, cases[i].says));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_alone_is_few_lines),
		cmocka_unit_test(without_a_balloon_there_is_none),
		cmocka_unit_test(memory_is_rounded_down_and_disks_are_in_their_order),
		cmocka_unit_test(an_image_has_an_agent_s_ports),
		cmocka_unit_test(shares_of_the_cpu_are_the_hypervisor_s_where_it_is_asked),
		cmocka_unit_test(numbers_out_of_range_are_the_nearest),
		cmocka_unit_test(what_the_server_has_not_is_refused_by_its_flag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
