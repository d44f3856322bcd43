/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server's console: 8250 serial line, port 0xe9 where an emulator listens there, text on the framebuffer, and a ring of the
 * last lines that the management channel reads. Any CPU; one line is written whole.
 *
 * The serial line is slow. Until print_run(), and in a panic, who prints waits for it; from then on a timer brings it what waits
 * (core/out.h), and the lock is never held for longer than a line takes to be copied. What guests print waits with the guest.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/macros.h"
#include "core/out.h"

#define PRINT_RING_BYTES 65536U /* a power of two */

/* print() - printf with %d %u %x %s %c %p, lengths l ll z h hh, width, 0, -, precision of %s; no newline is added */
void print(const char *fmt, ...) PRINTF_LIKE(1, 2);
void print_va(const char *fmt, va_list args);

/* print_init() - finds the serial line (COM1 unless the word console=com2|none says otherwise); before it, print() fills the ring */
void print_init(const char *console);
/* print_screen() - text on a framebuffer (screen.h) from now on; what the ring holds is shown first */
void print_screen(uint64_t phys, uint32_t pitch, uint32_t width, uint32_t height,
		  uint32_t pixel_bytes);
/* print_text_screen() - the same on a VGA text screen of so many characters, 80 by 25 mostly */
void print_text_screen(uint64_t phys, uint32_t columns, uint32_t rows);
/* print_run() - timers are looked at from now on: nobody waits for the line; print_flush(): but now, the server goes off */
void print_run(void);
void print_flush(void);
/* print_unlock() - for panic(): the holder of the console's lock may never give it back, and no timer fires any more */
void print_unlock(void);

/* console_read() - one byte that came over the serial line, or -1; poll */
int console_read(void);
/* print_try() - a guest's line, if it is its turn. Return: false: w->room() will be called; nothing was printed. */
bool print_try(struct out_waiter *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* console_write() - a guest's bytes as they are, without the ring. Return: how many; less than len: w->room() will be called. @w: NULL: all, waits */
size_t console_write(struct out_waiter *w, const void *bytes, size_t len);
/* print_forget() - w->room() is not called any more, and is not running. Not in it. */
void print_forget(struct out_waiter *w);

/*
 * print_ring_read() - what was printed from position *at on
 * @at: in: 0 or what the last call left, of somebody else's too; out: where to go on. Text that the ring has lost is skipped.
 * Return: bytes copied.
 */
size_t print_ring_read(uint64_t *at, char *ret, size_t room);
