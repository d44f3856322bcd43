/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the VMM and strata-init, the first process inside a VM that runs an OCI image, say to each other.
 *
 * Theory of operation
 *
 *   virtio-console ports, by name (virtio 1.2, 5.3 Console Device)
 *     strata.control   frames, both ways: one conversation from boot to power off
 *     strata.stdin     bytes to the workload     } with a terminal: stdin and stdout only,
 *     strata.stdout    bytes from it             } copied from and to a pty inside
 *     strata.stderr    bytes from it             }
 *   virtio-vsock, guest's port AGENT_EXEC_PORT: each connection is one exec session
 *
 *   control:  guest READY -> host CONFIG -> guest STARTED or FAILED
 *             host SIGNAL, RESIZE, STDIN_EOF, HOSTS, STOP at any time after CONFIG
 *             guest EXIT at the workload's end. It says how many bytes went into stdout and stderr: once the host
 *             has them all it says STOP, and the guest syncs its disks and powers off. STOP before the end kills the
 *             workload; EXIT is said all the same, and the guest waits for no other STOP.
 *             After FAILED the guest waits for STOP likewise.
 *   session:  host START -> guest STARTED or FAILED; STDIN, STDIN_EOF, RESIZE, SIGNAL, OUT_END; STDOUT, STDERR, EXIT
 *             host PUT -> STDIN..., STDIN_EOF -> guest EXIT or FAILED      (a tar to be unpacked)
 *             host GET -> guest STDOUT..., EXIT or FAILED                  (a tar of what is there)
 *             host STAT -> guest STAT_REPLY or FAILED
 *             host STATS -> guest STATS_REPLY or FAILED
 *             The host's end of the connection ends the session and kills its process.
 *
 * A frame is a struct agent_frame_head and a payload. Numbers are little endian and not aligned. The payloads of CONFIG,
 * START, PUT, GET, STAT, STATS_REPLY are lists of fields: a struct agent_field_head and a value; a string has no NUL, inside
 * or at its end; a number has 8 bytes. A field that the reader does not know is an error, but for those with AGENT_OPTIONAL
 * in their tag, which are skipped. Whatever a side cannot make sense of ends the conversation: the guest says
 * FAILED, the host stops the VM. Neither side trusts the other.
 *
 * Only <stdint.h>: the guest is built with another C library.
 */
#include <stdint.h>

/* Raised whenever one side would misread the other. Said in READY; the host serves this version only. */
#define AGENT_VERSION 1U

#define AGENT_EXEC_PORT 1U /* vsock */

#define AGENT_PORT_CONTROL "strata.control"
#define AGENT_PORT_STDIN   "strata.stdin"
#define AGENT_PORT_STDOUT  "strata.stdout"
#define AGENT_PORT_STDERR  "strata.stderr"

/* Bytes of payload at most. */
#define AGENT_CONFIG_MAX                                                                           \
	(4U << 20)		/* CONFIG, START: arguments and environment, Linux takes 2 MiB */
#define AGENT_CONTROL_MAX 4096U /* everything else on the control port */
#define AGENT_HOSTS_MAX	  (1U << 20) /* HOSTS */
#define AGENT_SESSION_MAX 65536U     /* everything else in a session */
#define AGENT_TEXT_MAX	  479U	     /* of FAILED */

enum agent_type {
	/* host to guest, control */
	AGENT_CONFIG = 1, /* fields */
	AGENT_SIGNAL = 2, /* le32: number; in a session too */
	AGENT_RESIZE = 3, /* struct agent_resize; in a session too */
	AGENT_STOP = 4,	  /* nothing */
	AGENT_STDIN_EOF =
		6, /* nothing; in a session too. On the control port: nothing comes after what strata.stdin holds */
	AGENT_HOSTS = 7, /* text: /etc/hosts from now on */
	/* host to guest, session */
	AGENT_START = 16, /* fields of CONFIG that belong to a process */
	AGENT_STDIN = 17, /* bytes */
	AGENT_PUT = 18,	  /* fields: PATH: where the tar is unpacked, made if it is not there */
	AGENT_GET = 19,	  /* fields: PATH, FLAGS (FOLLOW), AS */
	AGENT_STAT = 20,  /* fields: PATH, FLAGS (FOLLOW) */
	AGENT_OUT_END =
		21, /* le32: 1 standard output, 2 error: nobody reads it any more, which the process is to see */
	AGENT_STATS = 22, /* nothing */
	/* guest to host, control */
	AGENT_READY = 64,   /* le32: AGENT_VERSION */
	AGENT_STARTED = 65, /* nothing; in a session too */
	AGENT_FAILED = 66,  /* struct agent_failed and text; in a session too */
	AGENT_EXIT = 67,    /* struct agent_exit; in a session too */
	/* guest to host, session */
	AGENT_STDOUT = 80,	/* bytes */
	AGENT_STDERR = 81,	/* bytes */
	AGENT_STAT_REPLY = 82,	/* struct agent_stat */
	AGENT_STATS_REPLY = 83, /* fields AGENT_STAT_x */
};

struct agent_frame_head {
	uint32_t type; /* enum agent_type */
	uint32_t len;  /* bytes of payload */
};

struct agent_field_head {
	uint32_t tag; /* enum agent_tag */
	uint32_t len; /* bytes of value */
};

#define AGENT_OPTIONAL 0x80000000U

enum agent_tag {
	/* of a process: CONFIG and START. Strings, but as noted */
	AGENT_TAG_ARG = 1,     /* each argument; the first is the command, looked up in PATH */
	AGENT_TAG_ENV = 2,     /* each "K=V" */
	AGENT_TAG_CWD = 3,     /* absolute */
	AGENT_TAG_USER = 4,    /* "", "user", "user:group": names or numbers, looked up inside */
	AGENT_TAG_GROUP = 5,   /* each further group */
	AGENT_TAG_FLAGS = 6,   /* number: AGENT_FLAG_x */
	AGENT_TAG_CAPS = 7,    /* number: bit n is capability n */
	AGENT_TAG_RLIMIT = 8,  /* struct agent_rlimit, each */
	AGENT_TAG_SECCOMP = 9, /* struct sock_filter[]: Linux's, at most 4096 */
	AGENT_TAG_SIZE = 10,   /* struct agent_resize: the terminal's first size */
	/* of the machine: CONFIG only */
	AGENT_TAG_HOSTNAME = 32,
	AGENT_TAG_HOSTS = 33,  /* contents of /etc/hosts */
	AGENT_TAG_RESOLV = 34, /* contents of /etc/resolv.conf */
	AGENT_TAG_NET = 35,    /* struct agent_net, each interface */
	AGENT_TAG_MOUNT =
		36, /* struct agent_mount and four strings, each, in the order of mounting */
	AGENT_TAG_SHM_BYTES = 37, /* number: size of /dev/shm */
	AGENT_TAG_CLOCK = 38, /* number: ns since 1970, UTC; 0 or no field: the clock is right */
	AGENT_TAG_PIDS = 39,  /* number: processes at most; 0 or no field: no limit */
	AGENT_TAG_DIRECTORY =
		40, /* absolute, each: made in the root where it is missing, before the mounts */
	AGENT_TAG_SYSCTL = 41, /* "NAME=VALUE", each: parameters of the guest's kernel */
	/* of PUT, GET, STAT */
	AGENT_TAG_PATH = 64,
	AGENT_TAG_AS = 65, /* the name in the tar; no field: the path's last part */
	/* of STATS_REPLY: numbers */
	AGENT_STAT_MEMORY_BYTES =
		97, /* of the workload and its sessions, without what the kernel can drop */
	AGENT_STAT_PIDS = 100, /* likewise */
	AGENT_STAT_NET_RX_BYTES = 101,
	AGENT_STAT_NET_TX_BYTES = 102,
	AGENT_STAT_IO_READ_BYTES = 103,
	AGENT_STAT_IO_WRITE_BYTES = 104,
};

/* AGENT_TAG_FLAGS */
#define AGENT_FLAG_TTY		(1U << 0)
#define AGENT_FLAG_STDIN	(1U << 1) /* else standard input is /dev/null */
#define AGENT_FLAG_NO_NEW_PRIVS (1U << 2)
#define AGENT_FLAG_INIT		(1U << 3) /* CONFIG: a small init is process 1, the workload its child */
#define AGENT_FLAG_READ_ONLY	(1U << 4) /* CONFIG: the root */
#define AGENT_FLAG_PRIVILEGED                                                                      \
	(1U << 5) /* CONFIG: nothing below /proc and /sys is hidden or read-only */
#define AGENT_FLAG_FOLLOW (1U << 6) /* GET, STAT: where the path is a link, what it points to */

struct agent_resize {
	uint16_t rows, columns;
};

struct agent_failed {
	uint32_t status; /* 125 ours, 126 not executable, 127 not found */
	uint32_t code;	 /* errno, 0 where there is none */
			 /* text follows, AGENT_TEXT_MAX bytes at most */
};

struct agent_exit {
	uint32_t status; /* 0..255; 128+n for signal n */
	uint32_t oom;	 /* 1: the kernel killed something of the workload for want of memory */
	uint64_t stdout_bytes, stderr_bytes; /* that went into the ports; 0 in a session */
};

struct agent_rlimit {
	uint64_t resource, soft, hard; /* RLIMIT_x of Linux on x86; UINT64_MAX: none */
};

struct agent_net {
	uint8_t mac[6];	     /* of the interface that is meant; zeroes: the first one */
	uint8_t family;	     /* 4 or 6; 0: no address, only up */
	uint8_t prefix;	     /* bits */
	uint8_t address[16]; /* big endian, IPv4 in the first four */
	uint8_t gateway[16]; /* zeroes: none */
};

enum agent_mount_kind {
	AGENT_MOUNT_ROOT = 1, /* the image, mounted read-only; just one */
	AGENT_MOUNT_UPPER =
		2, /* what is written; at most one. None: a tmpfs, whose options may be given by source "" */
	AGENT_MOUNT_VOLUME = 3, /* on target */
	AGENT_MOUNT_TMPFS = 4,	/* on target; no source */
};

#define AGENT_MOUNT_READ_ONLY (1U << 0)
#define AGENT_MOUNT_COPY_UP   (1U << 1) /* VOLUME: an empty one gets what the image has at target */

/*
 * source\0 type\0 target\0 options\0 follow. source: "vda" (a disk's name in /sys/block), "id=SERIAL" (virtio-blk's
 * 20 bytes, virtio 1.2, 5.2.6), or "TAG:NAME": what is called so in a virtio-fs. type: "ext4", "erofs", "virtiofs"; "" for a
 * tmpfs. options: as mount(8)'s, but for a virtio-fs none. A ROOT that is a virtiofs, and not read-only, is no layer: what is written goes there.
 */
struct agent_mount {
	uint32_t kind;	/* enum agent_mount_kind */
	uint32_t flags; /* AGENT_MOUNT_x */
};

struct agent_stat {
	uint32_t mode, uid, gid, reserved;
	uint64_t size;
};

_Static_assert(sizeof(struct agent_frame_head) == 8, "on the wire");
_Static_assert(sizeof(struct agent_field_head) == 8, "on the wire");
_Static_assert(sizeof(struct agent_resize) == 4, "on the wire");
_Static_assert(sizeof(struct agent_failed) == 8, "on the wire");
_Static_assert(sizeof(struct agent_exit) == 24, "on the wire");
_Static_assert(sizeof(struct agent_rlimit) == 24, "on the wire");
_Static_assert(sizeof(struct agent_net) == 40, "on the wire");
_Static_assert(sizeof(struct agent_mount) == 8, "on the wire");
_Static_assert(sizeof(struct agent_stat) == 24, "on the wire");
