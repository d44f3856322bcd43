/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hosts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/baremetal/hub_start.h"
#include "engines/baremetal/hv_ask.h"
#include "engines/baremetal/hv_guest.h"
#include "engines/baremetal/media.h"
#include "engines/baremetal/private.h"
#include "storage/disk/disk.h"

#define HOSTS_STOP_MS 90000 /* its QEMU has its time first: hub_main.c */
#define HOSTS_HUB     "strata-hub"

/* ---- directories ---- */

/* @make: it, and those above. The directory's fd, locked: one command at a time starts, stops or sweeps a server. */
static int host_dir(const char *run_root, const char *name, bool make, struct err *err)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/hosts/%s", run_root, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "host %.100s", name);
	for (;;) {
		struct stat st;
		int r = make ? dir_make(AT_FDCWD, path, 0700) : 0;
		AUTO(fd_close_p)
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_set(err, r < 0 ? -r : errno, "open %s", path);
		r = fd_lock(fd);
		if (r < 0)
			return err_set(err, -r, "lock %s", path);
		/* Removed while we waited: then nobody else will find it. */
		if (fstat(fd, &st) == 0 && st.st_nlink > 0)
			return fd_take(&fd);
		if (!make)
			return err_set(err, ENOENT, "open %s", path);
	}
}

static void host_remove(const char *run_root, const char *name)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/hosts/%s", run_root, name);

	if (n > 0 && (size_t)n < sizeof(path))
		(void)dir_remove(AT_FDCWD, path); /* what is left is found again */
}

/* Whether somebody listens: a hub that is dead leaves a socket that refuses. */
static bool host_lives(int dir)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	AUTO(fd_close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/" HV_CHANNEL_NAME,
		       dir); /* fits */
	return fd >= 0 &&
	       (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 || errno == EAGAIN);
}

static int host_keep_pid(int dir, pid_t hub)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)hub);

	return file_replace(dir, "pid", 0600, text, (size_t)n, false);
}

/* 0: none that is still a hub. */
static pid_t host_pid(int dir)
{
	char text[32] = "", path[64], name[32] = "";
	AUTO(fd_close_p) int fd = openat(dir, "pid", O_RDONLY | O_CLOEXEC);
	long pid = fd >= 0 && fd_read_text(fd, text, sizeof(text)) > 0 ? strtol(text, NULL, 10) : 0;

	if (pid <= 1 || pid > INT32_MAX)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%ld/comm", pid); /* fits */
	AUTO(fd_close_p) int comm = open(path, O_RDONLY | O_CLOEXEC);
	if (comm < 0 || fd_read_text(comm, name, sizeof(name)) <= 0)
		return 0;
	return !strcmp(name, HOSTS_HUB "\n") ? (pid_t)pid : 0;
}

/* ---- --host ---- */

static int host_launch(int dir, const char *path, const struct hub_start *start, pid_t *ret,
		       struct err *err)
{
	int r = hub_start(start, ret, err);

	if (r < 0)
		return r;
	r = host_keep_pid(dir, *ret);
	return r < 0 ? err_set(err, -r, "write %s/pid", path) : 0;
}

/* A path as a directory's name: no two paths have the same. */
static int line_name(const char *path, char ret[256])
{
	size_t n = 0;

	for (const char *c = path; *c; c++) {
		const bool odd = *c == HOSTS_LINE || *c == '%';
		if (n + 4 > 256)
			return -ENAMETOOLONG;
		(void)snprintf(ret + n, 4, odd ? "%%%02x" : "%c", *c == '/' ? HOSTS_LINE : *c);
		n += odd ? 3 : 1;
	}
	return 0;
}

static int host_line(const char *run_root, const char *channel, struct hv_host *host,
		     struct err *err)
{
	char path[4096], real[PATH_MAX];
	struct stat st;
	pid_t hub;

	if (!realpath(channel, real) || stat(real, &st) < 0)
		return err_set(err, errno, "--host %s", channel);
	if (!S_ISCHR(st.st_mode) && !S_ISSOCK(st.st_mode))
		return err_say(err, EINVAL, "--host %s: neither a serial line nor a unix socket",
			       channel);
	if (line_name(real, host->name) < 0)
		return err_set(err, ENAMETOOLONG, "--host %s", channel);
	AUTO(fd_close_p) int dir = host_dir(run_root, host->name, true, err);
	if (dir < 0)
		return dir;
	if (host_lives(dir))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/hosts/%s", run_root,
		       host->name); /* host_dir() did */
	const struct hub_start start = {
		.dir = path,
		.socket = HV_CHANNEL_NAME,
		.log = HV_HUB_LOG,
		.tty = S_ISCHR(st.st_mode) ? real : NULL,
		.unix_socket = S_ISSOCK(st.st_mode) ? real : NULL,
	};
	return host_launch(dir, path, &start, &hub, err);
}

/* A lab's name is a directory's. */
static int lab_name_check(const char *name, struct err *err)
{
	size_t len = strlen(name);
	bool ok = len >= 1 && len < HOST_NAME_MAX_BYTES && isalnum((unsigned char)name[0]);

	for (size_t i = 0; ok && i < len; i++)
		ok = isalnum((unsigned char)name[i]) || strchr("_.-", name[i]);
	return ok ? 0
		  : err_say(err, EINVAL,
			    "lab \"%s\": use up to %u letters, digits, '_', '.' or '-', the first a "
			    "letter or digit",
			    name, HOST_NAME_MAX_BYTES - 1);
}

static int lab_find(const char *run_root, const char *name, struct err *err)
{
	int r = lab_name_check(name, err);

	if (r < 0)
		return r;
	AUTO(fd_close_p) int dir = host_dir(run_root, name, false, NULL);
	if (dir >= 0 && host_lives(dir))
		return 0;
	if (dir >= 0)
		host_remove(run_root, name);
	return err_say(
		err, ENOENT,
		"no lab %s runs: 'strata baremetal lab start %s' starts one; a serial line or "
		"a socket is given by its path",
		name, name);
}

int hosts_find(const char *run_root, const char *channel, struct hv_host *ret, struct err *err)
{
	int r;

	*ret = (struct hv_host){ .name = "" };
	if (strchr(channel, '/')) {
		r = host_line(run_root, channel, ret, err);
	} else {
		r = lab_find(run_root, channel, err);
		(void)snprintf(ret->name, sizeof(ret->name), "%s", channel); /* checked */
	}
	if (r < 0)
		return r;
	int n = snprintf(ret->socket, sizeof(ret->socket), "%s/hosts/%s/" HV_CHANNEL_NAME, run_root,
			 ret->name);
	return n < 0 || (size_t)n >= sizeof(ret->socket)
		       ? err_set(err, ENAMETOOLONG, "--host %s", channel)
		       : 0;
}

/* ---- labs ---- */

struct lab_files {
	struct lab_file list[MEDIA_FILES + 1];
	size_t n;
};

/* By the names that the guests' text has. */
static int lab_links(int dir, const struct media *media, struct lab_files *files, struct err *err)
{
	if (!media->guests.len)
		return 0;
	int r = file_replace(dir, MEDIA_GUESTS, 0600, media->guests.data, media->guests.len, false);
	if (r < 0)
		return err_set(err, -r, "write " MEDIA_GUESTS);
	files->list[files->n++].path = MEDIA_GUESTS;
	for (size_t i = 0; i < media->n_files; i++) {
		if (symlinkat(media->files[i].path, dir, media->files[i].name) < 0)
			return err_set(err, errno, "link %s", media->files[i].name);
		files->list[files->n++].path = media->files[i].name;
	}
	return 0;
}

static uint64_t lab_file_bytes(const struct media *media)
{
	uint64_t bytes = 0;
	struct stat st;

	for (size_t i = 0; i < media->n_files; i++)
		bytes += stat(media->files[i].path, &st) == 0 ? (uint64_t)st.st_size : 0;
	return bytes;
}

/* Until it answers: a server that cannot start says so now. */
static int lab_await(int dir, const char *name, struct err *err)
{
	struct hv_ask ask;
	struct err why = { 0 };
	char last[256];
	int r = hv_ask_open(&ask, dir, &why);

	if (r == 0) {
		hv_ask_close(&ask);
		return 0;
	}
	hub_log_last(dir, HV_HUB_LOG, last);
	return err_say(err, -r, "lab %s: %.200s", name, last[0] ? last : why.text);
}

/* What is wrong with a disk is said here; that nobody else has it while the lab runs is QEMU's lock. */
static int lab_disks(const struct hosts_lab *lab, struct err *err)
{
	for (size_t i = 0; i < lab->n_disks; i++) {
		const struct lab_disk *disk = &lab->disks[i];
		const bool qcow2 = !strcmp(disk->format, "qcow2");
		uint64_t size;
		int r = disk_size(disk->path, qcow2 ? DISK_FORMAT_QCOW2 : DISK_FORMAT_RAW, &size,
				  err);
		if (r < 0)
			return r;
		AUTO(fd_close_p) int held = disk_hold(disk->path, disk->read_only, err);
		if (held < 0)
			return held;
	}
	return 0;
}

static int lab_launch(int dir, const char *path, const struct hosts_lab *lab, struct err *err)
{
	AUTO(media_fini) struct media media = { .n_files = 0 };
	struct lab_files files = { .n = 0 };
	char *image = NULL;
	pid_t hub = 0;
	int r = lab_disks(lab, err);

	r = r < 0 || !lab->config ? r : media_config(&media, lab->config, err);
	r = r < 0 ? r : lab_links(dir, &media, &files, err);
	r = r < 0 ? r : lab_image(&image, err);
	if (r < 0)
		return r;
	const struct lab_server server = {
		.image = image,
		.words = lab->words,
		.memory_bytes = lab->memory_bytes + lab_file_bytes(&media),
		.cpus = lab->cpus,
		.files = files.list,
		.n_files = files.n,
		.disks = lab->disks,
		.n_disks = lab->n_disks,
	};
	const struct hub_start start = {
		.dir = path,
		.socket = HV_CHANNEL_NAME,
		.log = HV_HUB_LOG,
		.console = HV_SERVER_LOG,
		.lab = &server,
	};
	r = host_launch(dir, path, &start, &hub, err);
	free(image);
	r = r < 0 ? r : lab_await(dir, lab->name, err);
	if (r < 0 && hub > 0)
		(void)kill(hub, SIGTERM); /* our child, and not waited for: it is the one */
	return r;
}

/* Ours to start one in. Once more after it was removed: whoever waited for it may have been faster, and then its lab runs there. */
static int lab_dir(const char *run_root, const char *name, struct err *err)
{
	AUTO(fd_close_p) int dir = host_dir(run_root, name, true, err);

	if (dir >= 0 && host_lives(dir))
		return err_say(err, EEXIST, "lab %s runs already", name);
	return fd_take(&dir);
}

int hosts_lab_start(const char *run_root, const struct hosts_lab *lab, struct err *err)
{
	char path[4096];
	int r = lab_name_check(lab->name, err);

	if (r < 0)
		return r;
	AUTO(fd_close_p) int dir = lab_dir(run_root, lab->name, err);
	if (dir < 0)
		return dir;
	(void)snprintf(path, sizeof(path), "%s/hosts/%s", run_root, lab->name); /* host_dir() did */
	/* Of one that was killed: its files are in the way of this one's. */
	host_remove(run_root, lab->name);
	fd_close(dir);
	dir = lab_dir(run_root, lab->name, err);
	if (dir < 0)
		return dir;
	r = lab_launch(dir, path, lab, err);
	if (r < 0)
		host_remove(run_root, lab->name);
	return r;
}

int hosts_lab_stop(const char *run_root, const char *name, struct err *err)
{
	int r = lab_find(run_root, name, err);

	if (r < 0)
		return r;
	AUTO(fd_close_p) int dir = host_dir(run_root, name, false, err);
	if (dir < 0)
		return dir;
	pid_t hub = host_pid(dir);
	AUTO(fd_close_p) int pidfd = hub ? pidfd_of(hub) : -ESRCH;
	if (pidfd >= 0 && host_pid(dir) == hub) {
		struct pollfd ended = { .fd = pidfd, .events = POLLIN };
		(void)pidfd_signal(pidfd, SIGTERM); /* gone already: the wait says so */
		do {
			r = poll(&ended, 1, HOSTS_STOP_MS);
		} while (r < 0 && errno == EINTR);
		if (r == 0)
			(void)pidfd_signal(pidfd, SIGKILL); /* and QEMU with it */
	}
	host_remove(run_root, name);
	return 0;
}

static int lab_row(const char *run_root, const char *name, struct hv_lab **list, size_t *n,
		   struct err *err)
{
	AUTO(fd_close_p) int dir = host_dir(run_root, name, false, NULL);

	if (dir < 0)
		return 0;
	if (!host_lives(dir)) {
		host_remove(run_root,
			    name); /* a hub that was killed, or that nobody needed any more */
		return 0;
	}
	if (name[0] == HOSTS_LINE)
		return 0; /* a line's */
	struct hv_lab *more = reallocarray(*list, *n + 1, sizeof(**list));
	if (!more)
		return err_set(err, ENOMEM, "list labs");
	*list = more;
	more[*n] = (struct hv_lab){ .hub = host_pid(dir) };
	(void)snprintf(more[*n].name, sizeof(more[*n].name), "%s",
		       name); /* as long as a name may be */
	(*n)++;
	return 0;
}

int hosts_lab_list(const char *run_root, struct hv_lab **ret, size_t *ret_n, struct err *err)
{
	char path[4096];
	struct hv_lab *list = NULL;
	size_t n = 0;
	int r = 0, len = snprintf(path, sizeof(path), "%s/hosts", run_root);

	if (len < 0 || (size_t)len >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "list labs");
	AUTO(dir_close_p) DIR *dir = opendir(path);
	if (!dir && errno != ENOENT)
		return err_set(err, errno, "list %s", path);
	for (struct dirent *e = dir ? readdir(dir) : NULL; r == 0 && e; e = readdir(dir)) {
		if (e->d_name[0] != '.')
			r = lab_row(run_root, e->d_name, &list, &n, err);
	}
	if (r < 0) {
		free(list);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}
