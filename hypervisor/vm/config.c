/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/config.h"

#include <errno.h>
#include <string.h>

#define VCPUS_MAX   64U
#define WEIGHT_MAX  65535U
#define RESTART_MAX 1000000U
#define CAP_MAX	    (100U * VCPUS_MAX)
#define LARGE	    (UINT64_C(2) << 20)

/* A piece of the text. */
struct word {
	const char *at;
	size_t len;
};

struct parser {
	struct config *config;
	struct config_guest *guest; /* the one that lines are about; NULL: none yet */
	unsigned line;
	struct word key, rest; /* of the line */
	struct err *err;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct word trimmed(struct word w)
{
	while (w.len && is_blank(*w.at)) {
		w.at++;
		w.len--;
	}
	while (w.len && is_blank(w.at[w.len - 1]))
		w.len--;
	return w;
}

/* memchr(), which the image has not got. */
static const char *byte_find(const char *text, char byte, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == byte)
			return text + i;
	}
	return NULL;
}

/* The first word; what follows it stays in *from. */
static struct word word_take(struct word *from)
{
	struct word all = trimmed(*from), first = { all.at, 0 };

	while (first.len < all.len && !is_blank(first.at[first.len]))
		first.len++;
	*from = trimmed((struct word){ all.at + first.len, all.len - first.len });
	return first;
}

static bool word_is(struct word w, const char *text)
{
	return w.len == strlen(text) && !memcmp(w.at, text, w.len);
}

static int refuse(struct parser *p, int code, const char *what, struct word w)
{
	return err_say(p->err, code, "line %u: %s: \"%.*s\"", p->line, what,
		       (int)(w.len < 80 ? w.len : 80), w.at);
}

/* A word, or the whole rest of a line, into an array; control characters have no place in it. */
static int text_set(struct parser *p, char *to, size_t room, struct word w)
{
	if (!w.len)
		return refuse(p, EINVAL, "this key needs a value", p->key);
	if (w.len >= room)
		return refuse(p, E2BIG, "too long", w);
	for (size_t i = 0; i < w.len; i++) {
		if (w.at[i] < ' ' || w.at[i] == 0x7f)
			return refuse(p, EINVAL, "a control character in the value of", p->key);
	}
	memcpy(to, w.at, w.len);
	to[w.len] = 0;
	return 0;
}

static int one_word(struct parser *p, char *to, size_t room)
{
	struct word rest = p->rest, w = word_take(&rest);

	return rest.len ? refuse(p, EINVAL, "more than one word", p->rest)
			: text_set(p, to, room, w);
}

static int number(struct parser *p, struct word w, uint64_t least, uint64_t most, uint64_t *ret)
{
	uint64_t value = 0;

	if (!w.len || w.len > 18)
		return refuse(p, EINVAL, "not a number", w);
	for (size_t i = 0; i < w.len; i++) {
		if (w.at[i] < '0' || w.at[i] > '9')
			return refuse(p, EINVAL, "not a number", w);
		value = value * 10 + (uint64_t)(w.at[i] - '0');
	}
	if (value < least || value > most)
		return err_say(p->err, EINVAL, "line %u: %.*s: %llu is not from %llu to %llu",
			       p->line, (int)p->key.len, p->key.at, (unsigned long long)value,
			       (unsigned long long)least, (unsigned long long)most);
	*ret = value;
	return 0;
}

static int small_number(struct parser *p, uint32_t least, uint32_t most, uint32_t *ret)
{
	uint64_t value = 0;
	int r = number(p, p->rest, least, most, &value);

	if (r == 0)
		*ret = (uint32_t)value;
	return r;
}

static int key_guest(struct parser *p)
{
	struct config *c = p->config;

	if (c->n == CONFIG_GUESTS)
		return refuse(p, E2BIG, "more guests than there is room for", p->rest);
	struct config_guest *g = &c->guests[c->n];
	*g = (struct config_guest){ .vcpus = 1 };
	int r = one_word(p, g->name, sizeof(g->name));
	for (unsigned i = 0; r == 0 && i < c->n; i++) {
		if (!strcmp(c->guests[i].name, g->name))
			r = refuse(p, EINVAL, "two guests have this name", p->rest);
	}
	if (r == 0) {
		p->guest = g;
		c->n++;
	}
	return r;
}

static int key_memory(struct parser *p)
{
	struct word how = p->rest, w = word_take(&how);
	unsigned shift = 0;
	uint64_t value = 0;

	if (how.len && !word_is(how, "at-once"))
		return refuse(p, EINVAL, "behind the memory there may only be at-once, not", how);
	p->guest->at_once = how.len > 0;
	if (w.len && w.at[w.len - 1] == 'K')
		shift = 10;
	else if (w.len && w.at[w.len - 1] == 'M')
		shift = 20;
	else if (w.len && w.at[w.len - 1] == 'G')
		shift = 30;
	w.len -= shift != 0;
	int r = number(p, w, 1, UINT64_C(1) << 40 >> shift, &value);
	if (r == 0 && (value << shift) % LARGE)
		return refuse(p, EINVAL, "memory is no multiple of 2M", p->rest);
	if (r == 0)
		p->guest->memory_bytes = value << shift;
	return r;
}

static int key_vcpus(struct parser *p)
{
	return small_number(p, 1, VCPUS_MAX, &p->guest->vcpus);
}

static int key_weight(struct parser *p)
{
	return small_number(p, 1, WEIGHT_MAX, &p->guest->weight);
}

static int key_cap(struct parser *p)
{
	return small_number(p, 1, CAP_MAX, &p->guest->cap_percent);
}

static int key_tsc_khz(struct parser *p)
{
	return small_number(p, CONFIG_TSC_KHZ_MIN, CONFIG_TSC_KHZ_MAX, &p->guest->tsc_khz);
}

static int key_restart(struct parser *p)
{
	return small_number(p, 0, RESTART_MAX, &p->guest->restarts);
}

static int key_kernel(struct parser *p)
{
	return one_word(p, p->guest->kernel, sizeof(p->guest->kernel));
}

static int key_initrd(struct parser *p)
{
	return one_word(p, p->guest->initrd, sizeof(p->guest->initrd));
}

static int key_append(struct parser *p)
{
	return text_set(p, p->guest->append, sizeof(p->guest->append), p->rest);
}

static int key_console(struct parser *p)
{
	static const char *const names[] = {
		[CONFIG_CONSOLE_LINES] = "lines",
		[CONFIG_CONSOLE_RAW] = "raw",
		[CONFIG_CONSOLE_NONE] = "none",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (word_is(p->rest, names[i])) {
			p->guest->console = (enum config_console)i;
			return 0;
		}
	}
	return refuse(p, EINVAL, "console is lines, raw or none, not", p->rest);
}

static int key_disk(struct parser *p)
{
	struct config_guest *g = p->guest;
	struct word rest = p->rest, file = word_take(&rest);

	if (g->n_disks == CONFIG_DISKS)
		return refuse(p, E2BIG, "more disks than there is room for", file);
	struct config_disk *d = &g->disks[g->n_disks];
	d->read_only = word_is(rest, "read-only");
	if (rest.len && !d->read_only)
		return refuse(p, EINVAL, "a disk is FILE or FILE read-only, not", p->rest);
	int r = text_set(p, d->file, sizeof(d->file), file);
	g->n_disks += r == 0;
	return r;
}

static int key_port(struct parser *p)
{
	struct config_guest *g = p->guest;

	if (g->n_ports == CONFIG_PORTS)
		return refuse(p, E2BIG, "more ports than there is room for", p->rest);
	int r = one_word(p, g->ports[g->n_ports], sizeof(g->ports[0]));
	for (unsigned i = 0; r == 0 && i < g->n_ports; i++) {
		if (!strcmp(g->ports[i], g->ports[g->n_ports]))
			r = refuse(p, EINVAL, "two ports have this name", p->rest);
	}
	g->n_ports += r == 0;
	return r;
}

static int key_vsock(struct parser *p)
{
	p->guest->has_vsock = true;
	return p->rest.len ? refuse(p, EINVAL, "vsock takes no value, not", p->rest) : 0;
}

static int key_balloon(struct parser *p)
{
	p->guest->has_balloon = true;
	p->guest->overcommits = word_is(p->rest, "overcommit");
	return p->rest.len && !p->guest->overcommits
		       ? refuse(p, EINVAL, "balloon is followed by overcommit, or nothing, not",
				p->rest)
		       : 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int key_net(struct parser *p)
{
	struct word w = p->rest;

	p->guest->has_net = true;
	if (!w.len)
		return 0;
	bool good = w.len == 17;
	for (unsigned i = 0; good && i < 6; i++) {
		int high = hex_digit(w.at[3 * i]), low = hex_digit(w.at[3 * i + 1]);
		good = high >= 0 && low >= 0 && (i == 5 || w.at[3 * i + 2] == ':');
		p->guest->mac[i] = good ? (uint8_t)(high << 4 | low) : 0;
	}
	if (!good || p->guest->mac[0] & 1)
		return refuse(p, EINVAL, "not the address of a network card", w);
	return 0;
}

static int key_test_devices(struct parser *p)
{
	p->guest->has_test_devices = true;
	return p->rest.len ? refuse(p, EINVAL, "this key has no value", p->rest) : 0;
}

static const struct {
	const char *name;
	int (*set)(struct parser *p);
} keys[] = {
	{ "guest", key_guest },	    { "memory", key_memory },
	{ "vcpus", key_vcpus },	    { "kernel", key_kernel },
	{ "initrd", key_initrd },   { "append", key_append },
	{ "weight", key_weight },   { "cap", key_cap },
	{ "console", key_console }, { "disk", key_disk },
	{ "net", key_net },	    { "tsc-khz", key_tsc_khz },
	{ "restart", key_restart }, { "test-devices", key_test_devices },
	{ "port", key_port },	    { "vsock", key_vsock },
	{ "balloon", key_balloon },
};

static int line_parse(struct parser *p, struct word line)
{
	const char *comment = byte_find(line.at, '#', line.len);

	if (comment)
		line.len = (size_t)(comment - line.at);
	p->rest = line;
	p->key = word_take(&p->rest);
	if (!p->key.len)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!word_is(p->key, keys[i].name))
			continue;
		if (!p->guest && keys[i].set != key_guest)
			return refuse(p, EINVAL, "before the first \"guest NAME\"", p->key);
		return keys[i].set(p);
	}
	return refuse(p, EINVAL, "unknown key", p->key);
}

static int guests_check(const struct config *c, struct err *err)
{
	if (!c->n)
		return err_say(err, EINVAL, "no guest is named");
	for (unsigned i = 0; i < c->n; i++) {
		const struct config_guest *g = &c->guests[i];
		if (!g->memory_bytes || !g->kernel[0])
			return err_say(err, EINVAL, "guest %s: no %s", g->name,
				       g->memory_bytes ? "kernel" : "memory");
	}
	return 0;
}

int config_parse(const char *text, size_t len, struct config *ret, struct err *err)
{
	struct parser p = { .config = ret, .err = err };
	int r = 0;

	ret->n = 0;
	while (r == 0 && len) {
		const char *end = byte_find(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;
		p.line++;
		r = line_parse(&p, (struct word){ text, line });
		text += line + (end != NULL);
		len -= line + (end != NULL);
	}
	if (r == 0)
		r = guests_check(ret, err);
	if (r < 0)
		ret->n = 0;
	return r;
}
