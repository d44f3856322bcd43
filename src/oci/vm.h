/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The same bundle in a virtual machine: annotation io.strata.virt, or the name under which this program is called.
 *
 *   maker                                    first process: its number is the container's to its end
 *   fork into the cgroups ---------------->  enters the bundle's network, ipc and uts namespaces
 *   <------------------------------------ MADE
 *   limits, hooks; GO -------------------->  createContainer hooks; streams
 *   <------------------------------------ DONE, and it waits on its listener for a BEGIN
 *   (without a listener: the maker is who starts it, and the words below are the maker's)
 *
 *   starter                                  takes over the network (network/takeover.h), becomes strata-vmm
 *   BEGIN ------------------------------->
 *   <----------------- BEGIN, READY
 *   GO ---------------------------------->   boots; the agent runs the workload
 *   <----------------- STARTED, or FAILED at any point
 *
 * The words are those of vmm/sync.h. Nobody stays with it: strata-vmm ends with the workload's status. Its disk has no name, and
 * goes with it; the socket to its agent is in the container's directory.
 */
#include "network/takeover.h"
#include "oci/oci.h"

#define VM_ANNOTATION	   "io.strata.virt"
#define VM_ANNOTATION_ROOT "io.strata.root" /* "shared", "copy" */

/* What this program and strata-vmm's first process say beside enum vmm_word. */
enum vm_word { VM_WORD_MADE = 'M', VM_WORD_DONE = 'D', VM_WORD_BEGIN = 'B' };

/* Fds of strata-vmm beside those of vmm/sync.h. */
enum vm_fd { VM_ROOT_FD, VM_UPPER_FD, VM_SECCOMP_FD, VM_FDS };

/* How a mount of the bundle comes into the machine. */
enum vm_mount {
	VM_MOUNT_OWN, /* the guest makes its own: /proc, /dev, /dev/shm ... */
	VM_MOUNT_FILE, /* its content is a message to the guest: /etc/hosts, /etc/resolv.conf, /etc/hostname */
	VM_MOUNT_TMPFS,
	VM_MOUNT_SHARE, /* a bind: the source itself, by virtiofsd */
	VM_MOUNT_COPY, /* a bind, without virtiofsd: what its source holds when the machine is made, on the machine's disk */
	VM_MOUNT_NONE, /* cannot be */
};

/*
 * vm_choose() - which architecture runs it
 * @called: what the program's name asks for, or NULL   @ret: "hosted", "hybrid"; NULL: it is a container
 * Errors: -EINVAL, -ENOTSUP: with the architectures that this host can run.
 */
int vm_choose(const char *called, const struct config *config, const char **ret, struct err *err);
/* vm_called() - "hosted" of ".../strata-oci-hosted"; NULL */
const char *vm_called(const char *argv0);
/*
 * vm_sharing() - by VM_ANNOTATION_ROOT, and what this host has
 * Errors: -EINVAL; -ENOENT, saying which package has it, where a shared root is asked for.
 */
int vm_sharing(const struct config *config, struct vm_sharing *ret, struct err *err);
/* vm_check() - -ENOTSUP, naming the member, for what a virtual machine cannot have */
int vm_check(const struct config *config, const struct bundle_host *host,
	     const struct vm_sharing *sharing, struct err *err);
/* vm_check_process() - the same of one more process */
int vm_check_process(const struct bundle_process *process, struct err *err);
enum vm_mount vm_mount_kind(const struct bundle_mount *mount, const struct vm_sharing *sharing);
/* vm_limits() - what is left for the cgroup of limits: memory and processes are the guest's own affair */
struct spec_limits vm_limits(const struct spec_limits *limits);
/*
 * vm_update() - the same of limits that change
 * Errors: -ENOTSUP: a machine that runs keeps its memory.
 */
int vm_update(const struct spec_limits *before, struct spec_limits *limits, struct err *err);

/* What a machine's spec (docs/spec.md) is made of, beside the configuration. */
struct vm_parts {
	const char *virt, *kernel, *initramfs;
	const struct takeover *net; /* NULL: no network */
	bool seccomp;		    /* VM_SECCOMP_FD is there */
	struct vm_sharing sharing;
};
/* vm_spec() - a new object, or NULL on ENOMEM */
json_t *vm_spec(const struct config *config, const char *id, const struct vm_parts *parts);
/* vm_spec_process() - of one more process; @seccomp: an fd of the caller's, or -EBADF */
json_t *vm_spec_process(const struct bundle *bundle, int seccomp);

/*
 * vm_disks() - the root file system and what is bound into it, on a disk; and one for what is written. Where the root is shared, none
 * @ret: in VM_FDS's order, -EBADF before
 * Errors: -ENOENT in the words that managers look for, where the command is not there.
 */
int vm_disks(const struct config *config, const struct vm_sharing *sharing, const char *store,
	     int ret[VM_FDS], struct err *err);
/* vm_command() - those words, of a root without its mounts */
int vm_command(const struct bundle *bundle, int root, struct err *err);

/*
 * vm_share() - in the process that becomes strata-vmm: start virtiofsd for what is shared
 * @ret_socket: VMM_SHARE_FD; -EBADF: nothing is
 */
struct virtiofsd;
int vm_share(const struct config *config, const struct vm_sharing *sharing, struct virtiofsd *ret,
	     int *ret_socket, struct err *err);

/*
 * vm_create() - bundle_create()'s contract, for a machine
 * @sharing: as it was checked   @store: Strata's directory, where its kernels are
 */
int vm_create(const struct container *container, const struct config *config,
	      const struct vm_sharing *sharing, const char *store, const struct bundle_host *host,
	      pid_t *ret_pid, struct err *err);
/* vm_start_by() - bundle_start_by()'s */
int vm_start_by(int socket, const struct config *config, struct err *err);
/* vm_exec() - bundle_exec()'s: a stand-in, which ends with the process's status and hands signals on */
int vm_exec(const struct container *container, const struct config *config,
	    const struct bundle_host *host, pid_t *ret_pid, int *ret_status, struct err *err);
