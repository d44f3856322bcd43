/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "items.h"

#define GETPPID_N   300000U
#define FORK_N	    300U
#define TOUCH_PAGES 8192U
#define TOUCH_TIMES 2U
#define PIPE_N	    8000U

static uint64_t getppids(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < GETPPID_N; i++)
		sum += syscall(SYS_getppid) >= 0;
	return sum;
}

static uint64_t forks(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < FORK_N; i++) {
		int status;
		pid_t pid = fork();
		if (pid == 0)
			_exit((int)(i & 63));
		if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
			sum += (uint64_t)WEXITSTATUS(status);
	}
	return sum;
}

static uint64_t touch(void)
{
	const size_t bytes = (size_t)TOUCH_PAGES * 4096;
	uint64_t sum = 0;

	for (unsigned times = 0; times < TOUCH_TIMES; times++) {
		volatile uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return 0;
		for (size_t i = 0; i < bytes; i += 4096)
			sum += ++p[i];
		(void)munmap((void *)(uintptr_t)p, bytes);
	}
	return sum;
}

/* Two processes that wake each other. */
static uint64_t pipes(void)
{
	int there[2], back[2], status;
	uint64_t sum = 0;
	uint8_t byte = 0;

	if (pipe(there) < 0 || pipe(back) < 0)
		return 0;
	pid_t pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < PIPE_N; i++) {
			if (read(there[0], &byte, 1) != 1)
				break;
			byte++;
			if (write(back[1], &byte, 1) != 1)
				break;
		}
		_exit(0);
	}
	for (unsigned i = 0; i < PIPE_N; i++) {
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			break;
		sum += byte;
	}
	(void)waitpid(pid, &status, 0);
	for (int i = 0; i < 2; i++) {
		(void)close(there[i]);
		(void)close(back[i]);
	}
	return sum;
}

const struct item items_system[] = {
	{ "getppid", ITEM_SYSTEM, getppids },
	{ "fork", ITEM_SYSTEM, forks },
	{ "touch", ITEM_SYSTEM, touch },
	{ "pipe", ITEM_SYSTEM, pipes },
	{ 0 },
};
