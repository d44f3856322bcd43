/* SPDX-License-Identifier: Apache-2.0 */
#include "boot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "engines/cgroup/devices_bpf.h"
#include "file.h"
#include "stats.h"

#define BOOT_WAIT_MS  10000
#define BOOT_STEP_MS  2
#define BOOT_LATE_MS  5000 /* for ports after strata.control */
#define BOOT_LIST_MAX 65536

int boot_mounts(struct err *err)
{
	static const struct {
		const char *type, *target, *options;
		unsigned long flags;
	} table[] = {
		{ "devtmpfs", "/dev", "mode=755", MS_NOSUID },
		{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "tmpfs", "/run", "mode=755", MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV | MS_NOEXEC },
	};

	(void)umask(0);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (mkdir(table[i].target, 0755) < 0 && errno != EEXIST)
			return err_set(err, errno, "make %s", table[i].target);
		/* EBUSY: the kernel has mounted /dev itself. */
		if (mount(table[i].type, table[i].target, table[i].type, table[i].flags,
			  table[i].options) < 0 &&
		    errno != EBUSY)
			return err_set(err, errno, "mount %s", table[i].target);
	}
	if (mkdir(ROOT_DIR, 0755) < 0 && errno != EEXIST)
		return err_set(err, errno, "make %s", ROOT_DIR);
	return 0;
}

static int boot_module(const char *name, struct err *err)
{
	char path[160];

	if (strchr(name, '/') || strlen(name) > 100)
		return err_say(err, EINVAL, "module %s: not a file name", name);
	(void)snprintf(path, sizeof(path), ROOT_DIR "/%s", name); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "module %s", name);
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		return err_set(err, errno, "module %s", name);
	(void)unlink(path); /* the initramfs is memory */
	return 0;
}

/* Whether the machine has a shared folder: device 26 on the virtio bus (virtio 1.2, 5 Device Types). */
static bool boot_shares(void)
{
	DIR *dir = opendir("/sys/bus/virtio/devices");
	const struct dirent *entry;
	char path[96], id[16];
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		(void)snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%.31s/device",
			       entry->d_name); /* fits */
		found = entry->d_name[0] != '.' && file_line(path, id, sizeof(id)) >= 0 &&
			strtoul(id, NULL, 16) == 26;
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

/* They come after virtio_pci, which finds the devices, and would take time and memory that most machines have no use for. */
static bool boot_wanted(const char *name)
{
	return (strcmp(name, "fuse.ko") != 0 && strcmp(name, "virtiofs.ko") != 0) || boot_shares();
}

int boot_modules(struct err *err)
{
	AUTO(buf_fini) struct buf list = { 0 };
	AUTO(fd_close_p) int fd = open(BOOT_MODULES, O_RDONLY | O_CLOEXEC);
	char *save = NULL;
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "open %s", BOOT_MODULES);
	r = fd_read_all(fd, BOOT_LIST_MAX, &list);
	if (r < 0)
		return err_set(err, -r, "read %s", BOOT_MODULES);
	for (char *name = list.data ? strtok_r(list.data, "\n", &save) : NULL; r == 0 && name;
	     name = strtok_r(NULL, "\n", &save))
		r = boot_wanted(name) ? boot_module(name, err) : 0;
	return r;
}

/* ---- ports ---- */

struct boot_port {
	const char *name;
	int *fd;
};

static int boot_port_open(const char *device)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/dev/%.31s", device); /* fits */
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A port's name is an attribute of its device (Linux: drivers/char/virtio_console.c, show_port_name()). */
static void boot_ports_look(const struct boot_port *ports, size_t n)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	const struct dirent *entry;
	char path[96], name[64];

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/sys/class/virtio-ports/%.31s/name",
			       entry->d_name); /* fits */
		if (file_line(path, name, sizeof(name)) < 0)
			continue;
		for (size_t i = 0; i < n; i++) {
			if (*ports[i].fd < 0 && !strcmp(name, ports[i].name))
				*ports[i].fd = boot_port_open(entry->d_name);
		}
	}
	(void)closedir(dir);
}

static int boot_listener(void)
{
	const struct sockaddr_vm address = { .svm_family = AF_VSOCK,
					     .svm_cid = VMADDR_CID_ANY,
					     .svm_port = AGENT_EXEC_PORT };
	AUTO(fd_close_p) int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 64) < 0)
		return -errno;
	return fd_take(&fd);
}

/*
 * The host adds its ports one after the other, and nothing says which is the last: once strata.control is there, the others
 * get a moment, which a host that is busy may need: all of ours add all four, and another one is not held up for long.
 */
int boot_ports(struct agent_ports *ret, struct err *err)
{
	struct agent_ports ports = { -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, true };
	const struct boot_port table[] = {
		{ AGENT_PORT_CONTROL, &ports.control },
		{ AGENT_PORT_STDIN, &ports.in },
		{ AGENT_PORT_STDOUT, &ports.out },
		{ AGENT_PORT_STDERR, &ports.err },
	};
	int late_ms = 0;

	for (int ms = 0; ms < BOOT_WAIT_MS && late_ms < BOOT_LATE_MS; ms += BOOT_STEP_MS) {
		boot_ports_look(table, ARRAY_SIZE(table));
		if (ports.control >= 0 && ports.in >= 0 && ports.out >= 0 && ports.err >= 0)
			break;
		late_ms += ports.control >= 0 ? BOOT_STEP_MS : 0;
		(void)usleep(BOOT_STEP_MS *
			     1000); /* a driver's probe has no end that one could wait for */
	}
	if (ports.control < 0)
		return err_say(err, ENODEV, "this machine has no port %s", AGENT_PORT_CONTROL);
	ports.listener = boot_listener(); /* a machine without vsock has no sessions */
	*ret = ports;
	return 0;
}

/* ---- cgroup ---- */

int boot_cgroup(const struct config *config, struct err *err)
{
	static const char *const controllers[] = { "+cpu", "+memory", "+pids", "+io" };
	char text[24];

	if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) <
		    0 &&
	    errno != EBUSY)
		return err_set(err, errno, "mount /sys/fs/cgroup");
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
		(void)file_put_text("/sys/fs/cgroup/cgroup.subtree_control",
				    controllers[i]); /* stats without it are 0 */
	if (mkdir(STATS_CGROUP, 0755) < 0 && errno != EEXIST)
		return err_set(err, errno, "make the workload's cgroup");
	if (config->pids) {
		(void)snprintf(text, sizeof(text), "%llu",
			       (unsigned long long)config->pids); /* fits */
		int r = file_put_text(STATS_CGROUP "/pids.max", text);
		if (r < 0)
			return err_set(err, -r, "limit the number of processes");
	}
	int fd = open(STATS_CGROUP "/cgroup.procs", O_WRONLY | O_CLOEXEC);
	return fd < 0 ? err_set(err, errno, "open the workload's cgroup") : fd;
}

int boot_devices(struct err *err)
{
	AUTO(fd_close_p) int dir = open(STATS_CGROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_set(err, errno, "open %s", STATS_CGROUP);
	int r = devices_bpf_set(dir, devices_default, DEVICES_DEFAULT,
				DEVICES_BPF_EXACT | DEVICES_BPF_ALONE);
	return r < 0 ? err_set(err, -r, "device rules") : 0;
}

/* ---- the end ---- */

static void boot_kill_all(void)
{
	(void)kill(-1, SIGKILL); /* all but this process; ESRCH: there is none */
	for (int tries = 0; tries < 200; tries++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return;
		if (pid == 0)
			(void)usleep(5000);
	}
}

_Noreturn void boot_power_off(void)
{
	boot_kill_all();
	root_release();
	(void)reboot(RB_POWER_OFF);
	(void)reboot(RB_AUTOBOOT); /* a machine without a power switch */
	for (;;)
		(void)pause();
}
