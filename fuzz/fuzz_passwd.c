/* SPDX-License-Identifier: Apache-2.0 */
/* users_lookup() in a hostile image: the input is a name, passwd and group, with NUL bytes between. */
#include <stdlib.h>
#include <string.h>

#include "engines/oslevel/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *name_end = memchr(text, 0, size);

	if (!name_end)
		return 0;
	const char *passwd = name_end + 1;
	size_t rest = size - (size_t)(passwd - text);
	const char *passwd_end = memchr(passwd, 0, rest);
	size_t passwd_len = passwd_end ? (size_t)(passwd_end - passwd) : rest;

	AUTO(user_fini) struct user user = { 0 };
	struct err err = { 0 };
	int r = users_lookup(passwd, passwd_len, passwd + passwd_len, rest - passwd_len, text, NULL,
			     &user, &err);
	if (r < 0 && (!err.text[0] || strchr(err.text, '\n') || user.home || user.groups))
		abort();
	if (r == 0 && (!user.home || user.n_groups == 0 || user.groups[0] != user.gid ||
		       user.uid > 2147483647 || user.gid > 2147483647))
		abort();
	return 0;
}
