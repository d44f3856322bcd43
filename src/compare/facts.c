/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/facts.h"

#include <cpuid.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "compare/child.h"

#define FACT_MAX       160
#define FACT_VERSION_S 10

static void facts_trim(char *text)
{
	size_t n = strcspn(text, "\n");

	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = '\0';
}

/* The first line of a small file, or "". */
static void facts_file(const char *path, char ret[FACT_MAX])
{
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fd_read_text(fd, ret, FACT_MAX) < 0)
		ret[0] = '\0';
	facts_trim(ret);
}

static void facts_add(json_t *facts, const char *key, const char *value)
{
	if (value[0])
		(void)json_object_set_new(
			facts, key, json_string(value)); /* what has no name here stays away */
}

/* Intel SDM, CPUID: leaves 80000002h to 80000004h are the processor's brand string. */
static void facts_cpu(char ret[FACT_MAX])
{
	unsigned words[12], highest = (unsigned)__get_cpuid_max(0x80000000U, NULL);

	ret[0] = '\0';
	if (highest < 0x80000004U)
		return;
	for (unsigned i = 0; i < 3; i++) {
		unsigned *w = &words[4 * i];
		__cpuid(0x80000002U + i, w[0], w[1], w[2], w[3]);
	}
	memcpy(ret, words, sizeof(words));
	ret[sizeof(words)] = '\0';
	size_t blank = strspn(ret, " ");
	memmove(ret, ret + blank, strlen(ret) - blank + 1);
	facts_trim(ret);
}

/*
 * On what this host runs itself. CPUID 1, ECX bit 31 is set by hypervisors, which name themselves in leaf 40000000h
 * (Linux, arch/x86/include/asm/cpufeature.h, X86_FEATURE_HYPERVISOR); who made the machine is in its DMI tables.
 */
static void facts_nesting(char ret[FACT_MAX])
{
	char vendor[FACT_MAX], product[FACT_MAX], name[13] = "";
	unsigned a, b, c = 0, d;

	facts_file("/sys/class/dmi/id/sys_vendor", vendor);
	facts_file("/sys/class/dmi/id/product_name", product);
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1U << 31))) {
		(void)snprintf(ret, FACT_MAX, "none: bare hardware%s%.40s %.60s",
			       vendor[0] ? ", " : "", vendor, product);
		facts_trim(ret);
		return;
	}
	__cpuid(0x40000000U, a, b, c, d);
	const unsigned words[] = { b, c, d };
	memcpy(name, words, sizeof(words));
	for (char *p = name; *p; p++)
		*p = isprint((unsigned char)*p) ? *p : '?';
	(void)snprintf(ret, FACT_MAX, "in a virtual machine (%s)%s%.40s %.60s",
		       name[0] ? name : "nameless", vendor[0] ? ", " : "", vendor, product);
	facts_trim(ret);
}

static void facts_version(json_t *facts, const char *key, const char *program)
{
	const char *const argv[] = { program, "--version", NULL };
	const struct child child = { .argv = argv, .timeout = FACT_VERSION_S, .stop = -EBADF };
	struct outcome outcome = { 0 };

	if (child_run(&child, &outcome, NULL) < 0)
		return;
	char line[FACT_MAX];
	(void)snprintf(line, sizeof(line), "%s",
		       outcome.out); /* its first line, if that is not endless */
	facts_trim(line);
	if (!outcome.status)
		facts_add(facts, key, line);
	outcome_fini(&outcome);
}

static void facts_sizes(json_t *facts, uint64_t memory, unsigned cpus)
{
	struct sysinfo info = { 0 };
	char text[FACT_MAX];

	(void)sysinfo(&info); /* a valid pointer: cannot fail */
	(void)snprintf(text, sizeof(text), "%llu MiB",
		       (unsigned long long)info.totalram * info.mem_unit >> 20); /* fits */
	facts_add(facts, "memory", text);
	(void)snprintf(text, sizeof(text), "%ld", sysconf(_SC_NPROCESSORS_ONLN)); /* fits */
	facts_add(facts, "cpus", text);
	(void)snprintf(text, sizeof(text), "%llu MiB, %u CPU%s", (unsigned long long)memory >> 20,
		       cpus, cpus == 1 ? "" : "s"); /* fits */
	facts_add(facts, "limits", text);
}

json_t *facts_read(uint64_t memory, unsigned cpus)
{
	json_t *facts = json_object();
	struct utsname host = { 0 };
	char text[FACT_MAX];

	if (!facts)
		return NULL;
	facts_cpu(text);
	facts_add(facts, "cpu", text);
	(void)uname(&host); /* a valid pointer: cannot fail */
	(void)snprintf(text, sizeof(text), "%.60s %.90s", host.sysname,
		       host.release); /* cut: still telling */
	facts_add(facts, "kernel", text);
	facts_nesting(text);
	facts_add(facts, "nesting", text);
	facts_file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", text);
	facts_add(facts, "governor", text[0] ? text : "not this kernel's to say");
	facts_sizes(facts, memory, cpus);
	facts_add(facts, "strata", STRATA_VERSION);
	facts_version(facts, "crun", "crun");
	facts_version(facts, "qemu", "qemu-system-x86_64");
	return facts;
}
