/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/flags.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "cli/args.h"

struct range {
	int64_t first, last; /* 0, 0: any port will do */
};

static int publish_bad(const char *text, const char *flag, const char *why, struct err *err)
{
	return err_say(err, EINVAL, "%s '%s': %s; write [[IP:]HOST:]GUEST[/udp]", flag, text, why);
}

/* "80", "8000-8010" */
static bool publish_range(char *text, struct range *ret)
{
	char *last = text;
	const char *first = strsep(&last, "-");

	if (args_int(first, "", 1, 65535, &ret->first, NULL) < 0)
		return false;
	ret->last = ret->first;
	return !last || (args_int(last, "", ret->first, 65535, &ret->last, NULL) == 0);
}

static int publish_add(const char *ip, struct range host, struct range guest, const char *protocol,
		       json_t *into, struct err *err)
{
	for (int64_t i = 0; i <= guest.last - guest.first; i++) {
		json_t *port = json_pack("{s:I, s:I, s:s}", "host",
					 (json_int_t)(host.first ? host.first + i : 0), "guest",
					 (json_int_t)(guest.first + i), "protocol", protocol);
		if (port && *ip && json_object_set_new(port, "host_ip", json_string(ip))) {
			json_decref(port);
			port = NULL;
		}
		int r = flag_append(into, port, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int flag_publish(const char *text, const char *flag, json_t *into, struct err *err)
{
	struct range host = { 0 }, guest;
	struct in_addr address;
	AUTO(flag_text_p) char *copy = strdup(text);

	if (!copy)
		return err_set(err, ENOMEM, "read the flags");
	if (copy[0] == '[')
		return err_say(err, ENOTSUP, "%s '%s': IPv6 addresses are not supported yet", flag,
			       text);
	char *protocol = copy;
	char *guest_text = strsep(&protocol, "/");
	if (protocol && strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		return publish_bad(text, flag, "the protocol is neither tcp nor udp", err);

	/* from the right: guest, host, address */
	char *host_text = "", *ip = "";
	char *colon = strrchr(guest_text, ':');
	if (colon) {
		*colon = '\0';
		host_text = guest_text;
		guest_text = colon + 1;
		colon = strrchr(host_text, ':');
	}
	if (colon) {
		*colon = '\0';
		ip = host_text;
		host_text = colon + 1;
		if (inet_pton(AF_INET, ip, &address) != 1)
			return publish_bad(text, flag, "what stands first is not an IPv4 address",
					   err);
	}
	if (!publish_range(guest_text, &guest))
		return publish_bad(text, flag, "the guest's port is not 1..65535", err);
	if (*host_text && !publish_range(host_text, &host))
		return publish_bad(text, flag, "the host's port is not 1..65535", err);
	if (*host_text && host.last - host.first != guest.last - guest.first)
		return publish_bad(text, flag, "the two ranges differ in length", err);
	return publish_add(ip, host, guest, protocol ? protocol : "tcp", into, err);
}
