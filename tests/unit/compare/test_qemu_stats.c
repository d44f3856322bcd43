/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/qemu_vm.h"

#include "base/os/json.h"
#include "scratch.h"

static void read_text(const char *text, struct exit_counts *ret, uint64_t *ret_counted)
{
	AUTO(json_decref_p) json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(json);
	qemu_stats_read(json, ret, ret_counted);
}

/* As QEMU 7.2 answered for two vcpus, shortened: numbers, and what is none. */
static void vcpus_are_added_by_reason(void **state)
{
	struct exit_counts counts;
	uint64_t counted;

	(void)state;
	read_text(
		"[{\"provider\":\"kvm\",\"stats\":[{\"name\":\"guest_mode\",\"value\":false},"
		"{\"name\":\"halt_exits\",\"value\":3},{\"name\":\"io_exits\",\"value\":5},"
		"{\"name\":\"exits\",\"value\":40},{\"name\":\"halt_wait_hist\",\"value\":[0,1]}],"
		"\"qom-path\":\"/machine/unattached/device[0]\"},"
		"{\"provider\":\"kvm\",\"stats\":[{\"name\":\"halt_exits\",\"value\":4},"
		"{\"name\":\"mmio_exits\",\"value\":6},{\"name\":\"exits\",\"value\":2}]}]",
		&counts, &counted);
	assert_int_equal(counts.n[EXIT_ALL], 42);
	assert_int_equal(counts.n[EXIT_HALT], 7);
	assert_int_equal(counts.n[EXIT_IO], 5);
	assert_int_equal(counts.n[EXIT_MMIO], 6);
	assert_int_equal(counted, EXIT_BIT(EXIT_ALL) | EXIT_BIT(EXIT_HALT) | EXIT_BIT(EXIT_IO) |
					  EXIT_BIT(EXIT_MMIO));
}

static void what_is_none_of_kvms_is_not_counted(void **state)
{
	static const char *const texts[] = {
		"[]",
		"{}",
		"7",
		"[7]",
		"[{\"provider\":\"tcg\",\"stats\":[{\"name\":\"exits\",\"value\":1}]}]",
		"[{\"provider\":\"kvm\"}]",
		"[{\"provider\":\"kvm\",\"stats\":[{\"name\":\"exits\",\"value\":\"1\"},{\"name\":7}]}]",
	};
	struct exit_counts counts;
	uint64_t counted;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		read_text(texts[i], &counts, &counted);
		assert_int_equal(counted, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vcpus_are_added_by_reason),
		cmocka_unit_test(what_is_none_of_kvms_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
