/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is to run, whichever architecture runs it. A spec is a JSON object (docs/spec.md): the command line
 * and the image's config are merged into one, the state database keeps it, `inspect` prints it, the
 * monitor reads it. This struct is its checked view: strings are borrowed from the JSON.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "base/core/err.h"
#include "base/os/idspace.h"

enum spec_mount_type { SPEC_MOUNT_BIND, SPEC_MOUNT_VOLUME, SPEC_MOUNT_TMPFS };
enum spec_restart {
	SPEC_RESTART_NO,
	SPEC_RESTART_ON_FAILURE,
	SPEC_RESTART_ALWAYS,
	SPEC_RESTART_UNLESS_STOPPED
};
enum spec_network { SPEC_NETWORK_NONE, SPEC_NETWORK_HOST, SPEC_NETWORK_BRIDGE, SPEC_NETWORK_PASST };

struct spec_mount {
	enum spec_mount_type type;
	const char *
		source; /* host path; a volume's name until the manager put its path here; NULL: tmpfs */
	const char *target;	 /* absolute, inside */
	const char *propagation; /* "rprivate", "private", "rslave", "slave", "rshared", "shared" */
	const char *options;	 /* tmpfs: "size=64m,mode=1777"; or NULL */
	bool read_only;
	bool recursive; /* bind: with the mounts below source */
	bool copy_up;	/* volume: fill an empty one from the image's directory */
	bool shared;	/* volume: a directory, of a virtual machine; put there by the manager */
	bool idmap; /* bind: ids inside are ids on the disk; else a mapped root is nobody there */
};

struct spec_device {
	const char *source; /* host path */
	const char *target;
	const char *permissions; /* of "rwm" */
};

struct spec_ulimit {
	int resource;	     /* RLIMIT_x */
	const char *name;    /* "nofile" */
	uint64_t soft, hard; /* RLIM_INFINITY is UINT64_MAX */
};

enum spec_io_rate {
	SPEC_IO_READ_BPS,
	SPEC_IO_WRITE_BPS,
	SPEC_IO_READ_IOPS,
	SPEC_IO_WRITE_IOPS,
	SPEC_IO_RATES,
};
struct spec_io {
	const char *device;	      /* host path of a disk */
	int64_t rates[SPEC_IO_RATES]; /* a second; 0: none asked */
};

struct spec_limits { /* 0: no limit asked, but for pids and swap as noted */
	int64_t memory_bytes;
	int64_t memory_swap_bytes; /* memory and swap together; -1: no limit */
	int64_t memory_reservation_bytes;
	int64_t cpu_quota_us; /* in each cpu_period_us */
	int64_t cpu_period_us;
	int64_t cpu_shares; /* 2..262144, 1024 is the norm (cgroup v1 cpu.shares) */
	const char *cpuset; /* "0-1", or NULL */
	int64_t pids;	    /* > 0; 0 none asked */
	int64_t io_weight;  /* 1..1000, 100 is the norm */
	struct spec_io *io;
	size_t n_io;
	int64_t ingress_bits, egress_bits; /* a second, of its network: to it, from it */
	bool memory_alone; /* a limit of memory says nothing of swap; else by Docker's rule */
};

struct spec_time_offsets { /* added to the host's clocks; both 0: no time namespace */
	int64_t monotonic_s, boottime_s;
	uint32_t monotonic_ns, boottime_ns; /* on top; below 10^9 */
};

struct spec_port {
	const char *host_ip; /* NULL: every address */
	uint16_t host, guest;
	const char *protocol; /* "tcp", "udp" */
};

struct spec_endpoint { /* filled by the manager before the start; all NULL without an address */
	const char *network;
	const char *bridge;  /* interface name on the host; NULL with passt */
	const char *address; /* "10.201.0.2" */
	unsigned prefix;
	const char *gateway; /* NULL on an internal network */
	/* IPv6 beside it: virtual machines only; NULL: none */
	const char *address6, *gateway6;
	unsigned prefix6;
	const char *mac;
	unsigned mtu;	     /* 0: not said */
	const char *host_if; /* the veth's name on the host */
};

/* A program that says by its exit status whether the workload does its work; no args: there is none. */
struct spec_health {
	const char **args; /* run inside, as exec would; NULL-ended */
	size_t n_args;
	unsigned interval_ms,
		timeout_ms; /* from a check's end to the next one's start; of one check */
	/* A failure this soon after the start does not count, and until one passes checks come at start_interval_ms. */
	unsigned start_period_ms, start_interval_ms;
	unsigned retries; /* so many failures in a row are "unhealthy" */
};

enum spec_disk_format { SPEC_DISK_AUTO, SPEC_DISK_RAW, SPEC_DISK_QCOW2 };

struct spec_disk {
	const char *path; /* absolute, on the host */
	enum spec_disk_format format;
	bool read_only;
};

#define SPEC_ROOT_MIN  (INT64_C(16) << 20)  /* bytes: a journal takes some of it */
#define SPEC_VM_MEMORY (INT64_C(512) << 20) /* bytes, where none were asked for */
/* Of translated code, bytes. */
#define SPEC_VM_CODE_CACHE     (INT64_C(64) << 20)
#define SPEC_VM_CODE_CACHE_MIN (INT64_C(1) << 20) /* for each vcpu */
#define SPEC_VM_CODE_CACHE_MAX (INT64_C(1) << 30)

/* A virtual machine: what runs in it and how large it is. Without a kernel there is none. */
struct spec_vm {
	const char *kernel; /* absolute path; NULL: this is no virtual machine */
	const char *initrd; /* or NULL */
	const char *append; /* kernel command line, "" */
	uint64_t memory_bytes;
	unsigned vcpus;
	struct spec_disk *disks;
	size_t n_disks;
	const char *
		gdb; /* a unix socket's path or a TCP port of 127.0.0.1 to wait for a debugger, or NULL */
	uint64_t code_cache_bytes; /* of the software CPU; 0: it interprets everything */
	bool machine_irqchip;	   /* the machine's interrupt controllers instead of the engine's */
	bool agent; /* an image runs in it: strata-init is its first process; disk 0 is the image's root */
	bool console; /* with an agent: what the kernel says on its serial port goes to standard error, not away */
	bool upper; /* with an agent: disk 1 holds what it writes */
	const char *
		root_fs; /* with an agent: the file system on disk 0: "erofs", "ext4"; or SPEC_ROOT_SHARED, on no disk */
	const char **
		directories; /* with an agent: made in its root where they are missing; absolute, NULL-ended */
	size_t n_directories;
	const char **sysctls; /* with an agent: "NAME=VALUE", NULL-ended */
	size_t n_sysctls;
	bool balloon, rng;
	const char *
		host; /* bare-metal: the socket of the hub of the server that it runs on; NULL: an emulated one of its own */
	bool test_devices; /* what kvm-unit-tests expect of the machine */
};

struct spec {
	json_t *json;	/* owns every string below */
	const char *id; /* 64 hex digits */
	const char *name;
	const char *image;   /* as the user typed it */
	const char *virt;    /* "os-level" */
	const char **layers; /* absolute directories, lowest first */
	size_t n_layers;
	const char **args; /* NULL-ended, at least one */
	size_t n_args;
	const char **env; /* "K=V", NULL-ended */
	size_t n_env;
	const char *cwd;     /* absolute */
	const char *user;    /* "", "uid", "name", with ":group": looked up inside */
	const char **groups; /* --group-add, NULL-ended */
	size_t n_groups;
	const char *hostname;
	bool system; /* the image's own init is process 1 of a whole system */
	bool tty, stdin_open, read_only, init, no_new_privileges, remove, privileged;
	struct winsize
		tty_size;    /* the terminal's, before anything runs on it; 0 x 0: not known yet */
	uint64_t caps;	     /* bit n: capability n */
	const char *seccomp; /* path of the compiled filter, or NULL: unconfined */
	const char *cgroup_parent; /* "": the hierarchy's top */
	struct spec_mount *mounts;
	size_t n_mounts;
	struct spec_device *devices;
	size_t n_devices;
	struct spec_ulimit *ulimits;
	size_t n_ulimits;
	struct spec_limits limits;
	struct spec_vm vm;
	struct ids_map *uid_map, *gid_map;
	size_t n_uid_map, n_gid_map;
	struct spec_time_offsets time_offsets;
	int64_t shm_bytes;
	int64_t root_bytes; /* what it may write to its root; 0: as much as the host's file system takes */
	enum spec_network network;
	struct spec_endpoint endpoint;
	struct spec_port *ports;
	size_t n_ports;
	enum spec_restart restart;
	unsigned restart_max; /* on-failure: 0 is no bound */
	struct spec_health health;
	int stop_signal; /* 0, of a system: its init's own */
	unsigned stop_timeout_ms;
	int64_t log_max_bytes; /* a log file is rotated past this */
	unsigned log_files;    /* kept, the current one included */
};

#define SPEC_SHARE_TAG	 "strata"   /* what a guest mounts what is shared by */
#define SPEC_SHARE_ROOT	 "root"	    /* the name of its root file system in there */
#define SPEC_ROOT_SHARED "virtiofs" /* vm.root_fs */

/*
 * spec_is_share() - whether a mount of a virtual machine is a directory or a file of the host's, and no disk of its own, nor memory.
 * In what is shared its name is its number among the mounts.
 */
bool spec_is_share(const struct spec_mount *mount);
bool spec_root_is_shared(const struct spec *spec);
bool spec_has_shares(const struct spec *spec); /* any, or the root */
/* spec_disk_of() - the last of the machine's disks with that path: its number, or -1 */
int spec_disk_of(const struct spec *spec, const char *path);

/*
 * spec_load() - check a spec and make its view
 * @json: a new reference is taken
 * Errors: -EINVAL with the member's name; -ENOMEM. *ret needs spec_fini().
 */
int spec_load(json_t *json, struct spec *ret, struct err *err);
void spec_fini(struct spec *spec); /* a zeroed one is a no-op */
