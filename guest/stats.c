/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <inttypes.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "abi/agent.h"
#include "base/os/fd.h"
#include "engines/vmm/agent_frame.h"
#include "file.h"

static uint64_t stats_interface(const char *name, const char *counter)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/sys/class/net/%.31s/statistics/%s", name,
		       counter); /* fits */
	return file_number(path, "");
}

/* Bytes received and sent, of all network interfaces but lo. */
static void stats_net(uint64_t *ret_rx, uint64_t *ret_tx)
{
	DIR *dir = opendir("/sys/class/net");
	const struct dirent *entry;

	*ret_rx = *ret_tx = 0;
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "lo"))
			continue;
		*ret_rx += stats_interface(entry->d_name, "rx_bytes");
		*ret_tx += stats_interface(entry->d_name, "tx_bytes");
	}
	(void)closedir(dir);
}

/*
 * Sectors of 512 bytes read and written, of all virtio disks (Linux: Documentation/admin-guide/iostats.rst: the third and
 * seventh figure of a line of /sys/block/DISK/stat).
 */
static void stats_disks(uint64_t *ret_read, uint64_t *ret_write)
{
	DIR *dir = opendir("/sys/block");
	const struct dirent *entry;
	char path[96], line[256];

	*ret_read = *ret_write = 0;
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		uint64_t read = 0, written = 0;
		if (strncmp(entry->d_name, "vd", 2) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "/sys/block/%.31s/stat",
			       entry->d_name); /* fits */
		if (file_line(path, line, sizeof(line)) < 0 ||
		    sscanf(line, "%*u %*u %" SCNu64 " %*u %*u %*u %" SCNu64, &read, &written) != 2)
			continue;
		*ret_read += read * 512;
		*ret_write += written * 512;
	}
	(void)closedir(dir);
}

/* As at OS level (engines/cgroup/cgroup_stats.c): files that were read once are not what somebody needs. */
static uint64_t stats_memory(void)
{
	uint64_t used = file_number(STATS_CGROUP "/memory.current", "");
	uint64_t files = file_number(STATS_CGROUP "/memory.stat", "inactive_file");

	return used > files ? used - files : 0;
}

void stats_add(struct buf *out)
{
	size_t at = frame_begin(out, AGENT_STATS_REPLY);
	uint64_t rx, tx, read, written;

	frame_field_add_u64(out, AGENT_STAT_MEMORY_BYTES, stats_memory());
	frame_field_add_u64(out, AGENT_STAT_PIDS, file_number(STATS_CGROUP "/pids.current", ""));
	stats_net(&rx, &tx);
	frame_field_add_u64(out, AGENT_STAT_NET_RX_BYTES, rx);
	frame_field_add_u64(out, AGENT_STAT_NET_TX_BYTES, tx);
	stats_disks(&read, &written);
	frame_field_add_u64(out, AGENT_STAT_IO_READ_BYTES, read);
	frame_field_add_u64(out, AGENT_STAT_IO_WRITE_BYTES, written);
	frame_end(out, at);
}

bool stats_oom(void)
{
	return file_number(STATS_CGROUP "/memory.events", "oom_kill") > 0;
}
