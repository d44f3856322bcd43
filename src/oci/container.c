/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "oci/scope.h"

#define CONTAINER_STATE_MAX 65536
#define CONTAINER_LOCK_MS   20U /* for another who is about to be done */
#define CONTAINER_BACKLOG   8
#define CONTAINER_MODE	    0700

const char *const container_status_names[] = { "creating", "created", "running", "paused",
					       "stopped" };

/* One directory's name that is no other word of a path, and no file of ours in the root. */
static int container_check_id(const char *id, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
	size_t n = strspn(id, allowed);

	if (!n || id[n] || n > 200 || id[0] == '.')
		return err_say(err, EINVAL,
			       "container id '%.60s': must have 1 to 200 letters, digits, '_', "
			       "'+', '-' and '.', and not begin with '.'",
			       id);
	return 0;
}

int container_check_owner(int dir, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return err_set(err, errno, "open %s", path);
	return st.st_uid == geteuid()
		       ? 0
		       : err_say(err, EPERM, "%s is user %u's: ask as that user", path, st.st_uid);
}

static int container_enter(const char *root, const char *id, struct container *ret, struct err *err)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", root, id);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "--root %s", root);
	*ret = (struct container){ .dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	(void)snprintf(ret->id, sizeof(ret->id), "%s", id); /* fits: checked */
	if (ret->dir < 0 && errno == ENOENT)
		return err_say(err, ENOENT, "container '%s' does not exist", id);
	return ret->dir < 0 ? err_set(err, errno, "open %s", path)
			    : container_check_owner(ret->dir, path, err);
}

/* A lock on a directory that is gone by now is one on nothing. */
static int container_locked(struct container *container, struct err *err)
{
	struct stat st;

	container->locked = true;
	if (fstat(container->dir, &st) < 0)
		return err_set(err, errno, "lock container '%s'", container->id);
	return st.st_nlink ? 0
			   : err_say(err, ENOENT, "container '%s' does not exist: it was deleted",
				     container->id);
}

/* Who has it, for those who wonder: proc(5), /proc/locks. 0: he has let go of it, or cannot be seen. */
static pid_t container_locker(const struct container *container)
{
	char line[256];
	struct stat st;
	pid_t found = 0;
	FILE *file = fopen("/proc/locks", "re");

	if (!file)
		return 0;
	while (fstat(container->dir, &st) == 0 && !found && fgets(line, sizeof(line), file)) {
		unsigned long inode;
		int pid;
		if (sscanf(line, "%*s FLOCK %*s WRITE %d %*x:%*x:%lu", &pid, &inode) == 2 &&
		    inode == st.st_ino && pid > 0)
			found = pid;
	}
	(void)fclose(file);
	return found;
}

static int container_busy(const struct container *container, struct err *err)
{
	const pid_t pid = err ? container_locker(container) : 0;
	char who[24] = "somebody else";

	if (pid)
		(void)snprintf(who, sizeof(who), "process %d", (int)pid); /* fits */
	return err_say(err, EBUSY, "container '%s' is being made, paused or deleted by %s",
		       container->id, who);
}

/* Who only looks whether it is locked has it for a moment: container_status_of(). */
static int container_try_lock(struct container *container, struct err *err)
{
	int r = fd_claim(container->dir, CONTAINER_LOCK_MS);

	if (r == -EWOULDBLOCK)
		return container_busy(container, err);
	return r < 0 ? err_set(err, -r, "lock container '%s'", container->id)
		     : container_locked(container, err);
}

int container_make(const char *root, const char *id, struct container *ret, struct err *err)
{
	char path[PATH_MAX];
	int r = container_check_id(id, err);
	int n = snprintf(path, sizeof(path), "%s/%s", root, id);

	*ret = (struct container){ .dir = -EBADF };
	if (r < 0)
		return r;
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "--root %s", root);
	int code = mkdir(path, CONTAINER_MODE) < 0 ? errno : 0;
	if (code == ENOENT) {
		r = dir_make(AT_FDCWD, root, 0700);
		if (r < 0)
			return err_set(err, -r, "make %s", root);
		code = mkdir(path, CONTAINER_MODE) < 0 ? errno : 0;
	}
	if (code == EEXIST)
		return err_say(err, EEXIST, "container '%s' exists already", id);
	if (code)
		return err_set(err, code, "make %s", path);
	r = container_enter(root, id, ret, err);
	if (r == 0)
		r = container_try_lock(ret, err);
	if (r < 0 && r != -EBUSY && r != -ENOENT) /* these: somebody deletes it, or has */
		(void)rmdir(path);		  /* the first error is the one to tell */
	return r;
}

/* What its directory's mode says, which is written at once, and whole: container_read_state(). */
static int container_mark(struct container *container, bool has_cgroup, bool is_unfinished,
			  struct err *err)
{
	const mode_t marks = (has_cgroup ? S_ISVTX : 0) | (is_unfinished ? S_ISUID : 0);

	if (fchmod(container->dir, CONTAINER_MODE | marks) < 0)
		return err_set(err, errno, "write the state of container '%s'", container->id);
	container->has_cgroup = has_cgroup;
	container->is_unfinished = is_unfinished;
	return 0;
}

int container_own_cgroup(struct container *container, struct err *err)
{
	return container_mark(container, true, container->is_unfinished, err);
}

int container_finish(struct container *container, bool finished, struct err *err)
{
	return container_mark(container, container->has_cgroup, !finished, err);
}

static int container_read_state(struct container *container, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;
	struct stat st;

	const mode_t mode = fstat(container->dir, &st) == 0 ? st.st_mode : 0;
	container->has_cgroup = mode & S_ISVTX;
	container->is_unfinished = mode & S_ISUID;
	int r = file_read(container->dir, "state.json", CONTAINER_STATE_MAX, &text);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, -r, "read the state of container '%s'", container->id);
	r = json_parse(buf_str(&text), text.len, "state.json", &json, err);
	if (r < 0)
		return err_wrap(err, "container '%s'", container->id);
	container->pid = (pid_t)json_int(json, "pid", 0);
	if (!json_object_get(json, "cgroup")) /* made before there was the bit */
		container->has_cgroup = true;
	container->start_time = (uint64_t)json_int(json, "start_time", 0);
	(void)snprintf(container->bundle, sizeof(container->bundle), "%s",
		       json_str(json, "bundle", "")); /* ours: fits */
	(void)snprintf(container->created, sizeof(container->created), "%s",
		       json_str(json, "created", ""));
	(void)snprintf(container->virt, sizeof(container->virt), "%s", json_str(json, "virt", ""));
	(void)snprintf(container->version, sizeof(container->version), "%s",
		       json_str(json, "ociVersion", CONFIG_VERSION));
	return 0;
}

int container_open(const char *root, const char *id, struct container *ret, struct err *err)
{
	int r = container_check_id(id, err);

	*ret = (struct container){ .dir = -EBADF };
	if (r == 0)
		r = container_enter(root, id, ret, err);
	if (r == 0)
		r = container_read_state(ret, err);
	if (r < 0)
		container_close(ret);
	return r;
}

int container_open_damaged(const char *root, const char *id, struct container *ret, struct err *err)
{
	int r = container_check_id(id, err);

	*ret = (struct container){ .dir = -EBADF };
	if (r == 0)
		r = container_enter(root, id, ret, err);
	if (r == 0 && container_read_state(ret, NULL) < 0)
		ret->pid = 0;
	return r;
}

int container_open_locked(const char *root, const char *id, bool damaged, struct container *ret,
			  struct err *err)
{
	int r = container_check_id(id, err);

	*ret = (struct container){ .dir = -EBADF };
	if (r == 0)
		r = container_enter(root, id, ret, err);
	if (r == 0)
		r = container_try_lock(ret, err);
	const int read = r < 0 ? 0 : container_read_state(ret, damaged ? NULL : err);
	if (read < 0 && damaged)
		ret->pid = 0;
	else if (read < 0)
		r = read;
	if (r < 0)
		container_close(ret);
	return r;
}

int container_lock(struct container *container, struct err *err)
{
	int r = fd_lock(container->dir);

	if (r < 0)
		return err_set(err, -r, "lock container '%s'", container->id);
	return container_locked(container, err);
}

void container_unlock(struct container *container)
{
	(void)flock(container->dir, LOCK_UN); /* ours */
	container->locked = false;
}

void container_close(struct container *container)
{
	fd_close(container->dir);
	container->dir = -EBADF;
}

int container_place(const struct container *container, const char *root, char ret[PATH_MAX],
		    struct err *err)
{
	int n = snprintf(ret, PATH_MAX, "%s/%s/" CONTAINER_PLACE, root, container->id);

	if (n < 0 || n >= PATH_MAX)
		return err_set(err, ENAMETOOLONG, "--root %s", root);
	return mkdirat(container->dir, CONTAINER_PLACE, 0700) < 0
		       ? err_set(err, errno, "make %s", ret)
		       : 0;
}

/* In other mount namespaces than ours the mount goes with the directory: rmdir(2) detaches it since Linux 3.18. */
int container_clear_place(const struct container *container, struct err *err)
{
	char path[48];

	if (unlinkat(container->dir, CONTAINER_PLACE, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/" CONTAINER_PLACE,
		       container->dir); /* fits */
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	return unlinkat(container->dir, CONTAINER_PLACE, AT_REMOVEDIR) < 0
		       ? err_set(err, errno, "unmount the root of container '%s'", container->id)
		       : 0;
}

int container_forget(const char *root, struct container *container, struct err *err)
{
	AUTO(fd_close_p) int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : dir_remove(dir, container->id);

	return r < 0 ? err_set(err, -r, "remove the state of container '%s'", container->id) : 0;
}

int container_keep_config(struct container *container, const char *text, size_t len,
			  struct err *err)
{
	int r = file_replace(container->dir, "config.json", 0600, text, len, false);

	return r < 0 ? err_set(err, -r, "write the state of container '%s'", container->id) : 0;
}

int container_config(const struct container *container, struct config *ret, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	int r = file_read(container->dir, "config.json", CONFIG_BYTES_MAX, &text);

	*ret = (struct config){ .json = NULL };
	if (r < 0)
		return err_set(err, -r, "read the configuration of container '%s'", container->id);
	r = config_parse(buf_str(&text), text.len, container->bundle, container->id, ret, err);
	if (r == 0)
		scope_load(container, ret);
	return r;
}

/* The state's letter and the start time: proc(5), /proc/PID/stat. A name may hold anything, so from its end on. */
static bool container_look(pid_t pid, char *ret_state, uint64_t *ret_start)
{
	char path[40], text[1024];
	unsigned long long start;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_text(fd, text, sizeof(text)) < 0)
		return false;
	const char *end = strrchr(text, ')');
	if (!end || sscanf(end,
			   ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
			   "%*d %*d %*d %llu",
			   ret_state, &start) != 2)
		return false;
	*ret_start = start;
	return true;
}

int container_save(struct container *container, struct err *err)
{
	char state = 'X';

	(void)container_look(container->pid, &state, &container->start_time); /* 0: it is gone */
	if (!container->created[0])
		clock_rfc3339(clock_real_ns(), container->created);
	AUTO(json_decref_p)
	json_t *json = json_pack(
		"{s:s, s:s, s:i, s:I, s:s, s:s, s:s, s:b}", "ociVersion", container->version, "id",
		container->id, "pid", (int)container->pid, "start_time",
		(json_int_t)container->start_time, "bundle", container->bundle, "created",
		container->created, "virt", container->virt, "cgroup", container->has_cgroup);
	char *text = json ? json_text(json, 0) : NULL;
	int r = text ? file_replace(container->dir, "state.json", 0600, text, strlen(text), false)
		     : -ENOMEM;
	free(text);
	return r < 0 ? err_set(err, -r, "write the state of container '%s'", container->id) : 0;
}

static bool container_is_paused(const struct bundle *bundle)
{
	struct cgroup_layout layout;
	struct cgroup cgroup;

	if (bundle_layout(&layout, NULL) < 0 ||
	    cgroup_open(&layout, bundle->cgroup, &cgroup, NULL) < 0)
		return false;
	int frozen = cgroup_is_frozen(&cgroup);
	cgroup_close(&cgroup);
	return frozen > 0;
}

enum container_status container_status_of(const struct container *container,
					  const struct bundle *bundle)
{
	char state = 'X';
	uint64_t start = 0;

	if (!container->pid && container->locked)
		return CONTAINER_STOPPED;
	if (!container->pid) {
		if (flock(container->dir, LOCK_SH | LOCK_NB) < 0)
			return CONTAINER_CREATING;
		(void)flock(container->dir, LOCK_UN); /* ours */
		return CONTAINER_STOPPED;
	}
	if (!container_look(container->pid, &state, &start) || start != container->start_time ||
	    state == 'Z' || state == 'X')
		return CONTAINER_STOPPED;
	if (bundle && container_is_paused(bundle)) /* also one that has not been started */
		return CONTAINER_PAUSED;
	AUTO(fd_close_p) int waiting = container_connect(container);
	return waiting >= 0 || waiting == -EAGAIN ? CONTAINER_CREATED : CONTAINER_RUNNING;
}

/* A socket's path has 107 bytes: through the directory's fd it is always short. */
static struct sockaddr_un container_address(const struct container *container)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/start",
		       container->dir); /* fits */
	return address;
}

int container_listen(const struct container *container, struct err *err)
{
	const struct sockaddr_un address = container_address(container);
	AUTO(fd_close_p) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, CONTAINER_BACKLOG) < 0)
		return err_set(err, errno, "make the start socket of container '%s'",
			       container->id);
	return fd_take(&fd);
}

int container_connect(const struct container *container)
{
	const struct sockaddr_un address = container_address(container);
	AUTO(fd_close_p) int fd = -EBADF;

	if (faccessat(container->dir, "start", F_OK, 0) < 0)
		return -errno;
	/* Whoever waits there may be frozen or stopped, and take nobody: that must not hold up who only looks. */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fcntl(fd, F_SETFL, O_RDWR) < 0)
		return -errno;
	return fd_take(&fd);
}

char *container_state(const struct container *container, const struct config *config,
		      enum container_status status, pid_t pid)
{
	AUTO(json_decref_p)
	json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:s}", "ociVersion", CONFIG_VERSION, "id",
				 container->id, "status", container_status_names[status], "pid",
				 (int)pid, "bundle", container->bundle);

	if (!json)
		return NULL;
	if (config->annotations && json_object_size(config->annotations))
		(void)json_object_set(json, "annotations",
				      (json_t *)(uintptr_t)config->annotations);
	if (container->created[0])
		(void)json_object_set_new(json, "created", json_string(container->created));
	if (config->bundle.root)
		(void)json_object_set_new(json, "rootfs", json_string(config->bundle.root));
	return json_text(json, 2);
}
