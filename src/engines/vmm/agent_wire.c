/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/agent_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/os/fd.h"
#include "engines/seccomp/seccomp_parts.h"
#include "engines/vmm/agent_frame.h"
#include "network/link.h"

#define WIRE_FILTER_SIZE 8U			    /* of struct sock_filter */
#define WIRE_SECCOMP_MAX (4096U * WIRE_FILTER_SIZE) /* Linux: BPF_MAXINSNS */
#define WIRE_ERRNO_MAX	 4095			    /* Linux: include/linux/err.h, MAX_ERRNO */

/* ---- to the guest ---- */

static void wire_list(struct buf *out, uint32_t tag, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		frame_field_add_text(out, tag, list[i]);
}

static void wire_resize_store(uint8_t ret[4], uint16_t rows, uint16_t columns)
{
	le16_store(ret, rows);
	le16_store(ret + 2, columns);
}

static void wire_rlimits(struct buf *out, const struct spec *spec)
{
	uint8_t data[sizeof(struct agent_rlimit)];

	for (size_t i = 0; i < spec->n_ulimits; i++) {
		le64_store(data, (uint64_t)spec->ulimits[i].resource);
		le64_store(data + 8, spec->ulimits[i].soft);
		le64_store(data + 16, spec->ulimits[i].hard);
		frame_field_add(out, AGENT_TAG_RLIMIT, data, sizeof(data));
	}
}

static int wire_seccomp(struct buf *out, const struct spec *spec, struct err *err)
{
	AUTO(buf_fini) struct buf filter = { 0 };

	if (!spec->seccomp)
		return 0;
	AUTO(fd_close_p) int fd = open(spec->seccomp, O_RDONLY | O_CLOEXEC);
	struct seccomp_file_head head;
	int r = fd < 0 ? -errno : fd_read_all(fd, sizeof(head) + WIRE_SECCOMP_MAX, &filter);
	if (r < 0)
		return err_set(err, -r, "seccomp filter %s", spec->seccomp);
	if (filter.len >= sizeof(head))
		memcpy(&head, filter.data, sizeof(head));
	if (filter.len <= sizeof(head) || head.magic != SECCOMP_FILE_MAGIC ||
	    filter.len - sizeof(head) != (size_t)head.count * WIRE_FILTER_SIZE)
		return err_say(err, EBADMSG,
			       "seccomp filter %s is damaged; start again to rebuild it",
			       spec->seccomp);
	frame_field_add(out, AGENT_TAG_SECCOMP, filter.data + sizeof(head),
			filter.len - sizeof(head));
	return 0;
}

static uint64_t wire_flags(const struct spec *spec)
{
	return (spec->tty ? AGENT_FLAG_TTY : 0) | (spec->stdin_open ? AGENT_FLAG_STDIN : 0) |
	       (spec->no_new_privileges ? AGENT_FLAG_NO_NEW_PRIVS : 0);
}

static int wire_process(struct buf *out, const struct spec *spec, uint64_t flags, uint16_t rows,
			uint16_t columns, struct err *err)
{
	uint8_t size[sizeof(struct agent_resize)];
	size_t n_groups = 0;

	while (spec->groups && spec->groups[n_groups])
		n_groups++;
	wire_list(out, AGENT_TAG_ARG, spec->args, spec->n_args);
	wire_list(out, AGENT_TAG_ENV, spec->env, spec->n_env);
	wire_list(out, AGENT_TAG_GROUP, spec->groups, n_groups);
	frame_field_add_text(out, AGENT_TAG_CWD, spec->cwd);
	frame_field_add_text(out, AGENT_TAG_USER, spec->user);
	frame_field_add_u64(out, AGENT_TAG_FLAGS, flags);
	frame_field_add_u64(out, AGENT_TAG_CAPS, spec->caps);
	wire_rlimits(out, spec);
	wire_resize_store(size, rows, columns);
	frame_field_add(out, AGENT_TAG_SIZE, size, sizeof(size));
	return wire_seccomp(out, spec, err);
}

static int wire_address(const char *text, int family, uint8_t ret[16])
{
	return inet_pton(family, text, ret) == 1 ? 0 : -EINVAL;
}

static int wire_net_one(struct buf *out, const struct spec_endpoint *endpoint, const char *address,
			unsigned prefix, const char *gateway, struct err *err)
{
	struct agent_net net = { .prefix = (uint8_t)prefix };
	int family = address && strchr(address, ':') ? AF_INET6 : AF_INET;

	net.family = !address ? 0 : family == AF_INET ? 4 : 6;
	if (prefix > 128 || (endpoint->mac && link_mac_parse(endpoint->mac, net.mac) < 0) ||
	    (address && wire_address(address, family, net.address) < 0) ||
	    (gateway && wire_address(gateway, family, net.gateway) < 0))
		return err_say(err, EINVAL, "network endpoint %s: not an address",
			       endpoint->network);
	frame_field_add(out, AGENT_TAG_NET, &net, sizeof(net)); /* bytes only: no byte order */
	return 0;
}

static int wire_net(struct buf *out, const struct spec_endpoint *e, struct err *err)
{
	int r = wire_net_one(out, e, e->address, e->prefix, e->gateway, err);

	return r < 0 || !e->address6
		       ? r
		       : wire_net_one(out, e, e->address6, e->prefix6, e->gateway6, err);
}

static void wire_mount(struct buf *out, const struct agent_disk *mount)
{
	AUTO(buf_fini) struct buf value = { 0 };
	uint8_t head[sizeof(struct agent_mount)];
	const char *const texts[] = { mount->source, mount->type, mount->target, mount->options };

	le32_store(head, mount->kind);
	le32_store(head + 4, (mount->read_only ? AGENT_MOUNT_READ_ONLY : 0) |
				     (mount->copy_up ? AGENT_MOUNT_COPY_UP : 0));
	(void)buf_add(&value, head, sizeof(head)); /* sticky */
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = texts[i] ? texts[i] : "";
		(void)buf_add(&value, text, strlen(text) + 1); /* sticky */
	}
	if (value.failed)
		out->failed = true;
	else
		frame_field_add(out, AGENT_TAG_MOUNT, value.data, value.len);
}

static const struct agent_disk *wire_disk_of(const struct agent_setup *setup, const char *target)
{
	for (size_t i = 0; i < setup->n_disks; i++) {
		const struct agent_disk *disk = &setup->disks[i];
		if (disk->kind == AGENT_MOUNT_VOLUME && disk->target &&
		    !strcmp(disk->target, target))
			return disk;
	}
	return NULL;
}

/* The root first, then the spec's mounts in their order: a later one may lie below an earlier. */
static int wire_mounts(struct buf *out, const struct spec *spec, const struct agent_setup *setup,
		       struct err *err)
{
	for (size_t i = 0; i < setup->n_disks; i++) {
		if (setup->disks[i].kind != AGENT_MOUNT_VOLUME)
			wire_mount(out, &setup->disks[i]);
	}
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct spec_mount *m = &spec->mounts[i];
		struct agent_disk mount = { .kind = AGENT_MOUNT_TMPFS,
					    .read_only = m->read_only,
					    .target = m->target,
					    .options = m->options };
		if (m->type != SPEC_MOUNT_TMPFS) {
			const struct agent_disk *disk = wire_disk_of(setup, m->target);
			if (!disk)
				return err_say(err, ENOTSUP,
					       "mount at %s: this engine cannot give %s to a VM",
					       m->target, m->source);
			mount = *disk;
			mount.read_only = disk->read_only || m->read_only;
			mount.copy_up =
				m->type == SPEC_MOUNT_VOLUME && m->copy_up && !disk->read_only;
		}
		wire_mount(out, &mount);
	}
	return 0;
}

static int wire_refuse(const struct spec *spec, struct err *err)
{
	if (spec->n_devices)
		return err_say(err, ENOTSUP, "--device %s: a VM has devices of its own",
			       spec->devices[0].source);
	if (spec->network == SPEC_NETWORK_HOST)
		return err_say(err, ENOTSUP, "--network host: a VM has a network stack of its own");
	if (spec->time_offsets.monotonic_s || spec->time_offsets.boottime_s)
		return err_say(err, ENOTSUP, "clock offsets: a VM has clocks of its own");
	return 0;
}

static int wire_whole(const struct buf *out, size_t at, struct err *err)
{
	if (out->failed)
		return err_set(err, ENOMEM, "message to the guest");
	if (out->len - at - sizeof(struct agent_frame_head) > AGENT_CONFIG_MAX)
		return err_say(err, E2BIG, "arguments and environment: more than %u MiB",
			       AGENT_CONFIG_MAX >> 20);
	return 0;
}

int agent_wire_config(struct buf *out, const struct spec *spec, const struct agent_setup *setup,
		      struct err *err)
{
	uint64_t flags = wire_flags(spec) | (spec->init ? AGENT_FLAG_INIT : 0) |
			 (spec->read_only ? AGENT_FLAG_READ_ONLY : 0) |
			 (spec->privileged ? AGENT_FLAG_PRIVILEGED : 0);
	int r = wire_refuse(spec, err);

	if (r < 0)
		return r;
	size_t at = frame_begin(out, AGENT_CONFIG);
	r = wire_process(out, spec, flags, setup->rows, setup->columns, err);
	frame_field_add_text(out, AGENT_TAG_HOSTNAME, spec->hostname);
	frame_field_add_text(out, AGENT_TAG_HOSTS, setup->hosts);
	frame_field_add_text(out, AGENT_TAG_RESOLV, setup->resolv);
	if (r == 0 && (spec->network == SPEC_NETWORK_BRIDGE || spec->network == SPEC_NETWORK_PASST))
		r = wire_net(out, &spec->endpoint, err);
	wire_list(out, AGENT_TAG_DIRECTORY, spec->vm.directories, spec->vm.n_directories);
	wire_list(out, AGENT_TAG_SYSCTL, spec->vm.sysctls, spec->vm.n_sysctls);
	if (r == 0)
		r = wire_mounts(out, spec, setup, err);
	frame_field_add_u64(out, AGENT_TAG_SHM_BYTES, (uint64_t)spec->shm_bytes);
	frame_field_add_u64(out, AGENT_TAG_CLOCK, setup->clock_ns);
	frame_field_add_u64(out, AGENT_TAG_PIDS,
			    spec->limits.pids > 0 ? (uint64_t)spec->limits.pids : 0);
	frame_end(out, at);
	return r < 0 ? r : wire_whole(out, at, err);
}

int agent_wire_start(struct buf *out, const struct spec *spec, uint16_t rows, uint16_t columns,
		     struct err *err)
{
	size_t at = frame_begin(out, AGENT_START);
	int r = wire_process(out, spec, wire_flags(spec), rows, columns, err);

	frame_end(out, at);
	return r < 0 ? r : wire_whole(out, at, err);
}

int agent_wire_path(struct buf *out, enum agent_type type, const char *path, bool follow,
		    const char *as, struct err *err)
{
	size_t at = frame_begin(out, type);

	frame_field_add_text(out, AGENT_TAG_PATH, path);
	frame_field_add_text(out, AGENT_TAG_AS, as);
	frame_field_add_u64(out, AGENT_TAG_FLAGS, follow ? AGENT_FLAG_FOLLOW : 0);
	frame_end(out, at);
	return wire_whole(out, at, err);
}

void agent_wire_signal(struct buf *out, int sig)
{
	uint8_t data[4];

	le32_store(data, (uint32_t)sig);
	frame_add(out, AGENT_SIGNAL, data, sizeof(data));
}

void agent_wire_resize(struct buf *out, uint16_t rows, uint16_t columns)
{
	uint8_t data[sizeof(struct agent_resize)];

	wire_resize_store(data, rows, columns);
	frame_add(out, AGENT_RESIZE, data, sizeof(data));
}

/* ---- from the guest ---- */

int agent_wire_ready(const void *data, size_t len, uint32_t *ret_version)
{
	if (len != 4)
		return -EPROTO;
	*ret_version = le32_load(data);
	return 0;
}

int agent_wire_exit(const void *data, size_t len, struct agent_end *ret)
{
	const uint8_t *at = data;

	if (len != sizeof(struct agent_exit) || le32_load(at) > 255 || le32_load(at + 4) > 1)
		return -EPROTO;
	*ret = (struct agent_end){ .status = (int)le32_load(at),
				   .oom = le32_load(at + 4),
				   .stdout_bytes = le64_load(at + 8),
				   .stderr_bytes = le64_load(at + 16) };
	return 0;
}

static uint64_t *wire_stats_place(struct guest_stats *stats, uint32_t tag)
{
	switch (tag) {
	case AGENT_STAT_MEMORY_BYTES:
		return &stats->memory_bytes;
	case AGENT_STAT_PIDS:
		return &stats->pids;
	case AGENT_STAT_NET_RX_BYTES:
		return &stats->net_rx_bytes;
	case AGENT_STAT_NET_TX_BYTES:
		return &stats->net_tx_bytes;
	case AGENT_STAT_IO_READ_BYTES:
		return &stats->io_read_bytes;
	case AGENT_STAT_IO_WRITE_BYTES:
		return &stats->io_write_bytes;
	default:
		return NULL; /* nothing here asks for it */
	}
}

int agent_wire_stats(const void *data, size_t len, struct guest_stats *ret)
{
	struct frame_fields fields = { data, (const uint8_t *)data + len };
	struct guest_stats stats = *ret;
	struct frame_field field;
	int r;

	while ((r = frame_fields_next(&fields, &field)) > 0) {
		uint64_t value;
		uint64_t *place = wire_stats_place(&stats, field.tag);
		if (frame_field_u64(&field, &value) < 0)
			return -EPROTO;
		if (place)
			*place = value;
	}
	if (r == 0)
		*ret = stats;
	return r;
}

int agent_wire_stat(const void *data, size_t len, struct agent_stat *ret)
{
	const uint8_t *at = data;

	if (len != sizeof(*ret))
		return -EPROTO;
	*ret = (struct agent_stat){ .mode = le32_load(at),
				    .uid = le32_load(at + 4),
				    .gid = le32_load(at + 8),
				    .size = le64_load(at + 16) };
	return 0;
}

void agent_wire_text(const void *data, size_t len, char ret[AGENT_TEXT_MAX + 1])
{
	const unsigned char *at = data;
	size_t n = len < AGENT_TEXT_MAX ? len : AGENT_TEXT_MAX;

	/* No control character reaches a terminal: not ASCII's, nor U+0080 to U+009F, which are C2 80 to C2 9F. */
	for (size_t i = 0; i < n; i++) {
		bool c1 = i > 0 && at[i - 1] == 0xc2 && at[i] >= 0x80 && at[i] < 0xa0;
		ret[i] = (char)(at[i] < 0x20 || at[i] == 0x7f || c1 ? '?' : at[i]);
	}
	ret[n] = '\0';
}

int agent_wire_failed(const void *data, size_t len, int *ret_status, struct err *err)
{
	const uint8_t *at = data;
	char text[AGENT_TEXT_MAX + 1];

	if (len < sizeof(struct agent_failed))
		return -EPROTO;
	uint32_t status = le32_load(at), code = le32_load(at + 4);
	if (status < 125 || status > 127)
		return -EPROTO;
	agent_wire_text(at + sizeof(struct agent_failed), len - sizeof(struct agent_failed), text);
	*ret_status = (int)status;
	(void)err_say(err, code > 0 && code <= WIRE_ERRNO_MAX ? (int)code : EIO, "%s",
		      text[0] ? text : "the guest gave no reason");
	return 0;
}
