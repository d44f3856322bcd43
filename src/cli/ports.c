/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ports.h"

#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"

int ports_load(struct manager *manager, const char *instance, struct ports *ret, struct err *err)
{
	return network_published(&manager->store, instance, &ret->list, &ret->n, err);
}

void ports_fini(struct ports *ports)
{
	free(ports->list);
	*ports = (struct ports){ 0 };
}

/* the first of an instance's, or the place where it would be */
static size_t ports_first(const struct ports *ports, const char *instance)
{
	size_t low = 0, high = ports->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(ports->list[middle].instance, instance) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct network_port *ports_at(const struct ports *ports, size_t i,
					   const char *instance)
{
	return i < ports->n && !strcmp(ports->list[i].instance, instance) ? &ports->list[i].port
									  : NULL;
}

void ports_text(const struct ports *ports, const char *instance, struct buf *buf)
{
	const struct network_port *port;
	const char *gap = "";

	for (size_t i = ports_first(ports, instance); (port = ports_at(ports, i, instance)); i++) {
		(void)buf_printf(buf, "%s%s:%u->%u/%s", gap,
				 port->host_ip[0] ? port->host_ip : "0.0.0.0", port->host,
				 port->guest, port->udp ? "udp" : "tcp"); /* a failure is sticky */
		gap = ", ";
	}
}

json_t *ports_json(const struct ports *ports, const char *instance)
{
	AUTO(json_decref_p) json_t *list = json_array();
	const struct network_port *port;

	for (size_t i = ports_first(ports, instance); (port = ports_at(ports, i, instance)); i++) {
		json_t *one =
			json_pack("{s:s*, s:i, s:i, s:s}", "host_ip",
				  port->host_ip[0] ? port->host_ip : NULL, "host", (int)port->host,
				  "guest", (int)port->guest, "protocol", port->udp ? "udp" : "tcp");
		if (json_array_append_new(list, one) < 0)
			return NULL;
	}
	return TAKE(list);
}
