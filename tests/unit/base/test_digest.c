/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/os/digest.h"
#include "base/os/fd.h"

/* FIPS 180-4's own examples: NIST, "Cryptographic Standards and Guidelines: Example Values", SHA256. */
#define ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void known_answers(void **state)
{
	char hex[DIGEST_HEX + 1];

	(void)state;
	digest_of("", 0, hex);
	assert_string_equal(hex, EMPTY);
	digest_of("abc", 3, hex);
	assert_string_equal(hex, ABC);
}

static void pieces_give_the_same_sum(void **state)
{
	char hex[DIGEST_HEX + 1];
	struct digest digest;

	(void)state;
	digest_init(&digest);
	digest_add(&digest, "a", 1);
	digest_add(&digest, "", 0);
	digest_add(&digest, "bc", 2);
	digest_end(&digest, hex);
	assert_string_equal(hex, ABC);
}

static void what_an_fd_still_gives_is_summed(void **state)
{
	AUTO(fd_close_p) int fd = memfd_create("digest", MFD_CLOEXEC);
	char hex[DIGEST_HEX + 1] = "untouched";
	int64_t bytes = 0;

	(void)state;
	assert_int_equal(write(fd, "xabc", 4), 4);
	assert_int_equal(lseek(fd, 1, SEEK_SET), 1);
	assert_int_equal(digest_fd(fd, hex, &bytes), 0);
	assert_string_equal(hex, ABC);
	assert_int_equal(bytes, 3);
	assert_int_equal(digest_fd(fd, hex, &bytes), 0);
	assert_string_equal(hex, EMPTY);
	assert_int_equal(digest_fd(-1, hex, &bytes), -EBADF);
	assert_string_equal(hex, EMPTY);
}

static void only_sixty_four_lower_case_digits_are_a_digest(void **state)
{
	char upper[] = ABC;

	(void)state;
	assert_true(digest_is_hex(ABC));
	upper[1] = 'A';
	assert_false(digest_is_hex(upper));
	assert_false(digest_is_hex(""));
	assert_false(digest_is_hex(ABC "0"));
	assert_false(digest_is_hex(&ABC[1]));
	assert_false(
		digest_is_hex("../../etc/passwd/1cfea414140de5dae2223b00361a396177a9cb410ff61f2"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),
		cmocka_unit_test(pieces_give_the_same_sum),
		cmocka_unit_test(what_an_fd_still_gives_is_summed),
		cmocka_unit_test(only_sixty_four_lower_case_digits_are_a_digest),
	};

	return cmocka_run_group_tests_name("base/digest", tests, NULL, NULL);
}
