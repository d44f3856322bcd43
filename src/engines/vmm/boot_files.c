/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/boot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/spec.h"
#include "machine/boot.h"

#define BOOT_FILE_MAX (INT64_C(4) << 30)

struct boot_file {
	void *data; /* NULL: none */
	size_t len;
};

static void boot_file_fini(struct boot_file *file)
{
	if (file->data)
		(void)munmap(file->data, file->len); /* our own mapping */
	*file = (struct boot_file){ 0 };
}

/* Private: a file that somebody cuts while it is read would be SIGBUS, so it is read, not mapped. */
static int boot_read(int fd, const char *path, size_t len, uint8_t *data, struct err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, data + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "read %s", path);
		if (n == 0)
			return err_say(err, EIO, "read %s: it became shorter meanwhile", path);
		done += (size_t)n;
	}
	return 0;
}

/* O_NONBLOCK: a FIFO that nobody writes to would be waited for, and nothing of a regular file's changes. */
static int boot_file_open(const char *path, uint64_t memory_bytes, struct boot_file *ret,
			  struct err *err)
{
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_say(err, EINVAL, "%s: not a regular file", path);
	if (st.st_size <= 0 || st.st_size > BOOT_FILE_MAX)
		return err_say(err, EINVAL, "%s: %s", path, st.st_size ? "too large" : "empty");
	if ((uint64_t)st.st_size >
	    memory_bytes) /* said before it is read: it may be a sparse one */
		return err_say(err, ENOMEM, "%s: its %lld KiB do not fit into the guest's %llu MiB",
			       path, (long long)(st.st_size >> 10),
			       (unsigned long long)(memory_bytes >> 20));
	struct boot_file file = { .len = (size_t)st.st_size };
	file.data =
		mmap(NULL, file.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (file.data == MAP_FAILED)
		return err_set(err, errno, "read %s", path);
	int r = boot_read(fd, path, file.len, file.data, err);
	if (r < 0) {
		boot_file_fini(&file);
		return r;
	}
	*ret = file;
	return 0;
}

int vmm_boot(const struct spec_vm *vm, struct guest_mem *mem, struct x86_state *ret,
	     struct err *err)
{
	AUTO(boot_file_fini) struct boot_file kernel = { 0 };
	AUTO(boot_file_fini) struct boot_file initrd = { 0 };
	int r = boot_file_open(vm->kernel, vm->memory_bytes, &kernel, err);

	if (r == 0 && vm->initrd)
		r = boot_file_open(vm->initrd, vm->memory_bytes, &initrd, err);
	if (r < 0)
		return r;
	const struct boot_source source = {
		.kernel = kernel.data,
		.kernel_len = kernel.len,
		.initrd = initrd.data,
		.initrd_len = initrd.len,
		.cmdline = vm->append,
	};
	r = boot_load(mem, &source, ret, err);
	return r < 0 ? err_wrap(err, "boot %s", vm->kernel) : 0;
}
