/* SPDX-License-Identifier: Apache-2.0 */
/* The start of every guest program, what it prints, and its end. */
#include "guest.h"
#include "irq.h"

#define PORT_SERIAL	0x3f8
#define PORT_DEBUG_EXIT 0xf4
#define PORT_RESET	0xcf9
#define PORT_PM_TIMER	0x608
#define PM_TIMER_HZ	3579545ULL
#define POOL_BYTES	(2U << 20)
#define CALLS_A_SECOND	300000ULL

static uint8_t pool[POOL_BYTES] __attribute__((aligned(4096)));
static size_t pool_used;
static unsigned passed, failed;
static const char *command_line = "";

void guest_start(const uint32_t *start_info);

/* Xen public/arch-x86/hvm/start_info.h: magic, version, flags, nr_modules, modlist, then the command line's address. */
void guest_start(const uint32_t *start_info)
{
	if (start_info && start_info[0] == 0x336ec578 && (start_info[6] || start_info[7]))
		command_line =
			(const char *)((uintptr_t)start_info[6] | (uintptr_t)start_info[7] << 32);
	irq_init();
	guest_main();
	finish();
}

/*
 * The string instructions: one of them is one instruction to an interpreter, however much it moves. gcc may turn
 * plain loops into calls of these very functions.
 */
void *memcpy(void *to, const void *from, size_t len)
{
	void *d = to;
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(len) : : "memory");
	return to;
}

void *memset(void *to, int value, size_t len)
{
	void *d = to;
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(len) : "a"(value) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < len; i++) {
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	}
	return 0;
}

size_t text_len(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

void *mem_alloc(size_t len, size_t align)
{
	size_t start = (pool_used + align - 1) & ~(align - 1);

	if (start + len > POOL_BYTES)
		fatal("the program's memory is used up");
	pool_used = start + len;
	return pool + start; /* .bss: the loader zeroed it */
}

/* One instruction for the text, where the port takes strings at any pace (a virtual one does). */
void print(const char *text)
{
	size_t len = text_len(text);

	__asm__ volatile("rep outsb"
			 : "+S"(text), "+c"(len)
			 : "d"((uint16_t)PORT_SERIAL)
			 : "memory");
}

void print_number(uint64_t value)
{
	char text[21];
	unsigned at = sizeof(text) - 1;

	text[at] = 0;
	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	print(text + at);
}

void print_hex(uint64_t value)
{
	char text[19];
	unsigned at = sizeof(text) - 1;

	text[at] = 0;
	do {
		text[--at] = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	text[--at] = 'x';
	text[--at] = '0';
	print(text + at);
}

void check(const char *name, bool ok)
{
	if (ok)
		passed++;
	else
		failed++;
	print(ok ? "ok " : "FAIL ");
	print(name);
	print("\n");
}

void check_equal(const char *name, uint64_t got, uint64_t want)
{
	if (got == want) {
		check(name, true);
		return;
	}
	failed++;
	print("FAIL ");
	print(name);
	print(": got ");
	print_hex(got);
	print(", not ");
	print_hex(want);
	print("\n");
}

void skip(const char *name, const char *why)
{
	print("skip ");
	print(name);
	print(": ");
	print(why);
	print("\n");
}

void finish(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	irq_off();
	print("end: ");
	print_number(passed);
	print(" passed, ");
	print_number(failed);
	print(" failed\n");
	out8(PORT_DEBUG_EXIT, failed || !passed);
	out8(PORT_RESET, 6);
	/* Neither is there: no interrupt table, and a fault. */
	__asm__ volatile("lidt %0; mov %1, %%ds" : : "m"(none), "r"(0x7777));
	for (;;)
		pause();
}

void fatal(const char *what)
{
	failed++;
	print("FAIL ");
	print(what);
	print("\n");
	finish();
}

uint64_t option_number(const char *name, uint64_t otherwise)
{
	size_t len = text_len(name);

	for (const char *p = command_line; *p; p++) {
		if ((p != command_line && p[-1] != ' ') || memcmp(p, name, len) != 0 ||
		    p[len] != '=')
			continue;
		uint64_t value = 0;
		for (p += len + 1; *p >= '0' && *p <= '9'; p++)
			value = value * 10 + (uint64_t)(*p - '0');
		return value;
	}
	return otherwise;
}

uint32_t pm_timer(void)
{
	return in32(PORT_PM_TIMER);
}

bool within(struct within *w, unsigned seconds)
{
	uint32_t now = pm_timer();

	if (w->calls++ == 0)
		w->last = now;
	if (now == UINT32_MAX)
		return w->calls < seconds * CALLS_A_SECOND;
	w->ticks += (now - w->last) & 0xffffff;
	w->last = now;
	return w->ticks < seconds * PM_TIMER_HZ;
}
