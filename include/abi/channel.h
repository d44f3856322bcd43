/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The management channel: what strata-hv, the hypervisor under a server's guests, and the one host that manages it say to each
 * other over a byte stream (a port of a virtio-console, a serial line).
 *
 * Theory of operation
 *
 *   Frames.  A struct channel_head and `len` bytes. All numbers are little endian, structs are not aligned. The line may lose
 *   bytes, hold garbage, begin in the middle: a reader looks for the magic, and goes on one byte behind it if what follows is no
 *   frame. `crc` is CRC-32 (IEEE 802.3, as zlib's crc32()) of the session's key as 4 bytes, the head from `type` on, and the
 *   payload. What does not have it is skipped without a word.
 *
 *   Sessions.  The host sends CHANNEL_QUIET_SENT bytes of zero, then HELLO with a nonce of its own; the hypervisor closes all
 *   streams of the former session, forgets its requests, and answers likewise: zeroes, HELLO with the same nonce. HELLO's key is
 *   0; every other frame's is the low half of the nonce, so that no frame of another session, nor one inside a guest's output, is
 *   ever taken for one of this. A HELLO without CHANNEL_QUIET_BYTES zeroes in front of it is no frame to the hypervisor; the host
 *   ignores one with another nonce than its own. The host waits for the answer before it sends anything else; without one within 5 s it may say
 *   HELLO again, on a socket of QEMU's after it has connected again (QEMU 7.2 may hand nothing to the client that comes right
 *   after one that went while there was something to be read). Versions that differ: HELLO is answered all the same, and nothing
 *   else is.
 *
 *   Packets.  Where the line may lose bytes (a serial one), the hypervisor's HELLO says CHANNEL_HELLO_PACKETS, and all but HELLO goes
 *   in packets from then on, both ways: frames of type PACKET or AGAIN, whose payloads, one behind the other, are the bytes of the
 *   frames that the rest of this text is about; they are cut anywhere, CHANNEL_PACKET_BYTES at most. A packet's `stream` has where
 *   its first byte is among all that its sender sent in this session (low 16 bits), and which byte it wants next from the other
 *   side (high 16 bits: all before it have come). Both count from 0, modulo 65536. Without payload it only says the latter. At most
 *   CHANNEL_PACKET_WINDOW bytes are under way. What comes in its turn is taken, as much of it as there is room for; what was there
 *   already is answered again; what comes too early is dropped. AGAIN asks to go on sending from the wanted byte: when another
 *   comes, once each time that the other side sends from there on; or when there is room again. Who hears nothing for a while of
 *   what it has sent sends the beginning of it again, behind CHANNEL_PACKET_BYTES of zero, and waits twice as long each time, up to
 *   8 s; the hypervisor ends the session where that went on for 10 minutes. So each byte arrives once and in order, or none behind
 *   it does: no request is done twice. Of frames, only PACKET, AGAIN and HELLO are taken from such a line, and
 *   CHANNEL_PACKET_QUIET zeroes in front of HELLO are enough.
 *
 *   Stream 0.  The host sends REQUEST, the hypervisor one REPLY to each, with its id; in the order of the requests, but for those
 *   that take time (CREATE, DESTROY). status 0: the verb's data; else an errno of Linux, and one line of text (no NUL). The
 *   hypervisor takes no further request while CHANNEL_REQUESTS_MAX have no reply yet, or the host does not read: it then reads
 *   nothing from the line. EVENT comes unasked.
 *
 *   Streams 1 .. CHANNEL_STREAMS.  The host sends OPEN on an id that is free; the hypervisor answers OPENED, or CLOSE with the
 *   error. Then both send DATA. Each side may send as many bytes of DATA payload as it was given credit for: the host's first
 *   credit to the hypervisor is in OPEN, the hypervisor's to the host in OPENED, more comes by CREDIT, and is added. A side gives
 *   credit for what it has room for; so no side stores without bound, and a slow stream holds up no other. END: its sender
 *   has no more DATA for this stream. The hypervisor sends exactly one CLOSE for each OPEN, after all the DATA that there was
 *   and credit for (status 0: a regular end), and the id is free again. The host's CLOSE asks for that at once, and what was
 *   under way is lost. Frames of the host's for a stream that the hypervisor has closed are dropped; for one that was never
 *   opened, EVENT CHANNEL_EVENT_BAD says so. DATA without credit: CLOSE, EPROTO.
 *
 *   Neither side trusts the other. What the hypervisor cannot make sense of is a REPLY with EINVAL, a CLOSE, or
 *   CHANNEL_EVENT_BAD; the session goes on.
 *
 * Only <stdint.h>. The codec is src/base/core/channel.h.
 */
#include <stdint.h>

/* Raised whenever one side would misread the other. */
#define CHANNEL_VERSION 2U

#define CHANNEL_MAGIC	    0x48435453U /* "STCH" */
#define CHANNEL_PAYLOAD_MAX 4096U
/* A frame at most: no run of zeroes inside of frames is as long. Twice that is sent, as a frame that was cut takes some of them. */
#define CHANNEL_QUIET_BYTES 4112U
#define CHANNEL_QUIET_SENT  8224U
#define CHANNEL_STREAMS	    255U
/* A packet, its window, and more zeroes than there are by accident: a serial line takes 46 ms for a packet. */
#define CHANNEL_PACKET_BYTES  512U
#define CHANNEL_PACKET_WINDOW 4096U
#define CHANNEL_PACKET_QUIET  2112U
#define CHANNEL_REQUESTS_MAX  16U
#define CHANNEL_TEXT_MAX      480U /* of an error */
#define CHANNEL_NAME_BYTES    32U  /* of guests, disks, ports; with the NUL */
#define CHANNEL_FILE_BYTES    64U  /* of a file's name; with the NUL */

enum channel_type {
	CHANNEL_HELLO = 1,   /* both; stream 0: struct channel_hello */
	CHANNEL_REQUEST = 2, /* host; stream 0: struct channel_request, the verb's body */
	CHANNEL_REPLY = 3,   /* hypervisor; stream 0: struct channel_reply, data or text */
	CHANNEL_EVENT = 4,   /* hypervisor; stream 0: struct channel_event, its body */
	CHANNEL_OPEN = 5,    /* host: struct channel_open, a name (no NUL) */
	CHANNEL_OPENED = 6,  /* hypervisor: struct channel_credit */
	CHANNEL_DATA = 7,    /* both: 1 byte or more */
	CHANNEL_CREDIT = 8,  /* both: struct channel_credit */
	CHANNEL_END = 9,     /* both: nothing */
	CHANNEL_CLOSE =
		10, /* hypervisor: struct channel_closed, text if it is an error; host: nothing */
	CHANNEL_LOST =
		11, /* hypervisor, CONSOLE: struct channel_lost: older bytes than those of the next DATA are gone */
	CHANNEL_HOLE =
		12, /* host, FILE: struct channel_lost: so many bytes of zero, which take no credit */
	CHANNEL_PACKET = 13, /* both; `stream` is no stream: a piece of the frames */
	CHANNEL_AGAIN =
		14, /* both; the same, and what was sent behind the wanted byte is to come again */
};

struct channel_head {
	uint32_t magic, crc;
	uint16_t type; /* enum channel_type */
	uint16_t len;  /* bytes of payload, <= CHANNEL_PAYLOAD_MAX */
	uint32_t stream;
};

struct channel_hello {
	uint32_t version;
	uint32_t flags; /* hypervisor: CHANNEL_HELLO_x; host: 0 */
	uint64_t nonce; /* the host's, fresh and hard to guess; its low half is not 0 */
	uint64_t boot;	/* hypervisor: another one after each power-on; host: 0 */
};

#define CHANNEL_HELLO_PACKETS (1U << 0)

/* ---- stream 0 ---- */

enum channel_verb {
	CHANNEL_INFO = 1, /* nothing -> struct channel_info */
	CHANNEL_DISKS =
		2, /* struct channel_after -> struct channel_disk..., those that fit behind number `after` */
	CHANNEL_FILES = 3, /* struct channel_after -> struct channel_file..., likewise */
	CHANNEL_LIST = 4,  /* struct channel_after -> struct channel_guest..., likewise; by id */
	CHANNEL_STATS = 5, /* struct channel_ref -> struct channel_stats, and what it says */
	CHANNEL_CREATE =
		6, /* text as guest.cfg, one guest (docs/baremetal.md) -> struct channel_ref. It does not run yet. */
	CHANNEL_START = 7, /* struct channel_ref -> nothing. EALREADY: it runs, or ran. */
	CHANNEL_KILL = 8,  /* struct channel_ref -> nothing. Its end is an event. */
	CHANNEL_STOP =
		9, /* struct channel_ref -> nothing. Its power button is pressed; EAGAIN: it does not listen (yet). */
	CHANNEL_PAUSE =
		10, /* struct channel_ref -> nothing: no vcpu runs any more. Once more is no error. */
	CHANNEL_RESUME = 11, /* struct channel_ref -> nothing. Likewise. */
	CHANNEL_UPDATE = 12, /* struct channel_update -> nothing */
	CHANNEL_DESTROY =
		13, /* struct channel_ref -> nothing: whatever it did, it is gone, and its memory is free */
	CHANNEL_FILE_DROP =
		14, /* name -> nothing. EBUSY: a guest has it; EPERM: the boot loader brought it */
	CHANNEL_PRINTED =
		15, /* struct channel_printed -> the same, behind what follows: text of the server's own console from there on */
};

struct channel_request {
	uint32_t id;	   /* the host's */
	uint16_t verb;	   /* enum channel_verb */
	uint16_t reserved; /* 0 */
};

struct channel_reply {
	uint32_t id;	 /* the request's */
	uint32_t status; /* 0, or errno: text follows */
};

enum channel_event_kind {
	CHANNEL_EVENT_ENDED = 1, /* struct channel_guest: as it is now */
	CHANNEL_EVENT_BAD = 2,	 /* text: what of the host's was dropped, and why */
};

struct channel_event {
	uint16_t kind;	   /* enum channel_event_kind; others are to be skipped */
	uint16_t reserved; /* 0 */
	uint32_t stream;   /* CHANNEL_EVENT_BAD: the frame's */
};

/* A guest by its number: never 0, and never another guest's until the server is switched off. Unknown: ENOENT. */
struct channel_ref {
	uint32_t guest;
};

/* 0: from the first; then the last one that came. An empty reply: there are no more. */
struct channel_after {
	uint32_t after;
};

struct channel_info {
	char version[32];	/* Strata's */
	char virtualization[8]; /* "svm", "vmx" */
	char cpu[48];		/* as CPUID names it */
	uint32_t cpus;
	uint32_t guests, disks, files; /* how many there are */
	uint64_t memory_bytes, memory_free_bytes;
	uint64_t now_ns; /* since power-on */
	uint64_t tsc_hz;
	uint64_t boot;	     /* HELLO's */
	uint64_t bad_frames; /* that were no frames of this session, ever */
	uint64_t
		longest_wait_ns; /* from the line's interrupt to the channel's turn, in this session */
};

struct channel_disk {
	uint32_t number; /* for channel_after */
	uint32_t flags;	 /* CHANNEL_DISK_x */
	uint64_t size_bytes;
	uint64_t parent;		/* of a partition: number of its disk; else 0 */
	char name[CHANNEL_NAME_BYTES];	/* for "disk server:NAME" */
	char label[CHANNEL_FILE_BYTES]; /* of a partition; UTF-8, cut */
};
#define CHANNEL_DISK_READ_ONLY (1U << 0)
#define CHANNEL_DISK_PARTITION (1U << 1)

struct channel_file {
	uint32_t number; /* for channel_after */
	uint32_t flags;	 /* CHANNEL_FILE_x */
	uint64_t size_bytes;
	char name[CHANNEL_FILE_BYTES];
};
#define CHANNEL_FILE_LOADED  (1U << 0) /* the boot loader brought it */
#define CHANNEL_FILE_PARTIAL (1U << 1) /* its upload is not over */
#define CHANNEL_FILE_BUSY    (1U << 2) /* a guest has it */

enum channel_state {
	CHANNEL_CREATED = 1, /* never ran */
	CHANNEL_RUNS = 2,
	CHANNEL_PAUSED = 3,
	CHANNEL_ENDED = 4, /* its memory is free already; only what is said of it here is left */
};

/* How a guest ended. */
enum channel_how {
	CHANNEL_HOW_NONE = 0, /* it did not */
	CHANNEL_HOW_POWER_OFF = 1,
	CHANNEL_HOW_RESET = 2,
	CHANNEL_HOW_EXIT = 3,	 /* its test device, with `status` */
	CHANNEL_HOW_CRASHED = 4, /* triple fault */
	CHANNEL_HOW_FAILED = 5,	 /* it did what no machine can do: `failure` */
	CHANNEL_HOW_KILLED = 6,	 /* KILL, DESTROY */
};

struct channel_guest {
	uint32_t id;
	uint16_t state; /* enum channel_state */
	uint16_t how;	/* enum channel_how */
	uint32_t status;
	uint32_t flags; /* CHANNEL_GUEST_x */
	uint32_t vcpus;
	uint32_t weight, cap_percent; /* cap 0: none */
	uint32_t reserved;
	uint64_t memory_bytes;
	uint64_t created_ns, started_ns, ended_ns; /* on INFO's now_ns; 0: not yet */
	char name[CHANNEL_NAME_BYTES];
	char failure[48];
};
/* The server's own guest.cfg made it. When such a one ends it is gone from LIST. */
#define CHANNEL_GUEST_SERVERS (1U << 0)

/* Of one that has ended too. */
struct channel_stats {
	uint32_t guest;
	uint16_t vcpus; /* so many uint64_t follow: ns that each was on a CPU */
	uint16_t exits; /* and then so many struct channel_exits */
	uint64_t now_ns;
	uint64_t
		memory_bytes; /* that the guest has now: its own but what a balloon gave back; 0 once it has ended */
	uint64_t overhead_bytes;  /* beside it: devices, tables, buffers */
	uint64_t cpu_ns, wait_ns; /* of all vcpus: on a CPU; would have been, but others were */
	uint64_t disk_reads, disk_writes, disk_read_bytes, disk_write_bytes;
	uint64_t net_rx_frames, net_tx_frames, net_rx_bytes,
		net_tx_bytes; /* as the guest sees it */
};

struct channel_exits {
	char reason[16]; /* NUL-terminated */
	uint64_t count;
};

struct channel_update {
	uint32_t guest;
	uint32_t weight;      /* 1 .. 65535; 0: leave it */
	uint32_t cap_percent; /* of one CPU, all vcpus together; 0: none; CHANNEL_LEAVE: leave it */
	/*
	 * What its balloon is to leave it of its memory, in MiB; 0: leave it. The guest does so in its own time: STATS says how far
	 * it is. ENODEV: it has no balloon; EINVAL: more than it was started with, or not made of 2 MiB; ENOMEM: more than it has, and the
	 * server has not so much that is nobody's. With an error nothing is changed.
	 */
	uint32_t memory_mib;
};
#define CHANNEL_LEAVE UINT32_MAX

/* The hypervisor keeps the last CHANNEL_PRINTED_KEEPS bytes of what it printed itself; guests' consoles are not among them. */
struct channel_printed {
	uint64_t
		at; /* bytes since power-on. What was asked for and is less than `at`, less the text's length: lost. */
};
#define CHANNEL_PRINTED_KEEPS 65536U

/* ---- streams ---- */

enum channel_kind {
	/*
	 * A guest's serial port; one stream a guest at a time (EBUSY). The hypervisor keeps the last CHANNEL_CONSOLE_KEEPS bytes of
	 * output and sends them first. Output is never waited for: what was overwritten before it could be sent is a LOST. Closed once
	 * the guest has ended and all was sent. An ended guest's may still be read.
	 */
	CHANNEL_KIND_CONSOLE = 1,
	/*
	 * A new file of `size` bytes in the hypervisor's memory: EEXIST, ENOMEM (they have to be there in a row). The host sends DATA
	 * and HOLE, in order, END at the end; what is missing then is zero. CLOSE 0: the file may be used. More than `size`: CLOSE
	 * EFBIG. A file whose upload does not end this way is gone.
	 */
	CHANNEL_KIND_FILE = 2,
	/*
	 * A port of the guest's virtio-console by its name ("port" in the guest's config); one stream a port at a time (EBUSY). The guest
	 * waits until its bytes are read, and with them while nobody has the port open. END from the host: the guest reads end of
	 * file, until the port is opened again. Bytes that a former stream did not deliver are lost. Closed once the guest has ended
	 * and all was sent.
	 */
	CHANNEL_KIND_PORT = 3,
	/*
	 * A connection to a port of the guest's virtio-vsock ("vsock" in its config). OPENED comes once the guest has accepted; CLOSE
	 * ECONNREFUSED: it did not, ENOTCONN: it has no driver (yet), ENODEV: no such device. END from the host: shutdown for writing;
	 * from the hypervisor: the guest sends no more. CLOSE follows when both are over.
	 */
	CHANNEL_KIND_VSOCK = 4,
};

#define CHANNEL_CONSOLE_KEEPS 16384U

struct channel_open {
	uint16_t kind;	 /* enum channel_kind */
	uint16_t flags;	 /* CHANNEL_OPEN_x */
	uint32_t guest;	 /* FILE: 0 */
	uint32_t credit; /* to the hypervisor; FILE: 0 */
	uint32_t port;	 /* VSOCK */
	uint64_t size;	 /* FILE: bytes */
			 /* FILE, PORT: name follows */
};
/* CONSOLE: only what comes from now on. */
#define CHANNEL_OPEN_FRESH (1U << 0)

struct channel_credit {
	uint32_t bytes;
};

struct channel_closed {
	uint32_t status; /* 0, or errno: text follows */
};

struct channel_lost {
	uint64_t bytes;
};

_Static_assert(sizeof(struct channel_head) == 16, "on the wire");
_Static_assert(CHANNEL_QUIET_BYTES == sizeof(struct channel_head) + CHANNEL_PAYLOAD_MAX,
	       "a whole frame");
_Static_assert(CHANNEL_PACKET_QUIET == 4 * (sizeof(struct channel_head) + CHANNEL_PACKET_BYTES),
	       "four whole packets");
_Static_assert(sizeof(struct channel_hello) == 24, "on the wire");
_Static_assert(sizeof(struct channel_request) == 8, "on the wire");
_Static_assert(sizeof(struct channel_reply) == 8, "on the wire");
_Static_assert(sizeof(struct channel_event) == 8, "on the wire");
_Static_assert(sizeof(struct channel_info) == 160, "on the wire");
_Static_assert(sizeof(struct channel_disk) == 120, "on the wire");
_Static_assert(sizeof(struct channel_file) == 80, "on the wire");
_Static_assert(sizeof(struct channel_guest) == 144, "on the wire");
_Static_assert(sizeof(struct channel_stats) == 112, "on the wire");
_Static_assert(sizeof(struct channel_exits) == 24, "on the wire");
_Static_assert(sizeof(struct channel_update) == 16, "on the wire");
_Static_assert(sizeof(struct channel_printed) == 8, "on the wire");
_Static_assert(sizeof(struct channel_open) == 24, "on the wire");
_Static_assert(sizeof(struct channel_closed) == 4, "on the wire");
