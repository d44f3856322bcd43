/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "cli/suggest.h"

struct parser {
	struct args *args;
	char **next; /* the word after the current one; *next NULL: none */
};

void args_fini(struct args *args)
{
	if (args->values) {
		for (unsigned i = 0; args->opts[i].name; i++)
			free(args->values[i].texts);
	}
	free(args->values);
	*args = (struct args){ 0 };
}

static int args_add(struct args_value *value, const char *text, struct err *err)
{
	/* grown at each power of two, so that no capacity need be kept */
	if (!(value->count & (value->count - 1))) {
		size_t cap = value->count ? (size_t)value->count * 2 : 1;
		const char **texts = reallocarray(value->texts, cap, sizeof(*texts));
		if (!texts)
			return err_set(err, ENOMEM, "read the flags");
		value->texts = texts;
	}
	value->texts[value->count++] = text;
	return 0;
}

static int args_switch(const struct opt *opt, struct args_value *value, const char *text,
		       struct err *err)
{
	bool on = true;

	if (text) {
		char flag[64] = "--";
		strncat(flag, opt->name, sizeof(flag) - 3);
		int r = args_bool(text, flag, &on, err);
		if (r < 0)
			return r;
	}
	value->on = on;
	value->count++;
	return 0;
}

/* text NULL: the value, if the flag takes one, is the next word */
static int args_put(struct parser *parser, unsigned i, const char *text, struct err *err)
{
	const struct opt *opt = &parser->args->opts[i];
	struct args_value *value = &parser->args->values[i];

	if (opt->type == OPT_SWITCH)
		return args_switch(opt, value, text, err);
	if (!text) {
		if (!*parser->next)
			return err_say(err, EINVAL, "--%s needs a value: %s", opt->name, opt->arg);
		text = *parser->next++;
	}
	return args_add(value, text, err);
}

static int args_unknown_long(const struct opt *opts, const char *name, size_t len, struct err *err)
{
	struct suggest suggest = { 0 };
	char typed[64] = "";

	strncat(typed, name, len < sizeof(typed) ? len : sizeof(typed) - 1);
	for (unsigned i = 0; opts[i].name; i++)
		suggest_offer(&suggest, typed, opts[i].name);
	if (suggest.best)
		return err_say(err, EINVAL, "unknown flag --%s, did you mean --%s?", typed,
			       suggest.best);
	return err_say(err, EINVAL, "unknown flag --%s", typed);
}

static int args_long(struct parser *parser, const char *name, struct err *err)
{
	const struct opt *opts = parser->args->opts;
	size_t len = strcspn(name, "=");

	for (unsigned i = 0; opts[i].name; i++) {
		if (opts[i].type != OPT_GROUP && !strncmp(opts[i].name, name, len) &&
		    !opts[i].name[len])
			return args_put(parser, i, name[len] ? name + len + 1 : NULL, err);
	}
	if (!strcmp(name, "help")) {
		parser->args->help = true;
		return 0;
	}
	return args_unknown_long(opts, name, len, err);
}

/* "-it", "-m512m", "-m=512m", "-t=false": a value may follow its letter at once */
static int args_short(struct parser *parser, const char *word, struct err *err)
{
	const struct opt *opts = parser->args->opts;

	for (const char *c = word + 1; *c; c++) {
		unsigned i = 0;
		while (opts[i].name && opts[i].letter != *c)
			i++;
		if (!opts[i].name && *c == 'h') {
			parser->args->help = true;
			return 0;
		}
		if (!opts[i].name)
			return err_say(err, EINVAL, "unknown flag -%c in '%s'", *c, word);
		const char *text = c[1] == '=' ? c + 2 : c[1] ? c + 1 : NULL;
		bool last = opts[i].type != OPT_SWITCH || c[1] == '=';
		int r = args_put(parser, i, last ? text : NULL, err);
		if (r < 0 || last)
			return r;
	}
	return 0;
}

static int args_words(struct parser *parser, bool stop, char **operands, struct err *err)
{
	struct args *args = parser->args;
	bool flags = true;

	while (*parser->next && !args->help) {
		char *word = *parser->next++;
		int r = 0;
		if (flags && !strcmp(word, "--")) {
			flags = false;
		} else if (!flags || word[0] != '-' || !word[1]) {
			operands[args->argc++] = word;
			flags = flags && !stop;
		} else {
			r = word[1] == '-' ? args_long(parser, word + 2, err)
					   : args_short(parser, word, err);
		}
		if (r < 0)
			return r;
	}
	operands[args->argc] = NULL;
	return 0;
}

int args_parse(const struct opt *opts, bool stop, int argc, char **argv, struct args *ret,
	       struct err *err)
{
	AUTO(args_fini) struct args args = { .opts = opts, .argv = argv };
	unsigned n = 0;

	assert(argc >= 0 && !argv[argc]);
	while (opts[n].name)
		n++;
	args.values = calloc(n + 1, sizeof(*args.values));
	if (!args.values)
		return err_set(err, ENOMEM, "read the flags");

	/* an operand moves to or before its own place: argv is read before it is written over */
	struct parser parser = { .args = &args, .next = argv };
	int r = args_words(&parser, stop, argv, err);
	if (r < 0)
		return r;
	*ret = args;
	args = (struct args){ 0 };
	return 0;
}

const struct args_value *args_list(const struct args *args, const char *name)
{
	for (unsigned i = 0; args->opts[i].name; i++) {
		if (!strcmp(args->opts[i].name, name))
			return &args->values[i];
	}
	assert(false); /* the verb asks for a flag that its table lacks */
	return NULL;
}

bool args_on(const struct args *args, const char *name)
{
	return args_list(args, name)->on;
}

bool args_given(const struct args *args, const char *name)
{
	return args_list(args, name)->count > 0;
}

const char *args_text(const struct args *args, const char *name, const char *dflt)
{
	const struct args_value *value = args_list(args, name);

	return value->count ? value->texts[value->count - 1] : dflt;
}
