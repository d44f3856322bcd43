/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest_bench [ITEM...]: a line for each item, "ITEM GROUP NANOSECONDS SUM". As process 1 the first line is "init NANOSECONDS" since the
 * kernel began, items come from the kernel's command line (bench=a,b), and the machine is switched off at the end; bench=wait: it
 * waits for ever, to be looked at.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "items.h"

static const char *const groups[] = { "compute", "floating", "system", "native" };

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(clock, &ts); /* valid arguments: cannot fail */
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* @list: "a,b", or NULL: every one */
static int is_wanted(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
		if (!strncmp(p, name, n) && strchr(", \n", p[n]))
			return 1; /* the string's end is in the set too */
	}
	return !list;
}

static void run_items(const struct item *items, const char *list)
{
	for (; items->name; items++) {
		if (!is_wanted(list, items->name))
			continue;
		uint64_t start = now_ns(CLOCK_MONOTONIC);
		uint64_t sum = items->run();
		printf("%s %s %" PRIu64 " %016" PRIx64 "\n", items->name, groups[items->group],
		       now_ns(CLOCK_MONOTONIC) - start, sum);
	}
}

/* The kernel's command line; "bench=" begins the list. */
static const char *init_list(char *line, size_t size)
{
	(void)mkdir("/proc", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) < 0)
		return NULL;
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, size - 1);
	if (n < 0)
		return NULL;
	line[n] = '\0';
	char *at = strstr(line, "bench=");
	return at ? at + strlen("bench=") : NULL;
}

int main(int argc, char **argv)
{
	char line[4096] = "";
	const char *list = argc > 1 ? argv[1] : NULL;
	int is_init = getpid() == 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (is_init) {
		printf("init %" PRIu64 "\n", now_ns(CLOCK_BOOTTIME));
		list = init_list(line, sizeof(line));
		if (list && !strncmp(list, "wait", 4)) {
			printf("waits\n");
			for (;;)
				(void)pause();
		}
	}
	run_items(items_compute, list);
	run_items(items_floating, list);
	run_items(items_system, list);
	run_items(items_native, list);
	if (is_init) {
		printf("done\n");
		fflush(stdout);
		(void)reboot(RB_POWER_OFF);
	}
	return 0;
}
