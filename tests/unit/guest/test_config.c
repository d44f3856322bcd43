/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/core/bytes.h"
#include "config.h"
#include "engines/vmm/agent_frame.h"

/* Parses from memory of exactly that size, so that ASan sees a read past it. */
static int parse(enum agent_type type, const struct buf *buf, struct config *ret, struct err *err)
{
	char *exact = test_malloc(buf->len + !buf->len);

	if (buf->len)
		memcpy(exact, buf->data, buf->len);
	int r = config_parse(type, exact, buf->len, ret, err);
	test_free(exact);
	return r;
}

static void add_mount(struct buf *buf, uint32_t kind, const char *texts, size_t len)
{
	char value[256] = { 0 };

	le32_store(value, kind);
	le32_store(value + 4, AGENT_MOUNT_READ_ONLY);
	memcpy(value + 8, texts, len);
	frame_field_add(buf, AGENT_TAG_MOUNT, value, 8 + len);
}

static void strings_end_where_they_should(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };
	AUTO(config_fini) struct config config = { 0 };
	struct err err = { 0 };

	(void)state;
	frame_field_add_text(&buf, AGENT_TAG_ARG, "sh");
	frame_field_add_text(&buf, AGENT_TAG_ARG, "");
	frame_field_add_text(&buf, AGENT_TAG_ENV, "A=b");
	frame_field_add_u64(&buf, AGENT_TAG_FLAGS, AGENT_FLAG_TTY);
	frame_field_add_text(&buf, AGENT_TAG_HOSTNAME, "box");
	add_mount(&buf, AGENT_MOUNT_ROOT, "vda\0erofs\0\0", 12);
	frame_field_add_text(&buf, AGENT_TAG_USER, "user:group");
	assert_int_equal(parse(AGENT_CONFIG, &buf, &config, &err), 0);
	assert_int_equal(config.n_args, 2);
	assert_string_equal(config.args[0], "sh");
	assert_string_equal(config.args[1], "");
	assert_null(config.args[2]);
	assert_string_equal(config.env[0], "A=b");
	assert_string_equal(config.hostname, "box");
	assert_string_equal(config.user, "user:group");
	assert_string_equal(config.cwd, "/");
	assert_int_equal(config.flags, AGENT_FLAG_TTY);
	assert_int_equal(config.n_mounts, 1);
	assert_string_equal(config.mounts[0].source, "vda");
	assert_string_equal(config.mounts[0].type, "erofs");
	assert_string_equal(config.mounts[0].target, "");
	assert_true(config.mounts[0].read_only);
}

static void what_is_missing_or_wrong_is_said(void **state)
{
	AUTO(buf_fini) struct buf none = { 0 };
	AUTO(buf_fini) struct buf relative = { 0 };
	AUTO(buf_fini) struct buf nul = { 0 };
	AUTO(buf_fini) struct buf unknown = { 0 };
	struct config config = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(parse(AGENT_CONFIG, &none, &config, &err), -EPROTO);
	assert_non_null(strstr(err.text, "no command"));
	frame_field_add_text(&relative, AGENT_TAG_ARG, "x");
	frame_field_add_text(&relative, AGENT_TAG_CWD, "tmp");
	assert_int_equal(parse(AGENT_CONFIG, &relative, &config, &err), -EPROTO);
	assert_non_null(strstr(err.text, "tmp"));
	frame_field_add(&nul, AGENT_TAG_ARG, "a\0b", 3);
	assert_int_equal(parse(AGENT_CONFIG, &nul, &config, &err), -EPROTO);
	frame_field_add_text(&unknown, AGENT_TAG_ARG, "x");
	frame_field_add_text(&unknown, 4711, "x");
	assert_int_equal(parse(AGENT_CONFIG, &unknown, &config, &err), -EPROTO);
	assert_non_null(strstr(err.text, "4711"));
	assert_null(config.payload);
}

static void an_optional_field_is_skipped(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };
	AUTO(config_fini) struct config config = { 0 };

	(void)state;
	frame_field_add_text(&buf, AGENT_TAG_ARG, "x");
	frame_field_add_text(&buf, 4711 | AGENT_OPTIONAL, "x");
	assert_int_equal(parse(AGENT_START, &buf, &config, NULL), 0);
}

static void directories_are_absolute(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };
	AUTO(config_fini) struct config config = { 0 };
	struct err err = { 0 };

	(void)state;
	frame_field_add_text(&buf, AGENT_TAG_ARG, "sh");
	frame_field_add_text(&buf, AGENT_TAG_DIRECTORY, "/own");
	frame_field_add_text(&buf, AGENT_TAG_DIRECTORY, "/more/own");
	assert_int_equal(parse(AGENT_CONFIG, &buf, &config, &err), 0);
	assert_int_equal(config.n_directories, 2);
	assert_string_equal(config.directories[0], "/own");
	assert_string_equal(config.directories[1], "/more/own");
	assert_null(config.directories[2]);
	assert_int_equal(parse(AGENT_START, &buf, &config, &err), -EPROTO);
	frame_field_add_text(&buf, AGENT_TAG_DIRECTORY, "own");
	assert_int_equal(parse(AGENT_CONFIG, &buf, &config, &err), -EPROTO);
	buf.len = 0;
	frame_field_add_text(&buf, AGENT_TAG_ARG, "sh");
	frame_field_add_text(&buf, AGENT_TAG_DIRECTORY, "");
	assert_int_equal(parse(AGENT_CONFIG, &buf, &config, &err), -EPROTO);
}

static void a_session_cannot_ask_for_mounts(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };
	struct config config = { 0 };
	struct err err = { 0 };

	(void)state;
	frame_field_add_text(&buf, AGENT_TAG_ARG, "x");
	add_mount(&buf, AGENT_MOUNT_ROOT, "vda\0erofs\0\0", 12);
	assert_int_equal(parse(AGENT_START, &buf, &config, &err), -EPROTO);
}

static void mounts_are_checked(void **state)
{
	static const struct {
		uint32_t kind;
		const char *texts;
		size_t len;
	} table[] = {
		{ AGENT_MOUNT_ROOT, "vda\0erofs\0\0", 11 },	/* three strings */
		{ AGENT_MOUNT_ROOT, "vda\0erofs\0\0\0", 13 },	/* five */
		{ 0, "vda\0erofs\0\0", 12 },			/* no kind */
		{ 99, "vda\0erofs\0\0", 12 },			/* no kind */
		{ AGENT_MOUNT_VOLUME, "vda\0ext4\0rel\0", 14 }, /* a relative target */
		{ AGENT_MOUNT_TMPFS, "\0\0\0", 4 },		/* no target */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		AUTO(buf_fini) struct buf buf = { 0 };
		struct config config = { 0 };
		frame_field_add_text(&buf, AGENT_TAG_ARG, "x");
		add_mount(&buf, table[i].kind, table[i].texts, table[i].len);
		assert_int_equal(parse(AGENT_CONFIG, &buf, &config, NULL), -EPROTO);
	}
}

static void there_are_bounds(void **state)
{
	AUTO(buf_fini) struct buf mounts = { 0 };
	AUTO(buf_fini) struct buf limits = { 0 };
	AUTO(buf_fini) struct buf filter = { 0 };
	static const uint8_t limit[sizeof(struct agent_rlimit)];
	static const uint8_t program[4097 * 8];
	struct config config = { 0 };

	(void)state;
	frame_field_add_text(&mounts, AGENT_TAG_ARG, "x");
	for (int i = 0; i <= CONFIG_MOUNTS; i++)
		add_mount(&mounts, AGENT_MOUNT_TMPFS, "\0\0/t\0", 6);
	assert_int_equal(parse(AGENT_CONFIG, &mounts, &config, NULL), -E2BIG);
	frame_field_add_text(&limits, AGENT_TAG_ARG, "x");
	for (int i = 0; i <= CONFIG_RLIMITS; i++)
		frame_field_add(&limits, AGENT_TAG_RLIMIT, limit, sizeof(limit));
	assert_int_equal(parse(AGENT_CONFIG, &limits, &config, NULL), -E2BIG);
	frame_field_add_text(&filter, AGENT_TAG_ARG, "x");
	frame_field_add(&filter, AGENT_TAG_SECCOMP, program, sizeof(program));
	assert_int_equal(parse(AGENT_CONFIG, &filter, &config, NULL), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_end_where_they_should),
		cmocka_unit_test(what_is_missing_or_wrong_is_said),
		cmocka_unit_test(an_optional_field_is_skipped),
		cmocka_unit_test(directories_are_absolute),
		cmocka_unit_test(a_session_cannot_ask_for_mounts),
		cmocka_unit_test(mounts_are_checked),
		cmocka_unit_test(there_are_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
