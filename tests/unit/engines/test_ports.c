/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "engines/ports.h"

static void each_port_keeps_its_address_numbers_and_protocol(void **state)
{
	struct spec_port published[] = {
		{ .host_ip = "127.0.0.1", .host = 8080, .guest = 80, .protocol = "tcp" },
		{ .host = 5353, .guest = 53, .protocol = "udp" },
	};
	const struct spec spec = { .ports = published, .n_ports = ARRAY_SIZE(published) };
	struct passt_port *ports = ports_of_passt(&spec);

	(void)state;
	assert_non_null(ports);
	assert_string_equal(ports[0].host_ip, "127.0.0.1");
	assert_int_equal(ports[0].host, 8080);
	assert_int_equal(ports[0].guest, 80);
	assert_false(ports[0].udp);
	assert_null(ports[1].host_ip);
	assert_true(ports[1].udp);
	free(ports);
}

static void none_is_no_lack_of_memory(void **state)
{
	const struct spec spec = { .n_ports = 0 };
	struct passt_port *ports = ports_of_passt(&spec);

	(void)state;
	assert_non_null(ports);
	free(ports);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_port_keeps_its_address_numbers_and_protocol),
		cmocka_unit_test(none_is_no_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
