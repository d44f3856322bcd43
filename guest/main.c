/* SPDX-License-Identifier: Apache-2.0 */
/* strata-init: process 1 of a VM that runs an OCI image. abi/agent.h says what it does. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "boot.h"
#include "file.h"

/* Where there is no host to talk to, the kernel's log: it goes to the serial console. */
static void main_say(const struct err *err)
{
	char text[AGENT_TEXT_MAX + 64];
	int n = snprintf(text, sizeof(text), "<3>strata-init: %s\n", err->text);

	AUTO(fd_close_p) int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && n > 0)
		(void)fd_write_all(fd, text,
				   strnlen(text, sizeof(text))); /* nowhere left to say it */
}

/* The kernel opens a console for 0 to 2 where the initramfs has one; nothing of ours may land there. */
static void main_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR); /* for whoever is started by us */
	} while (fd >= 0 && fd < 3);
	if (fd < 0)
		return;
	for (int i = 0; i < 3; i++)
		(void)dup2(fd, i); /* both are open */
	fd_close(fd);
}

int main(void)
{
	static const struct agent_ops ops = { .assemble = root_assemble,
					      .cgroup = boot_cgroup,
					      .devices = boot_devices };
	struct agent_ports ports;
	struct err err = { 0 };

	if (getpid() != 1)
		return 125; /* somebody tried it on a running system */
	int r = boot_mounts(&err);
	main_streams();
	(void)file_put_text("/proc/self/oom_score_adj", "-1000"); /* the workload dies first */
	if (r == 0)
		r = boot_modules(&err);
	if (r == 0)
		r = boot_ports(&ports, &err);
	if (r == 0)
		r = agent_run(&ops, &ports);
	if (r < 0 && !err.code)
		(void)err_set(&err, -r, "start the agent");
	if (r < 0)
		main_say(&err);
	boot_power_off();
}
