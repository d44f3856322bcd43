/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/line.h"

#include <string.h>

#include "core/print.h"
#include "drivers/disks.h"

#define COM1 0x3f8
#define COM2 0x2f8

static struct line *serial(const struct boot_info *info, const char *which, void (*wake)(void))
{
	char console[8] = "com1";

	(void)boot_info_word(info, "console", console, sizeof(console)); /* or the default */
	if (strcmp(console, which) == 0) {
		print("channel=%s: that is the console's line\n", which);
		return NULL;
	}
	return serial_line_find(strcmp(which, "com1") == 0 ? COM1 : COM2, wake);
}

struct line *line_find(const struct boot_info *info, void (*wake)(void))
{
	char which[16] = "";
	struct line *line = NULL;
	bool is_told = boot_info_word(info, "channel", which, sizeof(which));

	if (is_told && strcmp(which, "none") == 0)
		return NULL;
	if (!is_told || strcmp(which, "virtio") == 0)
		line = virtio_line_find(disks_pci(), wake);
	else if (strcmp(which, "com1") == 0 || strcmp(which, "com2") == 0)
		line = serial(info, which, wake);
	else
		print("channel=%s: it is com1, com2, virtio or none\n", which);
	if (line)
		print("the management channel is %s\n", line->ops->name);
	else if (is_told)
		print("channel=%s: no such line: nobody can manage this server\n", which);
	return line;
}
