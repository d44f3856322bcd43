/* SPDX-License-Identifier: Apache-2.0 */
/* The image's own memory functions under other names, beside the C library's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

void *hv_memcpy(void *restrict to, const void *restrict from, size_t len);
void *hv_memmove(void *to, const void *from, size_t len);
void *hv_memset(void *to, int value, size_t len);
int hv_memcmp(const void *a, const void *b, size_t len);
size_t hv_strlen(const char *text);
int hv_strcmp(const char *a, const char *b);
int hv_strncmp(const char *a, const char *b, size_t len);

#define BYTES 700U

struct scene {
	uint8_t from[BYTES], ours[BYTES], theirs[BYTES];
};

static void scene_init(struct scene *s)
{
	for (unsigned i = 0; i < BYTES; i++) {
		s->from[i] = (uint8_t)(i * 31 + 7);
		s->ours[i] = s->theirs[i] = (uint8_t)(i * 17 + 3);
	}
}

static void every_length_at_every_alignment_is_copied_and_filled(void **state)
{
	struct scene s;

	(void)state;
	for (unsigned at = 0; at < 9; at++) {
		for (unsigned len = 0; len < 300; len++) {
			scene_init(&s);
			assert_ptr_equal(hv_memcpy(s.ours + at, s.from + 8 - at % 8, len),
					 s.ours + at);
			memcpy(s.theirs + at, s.from + 8 - at % 8, len);
			assert_memory_equal(s.ours, s.theirs, BYTES);
			assert_ptr_equal(hv_memset(s.ours + at, (int)len + 200, len), s.ours + at);
			memset(s.theirs + at, (int)len + 200, len);
			assert_memory_equal(s.ours, s.theirs, BYTES);
		}
	}
}

static void overlapping_ranges_are_moved_both_ways(void **state)
{
	struct scene s;

	(void)state;
	for (unsigned from = 0; from < 100; from += 7) {
		for (unsigned to = 0; to < 100; to++) {
			scene_init(&s);
			assert_ptr_equal(hv_memmove(s.ours + to, s.ours + from, 200), s.ours + to);
			memmove(s.theirs + to, s.theirs + from, 200);
			assert_memory_equal(s.ours, s.theirs, BYTES);
		}
	}
}

static void texts_are_compared_as_the_library_does(void **state)
{
	static const char *const texts[] = { "", "a", "ab", "abc", "b", "\xff", "aB" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(hv_strlen(texts[i]), strlen(texts[i]));
		for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
			int want = strcmp(texts[i], texts[k]);
			assert_int_equal(hv_strcmp(texts[i], texts[k]) < 0, want < 0);
			assert_int_equal(hv_strcmp(texts[i], texts[k]) == 0, want == 0);
			assert_int_equal(hv_strncmp(texts[i], texts[k], 1) == 0,
					 strncmp(texts[i], texts[k], 1) == 0);
			assert_int_equal(hv_memcmp(texts[i], texts[k], 1) == 0,
					 memcmp(texts[i], texts[k], 1) == 0);
		}
	}
	assert_true(hv_memcmp("\x80", "\x7f", 1) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_at_every_alignment_is_copied_and_filled),
		cmocka_unit_test(overlapping_ranges_are_moved_both_ways),
		cmocka_unit_test(texts_are_compared_as_the_library_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
