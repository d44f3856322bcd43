/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest used. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/page.h"
#include "vm/managed.h"

/* Its account is brought up to date when it comes off its CPU; until then, the present slice is not in it. */
static void entity_times(const struct sched_entity *e, uint64_t now_ns, uint64_t *ret_ran,
			 uint64_t *ret_waited)
{
	uint64_t since = __atomic_load_n(&e->since_ns, __ATOMIC_RELAXED);
	uint64_t here = now_ns > since ? now_ns - since : 0;
	enum sched_state state = __atomic_load_n(&e->state, __ATOMIC_ACQUIRE);

	*ret_ran = e->ran_ns + (state == SCHED_RUNNING ? here : 0);
	*ret_waited = e->waited_ns + (state == SCHED_RUNNABLE ? here : 0);
}

static void add_disk(struct channel_stats *s, const struct disk_counts *c)
{
	s->disk_reads += c->reads;
	s->disk_writes += c->writes;
	s->disk_read_bytes += c->read_bytes;
	s->disk_write_bytes += c->write_bytes;
}

static void add_device(struct channel_stats *s, struct guest_virtio *v)
{
	if (v->counts)
		add_disk(s, v->counts);
	s->overhead_bytes += (uint64_t)PAGE_BYTES << v->order;
	if (v->dev->ops->device_id != VIRTIO_ID_NET)
		return;
	const struct switch_port *port = container_of(v, struct guest_nic, v)->port;
	s->net_tx_frames += port->sent;
	s->net_rx_frames += port->received;
	s->net_tx_bytes += port->sent_bytes;
	s->net_rx_bytes += port->received_bytes;
	s->overhead_bytes += sizeof(*port);
}

static void stats_read(struct managed *m, const struct guest *guest)
{
	struct channel_stats *s = &m->stats;

	*s = (struct channel_stats){ .memory_bytes = guest_memory_bytes(guest),
				     .overhead_bytes = sizeof(*m) + sizeof(*guest) };
	for (unsigned i = 0; i < guest->n_vcpus; i++) {
		uint64_t waited = 0;
		entity_times(&guest->vcpus[i].entity, clock_ns(), &m->vcpu_ns[i], &waited);
		s->cpu_ns += m->vcpu_ns[i];
		s->wait_ns += guest->is_started ? waited : 0;
	}
	for (unsigned i = 0; i < guest->n_devices; i++)
		add_device(s, guest->devices[i]);
	for (unsigned i = 0; i < HW_EXIT_KINDS; i++)
		m->exits[i] = guest_exits(guest, i);
}

void managed_stats_keep(struct managed *m)
{
	stats_read(m, m->guest);
	m->stats.memory_bytes = m->stats.overhead_bytes = 0;
}

size_t managed_stats(struct managed *m, uint8_t *ret)
{
	spin_lock(&m->lock);
	if (m->guest)
		stats_read(m, m->guest);
	spin_unlock(&m->lock);
	size_t n = sizeof(m->stats);
	m->stats.guest = m->id;
	m->stats.now_ns = clock_ns();
	m->stats.vcpus = (uint16_t)m->config.vcpus;
	m->stats.exits = 0;
	memcpy(ret + n, m->vcpu_ns, m->config.vcpus * sizeof(m->vcpu_ns[0]));
	n += m->config.vcpus * sizeof(m->vcpu_ns[0]);
	for (unsigned i = 0; i < HW_EXIT_KINDS; i++) {
		struct channel_exits exits = { .count = m->exits[i] };
		if (!exits.count)
			continue;
		(void)snprintf(exits.reason, sizeof(exits.reason), "%s", hv_exit_name(i));
		memcpy(ret + n, &exits, sizeof(exits));
		n += sizeof(exits);
		m->stats.exits++;
	}
	memcpy(ret, &m->stats, sizeof(m->stats));
	return n;
}
