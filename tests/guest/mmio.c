/* SPDX-License-Identifier: Apache-2.0 */
/* Memory addresses behind which there is nothing, by every width and by strings, and RAM's own borders. */
#include "lib/guest.h"

#define NOBODY 0xd0000000ULL /* in the PCI window, far above the few BARs of these machines */

/* QEMU answers 0 where a bus has nobody, and is told so by "nobody=0". */
static uint64_t nobody;

static uint64_t ones(unsigned bits)
{
	return nobody >> (64 - bits);
}

void guest_main(void)
{
	nobody = option_number("nobody", 1) ? UINT64_MAX : 0;
	uint8_t page[64];
	uint64_t eight = 0;

	check_equal("read8_of_nobody", read8(NOBODY), ones(8));
	check_equal("read16_of_nobody", read16(NOBODY + 2), ones(16));
	check_equal("read32_of_nobody", read32(NOBODY + 4), ones(32));
	check_equal("read64_of_nobody", read64(NOBODY + 8), nobody);
	write8(NOBODY, 1);
	write16(NOBODY, 2);
	write32(NOBODY, 3);
	write64(NOBODY, 4);
	check_equal("writes_to_nobody_are_dropped", read32(NOBODY), ones(32));
	check_equal("unaligned_read", read32(NOBODY + 0x101), ones(32));
	check_equal("read_across_pages", read64(NOBODY + 0xffc), nobody);
	check_equal("last_byte_below_4_gib", read8(0xfffffff0 - 0x2000000), ones(8));
	check_equal("64_bit_window", read32(0x4000000000ULL + 0x3f000000), ones(32));

	memset(page, 0, sizeof(page));
	void *to = page;
	const void *from = (const void *)(uintptr_t)NOBODY;
	uint64_t n = 16;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	check("string_of_bytes_from_nobody",
	      page[0] == ones(8) && page[15] == ones(8) && page[16] == 0);
	to = (void *)(uintptr_t)NOBODY;
	n = 4;
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(eight) : "memory");
	check_equal("string_to_nobody_is_dropped", read64(NOBODY), nobody);

	/* Read, change, write in one instruction. */
	volatile uint32_t *at = (volatile uint32_t *)(uintptr_t)NOBODY;
	uint32_t old;
	__asm__ volatile("xchg %0, %1" : "=r"(old), "+m"(*at) : "0"(7));
	check_equal("exchange_with_nobody", old, ones(32));
	__asm__ volatile("orl $1, %0; andl $2, %0; addl $3, %0" : "+m"(*at));
	check_equal("arithmetic_on_nobody", *at, ones(32));
	__asm__ volatile("movzbl %1, %0" : "=r"(old) : "m"(*at));
	check_equal("zero_extended_load", old, ones(8));
	int64_t wide;
	__asm__ volatile("movslq %1, %0" : "=r"(wide) : "m"(*at));
	check("sign_extended_load", (uint64_t)wide == nobody);

	uint8_t *ram = mem_alloc(64, 64);
	write64((uintptr_t)ram + 3, 0x1122334455667788);
	check_equal("ram_keeps_an_unaligned_word", read64((uintptr_t)ram + 3), 0x1122334455667788);
}
