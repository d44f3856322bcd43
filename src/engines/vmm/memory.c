/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "machine/layout.h"

#define HUGE_BYTES (UINT64_C(2) << 20)

/* More RAM than the host has can only end in its OOM killer. */
static int memory_check(uint64_t size_bytes, struct err *err)
{
	struct sysinfo host;

	if (size_bytes % GUEST_PAGE_BYTES || size_bytes < VMM_MEMORY_MIN)
		return err_say(
			err, EINVAL,
			"guest memory: %llu bytes: must be a multiple of 4096, at least %llu",
			(unsigned long long)size_bytes, (unsigned long long)VMM_MEMORY_MIN);
	if (sysinfo(&host) < 0)
		return 0; /* then the kernel's own answer has to do */
	uint64_t total = (uint64_t)host.totalram * host.mem_unit;
	if (size_bytes > total || size_bytes > LAYOUT_RAM_MAX)
		return err_say(err, ENOMEM,
			       "guest memory: %llu MiB asked, this host has %llu MiB: ask for less",
			       (unsigned long long)(size_bytes >> 20),
			       (unsigned long long)(total >> 20));
	return 0;
}

static int memory_slots(struct guest_mem *mem, uint8_t *hva, uint64_t size_bytes)
{
	uint64_t low = size_bytes < LAYOUT_LOW_RAM_MAX ? size_bytes : LAYOUT_LOW_RAM_MAX;
	int r = mem_add(mem, 0, low, hva, false);

	if (r == 0 && size_bytes > low)
		r = mem_add(mem, LAYOUT_HIGH_RAM, size_bytes - low, hva + low, false);
	return r;
}

int vmm_memory_init(struct vmm_memory *memory, struct guest_mem *mem, uint64_t size_bytes,
		    struct err *err)
{
	int r = memory_check(size_bytes, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_set(err, errno, "guest memory");
	if (ftruncate(fd, (off_t)size_bytes) < 0)
		return err_set(err, errno, "guest memory of %llu MiB",
			       (unsigned long long)(size_bytes >> 20));
	/* Nobody may shrink it under the guest: that would be SIGBUS. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_set(err, errno, "seal the guest's memory");
	uint8_t *hva =
		mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (hva == MAP_FAILED)
		return err_set(err, errno, "map guest memory of %llu MiB",
			       (unsigned long long)(size_bytes >> 20));
	r = memory_slots(mem, hva, size_bytes);
	if (r < 0) {
		(void)munmap(hva, size_bytes); /* our own mapping */
		return err_set(err, -r, "guest memory map");
	}
	*memory = (struct vmm_memory){ .fd = fd_take(&fd), .hva = hva, .size_bytes = size_bytes };
	/* Where the host has huge pages for shared memory (shmem_enabled: advise); else it says no. */
	if (size_bytes >= HUGE_BYTES)
		(void)madvise(hva, size_bytes, MADV_HUGEPAGE);
	(void)madvise(hva, size_bytes, MADV_DONTDUMP); /* a core of us need not hold the guest */
	return 0;
}

void vmm_memory_discard(const struct vmm_memory *memory, const struct guest_mem *mem, gpa_t gpa,
			uint64_t len)
{
	uint8_t *hva = mem_hva(mem, gpa, len);

	/* A page that stays is only a page not saved. */
	if (hva)
		(void)fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)(hva - memory->hva), (off_t)len);
}
