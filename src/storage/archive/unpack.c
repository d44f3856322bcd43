/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. Each entry's parent directory is opened through openat2(2) with
 * RESOLVE_IN_ROOT, so a link on the way, absolute or climbing, ends inside the root. The last
 * component is then only ever created: O_EXCL, mkdirat, symlinkat, mknodat and linkat do not follow
 * a link that is there already. What is in the way is removed first, as Docker does, unless both
 * are directories. Owners come before modes (chown clears setuid) and before capabilities (chown
 * clears these too). Modes and times of directories are set at the end, since filling a directory
 * needs write permission and changes its time.
 */
#include "storage/archive/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "storage/archive/unpack_path.h"

#define UNPACK_LATE_MAX (256u << 20) /* bytes of directory names held for the end */

/* A directory whose mode and time wait for the end. */
struct late {
	char *path;
	mode_t mode;
	struct timespec mtime;
};

struct unpack {
	int root; /* borrowed */
	struct reader *reader;
	const struct unpack_opts *opts;
	struct unpack_report *report;
	bool as_root;
	char parent[PATH_MAX]; /* whose fd parent_fd is; the next entry is mostly its sibling */
	int parent_fd;
	struct late *lates;
	size_t n_lates, cap_lates, late_bytes;
	/* The entry at hand: */
	struct archive_entry *entry;
	struct unpack_path path;
};

static void unpack_fini(struct unpack *u)
{
	fd_close(u->parent_fd);
	for (size_t i = 0; i < u->n_lates; i++)
		free(u->lates[i].path);
	free(u->lates);
}

static int unpack_fail(const struct unpack *u, int r, struct err *err)
{
	const char *hint = r == -ENOSPC || r == -EDQUOT ? " (make room, then try again)" : "";
	char owner[200];

	if (u->opts->user && r == -EINVAL) { /* chown(2), of an id that has no mapping */
		(void)snprintf(owner, sizeof(owner),
			       " (its owner is %" PRId64 ":%" PRId64
			       ", and you have no such id: a range of them takes the package "
			       "uidmap, and lines of yours in /etc/subuid and /etc/subgid)",
			       (int64_t)archive_entry_uid(u->entry),
			       (int64_t)archive_entry_gid(u->entry));
		hint = owner;
	}

	return err_say(err, -r, "%s: entry %s: %s%s", reader_what(u->reader), u->path.full,
		       strerror(-r), hint);
}

/* An ordinary user's layers serve virtual machines, whose disks are made from the archives: nothing is lost. */
static void unpack_skip(struct unpack *u, const char *what, int r)
{
	if (!u->as_root && !u->opts->mine)
		return;
	if (!u->report->skipped++)
		(void)snprintf(u->report->example, sizeof(u->report->example), "%.120s %.80s: %s",
			       what, u->path.full, strerror(-r)); /* a cut text is still a text */
}

static int unpack_parent(struct unpack *u)
{
	if (u->parent_fd >= 0 && !strcmp(u->parent, u->path.dir))
		return 0;
	fd_close(u->parent_fd);
	u->parent_fd = fd_mkdir_in(u->root, u->path.dir[0] ? u->path.dir : ".", 0755);
	if (u->parent_fd < 0)
		return u->parent_fd;
	memcpy(u->parent, u->path.dir, sizeof(u->parent));
	return 0;
}

/* Makes way for the entry. The path of the cached parent may lead through what goes. */
static int unpack_clear(struct unpack *u, const char *name)
{
	int r = dir_remove(u->parent_fd, name);

	u->parent[0] = '/'; /* no path.dir starts so: the next entry looks its parent up again */
	u->parent[1] = '\0';
	return r;
}

/* An ordinary user must get at them again, to move and to remove them; set-user-ID would be to his id. */
static mode_t unpack_mode(const struct unpack *u)
{
	mode_t mode = archive_entry_perm(u->entry) & 07777;

	if (u->as_root)
		return mode;
	return (mode & 0777) | (archive_entry_filetype(u->entry) == AE_IFDIR ? 0700 : 0600);
}

static struct timespec unpack_mtime(struct archive_entry *entry)
{
	if (!archive_entry_mtime_is_set(entry))
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	long ns = archive_entry_mtime_nsec(entry);
	return (struct timespec){ .tv_sec = archive_entry_mtime(entry),
				  .tv_nsec = ns >= 0 && ns < 1000000000 ? ns : 0 };
}

static int unpack_owner(const struct unpack *u, uid_t *ret_uid, gid_t *ret_gid)
{
	int64_t uid = archive_entry_uid(u->entry);
	int64_t gid = archive_entry_gid(u->entry);

	/* The all-ones id means "leave it" to chown(2). */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return -EOVERFLOW;
	*ret_uid = (uid_t)uid;
	*ret_gid = (gid_t)gid;
	return 0;
}

/* Owner, mode and time of what cannot be opened: links, devices, fifos. */
static int unpack_meta_at(struct unpack *u)
{
	const char *name = u->path.base;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, unpack_mtime(u->entry) };
	uid_t uid;
	gid_t gid;

	int r = unpack_owner(u, &uid, &gid);
	if (r < 0)
		return r;
	if (u->as_root && fchownat(u->parent_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (utimensat(u->parent_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

int unpack_xattr_wanted(const char *name)
{
	const char *dot = strchr(name, '.');

	if (dot && !strncmp(dot, ".overlay.", 9))
		return -EPERM; /* overlayfs would take its orders from the image */
	return !strncmp(name, "user.", 5) || !strcmp(name, "security.capability") ||
	       !strncmp(name, "system.posix_acl_", 17);
}

static int unpack_xattrs(struct unpack *u, int fd, struct err *err)
{
	const char *name;
	const void *value;
	size_t len;

	(void)archive_entry_xattr_reset(u->entry); /* returns how many there are */
	while (archive_entry_xattr_next(u->entry, &name, &value, &len) == ARCHIVE_OK) {
		int wanted = name ? unpack_xattr_wanted(name) : 0;
		if (wanted < 0)
			return err_say(err, EPERM,
				       "%s: entry %s: attribute %s may not come from an archive",
				       reader_what(u->reader), u->path.full, name);
		if (!wanted)
			continue;
		if (fsetxattr(fd, name, value, len, 0) == 0)
			continue;
		if (errno == ENOSPC || errno == EDQUOT)
			return unpack_fail(u, -errno, err);
		unpack_skip(u, name, -errno);
	}
	return 0;
}

static int unpack_meta(struct unpack *u, int fd, struct err *err)
{
	uid_t uid;
	gid_t gid;

	int r = unpack_owner(u, &uid, &gid);
	if (r == 0 && u->as_root && fchown(fd, uid, gid) < 0)
		r = -errno;
	return r < 0 ? unpack_fail(u, r, err) : unpack_xattrs(u, fd, err);
}

static int unpack_opaque(struct unpack *u, const char *name)
{
	AUTO(fd_close_p)
	int fd = openat(u->parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* An unprivileged overlay mount reads its attributes from "user.". */
	const char *attr =
		u->as_root && !u->opts->user ? "trusted.overlay.opaque" : "user.overlay.opaque";
	return fsetxattr(fd, attr, "y", 1, 0) < 0 ? -errno : 0;
}

/*
 * A whiteout hides what lower layers have under a name, never what its own layer has (OCI image
 * spec, layer.md, "Whiteouts"): beside a directory of the same layer it makes that one opaque.
 */
static int unpack_whiteout(struct unpack *u, const char *name)
{
	struct stat st;

	if (!strcmp(name, ".wh..opq"))
		return unpack_opaque(u, ".");
	if (!strncmp(name, ".wh.", 4))
		return 0; /* AUFS's own book-keeping (".wh..wh.plnk") */
	if (!name[0] || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	if (fstatat(u->parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISDIR(st.st_mode) ? unpack_opaque(u, name) : 0;
	if (errno != ENOENT)
		return -errno;
	return mknodat(u->parent_fd, name, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
}

static int unpack_data(struct unpack *u, int fd, struct err *err)
{
	int64_t size = archive_entry_size_is_set(u->entry) ? archive_entry_size(u->entry) : 0;
	int64_t end = 0;
	const void *data;
	size_t len;
	int64_t offset;
	int r;

	while ((r = reader_data(u->reader, &data, &len, &offset, err)) == 1) {
		/* A sparse map that steps back or past the size is damage, or an attack. */
		if (offset < end || (uint64_t)offset + len > (uint64_t)INT64_MAX)
			return unpack_fail(u, -EBADMSG, err);
		if (len && offset != end && lseek(fd, offset, SEEK_SET) < 0)
			return unpack_fail(u, -errno, err);
		r = fd_write_all(fd, data, len);
		if (r < 0)
			return unpack_fail(u, r, err);
		if (len)
			end = offset + (int64_t)len;
		u->report->bytes += (int64_t)len;
	}
	if (r == 0 && end < size && ftruncate(fd, size) < 0)
		return unpack_fail(u, -errno, err);
	return r;
}

static int unpack_file(struct unpack *u, struct err *err)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, unpack_mtime(u->entry) };

	AUTO(fd_close_p) int fd = openat(u->parent_fd, u->path.base, flags, 0600);
	if (fd < 0 && errno == EEXIST) {
		int r = unpack_clear(u, u->path.base);
		if (r < 0)
			return unpack_fail(u, r, err);
		fd = openat(u->parent_fd, u->path.base, flags, 0600);
	}
	if (fd < 0)
		return unpack_fail(u, -errno, err);

	int r = unpack_data(u, fd, err);
	if (r == 0)
		r = unpack_meta(u, fd, err);
	if (r < 0)
		return r;
	if (fchmod(fd, unpack_mode(u)) < 0 || futimens(fd, times) < 0)
		return unpack_fail(u, -errno, err);
	return 0;
}

static int unpack_later(struct unpack *u)
{
	size_t len = strlen(u->path.full) + 1;

	if (u->late_bytes + len > UNPACK_LATE_MAX)
		return -E2BIG;
	if (u->n_lates == u->cap_lates) {
		size_t cap = u->cap_lates * 2 + 64;
		struct late *lates = reallocarray(u->lates, cap, sizeof(*lates));
		if (!lates)
			return -ENOMEM;
		u->lates = lates;
		u->cap_lates = cap;
	}
	char *path = strdup(u->path.full);
	if (!path)
		return -ENOMEM;
	u->lates[u->n_lates++] = (struct late){
		.path = path,
		.mode = unpack_mode(u),
		.mtime = unpack_mtime(u->entry),
	};
	u->late_bytes += len;
	return 0;
}

/* Makes the directory, or keeps the one that is there. */
static int unpack_mkdir(struct unpack *u)
{
	struct stat st;

	if (mkdirat(u->parent_fd, u->path.base, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(u->parent_fd, u->path.base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return 0;
	bool was_whiteout = u->opts->overlay && S_ISCHR(st.st_mode) && st.st_rdev == 0;
	int r = unpack_clear(u, u->path.base);
	if (r == 0 && mkdirat(u->parent_fd, u->path.base, 0700) < 0)
		r = -errno;
	return r == 0 && was_whiteout ? unpack_opaque(u, u->path.base) : r;
}

static int unpack_dir(struct unpack *u, struct err *err)
{
	const char *name = u->path.base[0] ? u->path.base : ".";
	int r = u->path.base[0] ? unpack_mkdir(u) : 0;

	if (r < 0)
		return unpack_fail(u, r, err);
	AUTO(fd_close_p)
	int fd = openat(u->parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return unpack_fail(u, -errno, err);
	r = unpack_meta(u, fd, err);
	if (r < 0)
		return r;
	r = unpack_later(u);
	return r < 0 ? unpack_fail(u, r, err) : 0;
}

static int unpack_symlink_once(struct unpack *u)
{
	const char *target = archive_entry_symlink(u->entry);

	if (!target)
		target = archive_entry_symlink_utf8(u->entry);
	if (!target || !target[0])
		return -EINVAL;
	return symlinkat(target, u->parent_fd, u->path.base) < 0 ? -errno : 0;
}

static int unpack_node_once(struct unpack *u)
{
	/* The umask is 0 in main(), so that the mode arrives as it is; setuid means nothing on a device. */
	mode_t mode =
		(mode_t)(archive_entry_filetype(u->entry) | (archive_entry_perm(u->entry) & 07777));
	dev_t dev = S_ISFIFO(mode) ? 0 : archive_entry_rdev(u->entry);

	return mknodat(u->parent_fd, u->path.base, mode, dev) < 0 ? -errno : 0;
}

static int unpack_hardlink_once(struct unpack *u)
{
	struct unpack_path target;

	int r = unpack_path_split(entry_link(u->entry), u->opts->prefix, &target);
	if (r < 0)
		return r;
	if (!target.base[0])
		return -EPERM;
	AUTO(fd_close_p)
	int dir = fd_open_in(u->root, target.dir[0] ? target.dir : ".", O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	/* Without AT_SYMLINK_FOLLOW a link is linked to, never what it points to. */
	return linkat(dir, target.base, u->parent_fd, u->path.base, 0) < 0 ? -errno : 0;
}

/* A tar may name one file twice as its own hard link: clearing the way would lose it. */
static bool unpack_links_itself(struct unpack *u)
{
	struct unpack_path target;

	return unpack_path_split(entry_link(u->entry), u->opts->prefix, &target) == 0 &&
	       !strcmp(target.full, u->path.full);
}

static int unpack_make(struct unpack *u, int (*make_once)(struct unpack *u))
{
	int r = make_once(u);

	if (r != -EEXIST)
		return r;
	r = unpack_clear(u, u->path.base);
	return r < 0 ? r : make_once(u);
}

static int unpack_hardlink(struct unpack *u, struct err *err)
{
	if (unpack_links_itself(u))
		return 0;
	int r = unpack_make(u, unpack_hardlink_once);
	if (r < 0)
		return err_say(err, -r, "%s: entry %s: hard link to %s: %s", reader_what(u->reader),
			       u->path.full, entry_link(u->entry),
			       r == -ENOENT  ? "no such file in this archive"
			       : r == -EXDEV ? "its path leaves the archive"
					     : strerror(-r));
	return 0;
}

static int unpack_special(struct unpack *u, struct err *err)
{
	mode_t type = archive_entry_filetype(u->entry);
	int r;

	switch (type) {
	case AE_IFLNK:
		r = unpack_make(u, unpack_symlink_once);
		break;
	case AE_IFCHR:
	case AE_IFBLK:
	case AE_IFIFO:
		r = unpack_make(u, unpack_node_once);
		if (r == -EPERM || r == -EACCES) {
			unpack_skip(u, "device", r);
			return 0;
		}
		break;
	default:
		unpack_skip(u, "special file", -ENOTSUP);
		return 0;
	}
	if (r == 0)
		r = unpack_meta_at(u);
	return r < 0 ? unpack_fail(u, r, err) : 0;
}

/* An enemy's tar of one file: by its name alone, so that no link or directory on the way leads to another. */
static bool unpack_is_only(struct unpack *u, const char *name)
{
	return !strcmp(name, u->opts->only) && !strchr(name, '/') && !entry_link(u->entry) &&
	       archive_entry_filetype(u->entry) != AE_IFDIR;
}

static int unpack_entry(struct unpack *u, struct err *err)
{
	const char *name = entry_path(u->entry);
	int r = unpack_path_split(name, u->opts->prefix, &u->path);

	if (r == -EXDEV)
		return err_say(err, EBADMSG, "%s: entry %.300s: its path climbs out with \"..\"",
			       reader_what(u->reader), name);
	if (r < 0)
		return err_set(err, -r, "%s: entry %.300s", reader_what(u->reader), name);
	if (u->opts->only && !unpack_is_only(u, name))
		return err_say(err, EBADMSG, "%s: entry %.300s: only a file %.200s was asked for",
			       reader_what(u->reader), name, u->opts->only);
	r = unpack_parent(u);
	if (r < 0)
		return unpack_fail(u, r, err);

	if (u->opts->overlay && !strncmp(u->path.base, ".wh.", 4)) {
		r = unpack_whiteout(u, u->path.base + 4);
		if (r == -EINVAL)
			return err_say(err, EBADMSG,
				       "%s: entry %s: a whiteout of nothing or of \"..\"",
				       reader_what(u->reader), u->path.full);
		return r < 0 ? unpack_fail(u, r, err) : 0;
	}
	if (entry_link(u->entry))
		return unpack_hardlink(u, err);
	if (archive_entry_filetype(u->entry) == AE_IFDIR)
		return unpack_dir(u, err);
	if (!u->path.base[0])
		return err_say(err, EBADMSG, "%s: entry %.300s: only a directory can be the root",
			       reader_what(u->reader), name);
	return archive_entry_filetype(u->entry) == AE_IFREG ? unpack_file(u, err)
							    : unpack_special(u, err);
}

static int unpack_finish(struct unpack *u, struct err *err)
{
	for (size_t i = 0; i < u->n_lates; i++) {
		const struct late *late = &u->lates[i];
		struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, late->mtime };
		AUTO(fd_close_p)
		int fd = fd_open_in(u->root, late->path[0] ? late->path : ".",
				    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (fd < 0)
			continue; /* a later entry took its place */
		if (fchmod(fd, late->mode) < 0 || futimens(fd, times) < 0)
			return err_set(err, errno, "%s: directory %s", reader_what(u->reader),
				       late->path);
	}
	return 0;
}

int unpack(int root, struct reader *reader, const struct unpack_opts *opts,
	   struct unpack_report *report, struct err *err)
{
	AUTO(unpack_fini)
	struct unpack u = { .root = root,
			    .reader = reader,
			    .opts = opts,
			    .report = report,
			    .as_root = geteuid() == 0 && !opts->mine,
			    .parent_fd = -EBADF };
	uint64_t entries = 0;
	int r;

	while ((r = reader_next(reader, &u.entry, err)) == 1) {
		if (++entries > UNPACK_ENTRIES_MAX)
			return err_say(err, E2BIG, "%s: more than %d entries", reader_what(reader),
				       UNPACK_ENTRIES_MAX);
		report->entries++;
		r = unpack_entry(&u, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : unpack_finish(&u, err);
}
