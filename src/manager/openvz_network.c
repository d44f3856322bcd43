/* SPDX-License-Identifier: Apache-2.0 */
/* import-openvz: names, addresses and rates of its network. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/os/json.h"
#include "manager/openvz_job.h"
#include "network/rate.h"

bool openvz_hostname(struct openvz_job *job, const char *value)
{
	const size_t len = strlen(value);

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)value[i]) && !strchr("-._", value[i])) {
			openvz_note(job, "not a host name");
			return false;
		}
	}
	if (!len || len > 64) {
		openvz_note(job, "not a host name of 1 to 64 characters");
		return false;
	}
	openvz_note(job, "--hostname %s", value);
	return json_object_set_new(job->config, "hostname", json_string(value)) == 0;
}

/* The first IPv4 address, on a network of Strata's that was named for it. */
bool openvz_address(struct openvz_job *job, const char *value)
{
	char first[INET_ADDRSTRLEN] = "";
	size_t len = strcspn(value, " /\t");
	struct in_addr in;

	if (len < sizeof(first))
		memcpy(first, value, len);
	if (inet_pton(AF_INET, first, &in) != 1) {
		openvz_note(job,
			    "no IPv4 address comes first: an instance gets one of its network's");
		return false;
	}
	if (!job->host->network) {
		openvz_note(
			job,
			"make a network with that subnet ('strata network create --subnet') and say "
			"--network NAME");
		return false;
	}
	json_t *network = json_pack("{s:s,s:s,s:s}", "mode", "bridge", "network",
				    job->host->network, "ip", first);
	openvz_note(job, "--network %s --ip %s%s", job->host->network, first,
		    value[len + strcspn(value + len, " \t")] ? " (the first of them)" : "");
	return json_object_set_new(job->config, "network", network) == 0;
}

static bool openvz_is_domain(const char *text)
{
	return *text && strlen(text) < 254 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
		       strlen(text);
}

/* A list into a member, of what is one; false where anything is not. */
static bool openvz_list(struct openvz_job *job, const char *value, const char *member,
			bool (*is)(const char *text))
{
	AUTO(json_decref_p) json_t *words = openvz_words(value, OPENVZ_BLANKS);
	json_t *word;
	size_t i;

	json_array_foreach(words, i, word)
	{
		if (!is(json_string_value(word))) {
			openvz_note(job, "not a list of such");
			return false;
		}
	}
	openvz_note(job, "in its resolv.conf");
	return json_array_size(words) && !json_object_set(job->config, member, words);
}

static bool openvz_is_address(const char *text)
{
	struct in6_addr in;

	return inet_pton(AF_INET, text, &in) == 1 || inet_pton(AF_INET6, text, &in) == 1;
}

bool openvz_nameserver(struct openvz_job *job, const char *value)
{
	if (!strcmp(value, "inherit")) {
		openvz_note(job, "this host's, as they are");
		return true;
	}
	return openvz_list(job, value, "dns", openvz_is_address);
}

bool openvz_search(struct openvz_job *job, const char *value)
{
	if (!strcmp(value, "inherit")) {
		openvz_note(job, "this host's, as they are");
		return true;
	}
	return openvz_list(job, value, "dns_search", openvz_is_domain);
}

/* "ifname=eth0,bridge=br0,mac=...;ifname=eth1": an instance has one, of Strata's making. */
bool openvz_netif(struct openvz_job *job, const char *value)
{
	AUTO(json_decref_p) json_t *cards = openvz_words(value, ";");
	const size_t n = json_array_size(cards);

	if (!job->host->network) {
		openvz_note(job, "say --network NAME: its interface is eth0 there");
		return false;
	}
	if (n != 1) {
		openvz_note(job,
			    "it has %zu interfaces, and an instance has one: eth0 on --network %s",
			    n, job->host->network);
		return false;
	}
	openvz_note(job, "eth0 on --network %s, with a MAC and a name on the host of Strata's",
		    job->host->network);
	return true;
}

/* Kilobits a second of one "DEVICE:CLASS:KBITS"; -1: it is none. */
static int64_t openvz_kbits(const char *word)
{
	const char *colon = strrchr(word, ':');
	char *end;

	if (!colon || colon == word || !isdigit((unsigned char)colon[1]))
		return -1;
	errno = 0;
	long long n = strtoll(colon + 1, &end, 10);
	return errno || *end || n > RATE_MAX / 1000 ? -1 : (int64_t)n;
}

/* What it sends, of each class of destinations: a bound only with RATEBOUND, else what it is promised. */
bool openvz_rate(struct openvz_job *job, const char *value)
{
	AUTO(json_decref_p) json_t *words = openvz_words(value, OPENVZ_BLANKS);
	const char *first = json_string_value(json_array_get(words, 0));
	const int64_t kbits = first ? openvz_kbits(first) : -1;

	if (kbits < 0 || kbits * 1000 < RATE_MIN) {
		openvz_note(job, "not DEVICE:CLASS:KBITS, from 8");
		return false;
	}
	if (strcasecmp(json_str(job->conf, "RATEBOUND", "no"), "yes") != 0) {
		openvz_note(job,
			    "what it is promised, not a bound (RATEBOUND=yes): see --egress-rate");
		return false;
	}
	if (!job->host->network) {
		openvz_note(job, "say --network NAME, or --egress-rate %lldk later",
			    (long long)kbits);
		return false;
	}
	openvz_note(job, "--egress-rate %lldk%s", (long long)kbits,
		    json_array_size(words) > 1 ? ", to everybody (the first of them)" : "");
	return openvz_set(job, "egress_bits", kbits * 1000);
}

bool openvz_ratebound(struct openvz_job *job, const char *value)
{
	if (strcasecmp(value, "yes") != 0) {
		openvz_note(job, "no bound");
		return true;
	}
	openvz_note(job, "RATE is its --egress-rate");
	return json_object_get(job->conf, "RATE") != NULL;
}
