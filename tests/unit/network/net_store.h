/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmocka, and for each case a store of its own: *state is a struct store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/file.h"
#include "network/private.h"

static inline int net_setup(void **state)
{
	static const struct db_schema *const schemas[] = { &network_schema, NULL };
	char dir[] = "/tmp/network-unit-XXXXXX";
	char root[64], run[64];
	struct store *store = calloc(1, sizeof(*store));

	if (!store || !mkdtemp(dir))
		return -1;
	(void)snprintf(root, sizeof(root), "%s/root", dir);
	(void)snprintf(run, sizeof(run), "%s/run", dir);
	*state = store;
	return store_open(root, run, schemas, store, NULL);
}

static inline int net_teardown(void **state)
{
	struct store *store = *state;
	char dir[64];

	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(strlen(store->root) - strlen("/root")),
		       store->root);
	store_close(store);
	free(store);
	return dir_remove(AT_FDCWD, dir);
}

#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, net_setup, net_teardown)

static inline struct network_plan net_plan(const char *network, const char *instance,
					   const char *name)
{
	return (struct network_plan){
		.network = network, .instance = instance, .name = name, .hostname = name
	};
}
