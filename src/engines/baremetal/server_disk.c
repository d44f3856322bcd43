/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/server_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/gpt.h"
#include "base/core/macros.h"
#include "base/os/fd.h"

#define MIB	       EXTENTS_UNIT_BYTES
#define DISK_BYTES_MIN (4 * MIB)
#define TABLE_BYTES    (UINT32_C(128) << 10) /* as gpt_header() lets through */
#define SECTOR_MAX     4096U

static void memory_free_p(uint8_t **p)
{
	free(*p);
}

static int read_at(int fd, uint64_t offset, void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (uint8_t *)data + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

static int write_at(int fd, uint64_t offset, const void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, (const uint8_t *)data + done, len - done,
				   (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int part_write(const struct extents_io *io, uint64_t offset, const void *data, size_t len)
{
	const struct server_disk *d = container_of(io, struct server_disk, io);

	return write_at(d->fd, d->part_start_bytes + offset, data, len);
}

static int part_flush(const struct extents_io *io)
{
	return fsync(container_of(io, struct server_disk, io)->fd) < 0 ? -errno : 0;
}

/* As storage/disk does it: open file description locks over all of it (fcntl(2)); QEMU's locks are of that kind too. */
static int disk_lock(const struct server_disk *d, bool write, struct err *err)
{
	struct flock lock = { .l_type = (short)(write ? F_WRLCK : F_RDLCK), .l_whence = SEEK_SET };

	if (fcntl(d->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return err_say(err, EBUSY, "%s is in use by a virtual machine or another command",
			       d->path);
	return err_set(err, errno, "lock %s", d->path);
}

/* Whether a file is behind a loop device. Source: sysfs, /sys/block/loopN/loop/backing_file. */
static bool has_loop(const struct stat *st)
{
	AUTO(dir_close_p) DIR *dir = opendir("/sys/block");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char at[NAME_MAX + 64], file[PATH_MAX + 1];
		struct stat behind;
		if (strncmp(entry->d_name, "loop", 4) != 0)
			continue;
		(void)snprintf(at, sizeof(at), "/sys/block/%s/loop/backing_file", entry->d_name);
		AUTO(fd_close_p) int fd = open(at, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fd_read_text(fd, file, sizeof(file)) <= 0)
			continue;
		file[strcspn(file, "\n")] = 0;
		if (stat(file, &behind) == 0 && behind.st_dev == st->st_dev &&
		    behind.st_ino == st->st_ino)
			return true;
	}
	return false;
}

static int disk_size(struct server_disk *d, const struct stat *st, struct err *err)
{
	int sector = 0;

	d->is_block = S_ISBLK(st->st_mode);
	if (!d->is_block) {
		d->size_bytes = (uint64_t)st->st_size;
		return 0;
	}
	if (ioctl(d->fd, BLKGETSIZE64, &d->size_bytes) < 0 || ioctl(d->fd, BLKSSZGET, &sector) < 0)
		return err_set(err, errno, "ask %s for its size", d->path);
	if (sector != 512 && sector != (int)SECTOR_MAX)
		return err_say(err, EINVAL, "%s has sectors of %d bytes, not 512 or 4096", d->path,
			       sector);
	d->sector_bytes = (uint32_t)sector;
	return 0;
}

static int disk_open(struct server_disk *d, const char *path, bool write, struct err *err)
{
	int flags = (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;

	*d = (struct server_disk){ .io = { .write = part_write, .flush = part_flush },
				   .fd = -EBADF,
				   .path = path };
	if (stat(path, &st) < 0)
		return err_set(err, errno, "open %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_say(err, EINVAL, "%s is neither a file nor a block device", path);
	d->fd = open(path, flags | (S_ISBLK(st.st_mode) && write ? O_EXCL : 0));
	if (d->fd < 0 && errno == EBUSY)
		return err_say(err, EBUSY, "%s is in use by this host: something of it is mounted?",
			       path);
	if (d->fd < 0 || fstat(d->fd, &st) < 0)
		return err_set(err, errno, "open %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) /* changed under us */
		return err_say(err, EINVAL, "%s is neither a file nor a block device", path);
	if (write && S_ISREG(st.st_mode) && has_loop(&st))
		return err_say(err, EBUSY, "%s is in use: a loop device is over it", path);
	int r = disk_lock(d, write, err);
	return r < 0 ? r : disk_size(d, &st, err);
}

void server_disk_fini(struct server_disk *disk)
{
	fd_close_p(&disk->fd);
}

/* The table behind a header at a sector. Return: how many partitions, -errno. */
static int parts_read(const struct server_disk *d, uint32_t sector, uint64_t lba, uint8_t *buffer,
		      struct gpt_part parts[GPT_PARTS])
{
	uint64_t n_sectors = d->size_bytes / sector, entries;
	uint32_t bytes;

	int r = read_at(d->fd, lba * sector, buffer, sector);
	r = r < 0 ? r : gpt_header(buffer, sector, lba, n_sectors, &entries, &bytes);
	r = r < 0 ? r : read_at(d->fd, entries * sector, buffer + sector, bytes);
	return r < 0 ? r : gpt_table(buffer, buffer + sector, bytes, sector, n_sectors, parts);
}

/* The disk's partitions: from the table, or from its copy if that is broken, as the hypervisor does. An image's sectors are tried. */
static int parts_find(struct server_disk *d, struct gpt_part parts[GPT_PARTS], struct err *err)
{
	AUTO(memory_free_p) uint8_t *buffer = malloc(TABLE_BYTES + SECTOR_MAX);
	int r = -ENODATA;

	if (!buffer)
		return err_set(err, ENOMEM, "read %s", d->path);
	for (uint32_t sector = 512; sector <= SECTOR_MAX && r == -ENODATA; sector *= 8) {
		if ((d->is_block && sector != d->sector_bytes) || d->size_bytes < DISK_BYTES_MIN)
			continue;
		r = parts_read(d, sector, 1, buffer, parts);
		if (r < 0 && r != -ENODATA) {
			int copy = parts_read(d, sector, d->size_bytes / sector - 1, buffer, parts);
			r = copy < 0 ? r : copy;
		}
		if (r >= 0)
			d->sector_bytes = sector;
	}
	if (r == -EBADMSG)
		return err_say(err, EBADMSG, "%s: its partition table is broken", d->path);
	if (r == -ENODATA)
		return err_say(
			err, ENODATA,
			"%s has no GUID partition table: 'strata baremetal disk format' makes one",
			d->path);
	return r < 0 ? err_set(err, -r, "read %s", d->path) : r;
}

static int table_read(struct server_disk *d, uint64_t part_bytes, struct err *err)
{
	AUTO(memory_free_p) uint8_t *buffer = malloc((size_t)EXTENTS_COPIES * EXTENTS_COPY_BYTES);
	int r = 0;

	if (!buffer)
		return err_set(err, ENOMEM, "read %s", d->path);
	if (part_bytes < MIB)
		return err_say(err, EBADMSG, "%s: partition %u is too small for a table of extents",
			       d->path, d->part_number);
	const uint8_t *const copies[] = { buffer, buffer + EXTENTS_COPY_BYTES };
	for (unsigned i = 0; r == 0 && i < EXTENTS_COPIES; i++)
		r = read_at(d->fd, d->part_start_bytes + extents_copy_offset(i),
			    buffer + (size_t)i * EXTENTS_COPY_BYTES, EXTENTS_COPY_BYTES);
	if (r < 0)
		return err_set(err, -r, "read %s", d->path);
	r = extents_read(copies, part_bytes, &d->table, &d->note);
	if (r == 0)
		return 0;
	return err_say(err, -r, "%s: partition %u: %.300s", d->path, d->part_number, d->note.text);
}

int server_disk_open(const char *path, bool write, struct server_disk *ret, struct err *err)
{
	struct gpt_part parts[GPT_PARTS];
	int n = disk_open(ret, path, write, err);

	n = n < 0 ? n : parts_find(ret, parts, err);
	for (int i = 0; i < n; i++) {
		if (memcmp(parts[i].type, extents_type, sizeof(extents_type)) != 0)
			continue;
		ret->part_number = parts[i].number;
		ret->part_start_bytes = parts[i].start_bytes;
		return table_read(ret, parts[i].len_bytes, err);
	}
	return n < 0 ? n : err_say(err, ENODATA, "%s has no partition of Strata's own", path);
}

/* What a piece of the disk holds, in a few words; NULL: zeroes. */
static int piece_look(const struct server_disk *d, uint64_t offset, uint8_t *buffer,
		      const char **ret_what)
{
	int r = read_at(d->fd, offset, buffer, MIB);

	if (r < 0)
		return r;
	*ret_what = NULL;
	if (!memcmp(buffer + 512, "EFI PART", 8) || !memcmp(buffer + SECTOR_MAX, "EFI PART", 8))
		*ret_what = "a partition table";
	else if (buffer[510] == 0x55 && buffer[511] == 0xaa)
		*ret_what = "a boot record";
	else if (buffer[0] || memcmp(buffer, buffer + 1, MIB - 1) != 0)
		*ret_what = "data";
	return 0;
}

static int format_check(const struct server_disk *d, bool force, struct err *err)
{
	AUTO(memory_free_p) uint8_t *buffer = malloc(MIB);
	const char *first, *last;

	if (!buffer)
		return err_set(err, ENOMEM, "read %s", d->path);
	if (d->size_bytes < DISK_BYTES_MIN)
		return err_say(err, EINVAL, "%s is smaller than 4 MiB", d->path);
	int r = piece_look(d, 0, buffer, &first);
	r = r < 0 ? r : piece_look(d, d->size_bytes - MIB, buffer, &last);
	if (r < 0)
		return err_set(err, -r, "read %s", d->path);
	if (!force && (first || last))
		return err_say(err, EEXIST,
			       "%s has %s at its %s; --force formats it, and what is there is lost",
			       d->path, first ? first : last, first ? "start" : "end");
	return 0;
}

static int zeroes_write(const struct server_disk *d, uint64_t offset, uint64_t len)
{
	static const uint8_t zero[64 << 10];

	for (uint64_t done = 0; done < len;) {
		uint64_t n = len - done < sizeof(zero) ? len - done : sizeof(zero);
		int r = write_at(d->fd, offset + done, zero, n);
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

/* Whole sectors. The quick ways are those that promise zeroes: fallocate(2), and BLKZEROOUT of <linux/fs.h>. */
static int zeroes(const struct server_disk *d, uint64_t offset, uint64_t len)
{
	uint64_t range[2] = { offset, len };

	if (d->is_block && ioctl(d->fd, BLKZEROOUT, range) == 0)
		return 0;
	if (!d->is_block && fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)offset, (off_t)len) == 0)
		return 0;
	return zeroes_write(d, offset, len);
}

/* Both copies, so that none is left of a table that was here before; then the copy of the partition table, and it last. */
static int format_write(struct server_disk *d, uint64_t n_sectors, const struct gpt_made *made)
{
	int r = zeroes(d, 0, MIB);

	r = r < 0 ? r : zeroes(d, d->size_bytes - MIB, MIB);
	for (unsigned i = 0; r == 0 && i < EXTENTS_COPIES; i++)
		r = extents_commit(&d->table, &d->io);
	r = r < 0 ? r
		  : write_at(d->fd, n_sectors * d->sector_bytes - made->copy_bytes, made->copy,
			     made->copy_bytes);
	r = r < 0 ? r : part_flush(&d->io);
	r = r < 0 ? r : write_at(d->fd, 0, made->primary, made->primary_bytes);
	return r < 0 ? r : part_flush(&d->io);
}

int server_disk_format(const char *path, uint32_t sector_bytes, bool force, struct err *err)
{
	AUTO(server_disk_fini) struct server_disk d;
	struct gpt_part part = { .number = 1, .start_bytes = MIB, .label = "Strata" };
	struct gpt_made made;
	uint8_t guids[32];

	int r = disk_open(&d, path, true, err);
	if (r == 0 && d.is_block && sector_bytes && sector_bytes != d.sector_bytes)
		r = err_say(err, EINVAL, "%s has sectors of %u bytes, not %u", path, d.sector_bytes,
			    sector_bytes);
	if (r == 0 && !d.is_block)
		d.sector_bytes = sector_bytes ? sector_bytes : 512;
	r = r < 0 ? r : format_check(&d, force, err);
	if (r < 0)
		return r;
	if (getrandom(guids, sizeof(guids), 0) != (ssize_t)sizeof(guids))
		return err_set(err, EIO, "random bytes for %s", path);
	uint64_t n_sectors = d.size_bytes / d.sector_bytes;
	uint64_t end = n_sectors * d.sector_bytes - d.sector_bytes - GPT_TABLE_BYTES;
	part.len_bytes = end / MIB * MIB - MIB;
	memcpy(part.type, extents_type, sizeof(part.type));
	gpt_build(&part, d.sector_bytes, n_sectors, guids, &made);
	d.part_start_bytes = part.start_bytes;
	extents_init(&d.table, part.len_bytes);
	r = format_write(&d, n_sectors, &made);
	if (r == 0 && d.is_block)
		(void)ioctl(d.fd,
			    BLKRRPART); /* a kernel that does not look has it at the next start */
	return r < 0 ? err_set(err, -r, "format %s", path) : 0;
}

struct source {
	int fd; /* -EBADF: none */
	uint64_t size_bytes;
};

static void source_fini(struct source *source)
{
	fd_close_p(&source->fd);
}

static int source_open(const struct server_disk *d, const char *path, struct source *ret,
		       struct err *err)
{
	struct stat st, own;

	if (!path)
		return 0;
	ret->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (ret->fd < 0 || fstat(ret->fd, &st) < 0 || fstat(d->fd, &own) < 0)
		return err_set(err, errno, "open %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_say(err, EINVAL, "%s is neither a file nor a block device", path);
	if (st.st_dev == own.st_dev && st.st_ino == own.st_ino)
		return err_say(err, EINVAL, "%s is the server's disk itself", path);
	ret->size_bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(ret->fd, BLKGETSIZE64, &ret->size_bytes) < 0)
		return err_set(err, errno, "ask %s for its size", path);
	if (!ret->size_bytes)
		return err_say(err, EINVAL, "%s is empty", path);
	return 0;
}

static int source_copy(const struct server_disk *d, const struct source *source, uint64_t to)
{
	AUTO(memory_free_p) uint8_t *buffer = malloc(MIB);
	int r = buffer ? 0 : -ENOMEM;

	for (uint64_t done = 0; r == 0 && done < source->size_bytes;) {
		uint64_t left = source->size_bytes - done, n = left < MIB ? left : MIB;
		r = read_at(source->fd, done, buffer, n);
		if (r == 0 &&
		    (buffer[0] || memcmp(buffer, buffer + 1, n - 1) != 0)) /* else it is so */
			r = write_at(d->fd, to + done, buffer, n);
		done += n;
	}
	return r;
}

int server_disk_add(struct server_disk *disk, const char *name, uint64_t len_bytes, uint32_t flags,
		    const char *from, struct err *err)
{
	AUTO(source_fini) struct source source = { .fd = -EBADF };

	int r = source_open(disk, from, &source, err);
	if (r < 0)
		return r;
	len_bytes = len_bytes ? len_bytes : source.size_bytes;
	if (source.size_bytes > len_bytes)
		return err_say(err, EFBIG, "%s is longer than the extent would be", from);
	r = extents_add(&disk->table, name, len_bytes, flags, err);
	if (r < 0)
		return err_wrap(err, "%s", disk->path);
	const struct extent *e = &disk->table.at[disk->table.n - 1];
	uint64_t at = disk->part_start_bytes + e->start_bytes;
	r = zeroes(disk, at, e->len_bytes);
	r = r < 0 ? r : source_copy(disk, &source, at);
	if (r < 0)
		return err_set(err, -r, "fill extent %s of %s", name, disk->path);
	r = extents_commit(&disk->table, &disk->io);
	return r < 0 ? err_set(err, -r, "write the table of %s", disk->path) : 0;
}

int server_disk_remove(struct server_disk *disk, const char *name, struct err *err)
{
	int r = extents_remove(&disk->table, name, err);

	if (r < 0)
		return err_wrap(err, "%s", disk->path);
	r = extents_commit(&disk->table, &disk->io);
	return r < 0 ? err_set(err, -r, "write the table of %s", disk->path) : 0;
}
