/* SPDX-License-Identifier: Apache-2.0 */
/* strata-init: process 1 of a VM that runs an OCI image. abi/agent.h says what it does. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "boot.h"
#include "file.h"

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
		file_kernel_log(&err);
	boot_power_off();
}
