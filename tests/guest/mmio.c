/* SPDX-License-Identifier: Apache-2.0 */
/* Memory addresses behind which there is nothing, by every width and by strings, and RAM's own borders. */
#include "lib/guest.h"

#define NOBODY 0xd0000000ULL /* in the PCI window, far above the few BARs of these machines */

void guest_main(void)
{
	uint8_t page[64];
	uint64_t eight = 0;

	check_equal("read8_of_nobody", read8(NOBODY), 0xff);
	check_equal("read16_of_nobody", read16(NOBODY + 2), 0xffff);
	check_equal("read32_of_nobody", read32(NOBODY + 4), 0xffffffff);
	check_equal("read64_of_nobody", read64(NOBODY + 8), UINT64_MAX);
	write8(NOBODY, 1);
	write16(NOBODY, 2);
	write32(NOBODY, 3);
	write64(NOBODY, 4);
	check_equal("writes_to_nobody_are_dropped", read32(NOBODY), 0xffffffff);
	check_equal("unaligned_read", read32(NOBODY + 0x101), 0xffffffff);
	check_equal("read_across_pages", read64(NOBODY + 0xffc), UINT64_MAX);
	check_equal("last_byte_below_4_gib", read8(0xfffffff0 - 0x2000000), 0xff);
	check_equal("64_bit_window", read32(0x4000000000ULL + 0x3f000000), 0xffffffff);

	memset(page, 0, sizeof(page));
	void *to = page;
	const void *from = (const void *)(uintptr_t)NOBODY;
	uint64_t n = 16;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	check("string_of_bytes_from_nobody", page[0] == 0xff && page[15] == 0xff && page[16] == 0);
	to = (void *)(uintptr_t)NOBODY;
	n = 4;
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(eight) : "memory");
	check_equal("string_to_nobody_is_dropped", read64(NOBODY), UINT64_MAX);

	/* Read, change, write in one instruction. */
	volatile uint32_t *at = (volatile uint32_t *)(uintptr_t)NOBODY;
	uint32_t old;
	__asm__ volatile("xchg %0, %1" : "=r"(old), "+m"(*at) : "0"(7));
	check_equal("exchange_with_nobody", old, UINT32_MAX);
	__asm__ volatile("orl $1, %0; andl $2, %0; addl $3, %0" : "+m"(*at));
	check_equal("arithmetic_on_nobody", *at, UINT32_MAX);
	__asm__ volatile("movzbl %1, %0" : "=r"(old) : "m"(*at));
	check_equal("zero_extended_load", old, 0xff);
	int64_t wide;
	__asm__ volatile("movslq %1, %0" : "=r"(wide) : "m"(*at));
	check("sign_extended_load", wide == -1);

	uint8_t *ram = mem_alloc(64, 64);
	write64((uintptr_t)ram + 3, 0x1122334455667788);
	check_equal("ram_keeps_an_unaligned_word", read64((uintptr_t)ram + 3), 0x1122334455667788);
}
