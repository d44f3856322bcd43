/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts this room did not write: nft's lists, resolv.conf, /proc/net/route, subnets. First byte:
 * which.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz_copy.h"
#include "network/private.h"
#include "network/subnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_resolv(const char *text, size_t len)
{
	AUTO(buf_fini) struct buf out = { 0 };
	AUTO(buf_fini) struct buf again = { 0 };
	unsigned servers = 0, servers_again = 0;

	if (resolv_filter(text, len, &out, &servers) < 0 ||
	    resolv_filter(buf_str(&out), out.len, &again, &servers_again) < 0)
		abort();
	/* What is left passes as it is. */
	if (servers != servers_again || strcmp(buf_str(&out), buf_str(&again)) != 0)
		abort();
}

static void fuzz_subnet(const char *text)
{
	struct subnet s, again;
	char round[20], name[16];

	if (subnet_parse(text, &s, NULL) == 0) {
		subnet_text(&s, round);
		if (subnet_parse(round, &again, NULL) < 0 || again.base != s.base)
			abort();
	}
	s = (struct subnet){ 0x0ac90000, 16 };
	(void)routes_overlap(text, &s, "eth0", name); /* either answer will do */
}

static void fuzz_nft(const char *text, size_t len)
{
	struct foreign_rule *rules = NULL;
	struct foreign f = { 0 };
	size_t n = 0;

	if (foreign_parse(text, len, &f, NULL) == 0)
		buf_fini(&f.others);
	if (foreign_rules_parse(text, len, &rules, &n, NULL) == 0)
		free(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t len = size - 1;
	char *text = fuzz_text(data + 1, len);
	switch (data[0] % 3) {
	case 0:
		fuzz_nft(text, len);
		break;
	case 1:
		fuzz_resolv(text, len);
		break;
	default:
		fuzz_subnet(text);
	}
	free(text);
	return 0;
}
