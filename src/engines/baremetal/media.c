/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/media.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/self.h"
#include "engines/baremetal/private.h"

void media_fini(struct media *media)
{
	for (size_t i = 0; i < media->n_files; i++)
		free(media->files[i].path);
	buf_fini(&media->guests);
	*media = (struct media){ .n_files = 0 };
}

void media_text_free_p(char **text)
{
	free(*text);
}

/* What GRUB's file and the guests' text can hold without quotes. */
static void media_name_of(const struct media *media, const char *path, char ret[MEDIA_NAME_BYTES])
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	bool is_taken = false;

	(void)snprintf(ret, MEDIA_NAME_BYTES - 4, "%s", base); /* cut, and a number may follow */
	for (char *c = ret; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			*c = '_';
	}
	for (size_t i = 0; i < media->n_files; i++)
		is_taken |= strcmp(media->files[i].name, ret) == 0;
	if (is_taken || strcmp(ret, MEDIA_GUESTS) == 0 || strcmp(ret, MEDIA_IMAGE) == 0)
		(void)snprintf(ret + strlen(ret), 5, "-%zu",
			       media->n_files); /* it fits: two digits */
}

int media_add(struct media *media, const char *path, const char **ret_name, struct err *err)
{
	AUTO(media_text_free_p) char *real = realpath(path, NULL);

	if (!real || access(real, R_OK) < 0)
		return err_set(err, errno, "read %s", path);
	for (size_t i = 0; i < media->n_files; i++) {
		if (strcmp(media->files[i].path, real) != 0)
			continue;
		if (ret_name)
			*ret_name = media->files[i].name;
		return 0;
	}
	if (media->n_files == MEDIA_FILES)
		return err_say(err, E2BIG, "%s: a medium holds %u files at most", path,
			       MEDIA_FILES);
	struct media_file *file = &media->files[media->n_files];
	media_name_of(media, path, file->name);
	file->path = TAKE(real);
	media->n_files++;
	if (ret_name)
		*ret_name = file->name;
	return 0;
}

int media_self_test(struct media *media, struct err *err)
{
	/* As hypervisor/selftest/programs.c has them. */
	static const char *const programs[] = {
		"strata-guest-pio",	 "strata-guest-mmio",	   "strata-guest-interrupts",
		"strata-guest-clocks",	 "strata-guest-cpu",	   "strata-guest-smp",
		"strata-guest-trespass", "strata-guest-exit_cost", "strata-guest-tasks",
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		AUTO(media_text_free_p) char *path = NULL;
		int r = self_helper_path(programs[i], &path, err);
		r = r < 0 ? r : media_add(media, path, NULL, err);
		if (r < 0)
			return r;
	}
	return 0;
}
