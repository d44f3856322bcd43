/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The host's side of include/abi/agent.h: messages to the guest made from a spec, messages of the guest's checked. The guest
 * is hostile: numbers are clamped, texts cut and made printable, and anything else that is not as the contract says is -EPROTO.
 */
#include <stdint.h>

#include "abi/agent.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "engines/engine.h"

/* One file system that the VM has as a device. */
struct agent_disk {
	enum agent_mount_kind kind; /* ROOT, UPPER, VOLUME */
	bool read_only, copy_up;
	const char *source, *type; /* abi/agent.h, struct agent_mount */
	const char *target;	   /* VOLUME: that of the spec's mount; else NULL */
	const char *options;	   /* of mount(8), or NULL */
};

/* What a VMM adds to the spec. Zeroed: nothing. */
struct agent_setup {
	const struct agent_disk *disks;
	size_t n_disks;
	const char *hosts, *resolv; /* contents of /etc/hosts and /etc/resolv.conf, or NULL */
	uint64_t clock_ns;	    /* since 1970; 0: the guest's clock is right */
	uint16_t rows, columns;	    /* of the terminal; 0: not known */
};

/*
 * agent_wire_config() - append a CONFIG frame
 * Binds and volumes of the spec must be among the disks. Reads the file of the seccomp filter.
 * Errors: -ENOTSUP, naming the flag, for what a VM cannot have (--device, --network host, clock offsets); -EINVAL; -E2BIG;
 * -ENOMEM; what reading the filter says.
 */
int agent_wire_config(struct buf *out, const struct spec *spec, const struct agent_setup *setup,
		      struct err *err);
/* agent_wire_start() - append a START frame: the process of the spec, for a session. */
int agent_wire_start(struct buf *out, const struct spec *spec, uint16_t rows, uint16_t columns,
		     struct err *err);
/* agent_wire_path() - append PUT, GET or STAT. @as: NULL: the path's last part. */
int agent_wire_path(struct buf *out, enum agent_type type, const char *path, bool follow,
		    const char *as, struct err *err);
void agent_wire_signal(struct buf *out, int sig);
void agent_wire_resize(struct buf *out, uint16_t rows, uint16_t columns);

/* How a workload or a session's process ended. */
struct agent_end {
	int status; /* 0..255 */
	bool oom;
	uint64_t stdout_bytes, stderr_bytes;
};

/* Payloads of the guest's. 0, or -EPROTO with *ret as it was. */
int agent_wire_ready(const void *data, size_t len, uint32_t *ret_version);
int agent_wire_exit(const void *data, size_t len, struct agent_end *ret);
int agent_wire_stats(const void *data, size_t len,
		     struct guest_stats *ret); /* what is said there; the rest stays */
int agent_wire_stat(const void *data, size_t len, struct agent_stat *ret);
/* agent_wire_failed() - *ret_status is 125, 126 or 127; err gets the code and the guest's words. */
int agent_wire_failed(const void *data, size_t len, int *ret_status, struct err *err);
/* agent_wire_text() - a text of the guest's, cut and printable. */
void agent_wire_text(const void *data, size_t len, char ret[AGENT_TEXT_MAX + 1]);
