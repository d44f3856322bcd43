/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's disks: virtio-blk over images, one queue of I/O for all of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "engines/vmm/devices.h"
#include "engines/vmm/threads.h"

#define DISKS_DEPTH 128

static void disks_ready(void *arg, uint32_t events)
{
	struct vmm *vmm = arg;

	(void)events;
	(void)aio_reap(vmm->devices->aio);
}

static int disks_open(struct vmm *vmm, struct vmm_blk *b, const struct spec_disk *spec,
		      unsigned index, struct err *err)
{
	static const enum disk_format formats[] = {
		[SPEC_DISK_AUTO] = DISK_FORMAT_AUTO,
		[SPEC_DISK_RAW] = DISK_FORMAT_RAW,
		[SPEC_DISK_QCOW2] = DISK_FORMAT_QCOW2,
	};
	char id[21];
	const struct disk_open_opts opts = {
		.format = formats[spec->format],
		.read_only = spec->read_only,
		.id = id,
	};

	(void)snprintf(id, sizeof(id), "strata-%u", index); /* fits */
	int r = disk_open(spec->path, &opts, vmm->devices->aio, &b->disk, err);
	if (r == 0)
		r = vmm_virtio_open(&b->host, vmm, err);
	if (r < 0)
		return r;
	const struct virtio_place place = { .mem = &vmm->mem, .host = &b->host.host };
	virtio_blk_init(&b->dev, &place, b->disk);
	return vmm_virtio_attach(&b->host, &b->dev.virtio, err);
}

int vmm_disks_create(struct vmm *vmm, struct err *err)
{
	const struct spec_vm *vm = &vmm->spec->vm;
	struct vmm_devices *d = vmm->devices;

	if (!vm->n_disks)
		return 0;
	d->disks = calloc(vm->n_disks, sizeof(*d->disks));
	if (!d->disks)
		return err_set(err, ENOMEM, "disks");
	int r = aio_create(DISKS_DEPTH, AIO_ANY, &d->aio, err);
	for (unsigned i = 0; r == 0 && i < vm->n_disks; i++) {
		r = disks_open(vmm, &d->disks[i], &vm->disks[i], i, err);
		d->n_disks += r == 0;
	}
	return r == 0 ? loop_add(vmm->loop, aio_fd(d->aio), EPOLLIN, disks_ready, vmm, err) : r;
}

struct disks_sealing {
	const struct vmm *vmm;
	struct err *err;
};

static int disks_seal_thread(void *arg)
{
	const struct disks_sealing *s = arg;

	return vmm_thread_seal(s->vmm, VMM_THREAD_LOOP, s->err);
}

int vmm_disks_seal(struct vmm *vmm, struct err *err)
{
	struct disks_sealing s = { vmm, err };

	if (!vmm->devices->aio)
		return 0;
	int r = aio_seal(vmm->devices->aio, err);
	return r == 0 ? aio_on_threads(vmm->devices->aio, disks_seal_thread, &s) : r;
}

void vmm_disks_drain(struct vmm *vmm)
{
	struct vmm_devices *d = vmm->devices;

	for (unsigned i = 0; i < d->n_disks; i++) {
		while (!virtio_stop(&d->disks[i].dev.virtio)) {
			if (!aio_wait(d->aio))
				break; /* nothing is under way: what a device still counts is its bug */
		}
		d->disks[i].disk->ops->close(d->disks[i].disk);
	}
}
