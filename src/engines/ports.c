/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/ports.h"

#include <stdlib.h>
#include <string.h>

struct passt_port *ports_of_passt(const struct spec *spec)
{
	struct passt_port *ports = calloc(spec->n_ports + 1, sizeof(*ports));

	for (size_t i = 0; ports && i < spec->n_ports; i++)
		ports[i] = (struct passt_port){
			.host_ip = spec->ports[i].host_ip,
			.host = spec->ports[i].host,
			.guest = spec->ports[i].guest,
			.udp = !strcmp(spec->ports[i].protocol, "udp"),
		};
	return ports;
}
