/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The text that names the guests of a server: a file among those that the boot loader left (guest.cfg).
 *
 *	# what comes behind it is a comment
 *	guest web1		begins one; the lines that follow are its own
 *	memory 512M		bytes, with K, M, G; a multiple of 2M		mandatory
 *	memory 4G at-once	zeroed before it starts, not as it is touched, and mapped by the largest leaves
 *	vcpus 2			1 without
 *	kernel vmlinuz		a file by its name, without its folder		mandatory
 *	initrd initrd.gz
 *	append console=ttyS0	the rest of the line is the kernel's command line
 *	weight 256		share of CPU time: core/sched.h
 *	cap 50			at most so many per cent of a CPU
 *	tsc-khz 2000000		the rate of its TSC; the server's without. Where the CPU can scale it
 *	restart 3		start it again when it ends, whatever the reason, so many times; 0 without
 *	console lines		its serial port on the server's console: lines (with its name, the default), raw, none
 *	disk root.img		virtio-blk over a file in memory; may come more than once
 *	disk server:nvme0p2	over a disk or partition of the server, server:label:data, server:strata:web: drivers/disks.h
 *	disk base.img read-only
 *	test-devices		those that kvm-unit-tests expect of a PC under test
 *	port strata.control	a port of virtio-console by its name, for the management channel; may come more than once
 *	vsock			virtio-vsock (the guest is CID 3), for the management channel
 *	balloon			virtio-balloon: what a lowered target makes it give is the server's, and what is above that is its own
 *	balloon overcommit	the same, and whatever it frees is the server's; there may be none when it wants it back
 *	net 02:53:00:00:00:01	virtio-net on the server's switch; the address may be left out
 *
 * The text is hostile: what cannot be is refused with its line, and nothing of the file is used.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

#define CONFIG_GUESTS	    16U
#define CONFIG_DISKS	    8U
#define CONFIG_PORTS	    8U
#define CONFIG_NAME_BYTES   32U
#define CONFIG_FILE_BYTES   64U
#define CONFIG_APPEND_BYTES 512U
#define CONFIG_TSC_KHZ_MIN  1000U     /* 1 MHz: what counts more slowly is no clock */
#define CONFIG_TSC_KHZ_MAX  16000000U /* 16 GHz: guests keep it in 32 bits of kHz, and multiply */

enum config_console { CONFIG_CONSOLE_LINES, CONFIG_CONSOLE_RAW, CONFIG_CONSOLE_NONE };

struct config_disk {
	char file[CONFIG_FILE_BYTES];
	bool read_only;
};

struct config_guest {
	char name[CONFIG_NAME_BYTES];
	uint64_t memory_bytes;
	bool at_once; /* all memory is zeroed before the start */
	unsigned vcpus;
	char kernel[CONFIG_FILE_BYTES], initrd[CONFIG_FILE_BYTES]; /* initrd "": none */
	char append[CONFIG_APPEND_BYTES];
	uint32_t weight, cap_percent; /* 0: the default */
	uint32_t tsc_khz;	      /* 0: the server's */
	uint32_t restarts;
	bool is_pinned; /* not of the text; with first_cpu, as in vm/guest.h */
	unsigned first_cpu;
	enum config_console console;
	struct config_disk disks[CONFIG_DISKS];
	unsigned n_disks;
	char ports[CONFIG_PORTS][CONFIG_NAME_BYTES];
	unsigned n_ports;
	bool has_vsock;
	bool has_balloon, overcommits;
	bool has_net;
	bool has_test_devices;
	uint8_t mac[6]; /* all 0: one is made up */
};

struct config {
	struct config_guest guests[CONFIG_GUESTS];
	unsigned n;
};

/*
 * config_parse() - @text: need not end with a NUL; no byte behind @len is looked at
 * Return: 0; -EINVAL with the line and the word; -E2BIG: more guests, or longer words, than there is room for.
 */
int config_parse(const char *text, size_t len, struct config *ret, struct err *err);
