/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hv_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/digest.h"
#include "base/os/fd.h"
#include "base/os/loop.h"
#include "storage/disk/disk.h"

#define UPLOAD_BLOCK   4096U
#define UPLOAD_WAIT_MS 300000 /* for a file that another command is uploading */
#define UPLOAD_NAP_MS  50
#define UPLOAD_FILES   4096U /* a server that has more does not tell the truth */

struct upload {
	struct chan_stream stream;
	bool opened, closed;
	uint32_t status;
	char why[128];
};

static struct upload *upload_of(struct chan_stream *stream)
{
	return container_of(stream, struct upload, stream);
}

static void upload_opened(struct chan_stream *stream)
{
	upload_of(stream)->opened = true;
}

static void upload_data(struct chan_stream *stream, const void *data, size_t len)
{
	(void)stream; /* nothing is to come */
	(void)data;
	(void)len;
}

static void upload_closed(struct chan_stream *stream, uint32_t status, const char *text)
{
	struct upload *u = upload_of(stream);

	u->closed = true;
	u->status = status;
	(void)snprintf(u->why, sizeof(u->why), "%s", text); /* cut where it is long */
}

static const struct chan_stream_events upload_events = {
	.opened = upload_opened,
	.data = upload_data,
	.closed = upload_closed,
};

/* Return: 0 while the stream lives. */
static int upload_turn(struct upload *u, struct chan *chan, struct err *err)
{
	int r = loop_run_once(chan->loop, -1, err);

	if (r >= 0 && chan->dead)
		return err_say(err, EPIPE, "the hypervisor is gone");
	if (r >= 0 && u->closed && u->status)
		return err_say(err, u->status < 4096 ? (int)u->status : EPROTO, "%s", u->why);
	return r < 0 ? r : 0;
}

static int upload_send(struct upload *u, struct chan *chan, const uint8_t *bytes, size_t len,
		       struct err *err)
{
	static const uint8_t zero[UPLOAD_BLOCK];
	size_t sent = 0;
	int r = 0;

	if (len == sizeof(zero) && !memcmp(bytes, zero, len)) {
		chan_stream_hole(&u->stream, len);
		return u->closed || chan_pending(chan) > (1U << 20) ? upload_turn(u, chan, err) : 0;
	}
	while (r == 0 && sent < len && !u->closed) {
		sent += chan_stream_send(&u->stream, bytes + sent, len - sent);
		if (sent < len)
			r = upload_turn(u, chan, err);
	}
	return r < 0 || sent == len ? r : err_say(err, EIO, "%s", u->why);
}

static int upload_body(struct upload *u, struct chan *chan, int fd, struct err *err)
{
	uint8_t block[UPLOAD_BLOCK];
	int r = 0;

	while (r == 0 && !u->opened && !u->closed)
		r = upload_turn(u, chan, err);
	while (r == 0) {
		ssize_t n = read(fd, block, sizeof(block));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "read it");
		if (n == 0)
			break;
		r = upload_send(u, chan, block, (size_t)n, err);
	}
	if (r == 0)
		chan_stream_end(&u->stream);
	while (r == 0 && !u->closed)
		r = upload_turn(u, chan, err);
	return r;
}

static int upload_file(struct chan *chan, int fd, uint64_t size, const char *name, struct err *err)
{
	const struct channel_open open = { .kind = CHANNEL_KIND_FILE, .size = size };
	struct upload u = { .opened = false };

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_set(err, errno, "read it");
	int r = chan_stream_open(chan, &u.stream, &upload_events, &open, name);
	if (r < 0)
		return err_set(err, -r, "open a stream to the hypervisor");
	r = upload_body(&u, chan, fd, err);
	chan_stream_close(&u.stream);
	return r;
}

/* Of what the server has: 1: it is there; 0: it is not; others that nobody uses go, where @drop. */
static int upload_look(struct chan *chan, const char *name, bool drop, bool *ret_partial,
		       struct err *err)
{
	AUTO(buf_fini) struct buf list = { 0 };
	struct channel_after after = { 0 };
	struct channel_file file;
	unsigned n = 0;
	int found = 0;

	*ret_partial = false;
	for (;;) {
		int r = chan_call(chan, CHANNEL_FILES, &after, sizeof(after), &list, err);
		if (r < 0 || list.len < sizeof(file))
			return r < 0 ? r : found;
		for (size_t at = 0; at + sizeof(file) <= list.len; at += sizeof(file)) {
			memcpy(&file, list.data + at, sizeof(file));
			file.name[sizeof(file.name) - 1] = '\0';
			if (file.number <= after.after || ++n > UPLOAD_FILES)
				return err_say(err, EPROTO, "the hypervisor's list goes round");
			after.after = file.number;
			if (!strcmp(file.name, name)) {
				*ret_partial = file.flags & CHANNEL_FILE_PARTIAL;
				found = 1;
			} else if (drop && !(file.flags & (CHANNEL_FILE_LOADED | CHANNEL_FILE_BUSY |
							   CHANNEL_FILE_PARTIAL))) {
				(void)chan_call(chan, CHANNEL_FILE_DROP, file.name,
						strlen(file.name), NULL,
						NULL); /* taken meanwhile: let it */
			}
		}
	}
}

static int upload_once(struct chan *chan, int fd, uint64_t size, const char *name, struct err *err)
{
	const int64_t end = clock_mono_ns() + (int64_t)UPLOAD_WAIT_MS * NS_PER_MS;
	bool partial, dropped = false;

	for (;;) {
		int r = upload_look(chan, name, false, &partial, err);
		if (r < 0 || (r == 1 && !partial))
			return r < 0 ? r : 0;
		if (r == 0)
			r = upload_file(chan, fd, size, name, err);
		else
			r = -EEXIST;
		if (r == -ENOMEM && !dropped) {
			dropped = true;
			r = upload_look(chan, name, true, &partial, err);
			if (r >= 0)
				continue;
		}
		if (r == 0 || r != -EEXIST)
			return r;
		if (clock_mono_ns() >= end)
			return err_say(err, ETIMEDOUT, "another upload of it does not end");
		r = loop_run_once(chan->loop, UPLOAD_NAP_MS, err);
		if (r < 0)
			return r;
	}
}

/* By its content: what two instances share is there once. */
static int upload_path(struct chan *chan, const char *path, char ret[HV_FILE_BYTES],
		       struct err *err)
{
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char hex[DIGEST_HEX + 1];
	struct err why = { 0 };
	int64_t size;

	if (fd < 0)
		return err_set(err, errno, "read %s", path);
	int r = digest_fd(fd, hex, &size);
	if (r < 0)
		return err_set(err, -r, "read %s", path);
	(void)snprintf(ret, HV_FILE_BYTES, "f-%.40s", hex); /* fits */
	r = upload_once(chan, fd, (uint64_t)size, ret, &why);
	return r < 0 ? err_say(err, -r, "bring %.200s to the server: %.200s", path, why.text) : 0;
}

static int upload_disk(struct hv_place *place, struct chan *chan, const struct spec *spec, size_t i,
		       char ret[HV_FILE_BYTES], struct err *err)
{
	const struct spec_disk *disk = &spec->vm.disks[i];
	uint64_t size;

	if (!disk->read_only)
		return err_say(err, ENOTSUP,
			       "disk %s: what is written to a disk in a server's memory would be "
			       "lost; give it read-only (,ro)",
			       disk->path);
	if (disk->format == SPEC_DISK_QCOW2)
		return err_say(err, ENOTSUP, "disk %s: a server's memory holds raw disks only",
			       disk->path);
	int r = disk_size(disk->path, DISK_FORMAT_AUTO, &size, err);
	if (r < 0)
		return r;
	place->holds[i] = disk_hold(disk->path, true, err);
	if (place->holds[i] < 0)
		return place->holds[i];
	return upload_path(chan, disk->path, ret, err);
}

int hv_place_upload(struct hv_place *place, struct chan *chan, const struct spec *spec,
		    struct hv_files *ret, struct err *err)
{
	const struct spec_vm *vm = &spec->vm;
	int r = vm->n_disks > HV_DISKS ? err_set(err, E2BIG, "disks")
				       : upload_path(chan, vm->kernel, ret->kernel, err);

	ret->initrd[0] = '\0';
	if (r == 0 && vm->initrd)
		r = upload_path(chan, vm->initrd, ret->initrd, err);
	for (size_t i = 0; r == 0 && i < vm->n_disks; i++)
		r = upload_disk(place, chan, spec, i, ret->disks[i], err);
	return r;
}
