/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int terminal_size_put(json_t *spec)
{
	struct winsize ws;

	if (!json_is_true(json_object_get(spec, "tty")) || ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) < 0)
		return 0;
	json_t *size = json_pack("{s:i,s:i}", "rows", ws.ws_row, "columns", ws.ws_col);
	return size && json_object_set_new(spec, "tty_size", size) == 0 ? 0 : -ENOMEM;
}

void terminal_raw(struct terminal *terminal)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &terminal->saved) < 0)
		return;
	raw = terminal->saved;
	cfmakeraw(&raw);
	terminal->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void terminal_restore(struct terminal *terminal)
{
	if (terminal->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN,
				&terminal->saved); /* nothing else to try */
	terminal->raw = false;
}

static int detach_key(const char *word, size_t len, char *ret)
{
	if (len == 1) {
		*ret = word[0];
		return 0;
	}
	if (len == 6 && !strncmp(word, "ctrl-", 5) &&
	    ((word[5] >= 'a' && word[5] <= 'z') || strchr("@[\\]^_", word[5]))) {
		*ret = word[5] & 0x1f;
		return 0;
	}
	return -EINVAL;
}

int detach_keys_parse(const char *text, struct detach_keys *ret, struct err *err)
{
	struct detach_keys keys = { 0 };

	for (const char *p = text ? text : DETACH_KEYS; *p;) {
		size_t n = strcspn(p, ",");
		if (keys.n == DETACH_KEYS_MAX || detach_key(p, n, &keys.keys[keys.n++]) < 0)
			return err_say(err, EINVAL,
				       "--detach-keys %s: write keys as a or ctrl-p, with commas",
				       text);
		p += n + (p[n] == ',');
	}
	*ret = keys;
	return 0;
}

bool detach_keys_scan(struct detach_keys *keys, const char *data, size_t len)
{
	for (size_t i = 0; keys->n && i < len; i++) {
		if (data[i] == keys->keys[keys->seen])
			keys->seen++;
		else
			keys->seen = data[i] == keys->keys[0];
		if (keys->seen == keys->n)
			return true;
	}
	return false;
}
