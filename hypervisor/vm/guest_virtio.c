/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/guest_virtio.h"

#include <errno.h>
#include <string.h>

#include "core/io.h"
#include "core/page.h"
#include "drivers/disks.h"
#include "vm/guest.h"
#include "vm/guest_balloon.h"

#define CONTROL_BIT  (UINT64_C(1) << 63)
#define RDRAND_TRIES 10U
#define DISK_ID	     "strata-0" /* and so on: guests find theirs by it */

/* One server has one. */
static struct switch_hub hub;

/* The one that is served while the guest stands still (vm/guest_balloon.h). */
static bool is_balloon(const struct guest_virtio *v)
{
	return v->guest->balloon && v == &v->guest->balloon->v;
}

/* A guest rings its doorbell: whoever comes by the loop next serves; back ends ask for the guest besides. */
static void host_kick(struct virtio_host *host, struct virtio_dev *dev, uint16_t queue)
{
	struct guest_virtio *v = container_of(host, struct guest_virtio, host);
	uint64_t bit = queue == VIRTIO_CONTROL ? CONTROL_BIT : UINT64_C(1) << (queue % 63);

	(void)dev;
	(void)__atomic_or_fetch(&v->pending, bit, __ATOMIC_ACQ_REL);
	if (is_balloon(v))
		guest_balloon_kick(v->guest->balloon);
	else
		guest_service_ask(v->guest);
}

static const struct virtio_host_ops host_ops = { .kick = host_kick };

void guest_virtio_run(struct guest_virtio *v)
{
	uint64_t run = __atomic_exchange_n(&v->pending, 0, __ATOMIC_ACQ_REL);

	if (run & CONTROL_BIT)
		virtio_queue_run(v->dev, VIRTIO_CONTROL);
	for (uint16_t i = 0; i < virtio_queues(v->dev) && run; i++) {
		if (run >> i & 1)
			virtio_queue_run(v->dev, i);
	}
}

/* Which of them had to wait for memory is not known: those without a request find none. */
static void queues_again(const struct guest *guest)
{
	for (unsigned i = 0; i < guest->n_devices; i++) {
		struct guest_virtio *v = guest->devices[i];
		uint64_t all = (UINT64_C(1) << virtio_queues(v->dev)) - 1;
		if (!is_balloon(v))
			(void)__atomic_or_fetch(&v->pending, all, __ATOMIC_ACQ_REL);
	}
}

bool guest_virtio_serve(struct guest *guest)
{
	struct first_touch *touch = &hv_vm_of(guest->vm)->touch;

	if (first_touch_turn(touch))
		queues_again(guest);
	for (unsigned i = 0; i < guest->n_devices; i++) {
		struct guest_virtio *v = guest->devices[i];
		if (v->serve)
			v->serve(v);
		if (__atomic_load_n(&v->pending, __ATOMIC_ACQUIRE) && !is_balloon(v))
			guest_virtio_run(v);
		if (v->dev->ops->device_id != VIRTIO_ID_NET)
			continue;
		struct net *net = &container_of(v, struct guest_nic, v)->port->net;
		if (net->readable && switch_waits(container_of(net, struct switch_port, net)))
			net->readable(net, net->arg);
	}
	return first_touch_is_short(touch);
}

/* Of a disk: what is under way is not waited for longer than it must be. */
static void requests_forget(struct virtio_dev *dev)
{
	if (dev && dev->ops->device_id == VIRTIO_ID_BLOCK)
		virtio_blk_forget(container_of(dev, struct virtio_blk, virtio));
}

bool guest_virtio_stop(struct guest *guest)
{
	bool is_over = true;

	for (unsigned i = 0; i < guest->n_devices; i++) {
		struct guest_virtio *v = guest->devices[i];
		requests_forget(v->dev);
		if (!v->dev || virtio_stop(v->dev) || !v->serve)
			continue;
		disks_poll();
		v->serve(v);
		is_over &= virtio_stop(v->dev);
	}
	return is_over;
}

void guest_virtio_fini(struct guest *guest)
{
	while (!guest_virtio_stop(guest))
		cpu_relax();
	for (unsigned i = 0; i < guest->n_devices; i++) {
		struct guest_virtio *v = guest->devices[i];
		if (v->fini)
			v->fini(v);
		page_free(v, v->order);
	}
	guest->n_devices = 0;
}

void *guest_virtio_new(struct guest *guest, size_t bytes, struct err *err)
{
	if (guest->n_devices == GUEST_DEVICES) {
		(void)err_say(err, ENOSPC, "guest %s: more than %u devices", guest->name,
			      GUEST_DEVICES);
		return NULL;
	}
	struct guest_virtio *v = page_alloc(page_order(bytes));
	if (!v) {
		(void)err_say(err, ENOMEM, "guest %s: no memory for a device", guest->name);
		return NULL;
	}
	v->host.ops = &host_ops;
	v->guest = guest;
	v->order = page_order(bytes);
	guest->devices[guest->n_devices++] = v;
	return v;
}

int guest_virtio_attach(struct guest_virtio *v, struct virtio_dev *dev, struct err *err)
{
	v->dev = dev;
	return virtio_pci_attach(&v->pci, dev, &v->guest->pci, -1, err);
}

/* ---- entropy ---- */

static bool has_rdrand(void)
{
	uint32_t regs[4];

	cpuid_read(1, 0, regs);
	return regs[2] >> 30 & 1;
}

static bool rdrand(uint64_t *ret)
{
	bool is_there = false;

	for (unsigned i = 0; i < RDRAND_TRIES && !is_there; i++)
		__asm__ volatile("rdrand %0" : "=r"(*ret), "=@ccc"(is_there));
	return is_there;
}

static int cpu_entropy_get(struct entropy *entropy, void *ret, size_t len)
{
	uint8_t *to = ret;
	uint64_t word = 0;

	(void)entropy;
	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0 && !rdrand(&word))
			return -EAGAIN;
		to[i] = (uint8_t)(word >> (i % 8 * 8));
	}
	return 0;
}

static const struct entropy_ops cpu_entropy_ops = { .get = cpu_entropy_get };

int guest_rng_add(struct guest *guest, struct err *err)
{
	struct guest_rng *d = has_rdrand() ? guest_virtio_new(guest, sizeof(*d), err) : NULL;

	if (!d)
		return has_rdrand() ? -err->code : 0;
	const struct virtio_place place = { .mem = &guest->mem, .host = &d->v.host };
	d->entropy.ops = &cpu_entropy_ops;
	virtio_rng_init(&d->dev, &place, &d->entropy);
	return guest_virtio_attach(&d->v, &d->dev.virtio, err);
}

/* ---- disks ---- */

static void mem_disk_turn(struct guest_virtio *v)
{
	mem_disk_serve(&container_of(v, struct guest_blk, v)->disk);
}

/* It is the guest's turn: whoever has it looks at the word, and nobody has to be woken. */
static void mem_disk_more(struct mem_disk *disk)
{
	struct guest *guest = container_of(disk, struct guest_blk, disk)->v.guest;

	__atomic_store_n(&guest->service_wanted, 1, __ATOMIC_SEQ_CST);
}

int guest_disk_add(struct guest *guest, unsigned number, void *bytes, uint64_t len, bool read_only,
		   struct err *err)
{
	char id[] = DISK_ID;

	if (len < DISK_SECTOR_BYTES)
		return err_say(err, EINVAL, "guest %s: a disk of %llu bytes", guest->name,
			       (unsigned long long)len);
	struct guest_blk *d = guest_virtio_new(guest, sizeof(*d), err);
	if (!d)
		return -err->code;
	id[sizeof(id) - 2] = (char)('0' + number);
	const struct virtio_place place = { .mem = &guest->mem, .host = &d->v.host };
	d->v.serve = mem_disk_turn;
	d->v.counts = &d->disk.counts;
	mem_disk_init(&d->disk, bytes, len, read_only, id, mem_disk_more);
	virtio_blk_init(&d->dev, &place, &d->disk.disk);
	return guest_virtio_attach(&d->v, &d->dev.virtio, err);
}

static void server_disk_serve(struct guest_virtio *v)
{
	server_disk_deliver(&container_of(v, struct guest_server_blk, v)->disk);
}

static void server_disk_finished(struct server_disk *disk)
{
	guest_service_ask(container_of(disk, struct guest_server_blk, disk)->v.guest);
}

int guest_server_disk_add(struct guest *guest, unsigned number, struct disk *server, bool read_only,
			  struct err *err)
{
	const char id[] = DISK_ID;

	struct guest_server_blk *d = guest_virtio_new(guest, sizeof(*d), err);

	if (!d)
		return -err->code;
	const struct virtio_place place = { .mem = &guest->mem, .host = &d->v.host };
	d->v.serve = server_disk_serve;
	d->v.counts = &d->disk.counts;
	server_disk_init(&d->disk, server, read_only, server_disk_finished);
	memcpy(d->disk.disk.id, id, sizeof(id));
	d->disk.disk.id[sizeof(id) - 2] = (char)('0' + number);
	virtio_blk_init(&d->dev, &place, &d->disk.disk);
	return guest_virtio_attach(&d->v, &d->dev.virtio, err);
}

/* ---- the network ---- */

/* The switch's lock is held. */
static void nic_arrived(struct switch_port *port, void *arg)
{
	struct guest_nic *d = arg;

	(void)port;
	guest_service_ask(d->v.guest);
}

static void nic_fini(struct guest_virtio *v)
{
	struct guest_nic *d = container_of(v, struct guest_nic, v);

	switch_leave(d->port);
	page_free(d->port, page_order(sizeof(*d->port)));
}

int guest_nic_add(struct guest *guest, const uint8_t mac[6], struct err *err)
{
	struct switch_port *port = page_alloc(page_order(sizeof(*port)));

	if (!port)
		return err_say(err, ENOMEM, "guest %s: no memory for a device", guest->name);
	struct guest_nic *d = guest_virtio_new(guest, sizeof(*d), err);
	if (!d) {
		page_free(port, page_order(sizeof(*port)));
		return -err->code;
	}
	d->port = port;
	d->v.fini = nic_fini;
	const struct virtio_place place = { .mem = &guest->mem, .host = &d->v.host };
	port->arrived = nic_arrived;
	port->arg = d;
	int r = switch_join(&hub, port, mac);
	if (r < 0)
		return err_say(err, -r, "guest %s: another guest has its network address",
			       guest->name);
	virtio_net_init(&d->dev, &place, &port->net, port->mac);
	return guest_virtio_attach(&d->v, &d->dev.virtio, err);
}

/* ---- what the channel reaches ---- */

int guest_ports_add(struct guest *guest, const struct console_port_config *ports, unsigned n,
		    struct err *err)
{
	struct guest_ports *d = guest_virtio_new(guest, sizeof(*d), err);

	if (!d)
		return -err->code;
	const struct virtio_place place = { .mem = &guest->mem, .host = &d->v.host };
	virtio_console_init(&d->dev, &place, ports, n);
	return guest_virtio_attach(&d->v, &d->dev.virtio, err);
}

int guest_vsock_add(struct guest *guest, uint64_t cid, struct vsock_host *host,
		    const struct mem_ops *heap, struct virtio_vsock **ret, struct err *err)
{
	struct guest_vsock *d = guest_virtio_new(guest, sizeof(*d), err);

	if (!d)
		return -err->code;
	const struct virtio_place place = { .mem = &guest->mem, .host = &d->v.host };
	virtio_vsock_init(&d->dev, &place, cid, host, heap);
	*ret = &d->dev;
	return guest_virtio_attach(&d->v, &d->dev.virtio, err);
}
