/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/baremetal/media.h"

static void file_make(const struct scratch *scratch, const char *name)
{
	AUTO(fd_close_p) int fd = openat(scratch->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
}

static int read_config(const struct scratch *scratch, const char *text, struct media *media,
		       struct err *err)
{
	file_make(scratch, "vmlinuz");
	file_make(scratch, "a disk.img");
	*err = (struct err){ 0 };
	return media_config_text(media, text, strlen(text), scratch->path, err);
}

static void a_guest_becomes_the_lines_that_the_image_reads(void **state)
{
	AUTO(media_fini) struct media media = { .n_files = 0 };
	struct err err;

	assert_int_equal(
		read_config(
			*state,
			"{\"guests\": [{\"name\": \"web1\", \"kernel\": \"vmlinuz\","
			"\"append\": \"console=ttyS0 quiet\", \"memory_bytes\": 67108864,"
			"\"vcpus\": 2, \"weight\": 512, \"cap_percent\": 50, \"tsc_khz\": 2100000, \"console\": \"raw\", \"balloon\": \"overcommit\","
			"\"disks\": [{\"path\": \"a disk.img\", \"read_only\": true}],"
			"\"network\": {\"mac\": \"02:53:00:00:00:01\"}},"
			"{\"name\": \"two\", \"kernel\": \"vmlinuz\", \"memory_at_once\": true, \"network\": true,"
			"\"ports\": [\"strata.control\", \"x\"], \"vsock\": true, \"balloon\": true}]}",
			&media, &err),
		0);
	assert_string_equal(
		buf_str(&media.guests),
		"guest web1\nmemory 67108864\nvcpus 2\nweight 512\ncap 50\ntsc-khz 2100000\n"
		"kernel vmlinuz\nappend console=ttyS0 quiet\nconsole raw\n"
		"disk a_disk.img read-only\nballoon overcommit\nnet 02:53:00:00:00:01\n"
		"guest two\nmemory 536870912 at-once\nvcpus 1\nkernel vmlinuz\n"
		"port strata.control\nport x\nvsock\nballoon\nnet\n");
	assert_int_equal(media.n_files, 2); /* the kernel is there once */
}

static void refused(const struct scratch *scratch, const char *text, const char *why)
{
	AUTO(media_fini) struct media media = { .n_files = 0 };
	struct err err;

	assert_true(read_config(scratch, text, &media, &err) < 0);
	if (!strstr(err.text, why))
		fail_msg("wanted '%s', got '%s'", why, err.text);
}

#define GUEST(rest) "{\"guests\": [{\"name\": \"a\", \"kernel\": \"vmlinuz\"" rest "}]}"

static void what_cannot_be_is_refused_by_its_name(void **state)
{
	const struct scratch *s = *state;

	refused(s, "[]", "config");
	refused(s, "{}", "guests: must be an array");
	refused(s, "{\"guests\": [], \"x\": 1}", "unknown member 'x'");
	refused(s, "{\"guests\": []}", "1 to 16");
	refused(s, GUEST(", \"memory_at_once\": 1"), "memory_at_once: must be true or false");
	refused(s, "{\"guests\": [1]}", "guests[0]: must be an object");
	refused(s, "{\"guests\": [{\"kernel\": \"vmlinuz\"}]}", "guests[0].name");
	refused(s, "{\"guests\": [{\"name\": \"a b\", \"kernel\": \"vmlinuz\"}]}",
		"guests[0].name");
	refused(s, "{\"guests\": [{\"name\": \"a\"}]}", "guests[0].kernel: is missing");
	refused(s, GUEST(", \"memory\": 1"), "guests[0]: unknown member 'memory'");
	refused(s, GUEST(", \"memory_bytes\": 3000000"), "multiple of 2 MiB");
	refused(s, GUEST(", \"memory_bytes\": \"1g\""), "must be a whole number");
	refused(s, GUEST(", \"vcpus\": 0"), "from 1 to 64");
	refused(s, GUEST(", \"append\": \"a\\nguest b\""), "no control characters");
	refused(s, GUEST(", \"append\": \"a # b\""), "no '#'");
	refused(s, GUEST(", \"initrd\": \"absent\""), "guests[0].initrd");
	refused(s, GUEST(", \"console\": \"loud\""), "lines, raw or none");
	refused(s, GUEST(", \"vsock\": 3"), "vsock: must be true or false");
	refused(s, GUEST(", \"balloon\": \"yes\""), "balloon: must be true");
	refused(s, GUEST(", \"balloon\": 3"), "balloon: must be true, false or \"overcommit\"");
	refused(s, GUEST(", \"ports\": \"a\""), "ports: must be an array, of 8");
	refused(s, GUEST(", \"ports\": [\"a b\"]"), "ports[0]: 1 to 31 letters");
	refused(s, GUEST(", \"ports\": [\"a\", 1]"), "ports[1]: 1 to 31 letters");
	refused(s, GUEST(", \"ports\": [\"a\", \"a\"]"), "ports[1]: a is there already");
	refused(s, GUEST(", \"disks\": [{\"read_only\": true}]"),
		"guests[0].disks[0]: needs one of");
	refused(s, GUEST(", \"disks\": [{\"path\": \"vmlinuz\", \"ro\": true}]"),
		"unknown member 'ro'");
	refused(s, GUEST(", \"disks\": [1, 2, 3, 4, 5, 6, 7, 8, 9]"), "of 8 at most");
	refused(s, GUEST(", \"disks\": [{\"server\": \"strata:a/b\"}]"),
		"'a/b' is no extent's name");
	refused(s, GUEST(", \"disks\": [{\"server\": \"strata:\"}]"), "is no extent's name");
	refused(s, GUEST(", \"network\": {\"mac\": \"02:53:00:00:00:1\"}"), "station's address");
	refused(s, GUEST(", \"network\": {\"mac\": \"03:53:00:00:00:01\"}"), "station's address");
	refused(s, GUEST("}, {\"name\": \"a\", \"kernel\": \"vmlinuz\""), "a is there already");
}

static void two_guests_do_not_write_to_one_disk(void **state)
{
	const struct scratch *s = *state;
	AUTO(media_fini) struct media media = { .n_files = 0 };
	struct err err;

	refused(s, GUEST(", \"disks\": [{\"server\": \"nvme0\"}, {\"server\": \"nvme0\"}]"),
		"a writes to server:nvme0");
	assert_int_equal(
		read_config(s, GUEST(", \"disks\": [{\"server\": \"label:data\"}]"), &media, &err),
		0);
	assert_non_null(strstr(buf_str(&media.guests), "\ndisk server:label:data\n"));
	assert_int_equal(read_config(s, GUEST(", \"disks\": [{\"server\": \"strata:web.1\"}]"),
				     &media, &err),
			 0);
	assert_non_null(strstr(buf_str(&media.guests), "\ndisk server:strata:web.1\n"));
#define TWO(more)                                                                                  \
	GUEST(", \"disks\": [{\"path\": \"a disk.img\"" more "}]}, {\"name\": \"b\","              \
	      "\"kernel\": \"vmlinuz\", \"disks\": [{\"path\": \"./a disk.img\"" more "}]")
	refused(s, TWO(""), "guests[1].disks[0]: a writes to");
	assert_int_equal(read_config(s, TWO(", \"read_only\": true"), &media, &err), 0);
}

static void names_on_the_medium_are_plain_and_differ(void **state)
{
	const struct scratch *s = *state;
	AUTO(media_fini) struct media media = { .n_files = 0 };
	const char *const files[] = { "x/strata-hv", "x/guest.cfg", "x/a$b", "a$b" };
	struct err err = { 0 };

	assert_int_equal(mkdirat(s->fd, "x", 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[128];
		file_make(s, files[i]);
		(void)snprintf(path, sizeof(path), "%s/%s", s->path, files[i]);
		assert_int_equal(media_add(&media, path, NULL, &err), 0);
	}
	assert_string_equal(media.files[0].name, "strata-hv-0");
	assert_string_equal(media.files[1].name, "guest.cfg-1");
	assert_string_equal(media.files[2].name, "a_b");
	assert_string_equal(media.files[3].name, "a_b-3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(a_guest_becomes_the_lines_that_the_image_reads),
		SCRATCH_TEST(what_cannot_be_is_refused_by_its_name),
		SCRATCH_TEST(two_guests_do_not_write_to_one_disk),
		SCRATCH_TEST(names_on_the_medium_are_plain_and_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
