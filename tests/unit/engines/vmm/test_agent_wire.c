/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/core/bytes.h"
#include "base/os/json.h"
#include "engines/vmm/agent_frame.h"
#include "engines/vmm/agent_wire.h"

#define ID	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MINIMUM "\"id\":\"" ID "\",\"name\":\"web1\",\"args\":[\"/bin/echo\",\"hello\"]"

static void load(const char *text, struct spec *ret)
{
	AUTO(json_decref_p) json_t *json = NULL;
	struct err err = { 0 };

	assert_int_equal(json_parse(text, strlen(text), "test", &json, &err), 0);
	if (spec_load(json, ret, &err) < 0)
		fail_msg("%s", err.text);
}

/* The nth field with a tag: found, or the test fails. */
static struct frame_field field_of(const struct buf *frame, uint32_t tag, unsigned nth)
{
	struct frame_fields fields = { (uint8_t *)frame->data + 8,
				       (uint8_t *)frame->data + frame->len };
	struct frame_field field;

	while (frame_fields_next(&fields, &field) > 0) {
		if (field.tag == tag && nth-- == 0)
			return field;
	}
	fail_msg("no field %u", tag);
	return field;
}

static void assert_text(const struct buf *frame, uint32_t tag, unsigned nth, const char *text)
{
	struct frame_field field = field_of(frame, tag, nth);

	assert_int_equal(field.len, strlen(text));
	assert_memory_equal(field.data, text, field.len);
}

static uint64_t number(const struct buf *frame, uint32_t tag)
{
	struct frame_field field = field_of(frame, tag, 0);
	uint64_t value = 0;

	assert_int_equal(frame_field_u64(&field, &value), 0);
	return value;
}

static const struct agent_disk root_disk = { .kind = AGENT_MOUNT_ROOT,
					     .source = "vda",
					     .type = "erofs" };

static void config_has_what_the_spec_says(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	const struct agent_setup setup = { .disks = &root_disk,
					   .n_disks = 1,
					   .hosts = "127.0.0.1 localhost\n",
					   .rows = 24,
					   .columns = 80 };
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	load("{" MINIMUM ",\"env\":[\"A=b\"],\"user\":\"u:g\",\"groups\":[\"7\"],\"tty\":true,"
	     "\"init\":true,\"read_only\":true,\"hostname\":\"box\",\"limits\":{\"pids\":12},"
	     "\"vm\":{\"agent\":true,\"directories\":[\"/own\",\"/more/own\"],"
	     "\"sysctls\":[\"net.ipv4.ip_forward=1\"]},"
	     "\"ulimits\":[{\"name\":\"nofile\",\"soft\":10,\"hard\":20}]}",
	     &spec);
	assert_int_equal(agent_wire_config(&out, &spec, &setup, &err), 0);
	assert_int_equal(le32_load(out.data), AGENT_CONFIG);
	assert_int_equal(le32_load(out.data + 4), out.len - 8);
	assert_text(&out, AGENT_TAG_ARG, 0, "/bin/echo");
	assert_text(&out, AGENT_TAG_ARG, 1, "hello");
	assert_text(&out, AGENT_TAG_ENV, 0, "A=b");
	assert_text(&out, AGENT_TAG_USER, 0, "u:g");
	assert_text(&out, AGENT_TAG_GROUP, 0, "7");
	assert_text(&out, AGENT_TAG_HOSTNAME, 0, "box");
	assert_text(&out, AGENT_TAG_DIRECTORY, 0, "/own");
	assert_text(&out, AGENT_TAG_DIRECTORY, 1, "/more/own");
	assert_text(&out, AGENT_TAG_SYSCTL, 0, "net.ipv4.ip_forward=1");
	assert_text(&out, AGENT_TAG_HOSTS, 0, "127.0.0.1 localhost\n");
	assert_int_equal(number(&out, AGENT_TAG_FLAGS),
			 AGENT_FLAG_TTY | AGENT_FLAG_INIT | AGENT_FLAG_READ_ONLY);
	assert_int_equal(number(&out, AGENT_TAG_PIDS), 12);
	struct frame_field field = field_of(&out, AGENT_TAG_RLIMIT, 0);
	assert_int_equal(field.len, 24);
	assert_int_equal(le64_load(field.data), 7); /* RLIMIT_NOFILE */
	assert_int_equal(le64_load(field.data + 16), 20);
	field = field_of(&out, AGENT_TAG_SIZE, 0);
	assert_int_equal(le16_load(field.data), 24);
	field = field_of(&out, AGENT_TAG_MOUNT, 0);
	assert_int_equal(le32_load(field.data), AGENT_MOUNT_ROOT);
	assert_memory_equal(field.data + 8, "vda\0erofs\0\0", 12);
	spec_fini(&spec);
}

static void mounts_keep_the_spec_s_order(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	const struct agent_disk disks[] = { { .kind = AGENT_MOUNT_VOLUME,
					      .source = "id=vol",
					      .type = "ext4",
					      .target = "/data/deep" },
					    root_disk };
	const struct agent_setup setup = { .disks = disks, .n_disks = 2 };
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	load("{" MINIMUM
	     ",\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/data\",\"options\":\"size=1m\"},"
	     "{\"type\":\"volume\",\"source\":\"/v\",\"target\":\"/data/deep\",\"read_only\":true}]}",
	     &spec);
	assert_int_equal(agent_wire_config(&out, &spec, &setup, &err), 0);
	struct frame_field field = field_of(&out, AGENT_TAG_MOUNT, 0);
	assert_int_equal(le32_load(field.data), AGENT_MOUNT_ROOT);
	field = field_of(&out, AGENT_TAG_MOUNT, 1);
	assert_int_equal(le32_load(field.data), AGENT_MOUNT_TMPFS);
	assert_memory_equal(field.data + 8, "\0\0/data\0size=1m", 16);
	field = field_of(&out, AGENT_TAG_MOUNT, 2);
	assert_int_equal(le32_load(field.data), AGENT_MOUNT_VOLUME);
	assert_int_equal(le32_load(field.data + 4), AGENT_MOUNT_READ_ONLY | AGENT_MOUNT_COPY_UP);
	spec_fini(&spec);
}

static void a_network_is_bytes(void **state)
{
	static const uint8_t want[] = { 2, 0, 0, 0, 0, 0x0a, 4, 24, 10, 201, 0, 2 };
	AUTO(buf_fini) struct buf out = { 0 };
	const struct agent_setup setup = { .disks = &root_disk, .n_disks = 1 };
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	load("{" MINIMUM ",\"network\":{\"mode\":\"none\"}}", &spec);
	spec.network = SPEC_NETWORK_BRIDGE;
	spec.endpoint = (struct spec_endpoint){ .network = "net",
						.address = "10.201.0.2",
						.prefix = 24,
						.gateway = "10.201.0.1",
						.mac = "02:00:00:00:00:0a" };
	assert_int_equal(agent_wire_config(&out, &spec, &setup, &err), 0);
	struct frame_field field = field_of(&out, AGENT_TAG_NET, 0);
	assert_int_equal(field.len, sizeof(struct agent_net));
	assert_memory_equal(field.data, want, sizeof(want));
	assert_int_equal(field.data[24], 10);
	assert_int_equal(field.data[27], 1);

	/* IPv6 beside it is the same interface's, by its MAC. */
	out.len = 0;
	spec.endpoint.address6 = "fd00::7";
	spec.endpoint.prefix6 = 64;
	spec.endpoint.gateway6 = "fe80::1";
	assert_int_equal(agent_wire_config(&out, &spec, &setup, &err), 0);
	field = field_of(&out, AGENT_TAG_NET, 1);
	struct agent_net net;
	assert_int_equal(field.len, sizeof(net));
	memcpy(&net, field.data, sizeof(net));
	assert_memory_equal(net.mac, "\x02\x00\x00\x00\x00\x0a", 6);
	assert_int_equal(net.family, 6);
	assert_int_equal(net.prefix, 64);
	assert_int_equal(net.address[0], 0xfd);
	assert_int_equal(net.address[15], 7);
	assert_int_equal(net.gateway[1], 0x80);
	spec.endpoint.mac = "02:00:00:00:00:0a:";
	assert_int_equal(agent_wire_config(&out, &spec, &setup, &err), -EINVAL);
	spec.endpoint.mac = "02:00:00:00:00:xx";
	assert_int_equal(agent_wire_config(&out, &spec, &setup, &err), -EINVAL);
	spec.endpoint.mac = NULL;
	spec.endpoint.address = "10.201.0";
	assert_int_equal(agent_wire_config(&out, &spec, &setup, &err), -EINVAL);
	spec_fini(&spec);
}

static void what_a_vm_cannot_have_is_refused_by_name(void **state)
{
	static const struct {
		const char *json, *word;
	} table[] = {
		{ "{" MINIMUM ",\"network\":{\"mode\":\"host\"}}", "--network host" },
		{ "{" MINIMUM ",\"devices\":[{\"source\":\"/dev/fuse\"}]}", "--device /dev/fuse" },
		{ "{" MINIMUM
		  ",\"mounts\":[{\"type\":\"bind\",\"source\":\"/srv\",\"target\":\"/x\"}]}",
		  "/x" },
		{ "{" MINIMUM ",\"seccomp\":\"/nonexistent/filter\"}", "/nonexistent/filter" },
	};
	const struct agent_setup setup = { .disks = &root_disk, .n_disks = 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		AUTO(buf_fini) struct buf out = { 0 };
		struct err err = { 0 };
		struct spec spec;
		load(table[i].json, &spec);
		assert_true(agent_wire_config(&out, &spec, &setup, &err) < 0);
		assert_non_null(strstr(err.text, table[i].word));
		spec_fini(&spec);
	}
}

static void start_is_of_the_process_alone(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	struct spec spec;
	struct err err = { 0 };

	(void)state;
	load("{" MINIMUM ",\"init\":true,\"stdin_open\":true,\"network\":{\"mode\":\"host\"}}",
	     &spec);
	assert_int_equal(agent_wire_start(&out, &spec, 1, 2, &err), 0);
	assert_int_equal(le32_load(out.data), AGENT_START);
	assert_int_equal(number(&out, AGENT_TAG_FLAGS), AGENT_FLAG_STDIN);
	struct frame_fields fields = { (uint8_t *)out.data + 8, (uint8_t *)out.data + out.len };
	struct frame_field field;
	while (frame_fields_next(&fields, &field) > 0)
		assert_true(field.tag < AGENT_TAG_HOSTNAME);
	spec_fini(&spec);
}

static void an_exit_out_of_range_is_refused(void **state)
{
	uint8_t data[sizeof(struct agent_exit)] = { 0 };
	struct agent_end end;

	(void)state;
	le32_store(data, 143);
	le32_store(data + 4, 1);
	le64_store(data + 8, 5);
	assert_int_equal(agent_wire_exit(data, sizeof(data), &end), 0);
	assert_int_equal(end.status, 143);
	assert_true(end.oom);
	assert_int_equal(end.stdout_bytes, 5);
	assert_int_equal(agent_wire_exit(data, sizeof(data) - 1, &end), -EPROTO);
	le32_store(data, 256);
	assert_int_equal(agent_wire_exit(data, sizeof(data), &end), -EPROTO);
	le32_store(data, 0);
	le32_store(data + 4, 2);
	assert_int_equal(agent_wire_exit(data, sizeof(data), &end), -EPROTO);
}

static void a_failure_s_words_are_made_harmless(void **state)
{
	uint8_t data[8 + 64] = { 0 };
	struct err err = { 0 };
	int status = 0;

	(void)state;
	le32_store(data, 127);
	le32_store(data + 4, ENOENT);
	memcpy(data + 8, "run x:\x1b[31m\nz \xc3\xa9\xc2\x9b", 18);
	assert_int_equal(agent_wire_failed(data, 8 + 18, &status, &err), 0);
	assert_int_equal(status, 127);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "run x:?[31m?z \xc3\xa9\xc2?");
	le32_store(data, 1);
	assert_int_equal(agent_wire_failed(data, sizeof(data), &status, &err), -EPROTO);
	assert_int_equal(agent_wire_failed(data, 7, &status, &err), -EPROTO);
	le32_store(data, 125);
	le32_store(data + 4, 100000);
	assert_int_equal(agent_wire_failed(data, 8, &status, &err), 0);
	assert_int_equal(err.code, EIO);
	assert_true(err.text[0] != '\0');
}

static void stats_of_a_newer_guest_are_read(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	struct guest_stats stats = { .cpu_ns = 1000, .pids = 7 };

	(void)state;
	frame_field_add_u64(&out, AGENT_STAT_PIDS, 3);
	frame_field_add_u64(&out, 4711, 1);
	assert_int_equal(agent_wire_stats(out.data, out.len, &stats), 0);
	assert_int_equal(stats.pids, 3);
	assert_int_equal(stats.cpu_ns, 1000);
	assert_int_equal(stats.memory_bytes, 0);
	stats.pids = 7;
	assert_int_equal(agent_wire_stats(out.data, out.len - 1, &stats), -EPROTO);
	assert_int_equal(stats.pids, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_has_what_the_spec_says),
		cmocka_unit_test(mounts_keep_the_spec_s_order),
		cmocka_unit_test(a_network_is_bytes),
		cmocka_unit_test(what_a_vm_cannot_have_is_refused_by_name),
		cmocka_unit_test(start_is_of_the_process_alone),
		cmocka_unit_test(an_exit_out_of_range_is_refused),
		cmocka_unit_test(a_failure_s_words_are_made_harmless),
		cmocka_unit_test(stats_of_a_newer_guest_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
