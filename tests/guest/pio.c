/* SPDX-License-Identifier: Apache-2.0 */
/* Ports: nobody there, every width, strings. */
#include "lib/guest.h"

#define NOBODY	0x1234
#define SCRATCH 0x3ff /* the serial port's scratch register: eight bits that keep what is written */

void guest_main(void)
{
	uint8_t bytes[16];
	uint32_t words[4];
	void *to = bytes;
	uint64_t n = sizeof(bytes);

	check_equal("read8_of_nobody", in8(NOBODY), 0xff);
	check_equal("read16_of_nobody", in16(NOBODY), 0xffff);
	check_equal("read32_of_nobody", in32(NOBODY), 0xffffffff);
	out8(NOBODY, 1);
	out16(NOBODY, 2);
	out32(NOBODY, 3);
	check_equal("writes_to_nobody_are_dropped", in32(NOBODY), 0xffffffff);
	check_equal("last_port_of_all", in8(0xffff), 0xff);

	memset(bytes, 0, sizeof(bytes));
	__asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"((uint16_t)NOBODY) : "memory");
	bool all = true;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		all = all && bytes[i] == 0xff;
	check("string_in_of_bytes", all && n == 0 && to == bytes + sizeof(bytes));

	memset(words, 0, sizeof(words));
	to = words;
	n = 4;
	__asm__ volatile("rep insl" : "+D"(to), "+c"(n) : "d"((uint16_t)NOBODY) : "memory");
	check("string_in_of_words",
	      words[0] == UINT32_MAX && words[3] == UINT32_MAX && to == words + 4);

	out8(SCRATCH, 0x5a);
	check_equal("register_keeps_a_byte", in8(SCRATCH), 0x5a);
	const uint8_t three[3] = { 1, 2, 0xa5 };
	const void *from = three;
	n = 3;
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"((uint16_t)SCRATCH) : "memory");
	check_equal("string_out_leaves_the_last", in8(SCRATCH), 0xa5);

	/* A word that covers two registers is two bytes to them: the modem status cannot be written. */
	out8(SCRATCH, 0);
	out16(SCRATCH - 1, 0x7700);
	check_equal("word_reaches_the_second_register", in8(SCRATCH), 0x77);
	check_equal("word_reads_both_registers", in16(SCRATCH - 1) >> 8, 0x77);
}
