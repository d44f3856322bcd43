/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/rates.h"

#include <errno.h>

#include "network/link.h"
#include "network/rate.h"

int rates_check(const struct spec *spec, struct err *err)
{
	const struct spec_limits *l = &spec->limits;
	const char *flag = l->ingress_bits ? "--ingress-rate" : "--egress-rate";

	if (!l->ingress_bits && !l->egress_bits)
		return 0;
	switch (spec->network) {
	case SPEC_NETWORK_NONE:
		return err_say(err, ENOTSUP,
			       "%s: with --network none there is nothing to hold back", flag);
	case SPEC_NETWORK_HOST:
		return err_say(
			err, ENOTSUP,
			"%s: with --network host its traffic is the host's, on no link of its own",
			flag);
	case SPEC_NETWORK_PASST:
		return err_say(err, ENOTSUP,
			       "%s: passt has no rates: use --network bridge, which takes root",
			       flag);
	case SPEC_NETWORK_BRIDGE:
	default:
		return 0;
	}
}

int rates_change(const struct spec *spec, const struct spec_limits *change, struct err *err)
{
	const struct rates rates = { .ingress = change->ingress_bits,
				     .egress = change->egress_bits };
	char host_if[LINK_NAME];

	if (!rates.ingress && !rates.egress)
		return 0;
	link_host_if(spec->id, host_if);
	return rate_set(host_if, &rates, err);
}

int rates_start(const struct spec *spec, struct err *err)
{
	return rates_change(spec, &spec->limits, err);
}
