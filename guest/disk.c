/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "file.h"

#define DISK_WAIT_MS 10000
#define DISK_STEP_MS 5

static bool disk_name_ok(const char *name)
{
	return name[0] && !strchr(name, '/') && strlen(name) < 32 && name[0] != '.';
}

/* Linux: drivers/block/virtio_blk.c, attribute "serial": the 20 bytes that GET_ID gave. */
static bool disk_has_serial(const char *name, const char *serial)
{
	char path[96], text[32];

	(void)snprintf(path, sizeof(path), "/sys/block/%.31s/serial", name); /* fits */
	return file_line(path, text, sizeof(text)) >= 0 && !strcmp(text, serial);
}

static bool disk_by_serial(const char *serial, char ret[DISK_PATH_MAX])
{
	DIR *dir = opendir("/sys/block");
	const struct dirent *entry;
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		found = disk_name_ok(entry->d_name) && disk_has_serial(entry->d_name, serial);
		if (found)
			(void)snprintf(ret, DISK_PATH_MAX, "/dev/%.31s", entry->d_name); /* fits */
	}
	(void)closedir(dir);
	return found;
}

static bool disk_there(const char *source, char ret[DISK_PATH_MAX])
{
	struct stat st;

	if (!strncmp(source, "id=", 3)) {
		if (!disk_by_serial(source + 3, ret))
			return false;
	} else {
		(void)snprintf(ret, DISK_PATH_MAX, "/dev/%.31s", source); /* fits */
	}
	return stat(ret, &st) == 0 && S_ISBLK(st.st_mode);
}

int disk_find(const char *source, char ret_path[DISK_PATH_MAX], struct err *err)
{
	if (strncmp(source, "id=", 3) ? !disk_name_ok(source) : !source[3])
		return err_say(err, EINVAL, "disk %s: neither a name nor id=SERIAL", source);
	for (int ms = 0; ms < DISK_WAIT_MS; ms += DISK_STEP_MS) {
		if (disk_there(source, ret_path))
			return 0;
		(void)usleep(DISK_STEP_MS *
			     1000); /* a driver's probe has no end that one could wait for */
	}
	return err_say(err, ENODEV, "disk %s: this machine has none", source);
}
