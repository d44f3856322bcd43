/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "engines/vmm/virtiofsd.h"

#define FIND_DIR      "/usr/share/qemu/vhost-user"
#define FIND_FILE_MAX 65536
#define FIND_FILES    64

static int find_is_json(const struct dirent *entry)
{
	const size_t len = strlen(entry->d_name);

	return len > 5 && !strcmp(entry->d_name + len - 5, ".json");
}

/* Of a file that is none of this there is nothing to say: there may be another. */
static char *find_in(int dir, const char *name)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;

	if (file_read(dir, name, FIND_FILE_MAX, &text) < 0 ||
	    json_parse(buf_str(&text), text.len, name, &json, NULL) < 0)
		return NULL;
	const char *binary = json_str(json, "binary", "");
	if (strcmp(json_str(json, "type", ""), "fs") != 0 || binary[0] != '/' ||
	    access(binary, X_OK) < 0)
		return NULL;
	return strdup(binary);
}

int virtiofsd_find(const char *dir, char **ret, struct err *err)
{
	const char *path = dir ? dir : FIND_DIR;
	struct dirent **list = NULL;
	char *found = NULL;
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* The first by name has the first word: QEMU docs/interop/vhost-user.json. */
	int n = fd < 0 ? 0 : scandirat(fd, ".", &list, find_is_json, alphasort);

	for (int i = 0; i < n; i++) {
		if (!found && i < FIND_FILES)
			found = find_in(fd, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	if (!found)
		return err_say(err, ENOENT,
			       "folders of the host are shared with a virtual machine by the "
			       "program virtiofsd, which is not installed: apt-get install "
			       "qemu-system-common");
	*ret = found;
	return 0;
}
