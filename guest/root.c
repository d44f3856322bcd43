/* SPDX-License-Identifier: Apache-2.0 */
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "disk.h"
#include "engines/oslevel/mount.h"
#include "file.h"
#include "grow.h"

#define ROOT_OPTIONS 16

void root_init(struct root *root)
{
	root->fd = -EBADF;
	for (size_t i = 0; i < CONFIG_MOUNTS; i++)
		root->volumes[i] = -EBADF;
}

void root_fini(struct root *root)
{
	fd_close(root->fd);
	for (size_t i = 0; i < CONFIG_MOUNTS; i++)
		fd_close(root->volumes[i]);
	root_init(root);
}

static int root_mkdir(const char *path, struct err *err)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? err_set(err, errno, "make %s", path) : 0;
}

/* Options that mount(8) would take as flags of the mount itself: they are not the file system's. */
static bool root_attribute(const char *word, uint64_t *attrs)
{
	static const struct {
		const char *set, *clear;
		uint64_t attr;
	} table[] = {
		{ "ro", "rw", MOUNT_ATTR_RDONLY },	    { "nosuid", "suid", MOUNT_ATTR_NOSUID },
		{ "nodev", "dev", MOUNT_ATTR_NODEV },	    { "noexec", "exec", MOUNT_ATTR_NOEXEC },
		{ "noatime", "atime", MOUNT_ATTR_NOATIME }, { "defaults", "defaults", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!strcmp(word, table[i].set))
			*attrs |= table[i].attr;
		else if (!strcmp(word, table[i].clear))
			*attrs &= ~table[i].attr;
		else
			continue;
		return true;
	}
	return false;
}

/* "size=64m,mode=1777,noexec" in place: text is cut into the options' words. */
static int root_options(char *text, struct mount_option options[ROOT_OPTIONS], size_t n,
			uint64_t *attrs, struct err *err)
{
	char *save = NULL;

	for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (root_attribute(word, attrs))
			continue;
		if (n == ROOT_OPTIONS - 1)
			return err_say(err, E2BIG, "more mount options than %d", ROOT_OPTIONS - 1);
		char *equals = strchr(word, '=');
		if (equals)
			*equals++ = '\0';
		options[n++] = (struct mount_option){ word, equals };
	}
	options[n] = (struct mount_option){ NULL, NULL };
	return 0;
}

/* As small as it was it serves as well, so that is no reason to refuse. */
static void root_grow(int mount, const char *disk)
{
	struct err err = { 0 };

	if (grow_ext4(mount, disk, &err) < 0)
		file_kernel_log(&err);
}

/*
 * A file system of the host's as a detached mount
 * @fs_read_only: the file system's own flag: a disk that cannot be written to refuses otherwise
 */
static int root_mount(const struct config_mount *mount, bool read_only, bool fs_read_only,
		      struct err *err)
{
	struct mount_option options[ROOT_OPTIONS] = { { NULL, NULL } };
	char path[DISK_PATH_MAX];
	bool tmpfs = mount->kind == AGENT_MOUNT_TMPFS;
	const char *source = mount->source;
	uint64_t attrs = tmpfs ? MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC : 0;
	size_t n = 0;
	int r = 0;

	char *text = strdup(mount->options);
	if (!text)
		return err_set(err, ENOMEM, "mount %s", mount->target);
	if (!tmpfs) {
		r = disk_find(mount->source, path, err);
		source = path;
	}
	if (!tmpfs)
		options[n++] = (struct mount_option){ "source", source };
	if (fs_read_only && !tmpfs)
		options[n++] = (struct mount_option){ "ro", NULL };
	if (r == 0)
		r = root_options(text, options, n, &attrs, err);
	if (read_only)
		attrs |= MOUNT_ATTR_RDONLY;
	if (r == 0)
		r = mount_new(tmpfs ? "tmpfs" : mount->type, options, attrs, err);
	free(text);
	if (r >= 0 && mount->kind == AGENT_MOUNT_VOLUME && !strcmp(mount->type, "ext4") &&
	    !read_only)
		root_grow(r, source);
	return r;
}

static int root_place(int fd, const char *path, struct err *err)
{
	int r = root_mkdir(path, err);

	if (r < 0)
		return r;
	AUTO(fd_close_p) int at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return err_set(err, errno, "open %s", path);
	r = mount_onto(fd, at);
	return r < 0 ? err_set(err, -r, "mount on %s", path) : 0;
}

/* All that is shared is one file system, mounted once. Return: its directory. */
static int root_share_dir(const char *tag, struct err *err)
{
	const struct mount_option options[] = { { "source", tag }, { NULL, NULL } };
	const bool there = access(ROOT_DIR "/share", F_OK) == 0;
	int r = 0;

	if (!there) {
		AUTO(fd_close_p) int fd = mount_new("virtiofs", options, 0, err);
		if (fd == -ENODEV)
			return err_say(err, ENODEV,
				       "its kernel has no virtiofs ('strata image kernel fetch' "
				       "again gets it)");
		r = fd < 0 ? fd : root_place(fd, ROOT_DIR "/share", err);
	}
	if (r < 0)
		return r;
	int dir = open(ROOT_DIR "/share", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? err_set(err, errno, "open " ROOT_DIR "/share") : dir;
}

/* "TAG:NAME" as a detached mount. Devices are the guest's own affair: those that the host keeps there open nothing. */
static int root_share(const struct config_mount *mount, bool read_only, struct err *err)
{
	const char *name = strchr(mount->source, ':');
	char tag[40];

	if (!name || !name[1] || strchr(name + 1, '/') || name[1] == '.' ||
	    (size_t)(name - mount->source) >= sizeof(tag))
		return err_say(err, EINVAL, "%s is no name of anything shared", mount->source);
	(void)snprintf(tag, sizeof(tag), "%.*s", (int)(name - mount->source),
		       mount->source); /* fits */
	AUTO(fd_close_p) int dir = root_share_dir(tag, err);
	if (dir < 0)
		return dir;
	AUTO(fd_close_p) int fd = mount_clone(dir, name + 1, true, err);
	if (fd < 0)
		return fd;
	int r = mount_attrs(fd, true,
			    (read_only ? MOUNT_ATTR_RDONLY : 0) |
				    (mount->kind == AGENT_MOUNT_ROOT ? 0 : MOUNT_ATTR_NODEV),
			    0);
	return r < 0 ? err_set(err, -r, "mount %s", mount->source) : fd_take(&fd);
}

static bool root_is_shared(const struct config_mount *mount)
{
	return !strcmp(mount->type, "virtiofs");
}

static int root_mount_at(const struct config_mount *mount, bool read_only, const char *path,
			 struct err *err)
{
	AUTO(fd_close_p) int fd = root_mount(mount, read_only, read_only, err);

	return fd < 0 ? fd : root_place(fd, path, err);
}

static const struct config_mount *root_one(const struct config *config, enum agent_mount_kind kind,
					   size_t *ret_n)
{
	const struct config_mount *found = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < config->n_mounts; i++) {
		if (config->mounts[i].kind != kind)
			continue;
		found = &config->mounts[i];
		++*ret_n;
	}
	return found;
}

/* The upper directory is the guest's "/": at first it has the owner and the mode of the image's. */
static int root_upper(struct err *err)
{
	struct stat st;

	int r = root_mkdir(ROOT_DIR "/upper/work", err);
	if (r < 0)
		return r;
	if (mkdir(ROOT_DIR "/upper/upper", 0755) < 0)
		return errno == EEXIST ? 0 : err_set(err, errno, "make the writable layer");
	if (stat(ROOT_DIR "/lower", &st) < 0 ||
	    chown(ROOT_DIR "/upper/upper", st.st_uid, st.st_gid) < 0 ||
	    chmod(ROOT_DIR "/upper/upper", st.st_mode & 07777) < 0)
		return err_set(err, errno, "make the writable layer");
	return 0;
}

int root_overlay(struct err *err)
{
	static const struct mount_option options[] = {
		{ "lowerdir", ROOT_DIR "/lower" },
		{ "upperdir", ROOT_DIR "/upper/upper" },
		{ "workdir", ROOT_DIR "/upper/work" },
		{ NULL, NULL },
	};
	int r = root_upper(err);

	return r < 0 ? r : mount_new("overlay", options, 0, err);
}

static int root_lower(const struct config_mount *mount, struct err *err)
{
	if (!root_is_shared(mount))
		return root_mount_at(mount, true, ROOT_DIR "/lower", err);
	AUTO(fd_close_p) int fd = root_share(mount, true, err);
	return fd < 0 ? fd : root_place(fd, ROOT_DIR "/lower", err);
}

/* The root, a detached mount. */
static int root_layers(const struct config *config, struct err *err)
{
	static const struct config_mount memory = { .kind = AGENT_MOUNT_TMPFS,
						    .options = "mode=755,suid,dev,exec" };
	size_t n_lower, n_upper;
	const struct config_mount *lower = root_one(config, AGENT_MOUNT_ROOT, &n_lower);
	const struct config_mount *upper = root_one(config, AGENT_MOUNT_UPPER, &n_upper);

	if (n_lower != 1 || n_upper > 1)
		return err_say(err, EINVAL, "the host names %zu root disks and %zu writable ones",
			       n_lower, n_upper);
	if (root_is_shared(lower) && !lower->read_only)
		return root_share(lower, false, err);
	int r = root_lower(lower, err);
	if (r < 0)
		return err_wrap(err, "the image's disk %s", lower->source);
	r = root_mount_at(upper ? upper : &memory, false, ROOT_DIR "/upper", err);
	if (r < 0)
		return err_wrap(err, "the writable layer");
	return root_overlay(err);
}

/* Of a volume that is mounted in several places: they share its file system, which Linux has in one state only. */
static bool root_all_read_only(const struct config *config, const char *source)
{
	for (size_t i = 0; i < config->n_mounts; i++) {
		const struct config_mount *mount = &config->mounts[i];
		if (mount->kind == AGENT_MOUNT_VOLUME && !strcmp(mount->source, source) &&
		    !mount->read_only)
			return false;
	}
	return true;
}

int root_assemble(const struct config *config, struct root *root, struct err *err)
{
	int r = root->fd = root_layers(config, err);

	if (r > 0)
		r = 0;
	for (size_t i = 0; r == 0 && i < config->n_mounts; i++) {
		const struct config_mount *mount = &config->mounts[i];
		if (mount->kind != AGENT_MOUNT_VOLUME && mount->kind != AGENT_MOUNT_TMPFS)
			continue;
		root->volumes[i] =
			root_is_shared(mount)
				? root_share(mount, mount->read_only, err)
				: root_mount(mount, mount->read_only,
					     root_all_read_only(config, mount->source), err);
		if (root->volumes[i] < 0)
			r = err_wrap(err, "volume %s", mount->target);
	}
	return r;
}

static void root_free_p(char **text)
{
	free(*text);
}

int root_etc(const struct config *config, struct err *err)
{
	static const struct mount_option options[] = { { "mode", "755" }, { NULL, NULL } };
	AUTO(root_free_p) char *hostname = NULL;

	if (config->hostname && asprintf(&hostname, "%s\n", config->hostname) < 0) {
		hostname = NULL;
		return err_set(err, ENOMEM, "make %s", ROOT_DIR "/etc/hostname");
	}
	const char *const files[][2] = {
		{ ROOT_DIR "/etc/hosts", config->hosts },
		{ ROOT_DIR "/etc/resolv.conf", config->resolv },
		{ ROOT_DIR "/etc/hostname", hostname },
	};
	AUTO(fd_close_p)
	int fd = mount_new("tmpfs", options,
			   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	int r = fd < 0 ? fd : root_place(fd, ROOT_DIR "/etc", err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		if (!files[i][1])
			continue;
		r = file_put(files[i][0], files[i][1], strlen(files[i][1]), 0644);
		if (r < 0)
			(void)err_set(err, -r, "make %s", files[i][0]);
	}
	return r;
}

int root_hosts(const void *text, size_t len)
{
	AUTO(fd_close_p) int fd = open(ROOT_DIR "/etc/hosts", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, text, len);
	return r == 0 && ftruncate(fd, (off_t)len) < 0 ? -errno : r;
}

void root_release(void)
{
	static const char *const paths[] = { ROOT_DIR "/etc", ROOT_DIR "/upper", ROOT_DIR "/lower",
					     ROOT_DIR "/share" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (umount2(paths[i], 0) < 0) /* busy: at least nothing is written any more */
			(void)mount(NULL, paths[i], NULL, MS_REMOUNT | MS_RDONLY, NULL);
	}
	sync();
}
