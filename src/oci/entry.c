/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What self_seal() does, before the C library has started: it then starts once and not twice. It asks the CPU what it can do
 * some twenty times, and in a virtual machine each answer is an exit of the guest's: half a millisecond in all. The program's
 * entry point is here (meson.build: -e); there is no library, no thread-local storage and nothing relocated yet. Whatever
 * fails is left to self_seal(), which finds the work done otherwise.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/types.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define ENTRY_EMPTY_PATH 0x1000 /* AT_EMPTY_PATH */
#define ENTRY_ENV	 512	/* variables; with more it is self_seal()'s */
#define ENTRY_RDONLY	 1	/* ST_RDONLY: statfs(2) */

#ifdef __x86_64__

/* x86-64 psABI, 3.4.1: rsp points to argc, then argv, NULL, envp, NULL; rdx is for atexit(3). */
__asm__(".pushsection .text\n"
	".globl oci_entry\n"
	".type oci_entry, @function\n"
	"oci_entry:\n"
	"	endbr64\n"
	"	xor %ebp, %ebp\n"
	"	mov %rdx, %rbx\n"
	"	mov %rsp, %r12\n"
	"	mov %rsp, %rdi\n"
	"	call oci_entry_seal\n"
	"	mov %r12, %rsp\n"
	"	mov %rbx, %rdx\n"
	"	jmp _start\n"
	".size oci_entry, .-oci_entry\n"
	".popsection\n");

struct entry_env {
	char *list[ENTRY_ENV];
	char self[4096 + 16];
};

static long entry_call(long nr, long a, long b, long c, long d, long e)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}

static bool entry_is(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static bool entry_begins(const char *text, const char *with)
{
	while (*with && *text == *with) {
		text++;
		with++;
	}
	return !*with;
}

/* A word too many, as the value of a flag, costs a needless seal. */
static bool entry_enters(char *const *argv)
{
	for (; *argv; argv++) {
		if (entry_is(*argv, "create") || entry_is(*argv, "run") || entry_is(*argv, "exec"))
			return true;
	}
	return false;
}

/* Where the program is, for its new self, which cannot tell: base/os/self.h. false: too long, or too many */
static bool entry_environment(char *const *env, const char *exe, struct entry_env *ret)
{
	static const char name[] = "STRATA_SELF=";
	const unsigned at = sizeof(name) - 1;
	unsigned n = 0;

	for (; *env; env++) {
		if (entry_begins(*env, name))
			continue; /* somebody else's */
		if (n == ENTRY_ENV - 2)
			return false;
		ret->list[n++] = *env;
	}
	for (unsigned i = 0; i < at; i++)
		ret->self[i] = name[i];
	long len = entry_call(SYS_readlink, (long)exe, (long)(ret->self + at),
			      (long)(sizeof(ret->self) - at - 1), 0, 0);
	if (len <= 0)
		return false;
	ret->self[at + (unsigned)len] = '\0';
	ret->list[n++] = ret->self;
	ret->list[n] = (char *)0;
	return true;
}

void oci_entry_seal(const long *stack);

void oci_entry_seal(const long *stack)
{
	char *const *argv = (char *const *)(const void *)(stack + 1);
	char *const *env = argv + stack[0] + 1;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	static const char exe[] = "/proc/self/exe", empty[] = "";
	struct entry_env environment;
	struct statfs fs;

	if (!entry_enters(argv) || entry_call(SYS_geteuid, 0, 0, 0, 0, 0) != 0 ||
	    entry_call(SYS_statfs, (long)exe, (long)&fs, 0, 0, 0) < 0 || fs.f_flags & ENTRY_RDONLY)
		return;
	if (!entry_environment(env, exe, &environment))
		return;
	long fd = entry_call(SYS_open_tree, AT_FDCWD, (long)exe,
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, 0, 0);
	if (fd < 0)
		return;
	if (entry_call(SYS_mount_setattr, fd, (long)empty, ENTRY_EMPTY_PATH, (long)&attr,
		       sizeof(attr)) == 0)
		(void)entry_call(SYS_execveat, fd, (long)empty, (long)argv, (long)environment.list,
				 ENTRY_EMPTY_PATH); /* returns on error */
	(void)entry_call(SYS_close, fd, 0, 0, 0, 0);
}

#endif
