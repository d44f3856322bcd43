/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as the config of a server's guests: what is taken can be used without another look. */
#include <stdlib.h>
#include <string.h>

#include "vm/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void guest_fits(const struct config_guest *g)
{
	must(g->name[0] && memchr(g->name, 0, sizeof(g->name)));
	must(g->kernel[0] && memchr(g->kernel, 0, sizeof(g->kernel)));
	must(memchr(g->initrd, 0, sizeof(g->initrd)) && memchr(g->append, 0, sizeof(g->append)));
	must(g->memory_bytes && !(g->memory_bytes % (2U << 20)));
	must(g->vcpus >= 1 && g->vcpus <= 64);
	must(g->n_disks <= CONFIG_DISKS && !(g->mac[0] & 1));
	for (unsigned i = 0; i < g->n_disks; i++)
		must(g->disks[i].file[0] && memchr(g->disks[i].file, 0, sizeof(g->disks[i].file)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	struct err err = { 0 };
	int r = config_parse((const char *)data, size, &config, &err);

	must((r == 0) == (config.n > 0) && config.n <= CONFIG_GUESTS);
	must((r < 0) == (err.code != 0) && (r == 0 || err.text[0]));
	for (unsigned i = 0; i < config.n; i++)
		guest_fits(&config.guests[i]);
	return 0;
}
