/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/flags.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"

#define FLAG_FILE_MAX (4 << 20)

int flag_env(const char *text, const char *flag, json_t *into, struct err *err)
{
	size_t len = strcspn(text, "=");

	if (!len)
		return err_say(err, EINVAL, "%s '%s': the variable has no name; write NAME=VALUE",
			       flag, text);
	if (text[len])
		return flag_append(into, json_string(text), err);

	/* a name alone: the caller's own value, and nothing where there is none */
	const char *value = getenv(text);
	if (!value)
		return 0;
	if (!flag_is_utf8(value))
		return err_say(err, EINVAL,
			       "%s %s: the value in your environment is not valid UTF-8", flag,
			       text);
	return flag_append(into, json_sprintf("%s=%s", text, value), err);
}

/* like an environment variable's, a name holds no blanks: most often a line that was meant otherwise */
static bool flag_name_has_blank(const char *line)
{
	return strcspn(line, " \t") < strcspn(line, "=");
}

static int flag_line(char *line, const char *name, unsigned number, flag_fn one, const char *flag,
		     json_t *into, struct err *err)
{
	size_t len = strlen(line);

	if (len && line[len - 1] == '\r')
		line[len - 1] = '\0';
	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return 0;
	int r;
	if (!flag_is_utf8(line))
		r = err_say(err, EINVAL, "not valid UTF-8");
	else if (flag_name_has_blank(line))
		r = err_say(err, EINVAL, "the name in '%.60s' holds a blank; write NAME=VALUE",
			    line);
	else
		r = one(line, flag, into, err);
	return r < 0 ? err_wrap(err, "%s line %u", name, number) : 0;
}

int flag_lines(const char *text, size_t len, const char *name, flag_fn one, const char *flag,
	       json_t *into, struct err *err)
{
	unsigned number = 0;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* a byte order mark, from Windows */
		text += 3;
		len -= 3;
	}
	if (memchr(text, 0, len))
		return err_say(err, EINVAL, "%s: holds a NUL byte: not a text file", name);
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		AUTO(flag_text_p) char *line = strndup(text, n);
		if (!line)
			return err_set(err, ENOMEM, "read %s", name);
		int r = flag_line(line, name, ++number, one, flag, into, err);
		if (r < 0)
			return r;
		n += end != NULL;
		text += n;
		len -= n;
	}
	return 0;
}

static int flag_file(const char *path, flag_fn one, const char *flag, json_t *into, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };

	int r = file_read(AT_FDCWD, path, FLAG_FILE_MAX, &text);
	if (r < 0)
		return err_set(err, -r, "%s: read %s", flag, path);
	return flag_lines(buf_str(&text), text.len, path, one, flag, into, err);
}

int flag_env_file(const char *text, const char *flag, json_t *into, struct err *err)
{
	return flag_file(text, flag_env, flag, into, err);
}

int flag_label_file(const char *text, const char *flag, json_t *into, struct err *err)
{
	return flag_file(text, flag_label, flag, into, err);
}
