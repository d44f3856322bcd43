/* SPDX-License-Identifier: Apache-2.0 */
#include "net_store.h"

#include <linux/netlink.h>

#include "network/nl.h"

static void what_is_put_is_found(void **state)
{
	struct nl_msg msg;
	uint32_t head = 7, value = 0;
	size_t len = 0;
	size_t skip = sizeof(struct nlmsghdr) + sizeof(head);

	(void)state;
	nl_begin(&msg, 1, 0, &head, sizeof(head));
	nl_str(&msg, 1, "abc");
	size_t nest = nl_nest(&msg, 2);
	nl_u8(&msg, 3, 9);
	nl_u32(&msg, 4, 1234);
	nl_nest_end(&msg, nest);
	assert_false(msg.failed);

	assert_string_equal(nl_find(msg.data, msg.len, skip, 1, &len), "abc");
	assert_int_equal(len, 4);
	const void *inner = nl_find(msg.data, msg.len, skip, 2, &len);
	assert_non_null(inner);
	const void *found = nl_find(inner, len, 0, 4, &len);
	assert_non_null(found);
	memcpy(&value, found, sizeof(value));
	assert_int_equal(value, 1234);
	assert_null(nl_find(msg.data, msg.len, skip, 5, &len));
}

static void too_much_fails_once_and_for_all(void **state)
{
	char big[2000] = { 0 };
	struct nl_msg msg;

	(void)state;
	nl_begin(&msg, 1, 0, NULL, 0);
	nl_attr(&msg, 1, big, sizeof(big));
	nl_u8(&msg, 2, 1);
	assert_true(msg.failed);
	assert_int_equal(nl_call(-1, &msg, NULL, 0), -EMSGSIZE);
	assert_int_equal(msg.len <= sizeof(msg.data), 1);
}

static void broken_attributes_end_the_search(void **state)
{
	unsigned char data[] = { 3, 0, 1, 0, 8, 0, 2, 0, 1, 2, 3, 4 };
	size_t len = 0;

	(void)state;
	assert_null(nl_find(data, sizeof(data), 0, 2, &len)); /* shorter than its header */
	data[0] = 200;
	assert_null(nl_find(data, sizeof(data), 0, 1, &len)); /* longer than the message */
	assert_non_null(nl_find(data, sizeof(data), 4, 2, &len));
	assert_null(nl_find(data, 3, 0, 1, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_found),
		cmocka_unit_test(too_much_fails_once_and_for_all),
		cmocka_unit_test(broken_attributes_end_the_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
